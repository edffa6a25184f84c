"""Clips lose the stretches in which nothing happens, to the frame, and nothing else."""

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from click.testing import Result
from typer.testing import CliRunner

from thatdam_pipelines.cli import app
from thatdam_pipelines.errors import MediaError, StoreError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import LOCATIONS
from thatdam_pipelines.media import trim
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.media.trim import trim_idle
from thatdam_pipelines.settings import Settings, get_settings

MOVES, FREEZES = "testsrc2=size=160x90:rate=25", "color=c=gray:size=160x90:rate=25"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def footage(ffmpeg, tmp_path: Path):
    """Writes a clip that moves for 2 s, freezes for 4 s and moves for 2 s; with sound where it is asked for."""

    def write(name: str = "clip.mp4", *sounds: str) -> Path:
        path = tmp_path / name
        parts = [
            part
            for source, seconds in ((MOVES, 2), (FREEZES, 4), (MOVES, 2))
            for part in ("-f", "lavfi", "-t", str(seconds), "-i", source)
        ]
        graph, maps = "[0:v][1:v][2:v]concat=n=3[v]", ["-map", "[v]"]
        for number, sound in enumerate(sounds, start=3):
            parts += ["-f", "lavfi", "-t", "8", "-i", sound]
            maps += ["-map", f"{number}:a", "-c:a", "aac"]
        ffmpeg(*parts, "-filter_complex", graph, *maps, "-c:v", "libx264", path)
        return path

    return write


def trimmed(path: Path, target: Path, settings: Settings, **options: float):
    return trim_idle(path, path.name, target, settings, **{"noise_db": -60.0, "idle_s": 2.0} | options)


def frames_of(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0)]


def test_a_frozen_stretch_is_left_out_to_the_frame_and_the_original_stays(footage, tmp_path, settings) -> None:
    path = footage()
    before = path.read_bytes()
    found = trimmed(path, tmp_path / "short.mp4", settings)
    [(start_s, end_s)] = found.idle
    assert (start_s, end_s) == (pytest.approx(2, abs=0.09), pytest.approx(6, abs=0.09))
    times = frames_of(tmp_path / "short.mp4")
    assert len(times) == round(25 * found.kept_s) and found.kept_s == pytest.approx(4, abs=0.1)
    assert max(after - now for now, after in itertools.pairwise(times)) == pytest.approx(0.04, abs=0.001)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".trim")] == []


def test_where_somebody_is_heard_a_still_picture_is_not_idle(footage, tmp_path, settings) -> None:
    found = trimmed(footage("talk.mp4", "sine=frequency=300"), tmp_path / "short.mp4", settings)
    assert (found.path, found.idle, found.kept_s) == (None, [], pytest.approx(8, abs=0.1))
    assert not (tmp_path / "short.mp4").exists()


def test_every_sound_track_is_listened_to_and_kept(footage, tmp_path, settings) -> None:
    silence, voice = "anullsrc=r=48000", "sine=frequency=300"
    assert trimmed(footage("talk.mp4", silence, voice), tmp_path / "short.mp4", settings).path is None
    found = trimmed(
        footage("quiet.mp4", silence, f"{voice},volume='lt(t,3)':eval=frame"), tmp_path / "cut.mp4", settings
    )
    [(start_s, end_s)] = found.idle
    assert (start_s, end_s) == (pytest.approx(3, abs=0.1), pytest.approx(6, abs=0.1))
    with av.open(str(found.path)) as container:
        ends = [float(stream.duration * stream.time_base) for stream in container.streams.audio]
    assert ends == [pytest.approx(found.kept_s, abs=0.1)] * 2


def test_sound_stays_with_the_picture(footage, tmp_path, settings) -> None:
    found = trimmed(footage("quiet.mp4", "anullsrc=r=48000"), tmp_path / "short.mp4", settings)
    with av.open(str(found.path)) as container:
        ends = {stream.type: float(stream.duration * stream.time_base) for stream in container.streams}
    assert ends["audio"] == pytest.approx(ends["video"], abs=0.1) == pytest.approx(found.kept_s, abs=0.1)


def test_nothing_is_overwritten_and_no_clip_is_trimmed_to_nothing(footage, ffmpeg, tmp_path, settings) -> None:
    path = footage()
    with pytest.raises(StoreError, match="there is a file of that name"):
        trimmed(path, path, settings)
    ffmpeg("-f", "lavfi", "-t", "4", "-i", FREEZES, "-c:v", "libx264", tmp_path / "gray.mp4")
    with pytest.raises(MediaError, match="all of it is idle"):
        trimmed(tmp_path / "gray.mp4", tmp_path / "short.mp4", settings)


def test_a_file_that_comes_while_the_clip_is_encoded_stays(footage, tmp_path, settings, monkeypatch) -> None:
    target, path, encoding = tmp_path / "short.mp4", footage(), trim._without

    def meanwhile(*given: Any, **options: Any) -> Any:
        target.write_bytes(b"another's")
        return encoding(*given, **options)

    monkeypatch.setattr(trim, "_without", meanwhile)
    with pytest.raises(StoreError, match="there is a file of that name"):
        trimmed(path, target, settings)
    assert target.read_bytes() == b"another's"


def test_a_clip_may_be_larger_than_a_proxy(footage, tmp_path, settings) -> None:
    small = settings.model_copy(update={"proxy_max_bytes": 1_000})
    found = trimmed(footage(), tmp_path / "short.mp4", small)
    assert found.path is not None and found.path.stat().st_size > 1_000


@pytest.fixture
def command(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Runs `thatdam trim_idle` in the home of the test."""
    monkeypatch.setenv("THATDAM_HOME", str(settings.home))
    get_settings.cache_clear()
    yield lambda *given: CliRunner().invoke(app, ["trim_idle", *map(str, given)])
    get_settings.cache_clear()


def test_the_command_tells_what_it_left_out(footage, tmp_path, command) -> None:
    done = command("--video", footage(), "--out", tmp_path / "short.mp4", "--dur", 3, "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert Path(said["path"]).exists() and said["kept_s"] == pytest.approx(4, abs=0.1) and len(said["idle"]) == 1


def test_idle_stretches_that_are_left_in_are_told(footage, tmp_path, command, monkeypatch) -> None:
    monkeypatch.setattr(trim, "_MOST_STRETCHES", 1)
    monkeypatch.setattr(trim, "_idle", lambda *_given: [(2.0, 4.0), (4.2, 6.0)])
    path = footage()
    done = command("--video", path, "--out", tmp_path / "short.mp4", "--json")
    said = json.loads(done.stdout)
    assert (said["left_in"], said["idle"], said["kept_s"]) == (1, [[2.0, 4.0]], pytest.approx(6, abs=0.1))
    assert "left in    1 later idle" in command("--video", path, "--out", tmp_path / "other.mp4").output


def test_a_clip_of_the_library_is_trimmed_by_its_name_and_stays(footage, tmp_path, settings, command) -> None:
    with Library(settings) as library:
        [batch_id] = claim_paths(library, [footage("taken.mp4")], "move")
        ingest_batch(library, batch_id)
        [key] = library.tables.read(LOCATIONS, batch_id)["path"]
        kept = library.store.read_bytes(key)
        done = command("--video", "taken.mp4", "--out", tmp_path / "short.mp4")
        assert done.exit_code == 0, done.output
        assert len(frames_of(tmp_path / "short.mp4")) == pytest.approx(100, abs=3)
        assert library.store.read_bytes(key) == kept
    assert command("--video", "unknown.mp4", "--out", tmp_path / "other.mp4").exit_code != 0
