"""Uploads over tus: resumed, whole, arriving as a drop does; and nothing a name can do leads out of the folder."""

import base64
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.settings import Settings
from thatdam_pipelines.web.app import create_app

TUS = {"Tus-Resumable": "1.0.0"}
PART = TUS | {"Content-Type": "application/offset+octet-stream"}


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    made = settings.model_copy(update={"upload_max_bytes": 1_000_000})
    with TestClient(create_app(made), base_url="http://localhost") as client:
        yield client


def metadata(**values: str) -> str:
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in values.items())


def begin(client: TestClient, name: str, length: int, **more: str) -> Any:
    headers = TUS | {"Upload-Length": str(length), "Upload-Metadata": metadata(filename=name, **more)}
    return client.post("/api/v1/uploads", headers=headers)


def send(client: TestClient, url: str, offset: int, content: bytes) -> Any:
    return client.patch(url, headers=PART | {"Upload-Offset": str(offset)}, content=content)


def test_an_upload_that_broke_off_goes_on_and_arrives_as_one_batch(client: TestClient, settings: Settings) -> None:
    content = os.urandom(300_000)
    url = begin(client, "Clip 1.mp4", len(content)).headers["location"]
    assert send(client, url, 0, content[:100_000]).headers["upload-offset"] == "100000"
    assert [upload["offset"] for upload in client.get("/api/v1/uploads").json()["items"]] == [100_000]
    told = client.head(url, headers=TUS)
    assert (told.headers["upload-offset"], told.headers["upload-length"]) == ("100000", "300000")
    assert told.headers["cache-control"] == "no-store"
    answer = send(client, url, 100_000, content[100_000:])
    assert answer.status_code == 204 and answer.headers["upload-batches"]
    with Library(settings) as library:
        (file,) = library.ledger.batch_files(answer.headers["upload-batches"])
        assert Path(file.root, file.rel_path).read_bytes() == content and file.rel_path.endswith("/Clip 1.mp4")
        batch = library.ledger.batch(answer.headers["upload-batches"])
        assert batch is not None and batch.root == str(settings.incoming_dir) and batch.mode == "move"
    assert client.head(url, headers=TUS).status_code == 404
    assert not [path for path in settings.uploads_dir.rglob("*") if path.is_file()]


def test_files_of_a_group_keep_their_folders_and_arrive_together(client: TestClient, settings: Settings) -> None:
    for name in ("DCIM/100/A.MOV", "DCIM/101/A.MOV"):
        url = begin(client, "A.MOV", 3, relativePath=name, group="card-1").headers["location"]
        assert client.post("/api/v1/uploads/groups/card-1").status_code == 409
        assert send(client, url, 0, name[-9:-6].encode()).status_code == 204
    (batch,) = client.post("/api/v1/uploads/groups/card-1").json()["batches"]
    with Library(settings) as library:
        names = [file.rel_path for file in library.ledger.batch_files(batch)]
    assert names == ["upload-card-1/DCIM/100/A.MOV", "upload-card-1/DCIM/101/A.MOV"]
    assert client.post("/api/v1/uploads/groups/card-1").status_code == 409


def test_a_name_that_is_taken_is_told_apart_and_nothing_is_overwritten(client: TestClient, settings: Settings) -> None:
    for content in (b"one", b"two"):
        url = begin(client, "A.MOV", 3, group="g").headers["location"]
        send(client, url, 0, content)
    client.post("/api/v1/uploads/groups/g")
    folder = settings.incoming_dir / "upload-g"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} in (
        {"A.MOV": b"one", "A (2).MOV": b"two"},
        {"A.MOV": b"two", "A (2).MOV": b"one"},
    )


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x.mov", "a/../../x.mov", "/etc/passwd", "a//b", "..\\x", "C:\\x", "x\0.mov", "x\n.mov",
     ".hidden", "a/.ssh/x", "x.part", "n" * 300, "/".join("abcdefghijklmnop"), "\u202e.mov"],
)  # fmt: skip
def test_a_name_that_leads_elsewhere_is_refused(client: TestClient, settings: Settings, name: str) -> None:
    answer = begin(client, name, 1)
    assert answer.status_code == 422, (name, answer.text)
    for group in ("../x", ".x", "a/b", "x" * 65):
        assert begin(client, "x.mov", 1, group=group).status_code == 422
    assert not list(settings.home.rglob("*.json"))


def test_bytes_go_only_where_they_belong(client: TestClient) -> None:
    url = begin(client, "x.mov", 4).headers["location"]
    assert send(client, url, 1, b"abc").status_code == 409
    assert send(client, url, 0, b"abcdefgh").status_code == 413
    assert client.head(url, headers=TUS).headers["upload-offset"] == "0"
    wrong = client.patch(url, headers=TUS | {"Upload-Offset": "0", "Content-Type": "text/plain"}, content=b"a")
    assert wrong.status_code == 415
    assert client.head(url).status_code == 412 and client.head(url).headers["tus-version"] == "1.0.0"
    assert send(client, f"/api/v1/uploads/{'0' * 32}", 0, b"a").status_code == 404
    assert client.delete(url, headers=TUS).status_code == 204 and client.head(url, headers=TUS).status_code == 404


def test_what_is_too_large_is_refused_before_and_while_it_comes(client: TestClient, settings: Settings) -> None:
    assert begin(client, "x.mov", 1_000_001).status_code == 422
    full = settings.model_copy(update={"disk_reserve_bytes": 2**60})
    with TestClient(create_app(full), base_url="http://localhost") as other:
        answer = begin(other, "x.mov", 1)
        assert answer.status_code == 422 and "too full" in answer.json()["detail"]
    options = client.options("/api/v1/uploads").headers
    assert options["tus-extension"] == "creation,termination" and options["tus-max-size"] == "1000000"


def test_what_was_abandoned_goes_when_another_begins(client: TestClient, settings: Settings) -> None:
    old = begin(client, "x.mov", 4).headers["location"]
    long_ago = time.time() - 30 * 86_400
    os.utime(settings.uploads_dir / old.rpartition("/")[2], (long_ago, long_ago))
    new = begin(client, "y.mov", 4).headers["location"]
    assert client.head(old, headers=TUS).status_code == 404 and client.head(new, headers=TUS).status_code == 200
