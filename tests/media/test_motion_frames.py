"""Frames in which something moves are written as pictures; those of a camera that moves alone are not."""

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from thatdam_pipelines.cli import app
from thatdam_pipelines.errors import MediaError, SettingsError, StoreError
from thatdam_pipelines.media.motion_frames import MotionFrame, extract_motion
from thatdam_pipelines.samples.camera_moves import known_move
from thatdam_pipelines.settings import Settings


def extracted(path: Path, folder: Path, **settings: float) -> list[MotionFrame]:
    home = Settings(home=folder / "home", **settings)
    return extract_motion(path, path.name, folder, home, threshold=0.005, fps=5)


@pytest.fixture
def moves(tmp_path: Path):
    """Writes a clip with or without a subject before a camera that pans."""

    def write(*, subject: bool) -> Path:
        known = known_move(11, "pan", 2.0, subject=subject)
        assert known.clip is not None
        return known.clip.write(tmp_path / "pan.mp4")

    return write


def test_frames_with_a_subject_are_written_and_named_by_their_time(moves, tmp_path: Path) -> None:
    found = extracted(moves(subject=True), tmp_path / "frames")
    assert len(found) >= 7 and all(one.moving >= 0.005 for one in found)
    assert [one.path.name for one in found] == [f"pan-{one.time_s:010.3f}.jpg" for one in found]
    assert sorted(path.name for path in (tmp_path / "frames").glob("*.jpg")) == [one.path.name for one in found]
    with Image.open(found[0].path) as picture:
        assert (picture.format, picture.height) == ("JPEG", 540)


def test_a_camera_that_pans_alone_gives_no_frame(moves, tmp_path: Path) -> None:
    assert extracted(moves(subject=False), tmp_path / "frames") == []


def test_a_long_clip_may_take_longer_and_no_picture_of_another_clip_is_overwritten(moves, tmp_path: Path) -> None:
    path, folder = moves(subject=True), tmp_path / "frames"
    first = extracted(path, folder, proxy_timeout_min_s=0.001, proxy_timeout_factor=1_000)[0].path
    first.write_bytes(b"of another clip of that name")
    with pytest.raises(StoreError, match="there is a picture of that name"):
        extracted(path, folder)
    assert first.read_bytes() == b"of another clip of that name"


def test_what_is_no_video_and_a_folder_that_cannot_be_are_told(moves, tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_bytes(b"no video")
    with pytest.raises(MediaError, match=r"no\.mp4"):
        extracted(tmp_path / "no.mp4", tmp_path / "frames")
    with pytest.raises(SettingsError, match="cannot be made"):
        extracted(moves(subject=True), tmp_path / "no.mp4" / "frames")


def test_the_command_says_where_the_pictures_are(moves, tmp_path: Path) -> None:
    given = ["--video", moves(subject=True), "--out", tmp_path / "frames", "--threshold", 0.005, "--fps", 5, "--json"]
    done = CliRunner().invoke(app, ["motion_extract", *map(str, given)])
    assert done.exit_code == 0, done.output
    assert [Path(one["path"]).exists() for one in json.loads(done.stdout)].count(True) >= 7
