"""The Python client against the real server: each family of endpoints, by what it gives."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.web.serving import dagster_serving, serving
from tests.web.test_uploads import PART, TUS, metadata
from thatdam_pipelines.client import Client
from thatdam_pipelines.errors import OfflineError, QueryError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.settings import Settings


@pytest.fixture
def dam(own: Settings, footage: Any) -> Iterator[Client]:
    """Of the sample library, to be changed."""
    with serving(own) as url, Client(url) as made:
        yield made


def test_it_finds_lists_and_asks(dam: Client, footage: Any) -> None:
    clips = list(dam.media(limit=2, sort="name"))
    assert len({clip["media_id"] for clip in clips}) == len(clips) == dam.stats()["total_files"]
    assert {"value": "image", "count": 1} in dam.facets()["kind"]
    assert dam.get(clips[0]["media_id"])["name"] == clips[0]["name"]
    assert dam.sql("SELECT count(*) AS clips FROM media") == [{"clips": len(clips)}]
    assert "media" in {view["name"] for view in dam.views()}
    found = dam.search("CLIP0001")[0]
    assert found["clip"]["name"] == "CLIP0001.MOV"
    assert dam.scenes(found["media_id"])[0]["start_s"] == 0
    assert {stage["state"] for stage in dam.stages(found["media_id"])} <= {"done", "missing", "not needed"}
    with pytest.raises(QueryError, match="nothing to look for"):
        dam.search("")


def test_it_saves_files_whole_and_overwrites_none(dam: Client, footage: Any, tmp_path: Path) -> None:
    (clip,) = dam.media(name="CLIP0001")
    source = next(file.path for file in footage.files if file.path.name == "CLIP0001.MOV")
    saved = dam.save(clip["media_id"], "original", tmp_path / "saved.mov")
    assert saved.read_bytes() == source.read_bytes()
    poster = dam.save(clip["media_id"], "poster.jpg", tmp_path / "poster.jpg")
    assert dam.search(image=poster)[0]["media_id"] == clip["media_id"]
    with pytest.raises(FileExistsError):
        dam.save(clip["media_id"], "original", saved)
    with pytest.raises(QueryError, match="no content of the library"):
        dam.save("0" * 32, "original", tmp_path / "none.mov")
    assert not (tmp_path / "none.mov").exists()


def test_it_says_things_of_clips_and_tells_who_said_them(dam: Client) -> None:
    ids = [clip["media_id"] for clip in dam.media()][:2]
    assert dam.change(ids[0], rating=4, albums=["Summer"], add_tags=["place/beach"])["rating"] == 4
    assert [said["rating"] for said in dam.change_many(ids, rating=2)] == [2, 2]
    assert {past["field"] for past in dam.history(ids[0])} >= {"rating"}
    assert "Summer" in {album["album"] for album in dam.albums()}
    assert "place/beach" in {tag["tag"] for tag in dam.tags()}
    with pytest.raises(QueryError, match="rating"):
        dam.change(ids[0], rating=9)


def test_it_lists_batches_and_jobs_page_by_page(footage: Any) -> None:
    with serving(footage.settings) as url, Client(url) as dam:
        batches = [batch["batch_id"] for batch in dam.batches(limit=1)]
        assert set(footage.result.batches) <= set(batches) and len(set(batches)) == len(batches)
        assert dam.batch(batches[-1])["items"]
        jobs = [job["job_id"] for job in dam.jobs(limit=1)]
        assert len(set(jobs)) == len(jobs) > 1 and dam.job(jobs[-1])["state"] == "done"


def test_it_starts_work_once_a_key(settings: Settings) -> None:
    settings.incoming_dir.mkdir(parents=True)
    (settings.incoming_dir / "a.mov").write_bytes(os.urandom(100))
    with dagster_serving(settings) as reached, serving(reached) as url, Client(url) as dam:
        (batch,) = dam.ingest(str(settings.incoming_dir / "a.mov"), key="take")
        assert dam.ingest(str(settings.incoming_dir / "a.mov"), key="take") == [batch]
        job = dam.retry(batch, key="again")
        assert dam.retry(batch, key="again") == job == next(dam.jobs())["job_id"]
        with pytest.raises(QueryError, match="another request"):
            dam.back_up(key="again")
        with pytest.raises(QueryError, match="no backup target"):
            dam.back_up()


def test_it_uploads_and_goes_on_with_what_broke_off(settings: Settings, tmp_path: Path) -> None:
    files = [tmp_path / "a.mov", tmp_path / "b.mov"]
    for file in files:
        file.write_bytes(os.urandom(1000))
    with serving(settings) as url, Client(url) as dam:
        # Another program began, and its line broke.
        said = {"Upload-Length": "1000", "Upload-Metadata": metadata(filename="a.mov", group="card")}
        begun = httpx.post(f"{url}/api/v1/uploads", headers=TUS | said, timeout=60).headers["location"]
        part = PART | {"Upload-Offset": "0"}
        assert httpx.patch(f"{url}{begun}", headers=part, content=files[0].read_bytes()[:400], timeout=60).is_success
        (batch,) = dam.upload(files, "card")
    with Library(settings) as library:
        stored = [Path(file.root, file.rel_path).read_bytes() for file in library.ledger.batch_files(batch)]
    assert stored == [file.read_bytes() for file in files]


def test_it_loses_no_file_that_has_the_name_and_size_of_another_that_was_uploaded_before(
    settings: Settings, tmp_path: Path
) -> None:
    files = [tmp_path / folder / "a.mov" for folder in ("first", "second")]
    for file in files:
        file.parent.mkdir()
        file.write_bytes(os.urandom(1000))
    with serving(settings) as url, Client(url) as dam:
        said = {"Upload-Length": "1000", "Upload-Metadata": metadata(filename="a.mov", group="card")}
        begun = httpx.post(f"{url}/api/v1/uploads", headers=TUS | said, timeout=60).headers["location"]
        part = PART | {"Upload-Offset": "0"}
        assert httpx.patch(f"{url}{begun}", headers=part, content=files[1].read_bytes(), timeout=60).is_success
        (batch,) = dam.upload(files, "card")
    with Library(settings) as library:
        stored = {Path(file.root, file.rel_path).read_bytes() for file in library.ledger.batch_files(batch)}
    assert stored == {file.read_bytes() for file in files}


def test_where_nothing_answers_it_says_so(tmp_path: Path) -> None:
    with Client("http://127.0.0.1:1") as dam:
        for ask in (dam.stats, lambda: dam.save("0" * 32, "original", tmp_path / "none.mov")):
            with pytest.raises(OfflineError, match="thatdam up"):
                ask()
