"""What the camera and the subject do, in clips whose motion is known."""

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import PROXIES
from thatdam_pipelines.library.schemas_motion import MOTION, MOTION_SCENES, MOTION_SECONDS
from thatdam_pipelines.media.camera_path import Step, steps_of
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.media.motion import motion_batch, strip
from thatdam_pipelines.media.moves import Move, seconds_of, stretch_of
from thatdam_pipelines.media.probes import probe_batch
from thatdam_pipelines.media.proxies import proxy_batch
from thatdam_pipelines.samples.camera_moves import MOVES, KnownMove, known_move
from thatdam_pipelines.samples.known_clips import KnownClip

SECONDS = 2.0


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[KnownMove, list[Move]]]:
    """A generated clip's truth and what is told of each of its seconds."""
    folder = tmp_path_factory.mktemp("moves")

    def tell(move: str, *, subject: bool = False) -> tuple[KnownMove, list[Move]]:
        known = known_move(11, move, SECONDS, subject=subject)
        path = folder / f"{known.clip.name}.mp4"
        if not path.exists():
            known.clip.write(path)
        return known, seconds_of(list(steps_of(path, path.name)), known.clip.duration_s)

    return tell


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("subject", [False, True])
def test_every_move_is_told_by_its_name_and_direction_with_and_without_a_subject(told, move: str, subject) -> None:
    known, seconds = told(move, subject=subject)
    assert len(seconds) == SECONDS
    for second in seconds:
        assert (second.camera, second.direction) == (known.camera, known.direction)
        assert second.subject_moves == subject


def test_a_pan_is_measured_in_widths_a_second(told) -> None:
    known, seconds = told("pan")
    size = 1 if known.direction == "right" else -1
    speeds = [size * second.pan_a_s for second in seconds]
    assert all(0.05 <= speed <= 0.3 for speed in speeds) and max(speeds) - min(speeds) < 0.01
    assert [second.speed_a_s for second in seconds] == pytest.approx(speeds, abs=0.01)


def path_of(right: list[float], **facts: float) -> list[Step]:
    """Steps of a tenth of a second, each with its shift to the right."""
    return [Step((at + 1) / 10, 0.1, True, right=shift, **facts) for at, shift in enumerate(right)]


def test_an_even_pan_does_not_shake_and_a_jerking_one_does() -> None:
    assert seconds_of(path_of([-0.01] * 20), 2.0)[0].shake == pytest.approx(0, abs=1e-6)
    jerks = seconds_of(path_of([-0.03, 0.03] * 10), 2.0)[0]
    assert jerks.camera == "shaky" and jerks.shake > 0.01


def test_a_cut_is_no_shake() -> None:
    before, after = path_of([0.0] * 10), path_of([-0.01] * 10)
    cut = Step(1.1, 0.1, known=False, cut=True)
    late = [Step((at + 12) / 10, 0.1, True, right=step.right) for at, step in enumerate(after)]
    seconds = seconds_of([*before, cut, *late], 2.2)
    assert [second.camera for second in seconds] == ["static", "pan", "pan"]


def test_where_nothing_can_be_followed_no_move_is_told() -> None:
    [second] = seconds_of([Step(0.1 * at, 0.1, known=False) for at in range(1, 10)], 1.0)
    assert (second.camera, second.heat) == (None, 0)
    assert seconds_of([], 0.0) == []


def test_a_stretch_is_what_the_camera_does_longest_in_it() -> None:
    still, pan = path_of([0.0] * 29), path_of([-0.02] * 10)
    late = [Step((at + 30) / 10, 0.1, True, right=step.right) for at, step in enumerate(pan)]
    seconds = seconds_of([*still, *late], 4.0)
    whole, end = stretch_of(seconds, 0.0, 4.0), stretch_of(seconds, 2.9, 4.0)
    assert (whole.camera, whole.share) == ("static", 0.75)
    assert (end.camera, end.direction) == ("pan", "right") and end.share == pytest.approx(1 / 1.1)
    assert stretch_of(seconds, 9.0, 10.0).camera is None


def test_the_strip_has_a_value_for_every_second() -> None:
    seconds = [Move(1.0, 2.0, "pan", "left", 1.0, speed_a_s=0.25)]
    assert strip(seconds, 2.5) == {
        "version": 1,
        "seconds": 1.0,
        "duration_s": 2.5,
        "heat": [0, 50, 0],
        "camera": [None, "pan", None],
    }


def test_a_file_that_is_no_clip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_bytes(b"no clip")
    with pytest.raises(MediaError, match=r"no\.mp4.*cannot be read"):
        list(steps_of(tmp_path / "no.mp4", "no.mp4"))


def proxied_batch(library: Library, folder: Path) -> str:
    [batch_id] = claim_paths(library, [folder], "copy")
    ingest_batch(library, batch_id)
    assert probe_batch(library, batch_id).failures == proxy_batch(library, batch_id).failures == []
    return batch_id


@pytest.fixture
def drop(tmp_path: Path, clip) -> Path:
    """A clip of two shots, a pan and then a tripod; a still; and a sound."""
    folder = tmp_path / "drop"
    folder.mkdir()
    pan, still = (known_move(seed, move, SECONDS).clip for seed, move in ((11, "pan"), (12, "static")))
    pictures = [picture for shot in (pan, still) for picture in islice(shot.frames(), 48)]
    times = tuple(at / 24 for at in range(len(pictures)))
    KnownClip("shots", "shots", times, (), 22, pictures.__getitem__).write(folder / "shots.mp4")
    for name in ("cover.jpg", "cover.mp3"):
        (folder / name).write_bytes(clip(name).read_bytes())
    return folder


def test_a_batch_gets_seconds_scenes_and_strips_once(library: Library, drop: Path) -> None:
    batch = proxied_batch(library, drop)
    report = motion_batch(library, batch)
    assert (report.total, report.computed, report.failures) == (1, 1, [])
    assert report.facts["cpu_s_a_minute"] > 0
    scenes = library.tables.read(MOTION_SCENES, batch).sort("scene_index")
    assert scenes["camera"].to_list() == ["pan", "static"]
    assert scenes["start_s"].to_list() == [0, pytest.approx(2, abs=0.05)]
    assert library.tables.read(MOTION_SECONDS, batch)["camera"].to_list() == ["pan", "pan", "static", "static"]
    [row] = library.tables.read(MOTION, batch).to_dicts()
    assert (row["idle_s"], row["share"]) == (pytest.approx(2, abs=0.1), pytest.approx(0.5, abs=0.05))
    heat = json.loads(library.store.read_bytes(row["strip_path"]))["heat"]
    assert min(heat[:2]) > 5 and max(heat[2:4]) == 0
    again = motion_batch(library, batch)
    assert (again.computed, again.reused) == (0, 1)


def test_a_broken_proxy_costs_only_its_clip(library: Library, drop: Path, clip) -> None:
    (drop / "plain.mp4").write_bytes(clip("plain.mp4").read_bytes())
    batch = proxied_batch(library, drop)
    broken = library.tables.read(PROXIES, batch).filter(kind="video").row(0, named=True)
    with library.store.local(broken["proxy_path"]) as path:
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:500])
    report = motion_batch(library, batch)
    assert [row["media_id"] for row in report.failures] == [broken["media_id"]]
    assert library.tables.read(MOTION, batch).height == 1
