"""A network camera that closes, freezes, goes half-open or comes back changed: recording goes on by itself, untorn."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thatdam_capture.manifest import Manifest
from thatdam_capture.service import CaptureService
from thatdam_capture.sessions import RecordRequest, State

USER, PASSWORD = "viewer", "s3cret-word"
TROUBLES = ("close", "down", "freeze", "half-open")


class NetworkCamera:
    """The server of ``rtsp_server.py`` as a process of its own."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("rtsp_server.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    @property
    def url(self) -> str:
        return f"rtsp://{USER}:{PASSWORD}@127.0.0.1:{self.port}/live?key=hidden-key"

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{line}\n")
        assert self.process.stdout.readline().strip() == line.split(" ")[0]

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


@pytest.fixture
def network_camera() -> Iterator[NetworkCamera]:
    camera = NetworkCamera()
    yield camera
    camera.end()


@pytest.fixture
def network_cameras() -> Iterator[dict[str, NetworkCamera]]:
    """One for every trouble, so that all are troubled at once."""
    cameras = {trouble: NetworkCamera() for trouble in TROUBLES}
    yield cameras
    for camera in cameras.values():
        camera.end()


def settings_for(bench: Any, cameras: dict[str, NetworkCamera]) -> Any:
    timing = {"source_timeout_s": 1.5, "stall_timeout_s": 2, "start_timeout_s": 6, "backoff_max_s": 1, "stop_step_s": 2}
    listed = [{"id": name, "kind": "rtsp", "url": one.url, "profile": "copy"} for name, one in cameras.items()]
    return bench.settings(cameras=listed, timing=timing)


def by_session(manifests: list[Manifest]) -> list[list[Manifest]]:
    ids = dict.fromkeys(one.session_id for one in manifests)
    return [[one for one in manifests if one.session_id == session] for session in ids]


async def grown(service: CaptureService, until: Any, frames: int = 40, name: str = "cam1") -> None:
    """Until so many more frames are there."""
    camera = service.camera(name)
    await until(lambda: camera.state is State.RECORDING and camera.session_id)
    before = camera.stats.frames
    await until(lambda: camera.stats.frames >= before + frames)


def test_a_network_camera_is_copied_as_it_is(bench: Any, until: Any, network_camera: NetworkCamera) -> None:
    async def story() -> list[Manifest]:
        async with bench.running(settings_for(bench, {"cam1": network_camera})) as service:
            (session,) = await service.record(RecordRequest(camera_ids=["cam1"]))
            await grown(service, until, 100)
            assert service.camera("cam1").frame.latest is not None
            manifests = await service.stop_session(session.id)
            shown = repr([one.data for one in service.events.since(0)]) + repr(service.devices())
            assert PASSWORD not in shown and "hidden-key" not in shown
            return manifests

    manifests = asyncio.run(story())
    bench.assert_whole()
    counters = [frame.code.counter for one in manifests for frame in bench.frames(one)]
    assert counters == list(range(counters[0], counters[0] + len(counters)))
    assert len(manifests) >= 2
    assert all("copy" in one.encoder and one.complete and one.audio for one in manifests)
    assert {one.frame_rate for one in manifests} == {"25/1"}
    for manifest in manifests:
        text = bench.media(manifest).with_suffix(".json").read_text()
        assert PASSWORD not in text and USER not in text and "hidden-key" not in text
        assert abs(float(np.median(bench.clock_errors(manifest)))) < 0.1


def test_recording_goes_on_when_the_camera_is_back(
    bench: Any, until: Any, network_cameras: dict[str, NetworkCamera]
) -> None:
    async def suffer(service: CaptureService, trouble: str) -> None:
        await grown(service, until, name=trouble)
        camera, server = service.camera(trouble), network_cameras[trouble]
        first = camera.session_id
        server.tell("size 480x270")
        server.tell(trouble)
        await until(lambda: camera.session_id != first)
        if trouble != "close":
            await until(lambda: camera.state is State.BACKOFF)
            server.tell("up" if trouble == "down" else "normal")
        await grown(service, until, name=trouble)
        assert camera.stats.restarts >= 1

    async def story() -> None:
        async with bench.running(settings_for(bench, network_cameras)) as service:
            await service.record(RecordRequest(camera_ids=list(TROUBLES), group="take"))
            await asyncio.gather(*(suffer(service, trouble) for trouble in TROUBLES))
            await service.stop_session("take")

    asyncio.run(story())
    bench.assert_whole()
    for trouble in TROUBLES:
        sessions = by_session(bench.manifests(trouble))
        assert len(sessions) == 2, trouble
        for own in sessions:
            counters = [frame.code.counter for one in own for frame in bench.frames(one)]
            assert counters == list(range(counters[0], counters[0] + len(counters))), trouble
        before, after = sessions
        assert {(one.video.width, one.video.height) for one in before} == {(320, 180)}
        assert {(one.video.width, one.video.height) for one in after} == {(480, 270)}
        assert before[-1].is_last and before[-1].reason_end in ("source_lost", "stalled")
        gap = (after[0].start_utc - before[-1].end_utc).total_seconds()
        assert gap > 0 and after[0].gap_before_s == pytest.approx(gap, abs=0.001)


def test_stop_while_the_camera_is_silent(bench: Any, until: Any, network_camera: NetworkCamera) -> None:
    async def story() -> list[Manifest]:
        settings = settings_for(bench, {"cam1": network_camera})
        timing = settings.timing.model_copy(update={"source_timeout_s": 60, "stall_timeout_s": 60})
        async with bench.running(settings.model_copy(update={"timing": timing})) as service:
            (session,) = await service.record(RecordRequest(camera_ids=["cam1"]))
            await grown(service, until)
            network_camera.tell("freeze")
            frames = service.camera("cam1").stats.frames
            await until(lambda: service.camera("cam1").stats.frames == frames)
            async with asyncio.timeout(15):
                return await service.stop_session(session.id)

    manifests = asyncio.run(story())
    bench.assert_whole()
    assert manifests[-1].is_last and manifests[-1].reason_end == "stop"
