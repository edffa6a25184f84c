"""Between one session of a recording and the next: little is lost, and what is lost is said."""

import asyncio
import time
from typing import Any

import psutil
import pytest

from thatdam_capture import progress, session_commits
from thatdam_capture.manifest import Manifest
from thatdam_capture.service import CaptureService
from thatdam_capture.sessions import RecordRequest, State


def kill_ffmpeg() -> None:
    alive = [one for one in psutil.Process().children() if one.status() != psutil.STATUS_ZOMBIE]
    (ffmpeg,) = [one for one in alive if "ffmpeg" in one.name()]
    ffmpeg.kill()


def one_camera(bench: Any, **changes: Any) -> Any:
    return bench.settings(cameras=[bench.synthetic("cam1")], **changes)


async def kill_and_wait(service: CaptureService, until: Any) -> None:
    """Kill the ffmpeg of a camera that records, and wait until it records again."""
    camera = service.camera("cam1")
    await until(lambda: camera.state is State.RECORDING)
    before, count = camera.session_id, camera.stats.frames
    await until(lambda: camera.stats.frames > count + 15)
    kill_ffmpeg()
    await until(lambda: camera.session_id not in (before, None) and camera.state is State.RECORDING)


def test_kill_after_kill_the_wait_stays_short(bench: Any, until: Any) -> None:
    async def story() -> list[Any]:
        async with bench.running(one_camera(bench)) as service:
            (session,) = await service.record(RecordRequest(camera_ids=["cam1"]))
            for _ in range(4):
                await kill_and_wait(service, until)
            await service.stop_session(session.id)
            return [one.data for one in service.events.since(0) if one.data.get("state") == "backoff"]

    waits = asyncio.run(story())
    assert [(one["reason"], one["wait_s"]) for one in waits] == [("killed", 0.5)] * 4
    bench.assert_whole()
    ends = [one.reason_end for one in bench.manifests() if one.is_last]
    assert ends == ["killed"] * 4 + ["stop"]


def test_recording_goes_on_while_what_a_kill_left_is_still_to_be_committed(bench: Any, until: Any) -> None:
    async def story() -> list[Manifest]:
        async with bench.running(one_camera(bench)) as service:
            (session,) = await service.record(RecordRequest(camera_ids=["cam1"]))
            camera = service.camera("cam1")
            await until(lambda: camera.state is State.RECORDING)
            service._recorder.swept.clear()  # Commits wait, as on a disk that is slow.
            await kill_and_wait(service, until)
            await kill_and_wait(service, until)
            assert bench.manifests() == [] and camera.stats.frames > 30
            assert len(camera.writing) == 3
            service._recorder.swept.set()
            manifests = await service.stop_session(session.id)
            assert camera.stats.frames == sum(one.frames for one in manifests) + lost(camera, manifests)
            assert camera.stats.bytes == sum(one.bytes for one in manifests)
            return manifests

    manifests = asyncio.run(story())
    bench.assert_whole()
    assert len({one.session_id for one in manifests}) == 3
    assert [one.gap_before_s is None for one in manifests if one.segment_index == 0] == [True, False, False]


def lost(camera: Any, manifests: list[Manifest]) -> int:
    """Frames that were counted and that a kill took: fewer than a second's of each."""
    took: int = camera.stats.frames - sum(one.frames for one in manifests)
    assert 0 <= took < 50
    return took


@pytest.mark.parametrize("step_s", [-7200, 7200])
def test_a_clock_that_is_set_during_a_break_does_not_change_the_gap(
    bench: Any, until: Any, monkeypatch: pytest.MonkeyPatch, step_s: float
) -> None:
    real, stepped = time.time, 0.0
    monkeypatch.setattr(progress.time, "time", lambda: real() + stepped)

    async def story() -> list[Manifest]:
        nonlocal stepped
        async with bench.running(one_camera(bench)) as service:
            (session,) = await service.record(RecordRequest(camera_ids=["cam1"]))
            camera = service.camera("cam1")
            await until(lambda: camera.stats.frames > 30)
            kill_ffmpeg()
            await until(lambda: bench.manifests())
            stepped = step_s
            await until(lambda: camera.stats.restarts and camera.state is State.RECORDING)
            await until(lambda: camera.stats.frames > 60)
            return await service.stop_session(session.id)

    manifests = asyncio.run(story())
    bench.assert_whole()
    (after,) = [one for one in manifests if one.gap_before_s]
    before = next(one for one in manifests if one.session_id != after.session_id)
    assert abs((after.start_utc - before.end_utc).total_seconds()) > 7000, "the clock was not set"
    assert 0 < after.gap_before_s < 60


def test_a_commit_that_fails_in_an_unknown_way_is_made_good_and_hangs_nothing(
    bench: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failures = session_commits.digest, 0

    def digest(part: Any) -> Any:
        nonlocal failures
        failures += 1
        if failures == 1:
            raise RuntimeError("something nobody thought of")
        return real(part)

    monkeypatch.setattr(session_commits, "digest", digest)

    async def story() -> None:
        async with bench.running(one_camera(bench)) as service:
            (session,) = await service.record(RecordRequest(camera_ids=["cam1"]))
            await until(lambda: service.camera("cam1").stats.frames > 20)
            await asyncio.wait_for(service.stop_session(session.id), 30)
            assert "nobody thought of" in (service.camera("cam1").last_error or "")
            await until(bench.manifests)

    asyncio.run(story())
    bench.assert_whole()
