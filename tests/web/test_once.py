"""A request that starts work and is sent again with its key: one run, one answer, also after a restart."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from tests.web.serving import dagster_serving, serving
from thatdam_pipelines.dagster_runs import DagsterRuns
from thatdam_pipelines.library.accounts import ROLES
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.requests import KEPT_FOR, Requests
from thatdam_pipelines.settings import Settings
from thatdam_pipelines.web.app import create_app
from thatdam_pipelines.web.once import BODY_BYTES, KEY_CHARACTERS

PASSWORD = "correct horse battery"


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


@pytest.fixture
def dropped(settings: Settings) -> Settings:
    """Two files wait in the incoming folder."""
    settings.incoming_dir.mkdir(parents=True)
    for name in ("a.mov", "b.mov"):
        (settings.incoming_dir / name).write_bytes(os.urandom(100))
    return settings


@pytest.fixture
def client(dropped: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(dropped), base_url="http://localhost") as made:
        yield made


def path(settings: Settings, name: str) -> dict[str, str]:
    return {"path": str(settings.incoming_dir / name)}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A home whose Dagster takes runs."""
    settings = Settings(home=tmp_path_factory.mktemp("once") / "home", embedder="descriptor", disk_reserve_bytes=0)
    settings.incoming_dir.mkdir(parents=True)
    with dagster_serving(settings) as reached:
        yield reached


def take(http: Any, settings: Settings, name: str) -> str:
    """Drops a file and takes it; gives the address that retries its batch."""
    (settings.incoming_dir / name).write_bytes(os.urandom(100))
    (batch,) = http.post("/api/v1/ingest", json=path(settings, name)).json()["batches"]
    return f"/api/v1/batches/{batch}/retry"


def runs_of(settings: Settings, retry: str) -> list[str]:
    with DagsterRuns(settings) as runs:
        return [run.job_id for run in runs.latest(50) if run.batch_id and run.batch_id in retry]


def test_the_same_key_starts_one_run_of_dagster_also_after_a_restart(platform: Settings) -> None:
    with serving(platform) as url, httpx.Client(base_url=url, timeout=240) as http:
        retry, other = take(http, platform, "a.mov"), take(http, platform, "b.mov")
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(lambda _: http.post(retry, headers=keyed("k1")), range(4)))
        assert {answer.status_code for answer in answers} <= {202, 409}
        (started,) = {answer.text for answer in answers if answer.status_code == 202}
        assert http.post(retry, headers=keyed("k1")).text == started
        elsewhere = http.post(other, headers=keyed("k1"))
        assert elsewhere.status_code == 422 and elsewhere.json()["type"] == "urn:thatdam:key-used"
        assert len(runs_of(platform, retry)) == 1 and runs_of(platform, other) == []
        assert http.post(retry, headers=keyed("k2")).status_code == 202
    with serving(platform) as url:
        again = httpx.post(f"{url}{retry}", headers=keyed("k1"), timeout=240)
        assert again.status_code == 202 and again.text == started
    assert len(runs_of(platform, retry)) == 2


def test_a_run_whose_answer_was_lost_in_a_crash_is_named_instead_of_started_again(
    platform: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError

    app = create_app(platform)
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        retry = take(client, platform, "c.mov")
        with monkeypatch.context() as during:
            during.setattr(Requests, "keep", crash)
            assert client.post(retry, headers=keyed("k3")).status_code == 500
        (run,) = runs_of(platform, retry)
        assert client.post(retry, headers=keyed("k3")).json() == {"job_id": run}
        assert runs_of(platform, retry) == [run]


def test_with_a_key_a_file_is_taken_once_though_another_has_its_name_now(client: TestClient, dropped: Settings) -> None:
    first = client.post("/api/v1/ingest", json=path(dropped, "a.mov"), headers=keyed("k"))
    assert first.status_code == 202
    (dropped.incoming_dir / "a.mov").write_bytes(os.urandom(200))
    again = client.post("/api/v1/ingest", json=path(dropped, "a.mov"), headers=keyed("k"))
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["content-type"] == first.headers["content-type"]
    assert "content-security-policy" in again.headers
    assert len(client.get("/api/v1/batches").json()["items"]) == 1


@pytest.mark.parametrize("url", ["/api/v1/ingest", "/scan", "/api/embedding/videos/ingest"])
def test_a_key_with_another_body_or_at_another_address_is_refused(
    client: TestClient, dropped: Settings, url: str
) -> None:
    name = "directory" if url == "/scan" else "path"
    assert client.post(url, json={name: str(dropped.incoming_dir)}, headers=keyed("k")).status_code == 202
    for other_url, body in (
        (url, {name: str(dropped.incoming_dir / "b.mov")}),
        (f"{url}?x=1", {}),
        ("/api/v1/tags", {}),
    ):
        answer = client.post(other_url, json=body, headers=keyed("k"))
        assert answer.status_code == 422 and answer.json()["type"] == "urn:thatdam:key-used"


def test_what_was_refused_may_be_asked_again_with_its_key(client: TestClient, dropped: Settings) -> None:
    late = path(dropped, "late.mov")
    assert client.post("/api/v1/ingest", json=late, headers=keyed("k")).status_code == 400
    Path(late["path"]).write_bytes(b"late")
    assert client.post("/api/v1/ingest", json=late, headers=keyed("k")).status_code == 202


def test_keys_and_bodies_that_cannot_be_kept_are_refused(client: TestClient, dropped: Settings) -> None:
    for key in ("", "k" * (KEY_CHARACTERS + 1)):
        assert client.post("/api/v1/ingest", json=path(dropped, "a.mov"), headers=keyed(key)).status_code == 422
    large = b"x" * (BODY_BYTES + 1)
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    assert client.post("/api/v1/upload", content=large, headers=keyed("k") | kind).status_code == 413


def test_keys_of_different_people_are_different_and_a_login_is_never_kept(dropped: Settings) -> None:
    made = dropped.model_copy(update={"web_login": True})
    with Library(made) as library:
        for role in ROLES:
            library.ledger.accounts.add(role, PASSWORD, role)
        tokens = {role: library.ledger.accounts.make_token(role) for role in ("editor", "admin")}
    with TestClient(create_app(made), base_url="https://localhost", follow_redirects=False) as client:

        def tag(role: str, name: str) -> Any:
            headers = keyed("k") | {"Authorization": f"Bearer {tokens[role]}"}
            return client.post("/api/v1/tags", json={"tag": name}, headers=headers)

        assert (tag("editor", "one").status_code, tag("admin", "two").status_code) == (201, 201)
        assert tag("editor", "two").status_code == 422
        form = {"name": "editor", "password": PASSWORD}
        secrets = {client.post("/login", data=form, headers=keyed("l")).headers["set-cookie"] for _ in range(2)}
        assert len(secrets) == 2


def test_answers_are_forgotten_after_their_time(client: TestClient, dropped: Settings, monkeypatch: Any) -> None:
    assert client.post("/api/v1/tags", json={"tag": "one"}, headers=keyed("k")).status_code == 201
    monkeypatch.setattr("thatdam_pipelines.library.requests.KEPT_FOR", KEPT_FOR * -1)
    assert client.post("/api/v1/tags", json={"tag": "two"}, headers=keyed("k")).status_code == 201
    terms = [term["tag"] for term in client.get("/api/v1/tags").json()["items"]]
    assert terms == ["one", "two"]


def test_whatever_starts_work_says_that_it_takes_a_key(client: TestClient) -> None:
    described = client.get("/openapi.json").json()["paths"]
    starts = {
        path: told["post"] for path, told in described.items() if "202" in told.get("post", {}).get("responses", ())
    }
    assert {"/api/v1/ingest", "/api/v1/backup", "/api/v1/batches/{batch_id}/retry", "/scan"} <= set(starts)
    for path, operation in starts.items():
        assert [one["name"] for one in operation["parameters"]].count("Idempotency-Key") == 1, path
