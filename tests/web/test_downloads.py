"""Originals of many clips as one ZIP file: each as it came, under a name of its own, and what is left out is told."""

import io
import os
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from thatdam_pipelines.library.catalog import publish
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.settings import Settings
from thatdam_pipelines.web.app import create_app
from thatdam_pipelines.web.downloads import LEFT_OUT, MOST

FILES = {
    "A/CLIP.MOV": b"first" * 100_000,
    "B/clip.mov": b"second",
    "B/old.mov": b"older than any ZIP file",
    "B/new.mov": b"younger",
}
TIMES = {"B/old.mov": datetime(1975, 1, 1, tzinfo=UTC), "B/new.mov": datetime(2150, 1, 1, tzinfo=UTC)}


@pytest.fixture
def library(settings: Settings, tmp_path: Path) -> Settings:
    """Files that were copied and one that was left where it is."""
    with Library(settings) as made:
        for mode, files in (("copy", FILES), ("reference", {"away.mov": b"stays"})):
            drop = tmp_path / mode
            for name, content in files.items():
                (drop / name).parent.mkdir(parents=True, exist_ok=True)
                (drop / name).write_bytes(content)
                if name in TIMES:
                    os.utime(drop / name, (TIMES[name].timestamp(),) * 2)
            for batch_id in claim_paths(made, [drop], mode):
                ingest_batch(made, batch_id)
        publish(made)
    return settings


def ids(client: TestClient) -> dict[str, str]:
    return {clip["name"]: clip["media_id"] for clip in client.get("/api/v1/media").json()["items"]}


def archive_of(answer: Any) -> zipfile.ZipFile:
    assert answer.status_code == 200, answer.text
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    return archive


def test_every_original_is_in_it_as_it_came_under_a_name_of_its_own(library: Settings) -> None:
    with TestClient(create_app(library), base_url="http://localhost") as client:
        known = ids(client)
        answer = client.get("/api/v1/download", params={"media_id": list(known.values())})
    archive = archive_of(answer)
    assert sorted(map(archive.read, archive.namelist())) == sorted([*FILES.values(), b"stays"])
    assert len({name.lower() for name in archive.namelist()}) == 5
    dated = [archive.getinfo(name).date_time for name in ("old.mov", "new.mov")]
    assert dated == [(1980, 1, 1, 0, 0, 0), (2107, 12, 31, 23, 59, 58)]
    assert answer.headers["content-disposition"].endswith("thatdam%205%20files.zip")


def test_what_is_left_out_is_told_with_why(library: Settings, tmp_path: Path) -> None:
    (tmp_path / "reference" / "away.mov").unlink()
    (lost,) = (library.home / "media").rglob("old.mov")
    lost.unlink()
    with TestClient(create_app(library), base_url="http://localhost") as client:
        known = ids(client)
        archive = archive_of(client.get("/api/v1/download", params={"media_id": list(known.values())}))
        alone = client.get("/api/v1/download", params={"media_id": known["away.mov"]})
    missing, away = sorted(archive.read(LEFT_OUT).decode().splitlines()[1:])
    assert "away.mov: it cannot be reached" in away and "old.mov: it is missing from the media store" in missing
    assert len(archive.namelist()) == len(FILES)
    assert alone.status_code == 503 and "away.mov" in alone.json()["detail"]


def test_a_store_whose_disk_is_away_is_no_empty_file(library: Settings) -> None:
    with TestClient(create_app(library), base_url="http://localhost") as client:
        known = ids(client)
        (library.home / "media").rename(library.home / "unplugged")
        answer = client.get("/api/v1/download", params={"media_id": [known["CLIP.MOV"], known["away.mov"]]})
    assert answer.status_code == 503 and "Mount its disk" in answer.json()["next_step"], answer.text


def test_what_cannot_be_had_is_refused_with_what_to_do(library: Settings) -> None:
    with TestClient(create_app(library), base_url="http://localhost") as client:
        for asked, status in (
            ({"media_id": ["0" * 32]}, 404),
            ({"media_id": ["../../etc/passwd"]}, 422),
            ({"media_id": ["0" * 32] * (MOST + 1)}, 422),
            ({}, 422),
        ):
            answer = client.get("/api/v1/download", params=asked)
            assert answer.status_code == status and answer.json()["next_step"], answer.text
