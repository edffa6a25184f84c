"""What goes away while the web application runs: every answer says what is missing and what to do, none is a fault."""

import contextlib
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.library.serving_vectors import vector_server
from thatdam_pipelines.library.chroma import owning
from thatdam_pipelines.settings import Settings
from thatdam_pipelines.web.app import create_app

NO_MEDIA = "0" * 32


def refused(answer: Any, name: str) -> Any:
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["type"] == f"urn:thatdam:{name}" and told["detail"] and told["next_step"]
    return told


@pytest.fixture
def apart(own: Settings, footage: Any, tmp_path: Path) -> Settings:
    """The sample library with vectors and a text index of this test's own."""
    shutil.copytree(footage.settings.vectors_dir, tmp_path / "vectors")
    with (
        contextlib.closing(sqlite3.connect(footage.settings.text_path)) as source,
        contextlib.closing(sqlite3.connect(tmp_path / "text.db")) as copy,
    ):
        source.backup(copy)
    return own.model_copy(update={"vectors": tmp_path / "vectors", "text": tmp_path / "text.db"})


@pytest.fixture
def client(apart: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(apart), base_url="http://localhost", raise_server_exceptions=False) as made:
        yield made


def look(client: TestClient, **asked: str) -> Any:
    return client.get("/api/v1/search", params=asked)


@pytest.fixture
def server(apart: Settings) -> Iterator[tuple[subprocess.Popen[bytes], contextlib.ExitStack]]:
    """A vector server, and the lock that whoever runs it holds."""
    with contextlib.ExitStack() as owned:
        owned.enter_context(owning(apart.vectors_dir))
        with vector_server(apart.vectors_dir) as process:
            yield process, owned


def test_when_the_vector_server_dies_words_find_what_texts_say_and_pictures_are_told_why_not(
    client: TestClient, server: tuple[subprocess.Popen[bytes], contextlib.ExitStack], footage: Any
) -> None:
    process, owned = server
    caption = next(file for file in footage.files if file.shown).shown[0].caption
    whole = look(client, q="CLIP0001").json()
    like = f"{whole['items'][0]['media_id']}@0"
    assert len(whole["notes"]) == 1 and look(client, like=like).status_code == 200
    process.kill()
    process.wait()
    by_name = look(client, q="CLIP0001").json()
    assert by_name["items"][0]["clip"]["name"] == "CLIP0001.MOV" and "no pictures" in by_name["notes"][-1]
    assert all(not moment["reasons"][0].startswith(("frame", "scene")) for moment in by_name["items"])
    assert "thatdam up" in refused(look(client, like=like), "offline")["next_step"]
    refused(look(client, q="nothing that any file is called"), "offline")
    stages = client.get(f"/api/v1/media/{whole['items'][0]['media_id']}/stages").json()["items"]
    (vectors,) = [stage for stage in stages if stage["stage"] == "vector_index"]
    assert vectors["state"] == "unknown" and vectors["next_step"]
    # Whoever ran the server is gone too: the folder itself is opened, and all is as it was.
    owned.close()
    assert look(client, q="CLIP0001").json() == whole
    assert look(client, q=caption).json()["items"]


def test_another_vector_server_is_found_without_a_restart(client: TestClient, apart: Settings) -> None:
    with owning(apart.vectors_dir):
        with vector_server(apart.vectors_dir) as process:
            whole = look(client, q="red").json()
            process.kill()
        with vector_server(apart.vectors_dir):
            assert look(client, q="red").json() == whole


def test_a_text_index_that_cannot_be_read_is_told_with_what_mends_it(client: TestClient, apart: Settings) -> None:
    apart.text_path.write_bytes(b"no database at all" * 1000)
    assert "index rebuild text" in refused(look(client, q="red"), "damagedindex")["next_step"]


ASKING_THE_LEDGER: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/api/v1/media", {}),
    ("GET", "/api/v1/search?q=red", {}),
    ("GET", "/api/v1/facets", {}),
    ("GET", "/api/v1/batches", {}),
    ("GET", "/api/v1/albums", {}),
    ("GET", "/api/v1/tags", {}),
    ("GET", f"/api/v1/media/{NO_MEDIA}", {}),
    ("POST", "/api/v1/albums", {"json": {"album": "x"}}),
    ("PATCH", f"/api/v1/media/{NO_MEDIA}", {"json": {"rating": 3}}),
]


@pytest.mark.parametrize("outage", ["removed", "emptied", "overwritten", "replaced by a folder"])
def test_a_database_that_is_gone_or_broken_is_told_and_comes_back(
    client: TestClient, apart: Settings, outage: str
) -> None:
    database = Path(apart.database_url.removeprefix("sqlite:///"))
    before = client.get("/api/v1/albums")
    assert before.status_code == 200
    with contextlib.closing(sqlite3.connect(database)) as con:
        con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    kept = database.read_bytes()
    for suffix in ("", "-wal", "-shm"):
        Path(f"{database}{suffix}").unlink(missing_ok=True)
    {
        "removed": lambda: None,
        "emptied": database.touch,
        "overwritten": lambda: database.write_bytes(b"no database" * 4000),
        "replaced by a folder": database.mkdir,
    }[outage]()
    for method, path, body in ASKING_THE_LEDGER:
        told = refused(client.request(method, path, **body), "database")
        assert "library.db" in told["next_step"] and "SELECT" not in told["detail"] and str(database) not in str(told)
    assert client.get("/health").status_code == 200
    if outage == "removed":
        assert not database.exists(), "an empty database stands in the place of the lost one"
    elif outage == "replaced by a folder":
        database.rmdir()
    for suffix in ("-wal", "-shm"):
        Path(f"{database}{suffix}").unlink(missing_ok=True)
    restored = database.with_suffix(".restored")
    restored.write_bytes(kept)
    restored.replace(database)
    assert client.get("/api/v1/albums").json() == before.json()


def test_a_database_that_another_keeps_locked_is_told_and_looking_goes_on(
    apart: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thatdam_pipelines.library.ledger_tables._BUSY_MS", 50)
    with TestClient(create_app(apart), base_url="http://localhost") as client:
        (clip, *_) = client.get("/api/v1/media").json()["items"]
        path = f"/api/v1/media/{clip['media_id']}"
        with contextlib.closing(sqlite3.connect(apart.database_url.removeprefix("sqlite:///"))) as other:
            other.execute("BEGIN IMMEDIATE")
            answer = client.patch(path, json={"rating": 5})
            assert "locked" in refused(answer, "database")["detail"] and answer.headers["retry-after"]
            assert client.get(path).status_code == 200
        assert client.patch(path, json={"rating": 5}).json()["rating"] == 5


def test_tables_whose_disk_is_gone_are_offline_and_not_empty(client: TestClient, apart: Settings) -> None:
    apart.tables_dir.rename(apart.tables_dir.with_name("unmounted"))
    assert "Mount" in refused(client.get("/api/v1/media"), "offline")["next_step"]
