"""The Python client against the real server."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.web.serving import serving
from thatdam_pipelines.client import Client
from thatdam_pipelines.errors import OfflineError, QueryError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.settings import Settings


def test_it_finds_lists_and_asks(footage: Any) -> None:
    with serving(footage.settings) as url, Client(url) as dam:
        clips = list(dam.media(limit=2, sort="name"))
        assert len({clip["media_id"] for clip in clips}) == len(clips) == dam.stats()["total_files"]
        assert dam.get(clips[0]["media_id"])["name"] == clips[0]["name"]
        assert dam.sql("SELECT count(*) AS clips FROM media") == [{"clips": len(clips)}]
        assert dam.search("CLIP0001")[0]["clip"]["name"] == "CLIP0001.MOV"
        assert dam.batches()[0]["batch_id"] == footage.result.batches[0]
        with pytest.raises(QueryError, match="nothing to look for"):
            dam.search("")


def test_it_uploads_and_goes_on_with_what_broke_off(settings: Settings, tmp_path: Path) -> None:
    files = [tmp_path / "a.mov", tmp_path / "b.mov"]
    for file in files:
        file.write_bytes(os.urandom(1000))
    with serving(settings) as url, Client(url) as dam:
        begun = dam._begin(files[0], 1000, "card")
        dam._response(
            "PATCH",
            begun,
            headers={
                "Tus-Resumable": "1.0.0",
                "Upload-Offset": "0",
                "Content-Type": "application/offset+octet-stream",
            },
            content=files[0].read_bytes()[:400],
        )
        (batch,) = dam.upload(files, "card")
    with Library(settings) as library:
        stored = [Path(file.root, file.rel_path).read_bytes() for file in library.ledger.batch_files(batch)]
    assert stored == [file.read_bytes() for file in files]


def test_where_nothing_answers_it_says_so() -> None:
    with Client("http://127.0.0.1:1") as dam, pytest.raises(OfflineError, match="thatdam up"):
        dam.stats()
