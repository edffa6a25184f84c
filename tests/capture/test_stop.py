"""Stopping: while stalled, twice, by SIGTERM. The tail is committed, it takes seconds, no process is left."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from thatdam_capture.errors import AlreadyRecording, BadRequest, NotFound
from thatdam_capture.manifest import Manifest
from thatdam_capture.sessions import RecordRequest, State


def ffmpegs() -> list[psutil.Process]:
    alive = [one for one in psutil.Process().children() if one.status() != psutil.STATUS_ZOMBIE]
    return [one for one in alive if "ffmpeg" in one.name()]


def one_camera(bench: Any, **changes: Any) -> Any:
    return bench.settings(cameras=[bench.synthetic("cam1")], **changes)


def test_stopping_twice_gives_the_same_manifests(bench: Any, until: Any) -> None:
    async def story() -> list[list[Manifest]]:
        async with bench.running(one_camera(bench)) as service:
            (session,) = await service.record(RecordRequest(camera_ids=["cam1"]))
            await until(lambda: service.camera("cam1").stats.frames > 30)
            both = await asyncio.gather(service.stop_session(session.id), service.stop_session(session.group_id))
            return [*both, await service.stop_session(session.id)]

    first, *others = asyncio.run(story())
    assert first and all(one == first for one in others)
    bench.assert_whole()


def test_stopping_at_once_leaves_nothing_behind(bench: Any) -> None:
    async def story() -> list[Manifest]:
        async with bench.running(one_camera(bench)) as service:
            (session,) = await service.record(RecordRequest(camera_ids=["cam1"]))
            return await service.stop_session(session.id)

    assert asyncio.run(story()) == bench.manifests()
    bench.assert_whole()
    assert ffmpegs() == []


def test_a_frozen_ffmpeg_is_replaced_and_what_it_wrote_is_kept(bench: Any, until: Any) -> None:
    timing = {"stall_timeout_s": 1, "stop_step_s": 1, "backoff_min_s": 0.1}

    async def story() -> None:
        async with bench.running(one_camera(bench, timing=timing)) as service:
            (session,) = await service.record(RecordRequest(camera_ids=["cam1"]))
            camera = service.camera("cam1")
            await until(lambda: camera.stats.frames > 40)
            first = camera.session_id
            os.kill(ffmpegs()[0].pid, signal.SIGSTOP)
            await until(lambda: camera.session_id not in (first, None) and camera.state is State.RECORDING)
            await until(lambda: camera.stats.frames > 80)
            kinds = [one.data.get("state") for one in service.events.since(0) if one.kind == "camera.state"]
            assert "stalled" in kinds and "backoff" in kinds
            await service.stop_session(session.id)

    asyncio.run(story())
    bench.assert_whole()
    manifests = bench.manifests()
    assert len({one.session_id for one in manifests}) == 2
    assert "stalled" in {one.reason_end for one in manifests}


def test_stop_while_stalled_commits_the_tail_in_time(bench: Any, until: Any) -> None:
    async def story() -> list[Manifest]:
        async with bench.running(one_camera(bench)) as service:
            (session,) = await service.record(RecordRequest(camera_ids=["cam1"]))
            await until(lambda: service.camera("cam1").stats.frames > 40)
            os.kill(ffmpegs()[0].pid, signal.SIGSTOP)
            async with asyncio.timeout(15):
                return await service.stop_session(session.id)

    manifests = asyncio.run(story())
    assert manifests[-1].is_last and manifests[-1].reason_end == "stop"
    bench.assert_whole()
    assert ffmpegs() == []


def test_sigterm_commits_the_tail_and_leaves_no_process(bench: Any) -> None:
    path = bench.folder / "capture.yaml"
    path.write_text(yaml.safe_dump(bench.settings().model_dump(mode="json", exclude={"token", "profiles"})))
    script = Path(__file__).with_name("record_forever.py")
    process = subprocess.Popen([sys.executable, str(script), str(path)])
    while len(list(bench.store.glob("cam*/**/*.json"))) < 2:
        assert process.poll() is None
        asyncio.run(asyncio.sleep(0.1))
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.terminate()
    assert process.wait(15) == 0
    assert not [one for one in children if one.is_running()]
    bench.assert_whole()
    for camera in ("cam1", "cam2"):
        last = bench.manifests(camera)[-1]
        assert last.is_last and last.reason_end == "shutdown"

    async def again() -> None:
        async with bench.running(bench.settings()) as service:
            assert service.sessions() == []

    asyncio.run(again())


def test_requests_that_cannot_be_are_refused(bench: Any, until: Any) -> None:
    async def refused(service: Any, error: type[Exception], **request: Any) -> None:
        with pytest.raises(error):
            await service.record(RecordRequest.model_validate({"camera_ids": ["cam1"]} | request))

    async def story() -> None:
        async with bench.running(bench.settings()) as service:
            await refused(service, NotFound, camera_ids=["cam9"])
            await refused(service, BadRequest, camera_ids=["cam1", "cam1"])
            await refused(service, BadRequest, roles={"hero": "cam2"})
            await refused(service, BadRequest, camera_ids=["cam1", "cam2"], roles={"hero": "cam1", "witness": "cam1"})
            await refused(service, BadRequest, profile="vhs")
            await refused(service, BadRequest, segment_s=0.1)
            with pytest.raises(NotFound):
                await service.stop_session("nothing")
            await service.record(RecordRequest(camera_ids=["cam1"]))
            await refused(service, AlreadyRecording)
            # All or none: the one that is free does not begin either.
            await refused(service, AlreadyRecording, camera_ids=["cam2", "cam1"])
            assert [one.camera_id for one in service.sessions()] == ["cam1"]

    asyncio.run(story())


def test_a_preview_without_recording_begins_with_the_first_viewer_and_ends_with_the_last(
    bench: Any, until: Any
) -> None:
    async def story() -> None:
        async with bench.running(one_camera(bench)) as service:
            camera = service.camera("cam1")
            assert ffmpegs() == []
            async with camera.preview() as pictures, camera.preview():
                first = await asyncio.wait_for(pictures.next(), 20)
                assert first.jpeg.startswith(b"\xff\xd8") and first.jpeg.endswith(b"\xff\xd9")
                second = await asyncio.wait_for(pictures.next(first.number), 20)
                assert second.number > first.number
                assert len(ffmpegs()) == 1 and camera.state is State.IDLE
                (session,) = await service.record(RecordRequest(camera_ids=["cam1"]))
                await until(lambda: camera.stats.frames > 20)
                assert len(ffmpegs()) == 1, "a camera is opened once"
                recorded = await asyncio.wait_for(pictures.next(second.number), 20)
                await service.stop_session(session.id)
                await asyncio.wait_for(pictures.next(recorded.number + 5), 20)
            await until(lambda: not ffmpegs() and pictures.latest is None)

    asyncio.run(story())
    bench.assert_whole()
