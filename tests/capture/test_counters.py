"""Over any number of segments no frame is lost, doubled or out of order, and sound stays with picture and clock."""

import asyncio
from itertools import pairwise
from typing import Any

import av
import numpy as np
import pytest

from thatdam_capture.manifest import Manifest
from thatdam_capture.sessions import RecordRequest
from thatdam_capture.synthetic import TONE_S

RATE = 25


PROFILES = {
    "h264": ("h264", "aac"),
    "prores": ("prores", "pcm_s16le"),
    "ffv1": ("ffv1", "flac"),
    "copy": ("h264", "pcm_s16le"),
}


@pytest.fixture(scope="module")
def recorded(module_bench: Any) -> Any:
    """A recording of some seconds by four cameras at once, each with a profile of its own, in segments of a second."""
    cameras = [module_bench.synthetic(profile, profile=profile) for profile in PROFILES]

    async def story() -> None:
        async with module_bench.running(module_bench.settings(cameras=cameras, segment_s=1)) as service:
            await service.record(RecordRequest(camera_ids=list(PROFILES), group="take-12", roles={"hero": "ffv1"}))
            while min(service.camera(one).stats.frames for one in PROFILES) < 4.5 * RATE:
                await asyncio.sleep(0.05)
            await service.stop_session("take-12")

    asyncio.run(story())
    return module_bench


def onsets(bench: Any, manifests: list[Manifest]) -> list[float]:
    """When the tone begins, in UTC seconds as the manifests give it."""
    times, loud = [], []
    for manifest in manifests:
        zero = manifest.start_utc.timestamp() - bench.frames(manifest)[0].time_s
        with av.open(str(bench.media(manifest))) as container:
            for frame in container.decode(audio=0):
                samples = np.abs(frame.to_ndarray().astype(np.float64)).reshape(-1)
                if not frame.format.name.startswith("flt"):
                    samples /= np.iinfo(frame.to_ndarray().dtype).max
                times.append(zero + float(frame.pts * frame.time_base) + np.arange(len(samples)) / frame.sample_rate)
                loud.append(samples > 0.2)
    at = np.concatenate(times)[np.concatenate(loud)]
    return [float(one) for one, before in zip(at, [0.0, *at[:-1]], strict=True) if one - before > TONE_S]


@pytest.mark.parametrize("profile", PROFILES)
def test_every_frame_is_there_once_in_order_with_its_sound(recorded: Any, profile: str) -> None:
    bench = recorded
    manifests = bench.manifests(profile)
    bench.assert_whole()
    assert len(manifests) >= 4
    assert {(one.video.codec, one.audio.codec) for one in manifests if one.audio} == {PROFILES[profile]}
    counters = [frame.code.counter for one in manifests for frame in bench.frames(one)]
    assert counters == list(range(len(counters)))
    assert [one.frames for one in manifests] == [len(bench.frames(one)) for one in manifests]
    assert all(one.complete and one.dropped == one.duplicated == 0 for one in manifests)
    assert [one.is_last for one in manifests] == [False] * (len(manifests) - 1) + [True]
    assert [one.reason_end for one in manifests] == ["segment"] * (len(manifests) - 1) + ["stop"]
    whole_seconds = [
        one.start_utc.timestamp() + frame.time_s - bench.frames(one)[0].time_s
        for one in manifests
        for frame in bench.frames(one)
        if frame.code.counter % RATE == 0
    ]
    heard = onsets(bench, manifests)
    # The last whole second may be the very last frame, before its tone.
    assert len(whole_seconds) - len(heard) in (0, 1)
    assert all(abs(a - b) <= 1 / RATE for a, b in zip(heard, whole_seconds, strict=False))
    samples = sum(one.audio.samples or 0 for one in manifests if one.audio)
    # When it is stopped, one of them may be some frames ahead of the other.
    assert abs(samples / 48_000 - len(counters) / RATE) < 0.3


@pytest.mark.parametrize("profile", PROFILES)
def test_start_utc_is_the_burnt_in_clock(recorded: Any, profile: str) -> None:
    for manifest in recorded.manifests(profile):
        error = abs(float(np.median(recorded.clock_errors(manifest))))
        assert error < 0.1
        assert error <= manifest.clock_error_s


@pytest.mark.parametrize("profile", PROFILES)
def test_segments_meet_in_time(recorded: Any, profile: str) -> None:
    manifests = recorded.manifests(profile)
    assert manifests[0].gap_before_s is None
    for before, after in pairwise(manifests):
        assert after.gap_before_s == 0
        assert abs((after.start_utc - before.end_utc).total_seconds()) < 0.05


def test_a_group_shares_its_id_and_keeps_its_roles(recorded: Any) -> None:
    assert {(one.camera.id, one.role, one.group_id) for one in recorded.manifests()} == {
        (profile, "hero" if profile == "ffv1" else None, "take-12") for profile in PROFILES
    }


def test_ntsc_rate_is_kept_exactly_with_drop_frame_timecode(bench: Any, until: Any) -> None:
    async def story() -> list[Manifest]:
        async with bench.running(bench.settings(cameras=[bench.synthetic("cam1", rate="29.97")])) as service:
            (session,) = await service.record(RecordRequest(camera_ids=["cam1"]))
            await until(lambda: service.camera("cam1").stats.frames > 75)
            return await service.stop_session(session.id)

    manifests = asyncio.run(story())
    assert {one.frame_rate for one in manifests} == {"30000/1001"}
    assert all(one.start_timecode[8] == ";" for one in manifests)
    counters = [frame.code.counter for one in manifests for frame in bench.frames(one)]
    assert counters == list(range(len(counters)))


def test_max_s_ends_the_recording_by_itself(bench: Any, until: Any) -> None:
    async def story() -> list[Manifest]:
        async with bench.running(bench.settings(cameras=[bench.synthetic("cam1")])) as service:
            (session,) = await service.record(RecordRequest(camera_ids=["cam1"], max_s=2))
            await until(lambda: not service.sessions())
            return await service.stop_session(session.id)

    manifests = asyncio.run(story())
    assert manifests[-1].reason_end == "max_s"
    assert 1.5 < sum(one.duration_s for one in manifests) < 4
