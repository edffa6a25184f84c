"""The plain paths of the toolbox answer with its shapes."""

from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.settings import Settings
from thatdam_pipelines.web.app import create_app


def test_what_was_read_in_the_toolbox_is_read_here(web: TestClient, footage: Any) -> None:
    def get(url: str, /, **query: Any) -> Any:
        answer = web.get(url, params=query)
        assert answer.status_code == 200, (url, answer.text)
        return answer.json()

    assert get("/health") == {"status": "ok", "service": "thatdam"}
    assert set(get("/stats")) == {"total_files", "total_size_bytes", "by_mime", "by_batch"}
    first = get("/recent", limit=3)
    assert len(first) == 3 and get(f"/media/{first[0]['media_id']}")["name"] == first[0]["name"]
    (found,) = get("/search", q="CLIP0001", type="video", limit=1)
    assert found["clip"]["name"] == "CLIP0001.MOV"
    assert get("/search", q="CLIP0001", type="video/*", limit=1) == [found]
    assert get("/search", q="CLIP0001", type="video/x-none", limit=1) == []
    batch = footage.result.batches[0]
    assert get("/batches")["items"][0]["batch_id"] == batch == get(f"/batches/{batch}")["batch_id"]
    assert get(f"/explorer/batch/{batch}")["files"] == len(footage.result.media)
    assert isinstance(get(f"/batches/{batch}/cards")["items"], list)
    job = get("/jobs")["items"][0]
    assert get(f"/jobs/{job['job_id']}/status")["state"] == get(f"/jobs/{job['job_id']}")["state"] == "done"
    folders = get("/explorer/folders")
    assert "DCIM/100TEST" in folders and {clip["folder"] for clip in get("/explorer/assets", path="DCIM")} <= set(
        folders
    )
    assert get("/paths")["items"][0]["mode"] == "move"
    (hit,) = web.post("/dam/search", json={"query": "CLIP0001", "level": "file", "limit": 1}).json()
    assert set(hit) == {"uuid", "path", "level", "start_time", "end_time", "score", "metadata"}
    assert get(f"/dam/search/similar/{hit['uuid']}")


def test_the_seconds_with_motion_are_told_with_their_pictures(web: TestClient) -> None:
    clip = next(one for one in web.get("/recent", params={"limit": 50}).json() if one["kind"] == "video")
    asked = {"media_id": clip["media_id"], "threshold": 0}
    seconds = web.post("/motion/extract", json=asked).json()
    assert [second["start_time"] for second in seconds] == [float(at) for at in range(len(seconds))] and seconds
    assert web.get(seconds[0]["frame"]).headers["content-type"] == "image/jpeg"
    assert web.post("/motion/extract", json=asked | {"threshold": 1}).json() == []
    assert web.post("/motion/extract", json=asked | {"media_id": "0" * 32}).status_code == 404


def test_files_of_a_form_arrive_under_names_of_their_own(settings: Settings) -> None:
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        sent = [("files", ("../../a.mov", b"a")), ("files", ("b.mov", b"b"))]
        said = client.post("/api/v1/upload", files=sent, data={"batch": "card"})
        assert said.status_code == 202 and said.json()["files"] == ["a.mov", "b.mov"], said.text
        assert client.post("/api/v1/upload", files=[("files", (".hidden", b"a"))]).status_code == 422
        assert client.post("/scan", params={"dir": str(settings.incoming_dir)}).json()["batches"]
        assert client.post("/scan", params={"dir": "/etc"}).status_code == 403
    with Library(settings) as library:
        files = library.ledger.batch_files(said.json()["batch"])
        assert [Path(file.root, file.rel_path).read_bytes() for file in files] == [b"a", b"b"]


def test_a_form_is_taken_whole_or_not_at_all_and_names_each_of_its_batches(settings: Settings) -> None:
    small = settings.model_copy(update={"batch_max_files": 1})
    with TestClient(create_app(small), base_url="http://localhost") as client:
        refused = [("files", ("a.mov", b"a")), ("files", (".hidden", b"b"))]
        assert client.post("/api/v1/upload", files=refused, data={"batch": "card"}).status_code == 422
        assert client.get("/api/v1/uploads").json()["items"] == []
        sent = [("files", ("a.mov", b"a")), ("files", ("b.mov", b"b"))]
        said = client.post("/api/v1/upload", files=sent, data={"batch": "card"}).json()
        assert {one["batch_id"] for one in client.get("/batches").json()["items"]} == set(said["batches"])
        assert len(said["batches"]) == 2 and said["batch"] == said["batches"][0]


def test_an_empty_library_has_nothing_of_any_type(settings: Settings) -> None:
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        answer = client.get("/search", params={"q": "x", "type": "video/*"})
        assert answer.status_code == 200 and answer.json() == []
        assert client.get("/search", params={"q": "x", "type": "video/"}).status_code == 400
