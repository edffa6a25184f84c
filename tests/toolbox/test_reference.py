"""Every command and every path that users of the toolbox know answers."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image
from typer.main import get_command

from tests.test_cli import Run
from thatdam_capture.cli import app as capture_app
from thatdam_pipelines.cli import app
from thatdam_pipelines.settings import Settings
from thatdam_pipelines.web.app import create_app

IN_TURN = """
scan {archive} --workers 1
sync_album --root {archive} --album Best --category digital --copy
stats
recent -n 10
dump --format json
dump --format csv
search red --mime image --limit 50
backup --backup_root {backups} --dry-run
backup --backup_root {backups}
paths add {archive}
paths list
paths remove {archive}
batches list
batches show archive
clean --confirm
"""
TAKEN = ["serve --host 127.0.0.1 --port 8080"]
RECORDER = ["hw_list", "hw_record --device /dev/video0 --duration 5", "witness_record --main cam1 --witness cam2"]
READ = """
/health /stats /recent?limit=3 /search?q=CLIP0001&type=video&limit=1 /batches /batches/{batch} /batches/{batch}/cards
/jobs /jobs/{job} /jobs/{job}/status /paths /media/{media} /explorer/assets?path=DCIM /explorer/folders
/explorer/batch/{batch} /dam/search/similar/{media}
"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    folder.mkdir()
    Image.new("RGB", (64, 48), "red").save(folder / "red.png")
    return folder


def test_every_command_answers_in_turn_over_one_library(run: Run, settings: Settings, archive: Path) -> None:
    (archive.parent / "backups").mkdir()
    for line in IN_TURN.format(archive=archive, backups=archive.parent / "backups").split("\n"):
        said = run(settings, *shlex.split(line)) if line else None
        assert said is None or said.code == 0, (line, said.err, said.out)
    shape = run(settings, "backup", "--backup_root", str(archive.parent / "backups"), "--json").data
    assert shape["dest"] == str(archive.parent / "backups") and shape["skipped"] > 0 and shape["missing"] == []
    before = run(settings, "backup", "--backup_root", str(archive.parent / "other"), "--dry-run", "--json").data
    assert before["copied"] > 0 and before["skipped"] == 0 and not (archive.parent / "other").exists()
    assert run(settings, "backup").code == 2


@pytest.mark.parametrize(
    ("program", "line"), [(app, line) for line in TAKEN] + [(capture_app, line) for line in RECORDER]
)
def test_commands_that_serve_or_need_cameras_are_taken_as_written(program: Any, line: str) -> None:
    name, *arguments = shlex.split(line)
    get_command(program).commands[name].make_context(name, arguments)  # type: ignore[attr-defined]


@pytest.fixture
def client(own: Settings, tmp_path: Path) -> Iterator[TestClient]:
    settings = own.model_copy(update={"incoming": tmp_path / "incoming"})
    (tmp_path / "incoming" / "card").mkdir(parents=True)
    (tmp_path / "incoming" / "card" / "a.mov").write_bytes(b"a")
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        yield client


def test_every_path_answers(client: TestClient, footage: Any, tmp_path: Path) -> None:
    media = next(row["media_id"] for row in footage.result.media if row["status"] == "stored")
    known = {
        "batch": footage.result.batches[0],
        "media": media,
        "job": client.get("/jobs").json()["items"][0]["job_id"],
    }
    for path in READ.format(**known).split():
        answer = client.get(path)
        assert answer.status_code == 200, (path, answer.text)

    card = str(tmp_path / "incoming" / "card")
    words = {"query": "CLIP0001", "level": "file", "limit": 1, "threshold": 0.0}
    for path, body, status in (
        ("/search", {"q": "CLIP0001", "limit": 1}, 200),
        ("/dam/search", words, 200),
        ("/scan", {"directory": card, "recursive": True}, 202),
        (f"/scan?dir={card}", None, 202),
        ("/batches", {"folder": card}, 202),
        ("/sync_album", {"root": card, "album": "Best", "category": "edit", "copy": True}, 202),
        ("/paths", {"path": card}, 201),
        ("/api/embedding/videos/ingest", {"path": f"{card}/a.mov", "generate_levels": ["L1", "L2", "L3"]}, 202),
    ):
        answer = client.post(path, json=body)
        assert answer.status_code == status, (path, answer.text)
    assert client.delete("/paths", params={"path": card}).status_code == 204
    assert client.patch(f"/explorer/{media}", json={"rating": 3}).json()["rating"] == 3
    upload = client.post("/api/v1/upload", files=[("files", ("b.mov", b"b"))], data={"batch": "card"})
    assert set(upload.json()) == {"status", "batch", "batches", "files"}
    # Where no target is set, it says so.
    assert client.post("/backup").json()["type"] == "urn:thatdam:settings"
    with client.websocket_connect("ws://localhost/ws/status") as socket:
        assert set(socket.receive_json()) == {"event", "data"}
