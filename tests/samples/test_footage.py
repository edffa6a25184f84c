"""Sample footage: real files that hold what they are said to hold."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from thatdam_pipelines.errors import ThatdamError
from thatdam_pipelines.samples.backgrounds import BACKGROUNDS, draw_background
from thatdam_pipelines.samples.captions import off_topic, paraphrase, phrase
from thatdam_pipelines.samples.footage import ClipFacts, SampleFile, Shown, write_clip, write_demo_footage
from thatdam_pipelines.samples.scenes import MOTIONS, PLACES, SUBJECTS, Scene, random_scene, scene_frames

RED_BALL = Scene("field", "ball", "red", motion="still", seed=3)
STARS = Scene("night", "star", "yellow", many=True, motion="rising", seed=4)


def _redness(frame: np.ndarray) -> np.ndarray:
    signed = frame.astype(int)
    return (signed[:, :, 0] > 150) & (signed[:, :, 1] < 90) & (signed[:, :, 2] < 90)


@pytest.mark.parametrize("place", list(BACKGROUNDS))
def test_a_place_is_drawn_the_same_from_the_same_seed_and_else_differs(place: str) -> None:
    first = draw_background(place, 160, 90, 1)
    assert first.shape == (90, 160, 3)
    np.testing.assert_array_equal(first, draw_background(place, 160, 90, 1))
    assert (first != draw_background(place, 160, 90, 2)).mean() > 0.05
    assert first.std() > 8


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("motion", MOTIONS)
def test_a_subject_stays_in_the_middle_square(subject: str, motion: Any) -> None:
    for seed in range(4):
        scene = Scene("city", subject, "red", motion=motion, seed=seed)
        for frame in scene_frames(scene, 1, 5, (320, 180)):
            columns = np.flatnonzero(_redness(frame).any(axis=0))
            assert columns.size > 10
            assert columns.min() >= 60
            assert columns.max() < 260


def test_a_moving_subject_moves_without_jumps() -> None:
    frames = list(scene_frames(Scene("planks", "star", "blue", motion="circling", seed=1), 25, 2, (160, 90)))
    steps = [np.abs(a.astype(int) - b).mean() for a, b in itertools.pairwise(frames)]
    assert max(steps) < 25
    assert np.abs(frames[0].astype(int) - frames[25]).mean() > 1


def test_captions_are_english() -> None:
    assert RED_BALL.caption == "a red ball over a green field"
    assert STARS.caption == "yellow stars over a starry night sky"
    assert Scene("sea").caption == "the blue sea"
    assert Scene("sea", "cross", "orange").caption == "an orange cross over the blue sea"
    assert Scene("sea", "cross", "orange", many=True).caption == "orange crosses over the blue sea"


def test_wordings_differ_and_keep_what_is_seen() -> None:
    rng = np.random.default_rng(0)
    wordings = {phrase(RED_BALL, rng) for _ in range(50)}
    assert len(wordings) > 30
    assert not wordings & {paraphrase(RED_BALL, rng) for _ in range(50)}
    assert all(any(word in text for word in ("red", "crimson", "scarlet")) for text in wordings)
    assert not any("red" in off_topic(rng).split() for _ in range(50))


@pytest.mark.parametrize(("fps", "exact"), [(25, "25"), ("30000/1001", "30000/1001"), ("24000/1001", "24000/1001")])
def test_a_clip_has_its_frame_rate_length_and_sound(tmp_path: Path, fps: Any, exact: str) -> None:
    shown = write_clip(tmp_path / "clip.mp4", [RED_BALL, STARS], seconds=1, fps=fps, size=(160, 90))
    with av.open(str(tmp_path / "clip.mp4")) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        assert video.average_rate == Fraction(exact)
        assert (video.codec_context.width, video.codec_context.height) == (160, 90)
        assert container.duration / 1e6 == pytest.approx(shown[-1].end_s, abs=0.06)
    assert [scene.caption for scene in shown] == [RED_BALL.caption, STARS.caption]
    assert shown[0].end_s == shown[1].start_s == pytest.approx(round(float(Fraction(exact))) / float(Fraction(exact)))


def test_the_picture_changes_when_it_is_said_to(tmp_path: Path) -> None:
    shown = write_clip(tmp_path / "clip.mp4", [RED_BALL, STARS], seconds=1, fps=10, size=(160, 90), audio=False)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        red = {
            float(frame.time): _redness(frame.to_ndarray(format="rgb24")).sum() for frame in container.decode(video=0)
        }
        assert not container.streams.audio
    assert all((count > 100) == (time < shown[0].end_s) for time, count in red.items())


def test_a_phone_clip_is_stored_on_its_side_and_shown_upright(tmp_path: Path) -> None:
    facts = ClipFacts("Sample", "Phone 8", datetime(2026, 5, 16, 9, tzinfo=UTC), (52.5163, -13.3777), rotated=True)
    ball = Scene("field", "arrow", "red", motion="still", seed=3)
    write_clip(tmp_path / "phone.mov", [ball], seconds=1, fps=10, size=(180, 320), facts=facts)
    with av.open(str(tmp_path / "phone.mov")) as container:
        metadata = container.metadata
        frame = next(container.decode(video=0))
        picture = frame.to_ndarray(format="rgb24")
        rotation = frame.rotation
    assert picture.shape == (180, 320, 3)
    upright = np.rot90(picture, rotation // 90)
    expected = next(scene_frames(ball, 10, 1, (180, 320)))
    assert np.abs(upright.astype(int) - expected).mean() < 12
    assert metadata["com.apple.quicktime.model"] == "Phone 8"
    assert metadata["com.apple.quicktime.location.ISO6709"] == "+52.5163-013.3777/"
    assert metadata["com.apple.quicktime.creationdate"] == "2026-05-16T09:00:00+0000"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["phone.mov"]


def test_a_camera_clip_carries_maker_time_and_timecode(tmp_path: Path) -> None:
    facts = ClipFacts("Sample", "Cine 4", datetime(2026, 5, 16, 9, tzinfo=UTC), timecode="10:00:00:00")
    write_clip(tmp_path / "cine.mov", [RED_BALL], seconds=1, fps=25, size=(160, 90), facts=facts)
    with av.open(str(tmp_path / "cine.mov")) as container:
        assert container.metadata["make"] == "Sample"
        assert container.metadata["model"] == "Cine 4"
        assert container.metadata["creation_time"].startswith("2026-05-16T09:00:00")
        assert container.streams.video[0].metadata["timecode"] == "10:00:00:00"


def test_a_folder_that_cannot_be_written_is_an_error_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").mkdir()
    with pytest.raises(ThatdamError, match="ffmpeg could not write it"):
        write_clip(tmp_path / "clip.mp4", [RED_BALL], seconds=1, fps=10, size=(160, 90))


@pytest.fixture(scope="module")
def drop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[SampleFile]]]:
    folder = tmp_path_factory.mktemp("drop")
    yield folder, write_demo_footage(folder, minutes=0.6, size=(320, 180))


def test_the_sample_drop_looks_like_one(drop: tuple[Path, list[SampleFile]]) -> None:
    folder, files = drop
    names = {str(file.path.relative_to(folder)) for file in files}
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == names
    assert sum(name.startswith("DCIM/100TEST/") for name in names) == 4
    rates = set()
    for file in files:
        if file.path.suffix == ".MOV" and not file.broken:
            with av.open(str(file.path)) as container:
                rates.add(container.streams.video[0].average_rate)
                assert container.duration / 1e6 == pytest.approx(file.shown[-1].end_s, abs=0.1)
    assert len(rates) == 5


def test_no_two_scenes_of_the_sample_drop_read_the_same(drop: tuple[Path, list[SampleFile]]) -> None:
    captions = [scene.caption for file in drop[1] for scene in file.shown]
    assert len(captions) == len(set(captions)) >= 30
    assert captions[0] == "a red ball over a green field"


def test_the_broken_file_of_the_sample_drop_is_broken(drop: tuple[Path, list[SampleFile]]) -> None:
    (broken,) = [file for file in drop[1] if file.broken]
    assert broken.path.stat().st_size > 1000
    with pytest.raises(av.error.InvalidDataError):
        av.open(str(broken.path))


def test_the_still_carries_camera_time_and_place(drop: tuple[Path, list[SampleFile]]) -> None:
    (still,) = [file for file in drop[1] if file.path.suffix == ".JPG"]
    assert isinstance(still.shown[0], Shown)
    with Image.open(still.path) as image:
        exif = image.getexif()
        assert exif[0x0110] == "Phone 8"
        assert exif.get_ifd(0x8769)[0x9003] == "2026:05:16 10:30:00"
        north = [float(part) for part in exif.get_ifd(0x8825)[2]]
    assert north[0] + north[1] / 60 + north[2] / 3600 == pytest.approx(52.5163, abs=1e-4)


def test_random_scenes_cover_the_vocabulary() -> None:
    scenes = [random_scene(np.random.default_rng(seed)) for seed in range(400)]
    assert {scene.background for scene in scenes} == set(PLACES)
    assert {scene.subject for scene in scenes} == {*SUBJECTS, None}
