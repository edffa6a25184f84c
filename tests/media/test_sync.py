"""Recordings of one event, whose offsets and drifts are known, put on one time line."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from thatdam_pipelines.errors import QueryError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.recordings import scan_recordings
from thatdam_pipelines.library.schemas import SYNCS
from thatdam_pipelines.media.aligning import Recording, align_group, align_pair, timecode_seconds
from thatdam_pipelines.media.capture import capture_batch
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.media.measures import MEASURES_SCHEMA
from thatdam_pipelines.media.probes import probe_batch
from thatdam_pipelines.media.proxies import proxy_batch
from thatdam_pipelines.media.sound_sync import RATE_HZ, align
from thatdam_pipelines.media.sync import sync_batch
from thatdam_pipelines.samples import sounds
from thatdam_pipelines.samples.cameras import Recorded, event, recorded
from thatdam_pipelines.samples.recordings import START, commit
from thatdam_pipelines.sync_command import sync_named

AT = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


def taken(scene: np.ndarray, start_s: float, seconds: float, seed: int, **how: float) -> Recorded:
    given = {"drift_ppm": 0.0, "snr_db": 10.0, "rate_hz": 48_000} | how
    return recorded(scene, start_s, seconds, seed=seed, **given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    return event("ambience", 45, 5)


def test_two_microphones_two_rates_drift_and_noise_as_loud_as_the_sound(scene: np.ndarray) -> None:
    one = taken(scene, 2.0, 30, 1, snr_db=0.0, drift_ppm=-40.0)
    two = taken(scene, 9.5, 30, 2, snr_db=0.0, drift_ppm=60.0, rate_hz=44_100)
    found = align(one.samples, two.samples)
    assert found.sure and found.confidence > 0.9
    assert found.offset_s == pytest.approx(7.5 * (1 + 40e-6), abs=0.002)
    assert found.drift_ppm == pytest.approx(100, abs=20)


def test_clean_sound_is_aligned_to_the_sample(scene: np.ndarray) -> None:
    one, two = taken(scene, 12.0, 25, 3, snr_db=40.0), taken(scene, 3.25, 25, 3, snr_db=40.0)
    found = align(one.samples, two.samples)
    assert found.sure and found.offset_s == pytest.approx(-8.75, abs=1 / 16_000)
    assert found.drift_ppm == pytest.approx(0, abs=1)


def test_a_gap_in_one_recording_does_not_matter(scene: np.ndarray) -> None:
    one, two = taken(scene, 0.0, 40, 1), taken(scene, 5.0, 30, 2)
    torn = two.samples.copy()
    torn[8 * RATE_HZ : 16 * RATE_HZ] = 0
    assert align(one.samples, torn).offset_s == pytest.approx(5.0, abs=0.002)


def test_what_is_not_sure_is_refused_with_its_reason(scene: np.ndarray) -> None:
    one, other = taken(scene, 0.0, 25, 1), taken(event("ambience", 30, 6), 0.0, 25, 2)
    assert "windows agree" in align(one.samples, other.samples).reason
    assert "shorter" in align(one.samples, other.samples[:RATE_HZ]).reason
    assert "silent" in align(one.samples, np.zeros(10 * RATE_HZ, np.float32)).reason
    loop = np.tile(one.samples[: 2 * RATE_HZ], 8)
    repeats = align(loop, loop[: 6 * RATE_HZ])
    assert not repeats.sure and "repeats" in repeats.reason


def known(folder: Path, name: str, sound: Recorded | None = None, **facts: object) -> Recording:
    path = None
    if sound is not None:
        path = sounds.write_wav(folder / f"{name}.wav", sound.samples, RATE_HZ)
    return dataclasses.replace(Recording(name, name, 30.0, sound=path), **facts)  # type: ignore[arg-type]


def test_a_group_is_placed_by_way_of_one_that_overlaps_both(scene: np.ndarray, tmp_path: Path) -> None:
    made = [
        known(tmp_path, "first", taken(scene, 0.0, 12, 1), duration_s=12.0),
        known(tmp_path, "long", taken(scene, 6.0, 20, 2), duration_s=20.0),
        known(tmp_path, "last", taken(scene, 20.0, 14, 3), duration_s=14.0),
        known(tmp_path, "stranger", taken(event("ambience", 20, 77), 0.0, 15, 4), duration_s=15.0),
    ]
    first, long, last, stranger = align_group(made)
    assert (long.method, long.offset_s) == ("reference", 0.0)
    assert first.offset_s == pytest.approx(-6, abs=0.005) and last.offset_s == pytest.approx(14, abs=0.005)
    assert not stranger.sure and stranger.reason


def test_flashes_align_what_has_no_sound(tmp_path: Path) -> None:
    def with_flashes(name: str, *times_s: float) -> Recording:
        clock = np.arange(0, 30, 0.04)
        luma = np.where(np.isclose(clock[:, None], times_s, atol=0.02).any(axis=1), 0.9, 0.3)
        zeros = {
            column: np.zeros(len(clock)) for column in ("luma_std", "saturation", "detail", "diff_luma", "diff_moved")
        }
        arrays = {
            name: np.zeros((len(clock), kind.shape[0]), np.uint8)
            for name, kind in MEASURES_SCHEMA.items()
            if isinstance(kind, pl.Array)
        }
        pl.DataFrame({"time_s": clock, "luma_mean": luma, **zeros, **arrays}, schema_overrides=MEASURES_SCHEMA).select(
            MEASURES_SCHEMA.names()
        ).write_parquet(tmp_path / f"{name}.parquet")
        return known(tmp_path, name, measures=tmp_path / f"{name}.parquet")

    one = with_flashes("one", 4.0, 9.52, 17.0)
    found = align_pair(one, with_flashes("two", 2.0, 7.52, 15.0))
    assert (found.method, found.offset_s) == ("flash", pytest.approx(2.0, abs=0.04))
    assert not align_pair(one, with_flashes("single", 5.0)).sure


def test_timecode_counts_only_when_the_time_of_day_bears_it_out(tmp_path: Path) -> None:
    one = known(tmp_path, "one", timecode_s=36_000.0, created_utc=AT)
    two = known(tmp_path, "two", timecode_s=36_012.48, created_utc=AT + timedelta(seconds=13))
    found = align_pair(one, two)
    assert (found.method, found.offset_s) == ("timecode", pytest.approx(12.48))
    apart = dataclasses.replace(two, created_utc=AT + timedelta(hours=1))
    assert not align_pair(one, apart).sure and "disagree" in align_pair(one, apart).reason
    assert not align_pair(one, dataclasses.replace(two, created_utc=None)).sure


def test_drop_frame_timecode_keeps_to_the_clock() -> None:
    assert timecode_seconds("01:00:00;00", 30_000 / 1001) == pytest.approx(3600, abs=0.01)
    assert timecode_seconds("00:01:00;02", 30_000 / 1001) == pytest.approx(60.06, abs=0.001)
    assert timecode_seconds("10:00:00:12", 25) == pytest.approx(36_000.48)
    assert timecode_seconds(None, 25) is None


def test_clocks_count_within_a_frame_and_narrow_where_sound_is_looked_for(scene: np.ndarray, tmp_path: Path) -> None:
    one = known(tmp_path, "one", clock_utc=AT, clock_error_s=0.01)
    two = known(tmp_path, "two", clock_utc=AT + timedelta(seconds=3), clock_error_s=0.02)
    assert (align_pair(one, two).method, align_pair(one, two).offset_s) == ("clock", 3.0)
    assert "may be" in align_pair(one, dataclasses.replace(two, clock_error_s=0.5)).reason
    heard = known(tmp_path, "a", taken(scene, 0.0, 20, 1), clock_utc=AT, clock_error_s=0.1)
    wrong = known(tmp_path, "b", taken(scene, 8.0, 20, 2), clock_utc=AT + timedelta(seconds=2), clock_error_s=0.1)
    assert not align_pair(heard, wrong).sure


@pytest.fixture
def two_cameras(library: Library, scene: np.ndarray, ffmpeg: Callable[..., None], tmp_path: Path) -> str:
    """A batch with what two cameras of one group recorded, proxies and all."""
    for camera, start_s, session in (("cam1", 0.0, "a"), ("cam2", 1.5, "b")):
        heard = taken(scene, start_s, 8, ord(session))
        wav = sounds.write_wav(tmp_path / f"{camera}.wav", heard.samples, RATE_HZ)
        clip = tmp_path / f"{camera}.mkv"
        ffmpeg("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=8", "-i", wav, "-c:v", "libx264", clip)
        start = START + timedelta(seconds=start_s)
        facts = {"start_utc": start.isoformat(), "end_utc": (start + timedelta(seconds=8)).isoformat()}
        facts |= {"session_id": session * 32, "camera__id": camera, "role": "hero" if camera == "cam1" else "witness"}
        commit(library.settings.capture_dir, clip.read_bytes(), **facts, duration_s=8.0, clock_error_s=0.2)
    (batch,) = scan_recordings(library.ledger, library.settings, datetime.now(UTC)).batches
    ingest_batch(library, batch)
    capture_batch(library, batch)
    assert probe_batch(library, batch).failures == proxy_batch(library, batch).failures == []
    return batch


def test_a_group_of_the_recorder_is_aligned_by_itself(library: Library, two_cameras: str) -> None:
    report = sync_batch(library, two_cameras)
    assert (report.computed, report.failures, report.facts["sure"]) == (1, [], 1)
    (row,) = library.tables.read(SYNCS, two_cameras).to_dicts()
    assert (row["method"], row["group_id"]) == ("sound", "take-12")
    assert row["offset_s"] == pytest.approx(1.5, abs=0.005)
    assert sync_batch(library, two_cameras).computed == 0
    placed = sync_named(library.settings, ["take-12"])
    assert sorted(round(one.aligned.offset_s or 0, 2) for one in placed) in ([0, 1.5], [-1.5, 0])


def test_sync_asks_for_two_recordings_that_are_there(library: Library, two_cameras: str) -> None:
    (row,) = [*sync_batch(library, two_cameras).failures, *library.tables.read(SYNCS, two_cameras).to_dicts()]
    with pytest.raises(QueryError, match="one recording"):
        sync_named(library.settings, [row["media_id"]])
    with pytest.raises(QueryError, match="no file or group"):
        sync_named(library.settings, ["nowhere.mov", row["media_id"]])
