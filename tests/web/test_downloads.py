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

FILES = {"A/CLIP.MOV": b"first" * 100_000, "B/clip.mov": b"second", "B/old.mov": b"older than any ZIP file"}
PAST_S = datetime(1975, 1, 1, tzinfo=UTC).timestamp()


@pytest.fixture
def library(settings: Settings, tmp_path: Path) -> Settings:
    """Three files that were copied and one that was left where it is."""
    with Library(settings) as made:
        for mode, files in (("copy", FILES), ("reference", {"away.mov": b"stays"})):
            drop = tmp_path / mode
            for name, content in files.items():
                (drop / name).parent.mkdir(parents=True, exist_ok=True)
                (drop / name).write_bytes(content)
                if "old" in name:
                    os.utime(drop / name, (PAST_S, PAST_S))
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
    assert sorted(archive.read(name) for name in archive.namelist() if name != LEFT_OUT) == sorted(FILES.values())
    names = [name for name in archive.namelist() if name != LEFT_OUT]
    assert len({name.lower() for name in names}) == 3
    assert "away.mov" in archive.read(LEFT_OUT).decode()
    assert answer.headers["content-disposition"].endswith("thatdam%203%20files.zip")


def test_what_cannot_be_had_is_refused_with_what_to_do(library: Settings) -> None:
    with TestClient(create_app(library), base_url="http://localhost") as client:
        known = ids(client)
        for asked, status in (
            ({"media_id": [known["away.mov"]]}, 409),
            ({"media_id": ["0" * 32]}, 404),
            ({"media_id": ["../../etc/passwd"]}, 422),
            ({"media_id": ["0" * 32] * (MOST + 1)}, 422),
            ({}, 422),
        ):
            answer = client.get("/api/v1/download", params=asked)
            assert answer.status_code == status and answer.json()["next_step"], answer.text
