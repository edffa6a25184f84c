"""The API as programs use it."""

import asyncio
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import av
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.sync.client import connect

from thatdam_capture.api.app import create_app
from thatdam_capture.service import CaptureService
from thatdam_capture.settings import Settings

OFFER = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"


def record(recorder: Any, *cameras: str, **request: Any) -> httpx.Response:
    answer: httpx.Response = recorder.http.post("/v1/record", json={"camera_ids": list(cameras), **request})
    return answer


def test_a_take_of_two_cameras_is_recorded_stopped_and_listed(recorder: Any) -> None:
    started = record(recorder, "cam1", "cam2", group="take-12", roles={"hero": "cam1", "witness": "cam2"})
    assert started.status_code == 201
    assert {(one["camera_id"], one["role"]) for one in started.json()["sessions"]} == {
        ("cam1", "hero"),
        ("cam2", "witness"),
    }
    again = record(recorder, "cam1")
    assert again.status_code == 409
    assert again.json()["type"] == "urn:thatdam:problem:already-recording"
    assert {one["group_id"] for one in recorder.http.get("/v1/sessions").json()} == {"take-12"}
    time.sleep(1.5)
    stopped = recorder.http.post("/v1/record/take-12/stop")
    assert stopped.status_code == 200
    manifests = stopped.json()["manifests"]
    assert {one["camera"]["id"] for one in manifests} == {"cam1", "cam2"}
    assert {one["group_id"] for one in manifests} == {"take-12"}
    assert recorder.http.post("/v1/record/take-12/stop").json()["manifests"] == manifests
    assert recorder.http.get("/v1/sessions").json() == []
    listed = recorder.http.get("/v1/recordings", params={"camera": "cam1"}).json()
    assert [one for one in manifests if one["camera"]["id"] == "cam1"] == sorted(
        listed, key=lambda one: one["start_utc"]
    )


def test_recordings_are_listed_newest_first_page_by_page(recorder: Any) -> None:
    for _ in range(2):
        session = record(recorder, "cam2").json()["sessions"][0]["id"]
        time.sleep(1)
        recorder.http.post(f"/v1/record/{session}/stop")
    first = recorder.http.get("/v1/recordings", params={"limit": 1}).json()
    second = recorder.http.get("/v1/recordings", params={"limit": 1, "before": first[0]["start_utc"]}).json()
    assert len(first) == len(second) == 1
    assert datetime.fromisoformat(second[0]["start_utc"]) < datetime.fromisoformat(first[0]["start_utc"])


def test_what_is_not_there_is_a_problem_with_a_next_step(recorder: Any) -> None:
    for answer in (
        recorder.http.get("/v1/devices/nobody"),
        recorder.http.get("/v1/devices/nobody/stream"),
        recorder.http.post("/v1/record/nobody/stop"),
        record(recorder, "nobody"),
        recorder.http.get("/v1/nothing"),
        recorder.http.get(f"/v1/hls/{'0' * 32}/index.m3u8"),
        recorder.http.delete(f"/v1/whep/{'0' * 32}"),
    ):
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["next_step"] and answer.json()["status"] == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"camera_ids": []},
        {"camera_ids": ["cam1"], "max_s": -1},
        {"camera_ids": ["cam1"], "segment_s": 1e9},
        {"camera_ids": ["../../etc"]},
        {"camera_ids": ["cam1"], "group": "../x"},
        {"camera_ids": ["cam1"], "unknown": 1},
        {"camera_ids": ["cam1"], "roles": {"hero": "cam1", "HERO ": "cam1"}},
    ],
)
def test_values_that_cannot_work_are_named(recorder: Any, body: dict[str, Any]) -> None:
    answer = recorder.http.post("/v1/record", json=body)
    assert answer.status_code == 422 and answer.json()["errors"]


@pytest.mark.parametrize(
    "request_",
    [
        {"camera_ids": ["cam1", "cam1"]},
        {"camera_ids": ["cam1"], "profile": "none-such"},
        {"camera_ids": ["cam1"], "roles": {"hero": "cam2"}},
    ],
)
def test_requests_that_contradict_themselves_begin_nothing(recorder: Any, request_: dict[str, Any]) -> None:
    answer = recorder.http.post("/v1/record", json=request_)
    assert answer.status_code == 400
    assert recorder.http.get("/v1/sessions").json() == []


def test_a_full_disk_refuses_with_507_and_says_why(start_recorder: Callable[..., Any]) -> None:
    recorder = start_recorder(limits={"min_free_bytes": 2**60})
    answer = record(recorder, "cam1")
    assert answer.status_code == 507
    assert answer.json()["detail"]
    assert recorder.http.get("/v1/ready").status_code == 503
    assert recorder.http.get("/v1/health").json()["status"] == "degraded"
    assert recorder.http.get("/v1/devices/cam1/snapshot.jpg").status_code == 200, "live pictures need no disk"


def test_a_snapshot_is_a_picture_of_the_previews_height(recorder: Any) -> None:
    answer = recorder.http.get("/v1/devices/cam1/snapshot.jpg")
    assert answer.headers["content-type"] == "image/jpeg"
    with av.open(io.BytesIO(answer.content)) as picture:
        assert (picture.streams.video[0].width, picture.streams.video[0].height) == (160, 90)


@pytest.mark.parametrize("path", ["/v1/devices/cam1/stream", "/devices/cam1/stream", "/stream/cam1"])
def test_mjpeg_is_read_by_other_players(recorder: Any, path: str) -> None:
    with av.open(f"{recorder.url}{path}", format="mpjpeg", timeout=20) as stream:
        frames = stream.decode(video=0)
        assert [(next(frames).width, next(frames).height) for _ in range(5)] == [(160, 90)] * 5


def test_hls_is_read_by_other_players(recorder: Any) -> None:
    opened = recorder.http.get("/v1/devices/cam1/hls.m3u8")
    assert opened.status_code == 307
    with av.open(f"{recorder.url}{opened.headers['location']}", timeout=30) as stream:
        frames = stream.decode(video=0)
        times = [float(next(frames).time or 0) for _ in range(25)]
    assert times == sorted(times) and times[-1] - times[0] > 1.5
    again = recorder.http.get("/v1/devices/cam1/hls.m3u8")
    assert again.headers["location"] == opened.headers["location"], "one packer serves all viewers"


def test_events_are_replayed_from_a_number_and_go_on(recorder: Any) -> None:
    seen = recorder.http.get("/v1/status").json()["event_seq"]
    session = record(recorder, "cam1", max_s=1).json()["sessions"][0]["id"]
    url = f"ws://127.0.0.1:{recorder.port}/v1/events?since={seen}"
    events: list[dict[str, Any]] = []
    with connect(url, proxy=None) as socket:
        while not any(one["kind"] == "segment.committed" for one in events):
            events.append(json.loads(socket.recv(timeout=20)))
    numbers = [one["seq"] for one in events]
    assert numbers == list(range(seen + 1, seen + 1 + len(numbers)))
    with connect(f"ws://127.0.0.1:{recorder.port}/ws/status?since={seen}", proxy=None) as socket:
        replayed = [json.loads(socket.recv(timeout=5)) for _ in events]
    assert replayed == events
    recorder.http.post(f"/v1/record/{session}/stop")


def test_metrics_name_every_camera_and_count_its_frames(recorder: Any) -> None:
    session = record(recorder, "cam1").json()["sessions"][0]["id"]
    deadline = time.monotonic() + 20
    while recorder.http.get("/v1/devices/cam1").json()["state"] != "recording":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(1)
    families = {one.name: one for one in text_string_to_metric_families(recorder.http.get("/metrics").text)}
    states = {
        sample.labels["state"]: sample.value
        for sample in families["thatdam_capture_camera_state"].samples
        if sample.labels["camera"] == "cam1"
    }
    assert states["recording"] == 1 and sum(states.values()) == 1
    frames = {sample.labels["camera"]: sample.value for sample in families["thatdam_capture_frames"].samples}
    assert frames["cam1"] > 0 and frames["cam2"] >= 0
    assert families["thatdam_capture_recordings_wanted"].samples[0].value == 1
    recorder.http.post(f"/v1/record/{session}/stop")


@pytest.mark.parametrize(
    "path",
    ["/health", "/ready", "/devices", "/devices/cam1", "/recordings", "/sessions", "/status", "/api/devices"],
)
def test_the_plain_names_of_the_toolbox_answer_too(recorder: Any, path: str) -> None:
    assert recorder.http.get(path).status_code == 200


@pytest.mark.parametrize("body", ["", "no sdp", OFFER, OFFER + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", "v=0\r\nm=video"])
def test_an_offer_that_asks_for_no_video_is_refused(recorder: Any, body: str) -> None:
    headers = {"Content-Type": "application/sdp"}
    answer = recorder.http.post("/v1/devices/cam1/whep", content=body, headers=headers)
    assert answer.status_code == 400, answer.text
    assert recorder.http.post("/v1/devices/cam1/whep", content=body).status_code == 415
    assert recorder.http.get("/v1/status").json()["viewers"]["whep"] == 0


async def _post_whep(settings: Settings) -> httpx.Response:
    service = CaptureService(settings)
    await service.start()
    try:
        transport = httpx.ASGITransport(create_app(service))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            headers = {"Content-Type": "application/sdp"}
            return await client.post("/v1/devices/cam1/whep", content=OFFER, headers=headers)
    finally:
        await service.stop()


def test_without_the_extra_webrtc_is_refused_with_what_to_install(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiortc", None)
    answer = asyncio.run(_post_whep(bench.settings()))
    assert answer.status_code == 501
    assert "thatdam[webrtc]" in answer.json()["next_step"]


def test_what_is_not_used_is_not_loaded() -> None:
    code = "import sys, thatdam_capture.server, thatdam_capture.cli; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for name in ("aiortc", "zeroconf", "torch", "dagster", "thatdam_pipelines", "polars"):
        assert f"'{name}'" not in loaded, name
