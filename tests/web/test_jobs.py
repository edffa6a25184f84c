"""Starting work over the API: below watched folders only, told of by Dagster's own runs, live as events."""

import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from tests.web.serving import serving
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.settings import Settings, WatchedFolder
from thatdam_pipelines.web.app import create_app


def test_jobs_are_the_runs_of_dagster_and_survive_a_restart(web: TestClient, footage: Any) -> None:
    jobs = web.get("/api/v1/jobs").json()["items"]
    assert {job["job"] for job in jobs} >= {"ingest", "understand", "publish_catalog"}
    # Other tests of the same library may have run it again since.
    ingest = [job for job in jobs if job["job"] == "ingest"][-1]
    assert ingest["state"] == "done" and ingest["progress"] == 1 and ingest["batch_id"] == footage.result.batches[0]
    with TestClient(create_app(footage.settings), base_url="http://localhost") as other:
        assert other.get(f"/api/v1/jobs/{ingest['job_id']}").json() == ingest
        assert other.get(f"/api/v1/jobs/{'0' * 8}-0000-0000-0000-{'0' * 12}").status_code == 404
    first = web.get("/api/v1/jobs", params={"limit": 1}).json()
    second = web.get("/api/v1/jobs", params={"limit": 1, "cursor": first["next_cursor"]}).json()
    assert [page["items"][0]["job_id"] for page in (first, second)] == [job["job_id"] for job in jobs[:2]]


def test_a_file_below_a_watched_folder_is_claimed_once(settings: Settings, tmp_path: Path) -> None:
    watched = tmp_path / "nas"
    watched.mkdir()
    (watched / "a.mov").write_bytes(b"a")
    made = settings.model_copy(update={"watched": [WatchedFolder(path=watched, mode="reference", album="Nas")]})
    with TestClient(create_app(made), base_url="http://localhost") as client:
        (batch,) = client.post("/api/v1/ingest", json={"path": str(watched)}).json()["batches"]
        assert client.post("/api/v1/ingest", json={"path": str(watched / "a.mov")}).json()["batches"] == [batch]
        told = client.get(f"/api/v1/batches/{batch}").json()
        assert (told["mode"], told["album"], told["state"]) == ("reference", "Nas", "claimed")


def test_no_path_outside_of_the_watched_folders_is_opened(settings: Settings, tmp_path: Path) -> None:
    incoming = settings.incoming_dir
    incoming.mkdir(parents=True)
    secret = tmp_path / "secret.mov"
    secret.write_bytes(b"secret")
    (incoming / "link.mov").symlink_to(secret)
    (incoming / "up").symlink_to(tmp_path)
    paths = [secret, tmp_path, "/etc/passwd", "/", f"{incoming}/../secret.mov", incoming / "link.mov", incoming / "up",
             "secret.mov", "", f"{incoming}\0", f"{incoming}x", "http://127.0.0.1/x", "/" + "a" * 4000]  # fmt: skip
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        for path in paths:
            answer = client.post("/api/v1/ingest", json={"path": str(path)})
            assert answer.status_code == 403, (path, answer.text)
        assert client.post("/api/v1/ingest", json={"path": str(incoming / "none.mov")}).status_code == 400
    with Library(settings) as library:
        assert library.ledger.batches() == []


def test_where_dagster_is_not_up_it_says_so(settings: Settings) -> None:
    made = settings.model_copy(update={"dagster_port": 1})
    incoming = made.incoming_dir
    incoming.mkdir(parents=True)
    (incoming / "a.mov").write_bytes(b"a")
    with TestClient(create_app(made), base_url="http://localhost") as client:
        (batch,) = client.post("/api/v1/ingest", json={"path": str(incoming)}).json()["batches"]
        answer = client.post(f"/api/v1/batches/{batch}/retry")
        assert answer.status_code == 503 and "thatdam up" in answer.json()["next_step"]
        assert client.post("/api/v1/batches/20260101T000000-00000000/retry").status_code == 404
        assert client.post("/api/v1/backup").status_code == 400


def test_a_page_that_listens_hears_of_a_batch_and_of_an_upload(settings: Settings) -> None:
    settings.incoming_dir.mkdir(parents=True)
    with serving(settings) as url, httpx.Client(base_url=url, timeout=60) as http:
        assert http.get("/health").status_code == 200
        with http.stream("GET", "/api/v1/events") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = stream.iter_lines()
            assert next(lines) == "retry: 2000"
            (settings.incoming_dir / "a.mov").write_bytes(os.urandom(9))
            claimed = httpx.post(f"{url}/api/v1/ingest", json={"path": str(settings.incoming_dir)}, timeout=60).json()
            assert heard(lines, "batch")["batch_id"] == claimed["batches"][0]
            headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "5", "Upload-Metadata": "filename YS5tb3Y="}
            httpx.post(f"{url}/api/v1/uploads", headers=headers, timeout=60)
            assert heard(lines, "upload")["rel_path"] == "a.mov"


def heard(lines: Any, kind: str) -> Any:
    """The data of the next event of a kind."""
    for line in lines:
        if line == f"event: {kind}":
            return json.loads(next(lines).removeprefix("data: "))
    return pytest.fail("the stream ended")
