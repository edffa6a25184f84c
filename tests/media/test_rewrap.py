"""Files for editors: every frame and sample of a take, in a file they open, or a plain word why not."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from thatdam_pipelines.errors import MediaError, QueryError, StoreError
from thatdam_pipelines.library.catalog import publish, run_sql
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.recordings import scan_recordings
from thatdam_pipelines.library.schemas import CAPTURE_SEGMENTS, REWRAPS
from thatdam_pipelines.media.boxes import read_movie
from thatdam_pipelines.media.capture import capture_batch
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.containers import reading
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.media.probes import probe_batch
from thatdam_pipelines.media.rewraps import rewrap_batch
from thatdam_pipelines.rewrap_command import rewrap_to, takes_named
from thatdam_pipelines.samples.recordings import RATE, START, commit_take, write_segments

ENDS = (2.0, 4.0, 5.0)
Cut = Callable[..., list[Path]]


@pytest.fixture(scope="session")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Cut:
    """Segments of footage, made once for each kind of encoding."""
    made: dict[tuple[str, ...], list[Path]] = {}

    def make(*codecs: str) -> list[Path]:
        if codecs not in made:
            made[codecs] = write_segments(tmp_path_factory.mktemp("cut"), ENDS, codecs)
        return made[codecs]

    return make


@pytest.fixture
def record(library: Library) -> Callable[..., str]:
    def record(segments: Sequence[Path], ends: Sequence[float] = ENDS, **changes: Any) -> str:
        """Commit a take and take it in; give the batch."""
        commit_take(library.settings.capture_dir, segments, ends, **changes)
        (batch,) = scan_recordings(library.ledger, library.settings, datetime.now(UTC)).batches
        ingest_batch(library, batch)
        capture_batch(library, batch)
        assert probe_batch(library, batch).failures == []
        return batch

    return record


def pictures(paths: Sequence[Path]) -> list[bytes]:
    found = []
    for path in paths:
        with av.open(str(path)) as file:
            found += [frame.to_ndarray(format="gray")[::8, ::8].tobytes() for frame in file.decode(video=0)]
    return found


def times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as file:
        video = file.streams.video[0]
        return sorted(packet.pts * packet.time_base for packet in file.demux(video) if packet.pts is not None)


def sound(path: Path) -> np.ndarray:
    with av.open(str(path)) as file:
        return np.concatenate([frame.to_ndarray().reshape(-1) for frame in file.decode(audio=0)])


@pytest.mark.parametrize("codecs", [(), ("-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-c:a", "aac")])
def test_a_take_is_one_mp4_with_every_frame_on_the_grid_of_its_rate(
    library: Library, cut: Cut, record: Callable[..., str], tmp_path: Path, codecs: tuple[str, ...]
) -> None:
    segments = cut(*codecs)
    record(segments)
    (written,) = rewrap_to(library.settings, "take-12", tmp_path / "edit", "mp4")
    path = Path(written.path)
    assert path == tmp_path / "edit" / "cam1_20261121T100000250Z_5e551040.mp4" and written.chapters == 3
    assert pictures([path]) == pictures(segments)
    assert times(path) == [Fraction(number, RATE) for number in range(125)]
    assert abs(len(sound(path)) - 5 * 48_000) < 3000
    with av.open(str(path)) as file:
        assert file.metadata["creation_time"].startswith(f"{START:%Y-%m-%dT%H:%M:%S}")
        assert file.streams.video[0].metadata["timecode"] == "10:00:00:06"
        assert float(file.streams.video[0].average_rate or 0) == RATE
        assert [stream.type for stream in file.streams] == ["video", "audio", "data"]
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with reading(path, path.name) as opened:
        assert read_movie(opened).has_index


def test_sound_stays_with_the_picture_over_every_boundary(
    library: Library, record: Callable[..., str], tmp_path: Path
) -> None:
    """A tone and a white picture in the first tenth of every second, in 20 short segments."""
    ends = [float(number) for number in range(1, 21)]
    import subprocess

    import imageio_ffmpeg

    flash = "color=black:size=64x36:rate=25:duration=20,drawbox=t=fill:color=white:enable='lt(mod(t,1),0.1)'"
    beep = "aevalsrc='0.5*sin(2*PI*1000*t)*lt(mod(t,1),0.1)':s=48000:d=20"
    (tmp_path / "cut").mkdir()
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", flash]
    command += ["-f", "lavfi", "-i", beep, "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"]
    command += ["-force_key_frames", "expr:gte(t,n_forced)", "-f", "segment", "-segment_format", "matroska"]
    command += ["-segment_time", "1", "-reset_timestamps", "1", str(tmp_path / "cut" / "%05d.mkv")]
    subprocess.run(command, check=True)
    segments = sorted((tmp_path / "cut").glob("*.mkv"))
    assert len(segments) == 20
    record(segments, ends)
    (written,) = rewrap_to(library.settings, "take-12", tmp_path / "edit", "mp4")
    with av.open(written.path) as file:
        flashes = [float(f.pts * f.time_base) for f in file.decode(video=0) if f.to_ndarray(format="gray").mean() > 100]
    with av.open(written.path) as file:
        at, loud = [], []
        for frame in file.decode(audio=0):
            samples = np.abs(frame.to_ndarray().reshape(-1))
            at.append(float(frame.pts * frame.time_base) + np.arange(len(samples)) / frame.sample_rate)
            loud.append(samples > 0.2)
    beeps = np.concatenate(at)[np.concatenate(loud)]
    seen = [one for before, one in pairwise([-1.0, *flashes]) if one - before > 0.5]
    heard = [float(one) for before, one in pairwise([-1.0, *beeps]) if one - before > 0.5]
    assert len(seen) == len(heard) == 20
    assert max(abs(a - b) for a, b in zip(seen, heard, strict=True)) < 0.03


def test_hevc_is_tagged_so_that_editors_open_it(
    library: Library, cut: Cut, record: Callable[..., str], tmp_path: Path
) -> None:
    record(cut("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error", "-c:a", "aac"))
    (written,) = rewrap_to(library.settings, "take-12", tmp_path, "mp4")
    assert b"hvc1" in Path(written.path).read_bytes() and b"hev1" not in Path(written.path).read_bytes()


@pytest.mark.parametrize(
    ("codecs", "said", "fits"),
    [
        (("-c:v", "ffv1", "-c:a", "flac"), "mp4 cannot hold video in ffv1", "mkv"),
        (("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "pcm_s16le"), "mp4 cannot hold audio in pcm_s16le", "mov"),
        (("-c:v", "prores_ks", "-c:a", "pcm_s16le"), "mp4 cannot hold video in prores", "mov"),
    ],
)
def test_what_mp4_cannot_hold_is_said_with_the_container_that_can(
    library: Library,
    cut: Cut,
    record: Callable[..., str],
    tmp_path: Path,
    codecs: tuple[str, ...],
    said: str,
    fits: Any,
) -> None:
    segments = cut(*codecs)
    record(segments)
    with pytest.raises(MediaError) as refused:
        rewrap_to(library.settings, "take-12", tmp_path / "edit", "mp4")
    assert said in refused.value.cause and f"--container {fits}" in refused.value.next_step
    assert not (tmp_path / "edit").exists()
    (written,) = rewrap_to(library.settings, "take-12", tmp_path / "edit", fits)
    assert pictures([Path(written.path)]) == pictures(segments)


def test_a_missing_segment_and_a_gap_stay_as_long_as_they_were(
    library: Library, cut: Cut, record: Callable[..., str], tmp_path: Path
) -> None:
    first, second, third = cut()
    commit_take(library.settings.capture_dir, [first, second, third], ENDS)
    (gone,) = library.settings.capture_dir.rglob("*_00001.mkv")
    gone.with_suffix(".json").unlink()
    (batch,) = scan_recordings(library.ledger, library.settings, datetime.now(UTC)).batches
    ingest_batch(library, batch)
    capture_batch(library, batch)
    probe_batch(library, batch)
    (written,) = rewrap_to(library.settings, "take-12", tmp_path, "mp4")
    found = times(Path(written.path))
    assert (
        len(found) == 75
        and found[50] - found[49] == Fraction(2) + Fraction(1, RATE)
        and found[-1] == Fraction(124, RATE)
    )


def test_anything_that_names_it_names_its_whole_take_and_each_camera_gets_its_file(
    library: Library, cut: Cut, record: Callable[..., str], tmp_path: Path
) -> None:
    segments = cut()
    commit_take(library.settings.capture_dir, segments[:1], ENDS[:1], camera__id="cam2", session_id="b" * 32)
    commit_take(library.settings.capture_dir, segments[1:], (2.0, 3.0), camera__id="cam1", session_id="a" * 32)
    (batch,) = scan_recordings(library.ledger, library.settings, datetime.now(UTC)).batches
    ingest_batch(library, batch)
    capture_batch(library, batch)
    probe_batch(library, batch)
    rows = library.tables.read(CAPTURE_SEGMENTS, batch).sort("camera_id", "segment_index").to_dicts()
    for subject in (rows[0]["take_id"], "a" * 32, rows[1]["media_id"], rows[1]["file"]):
        (take,) = takes_named(library, subject)
        assert [chapter.media_id for chapter in take.chapters] == [rows[0]["media_id"], rows[1]["media_id"]]
    names = [Path(one.path).name for one in rewrap_to(library.settings, "take-12", tmp_path, "mp4")]
    assert [name[:4] for name in names] == ["cam1", "cam2"]
    with pytest.raises(QueryError):
        takes_named(library, "take-13")
    with pytest.raises(StoreError):
        rewrap_to(library.settings, "take-12", tmp_path, "mp4")


def test_any_clip_that_fits_is_rewrapped(library: Library, clip: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "drop").mkdir()
    odd = tmp_path / "drop" / "-it's \n 100% \u00e9.ts"
    shutil.copy(clip("stream.ts"), odd)
    shutil.copy(clip("sound.mp3"), tmp_path / "drop")
    (batch,) = claim_paths(library, [tmp_path / "drop"], "copy")
    ingest_batch(library, batch)
    probe_batch(library, batch)
    (written,) = rewrap_to(library.settings, str(odd), tmp_path / "edit", "mp4")
    assert pictures([Path(written.path)]) == pictures([odd])
    with pytest.raises(MediaError, match="no picture"):
        rewrap_to(library.settings, "sound.mp3", tmp_path / "edit", "mp4")


def test_an_original_that_does_not_read_leaves_nothing_half_written(
    library: Library, cut: Cut, record: Callable[..., str], tmp_path: Path
) -> None:
    batch = record(cut())
    for place in Path(library.settings.media_url).rglob("*_00001.mkv"):
        place.chmod(0o644)
        place.write_bytes(bytes(place.stat().st_size))
    with pytest.raises(MediaError):
        rewrap_to(library.settings, "take-12", tmp_path / "edit", "mp4")
    assert [*(tmp_path / "edit").iterdir()] == []
    report = rewrap_batch(library, batch)
    assert len(report.failures) == 1 and library.tables.read(REWRAPS, batch).is_empty()


def test_the_stage_makes_what_ended_in_its_batch_once(library: Library, cut: Cut, record: Callable[..., str]) -> None:
    batch = record(cut())
    report = rewrap_batch(library, batch)
    assert (report.total, report.computed, report.failures) == (1, 1, [])
    publish(library)
    (row,) = run_sql(library.settings, "SELECT path, frames, chapters FROM rewraps").to_dicts()
    assert library.store.exists(row["path"]) and (row["frames"], row["chapters"]) == (125, 3)
    again = rewrap_batch(library, batch)
    assert (again.computed, again.reused) == (0, 1)
    assert [*library.settings.work_dir.iterdir()] == []
    other = rewrap_batch(library, batch, "mkv")
    assert other.computed == 1 and library.tables.read(REWRAPS, batch)["container"].to_list() == ["mkv"]


@pytest.fixture(autouse=True)
def nothing_left_in_the_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    import tempfile

    before = {*Path(tempfile.gettempdir()).glob("thatdam-*")}
    yield
    left = {path for path in Path(tempfile.gettempdir()).glob("thatdam-*") if path not in before}
    assert not [path for path in left if (path / "chapters").exists()]
