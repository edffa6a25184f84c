"""The page Cameras with a real recorder behind it: live pictures, and what is being recorded."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.capture.server.conftest import RunningRecorder, recorder_process
from thatdam_pipelines.settings import Settings
from thatdam_pipelines.web.app import create_app

SEEN = "(count) => [...document.querySelectorAll('.cameras img')].filter((one) => one.naturalWidth).length === count"


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[RunningRecorder]:
    with recorder_process(tmp_path / "recorder") as running:
        yield running


def test_cameras_are_seen_live_and_what_records_is_told(
    opened: Callable[..., Any], serve: Callable[[Settings], str], settings: Settings, recorder: RunningRecorder
) -> None:
    explorer = opened("/cameras", url=serve(settings.model_copy(update={"capture_port": recorder.port})))
    explorer.wait(
        "() => [...document.querySelectorAll('.cameras img')].filter((one) => one.naturalWidth > 50).length === 2"
    )
    assert [name.strip() for name in explorer.page.locator(".cameras h2").all_inner_texts()] == ["A cam", "B cam"]
    assert explorer.page.locator(".cameras p", has_text="Ready").count() == 2
    with recorder.http as http:
        started = http.post("/v1/record", json={"camera_ids": ["cam1"], "group": "take-7"})
        explorer.page.wait_for_selector(".cameras li:has-text('A cam') >> text=Recording")
        said = explorer.page.inner_text(".cameras li:has-text('A cam')")
        assert "take-7" in said and "Recording" not in explorer.page.inner_text(".cameras li:has-text('B cam')")
        assert explorer.page.get_by_text("Open the viewer").get_attribute("href") == recorder.url
        http.post(f"/v1/record/{started.json()['sessions'][0]['id']}/stop").raise_for_status()
    explorer.page.wait_for_selector(".cameras li:has-text('A cam') >> text=Ready")
    explorer.check()


def test_only_cameras_of_the_recorder_are_passed_on(settings: Settings, recorder: RunningRecorder) -> None:
    made = settings.model_copy(update={"capture_port": recorder.port})
    with TestClient(create_app(made), base_url="http://localhost") as client:
        assert [camera["id"] for camera in client.get("/api/v1/cameras").json()["cameras"]] == ["cam1", "cam2"]
        assert client.get("/api/v1/cameras/cam3/live").status_code == 404
        for name in ("..", "%2e%2e%2fhealth", "cam1%2f..%2f..%2fhealth", "CAM1", "cam1?x", "@127.0.0.1"):
            assert client.get(f"/api/v1/cameras/{name}/live").status_code in (404, 422), name


def test_where_no_recorder_runs_it_says_so(settings: Settings) -> None:
    with TestClient(create_app(settings.model_copy(update={"capture_port": 1})), base_url="http://localhost") as client:
        for path in ("/api/v1/cameras", "/api/v1/cameras/cam1/live"):
            answer = client.get(path)
            assert answer.status_code == 503 and "thatdam up" in answer.json()["next_step"]
