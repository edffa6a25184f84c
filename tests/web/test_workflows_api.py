"""Workflows over the API: a run of Dagster each, once a key, within what strangers may reach."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from thatdam_pipelines.dagster_runs import DagsterRuns, JobRun
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.settings import Settings, WatchedFolder
from thatdam_pipelines.web.app import create_app
from thatdam_pipelines.workflow_runs import run_workflow
from thatdam_pipelines.workflows.schema import workflow_schema

URL = "/api/v1/workflows"
RATE = {"workflow": [{"action": "rate", "media": ["none.mov"], "rating": 1}, {"action": "retry"}]}


class Launched(DagsterRuns):
    """Stands in for the Dagster that is up: remembers what it was asked for."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.asked: dict[str, str] = {}
        self.state = "queued"

    def launch(self, job: str, *, request: str | None = None, tags: Any = None, **_more: Any) -> str:
        assert job == "workflow"
        known = request or f"{len(self.asked)}"
        self.asked.setdefault(known, f"{len(self.asked):08x}-0000-0000-0000-000000000000")
        return self.asked[known]

    def run(self, run_id: str) -> JobRun | None:
        return JobRun(run_id, "workflow", self.state, 0.0, None, None, None, None, "") if run_id else None  # type: ignore[arg-type]


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    app = create_app(settings)
    app.state.context._runs = Launched(settings)
    with TestClient(app, base_url="http://localhost") as made:
        yield made


def test_a_workflow_is_asked_for_run_and_told(client: TestClient, settings: Settings) -> None:
    answer = client.post(URL, json=RATE)
    assert answer.status_code == 202, answer.text
    asked = answer.json()
    told = client.get(f"{URL}/{asked['workflow_id']}").json()
    assert (told["state"], told["job_id"], told["source"], told["requested_by"]) == (
        "waiting", asked["job_id"], "api", "local",
    )  # fmt: skip
    assert [step["state"] for step in told["steps"]] == ["waiting", "waiting"]
    run_workflow(settings, asked["workflow_id"])
    told = client.get(f"{URL}/{asked['workflow_id']}").json()
    assert told["state"] == "failed" and [step["state"] for step in told["steps"]] == ["failed", "done"]
    assert [one["workflow_id"] for one in client.get(URL).json()] == [asked["workflow_id"]]
    assert client.get(f"{URL}/{'0' * 32}").status_code == 404


def test_the_same_request_with_the_same_key_starts_one_run(client: TestClient) -> None:
    first, again = (client.post(URL, json=RATE, headers={"Idempotency-Key": "a"}).json() for _ in range(2))
    other = client.post(URL, json=RATE, headers={"Idempotency-Key": "b"}).json()
    assert first == again and other["workflow_id"] != first["workflow_id"] and other["job_id"] != first["job_id"]
    assert len(client.get(URL).json()) == 2


def test_a_run_that_was_killed_is_not_told_to_be_running(client: TestClient) -> None:
    asked = client.post(URL, json=RATE).json()
    client.app.state.context._runs.state = "cancelled"  # type: ignore[attr-defined]
    assert client.get(f"{URL}/{asked['workflow_id']}").json()["state"] == "cancelled"


def test_a_wrong_workflow_is_refused_with_the_line_of_each_error(client: TestClient) -> None:
    body = '{"workflow": [\n {"action": "serch"},\n {"action": "rate", "rating": 7}]}'
    answer = client.post(URL, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422 and answer.json()["type"] == "urn:thatdam:workflow"
    assert [line.partition(":")[0] for line in answer.json()["errors"]] == ["line 2, column 13", "line 3, column 31"]
    for wrong in (b"", b"\xff", b"[]", b"{" * 5000):
        assert client.post(URL, content=wrong).status_code == 422
    assert client.post(URL, json=RATE, params={"set": "x=1"}).status_code == 422
    assert client.get(URL).json() == []


def test_variables_are_set_by_the_address(client: TestClient) -> None:
    document = {"variables": {"q": "a", "n": 1}, "action": "search"}
    assert client.post(f"{URL}/rehearse", json=document).status_code == 422
    steps = [{"action": "search", "query": "${q}", "limit": "${n}"}]
    document = {"variables": {"q": "a", "n": 1}, "workflow": steps}  # type: ignore[dict-item]
    (told,) = client.post(f"{URL}/rehearse", json=document, params={"set": ["q=x=y", "n=2"]}).json()
    assert told["state"] == "planned" and told["would"] == "answer search with query = 'x=y', limit = 2"


def test_no_path_outside_of_the_watched_folders_is_reached_and_nothing_is_written(
    client: TestClient, settings: Settings, tmp_path: Path
) -> None:
    settings.incoming_dir.mkdir(parents=True)
    (settings.incoming_dir / "up").symlink_to(tmp_path)
    for step in (
        {"action": "ingest", "paths": [str(tmp_path)]},
        {"action": "ingest", "paths": [str(settings.incoming_dir), f"{settings.incoming_dir}/up"]},
        {"action": "ingest", "paths": ["relative"]},
        {"action": "offload", "card": str(settings.incoming_dir), "to": [str(settings.incoming_dir)]},
        {"action": "backup", "backup_root": str(settings.incoming_dir)},
        {"action": "rate", "where": "true", "rating": 1},
        {"action": "sql", "query": "SELECT 1"},
    ):
        answer = client.post(URL, json=step)
        assert answer.status_code == 403 and answer.json()["type"] == "urn:thatdam:foreignpath", step
        (told,) = client.post(f"{URL}/rehearse", json=step).json()
        assert told["state"] == "failed"
    assert client.get(URL).json() == []
    inside = {"action": "ingest", "paths": [str(settings.incoming_dir)]}
    assert client.post(f"{URL}/rehearse", json=inside).json()[0]["state"] == "planned"


def test_an_editor_moves_nothing_away_from_a_folder_that_is_watched_otherwise(
    settings: Settings, tmp_path: Path
) -> None:
    archive = tmp_path / "archive"
    for folder in (archive, settings.incoming_dir):
        folder.mkdir(parents=True)
    made = settings.model_copy(
        update={"web_host": "192.0.2.7", "watched": [WatchedFolder(path=archive, mode="reference")]}
    )
    with Library(made) as library:
        library.ledger.accounts.add("maria", "correct horse battery", "editor")
        bearer = {"Authorization": f"Bearer {library.ledger.accounts.make_token('maria')}"}
    app = create_app(made)
    app.state.context._runs = Launched(made)
    with TestClient(app, base_url="https://192.0.2.7", headers=bearer) as client:
        for folder, mode, status in (
            (archive, "move", 403),
            (archive, "copy", 202),
            (archive, "reference", 202),
            (settings.incoming_dir, "move", 202),
        ):
            step = {"action": "ingest", "paths": [str(folder)], "mode": mode}
            assert client.post(URL, json=step).status_code == status, step


def test_a_step_needs_the_role_that_its_own_endpoint_needs(settings: Settings) -> None:
    made = settings.model_copy(update={"web_host": "192.0.2.7"})
    with Library(made) as library:
        for role in ("viewer", "editor", "admin"):
            library.ledger.accounts.add(role, "correct horse battery", role)  # type: ignore[arg-type]
        tokens = {role: library.ledger.accounts.make_token(role) for role in ("viewer", "editor", "admin")}
    app = create_app(made)
    app.state.context._runs = Launched(made)
    wanted = [
        (RATE, {"viewer": 403, "editor": 202, "admin": 202}),
        ({"action": "verify"}, {"editor": 403, "admin": 202}),
    ]
    with TestClient(app, base_url="https://192.0.2.7") as client:
        for body, statuses in wanted:
            for role, status in statuses.items():
                answer = client.post(URL, json=body, headers={"Authorization": f"Bearer {tokens[role]}"})
                assert answer.status_code == status, (body, role, answer.text)


def test_where_dagster_is_not_up_nothing_was_asked_for(settings: Settings) -> None:
    made = settings.model_copy(update={"dagster_port": 1})
    with TestClient(create_app(made), base_url="http://localhost") as client:
        answer = client.post(URL, json=RATE, headers={"Idempotency-Key": "a"})
        assert answer.status_code == 503 and "thatdam up" in answer.json()["next_step"]
        assert client.get(URL).json() == []


def test_a_workflow_that_dagster_heard_of_is_kept_though_no_answer_comes(settings: Settings) -> None:
    def hear_and_hang_up() -> None:
        client, _ = listener.accept()
        with client:
            client.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        dagster = threading.Thread(target=hear_and_hang_up, daemon=True)
        dagster.start()
        made = settings.model_copy(update={"dagster_port": listener.getsockname()[1]})
        with TestClient(create_app(made), base_url="http://localhost") as client:
            answer = client.post(URL, json=RATE)
            dagster.join(60)
            assert answer.status_code == 503 and answer.json()["type"] == "urn:thatdam:unanswered", answer.text
            (kept,) = client.get(URL).json()
    assert run_workflow(made, kept["workflow_id"])


def test_the_schema_is_served(client: TestClient) -> None:
    assert json.loads(client.get(f"{URL}/schema").text) == workflow_schema()
