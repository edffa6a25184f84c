import subprocess

import imageio_ffmpeg
import numpy as np
import pytest

from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.media.measures import (
    MEASURES_SCHEMA,
    SMALL_FILTER,
    SMALL_SHAPE,
    SMALL_SIZE,
    FrameMeasures,
)

WIDTH, HEIGHT = SMALL_SIZE


def texture(seed=0):
    """A small frame of blurred noise, limited range, grey."""
    rough = np.random.default_rng(seed).uniform(0, 1, (HEIGHT // 4 + 2, WIDTH // 4 + 2))
    smooth = np.kron(rough, np.ones((4, 4)))[:HEIGHT, :WIDTH]
    return small(16 + 219 * smooth)


def small(luma, u=128, v=128):
    frame = np.empty(SMALL_SHAPE, np.uint8)
    frame[:HEIGHT] = np.rint(luma)
    chroma = frame[HEIGHT:].reshape(2, HEIGHT // 2, WIDTH // 2)
    chroma[0], chroma[1] = u, v
    return frame


def measure(*frames):
    measures = FrameMeasures()
    for index, frame in enumerate(frames):
        measures.add(index / 25, frame)
    return measures.frame()


def piped(*source):
    """Luma means of what ffmpeg makes of a source through the small filter."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *source, "-vf", SMALL_FILTER, "-f", "rawvideo", "-"]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    frames = np.frombuffer(data, np.uint8).reshape(-1, *SMALL_SHAPE)
    return measure(*frames)


def test_every_frame_has_one_row_in_the_declared_schema():
    frame = measure(*(texture(seed) for seed in range(150)))
    assert frame.schema == MEASURES_SCHEMA
    assert frame["time_s"].to_list() == [index / 25 for index in range(150)]


def test_no_frames_make_an_empty_table_with_the_same_schema():
    assert FrameMeasures().frame().schema == MEASURES_SCHEMA


def test_what_is_measured_does_not_depend_on_how_frames_are_grouped():
    frames = np.stack([texture(seed) for seed in range(200)])
    one_by_one, interrupted = FrameMeasures(), FrameMeasures()
    for index, frame in enumerate(frames):
        one_by_one.add(index / 25, frame)
        interrupted.add(index / 25, frame)
        if index % 37 == 0:
            interrupted.frame()
    assert one_by_one.frame().equals(interrupted.frame())


def test_a_frame_buffer_may_be_used_again_by_the_caller():
    buffer = texture(1)
    measures = FrameMeasures()
    measures.add(0.0, buffer)
    buffer[:] = 16
    measures.add(0.04, buffer)
    assert measures.frame()["luma_mean"].to_list()[1] == 0
    assert measures.frame()["luma_mean"].to_list()[0] > 0.3


def test_figures_are_those_of_the_definitions():
    first, second = texture(1), texture(2)
    row = measure(first, second).row(1, named=True)
    now, before = (frame[:HEIGHT].astype(float) for frame in (second, first))
    assert row["luma_mean"] == pytest.approx((now.mean() - 16) / 219, abs=1e-5)
    assert row["luma_std"] == pytest.approx(now.std() / 219, abs=1e-5)
    assert row["diff_luma"] == pytest.approx(np.abs(now - before).mean() / 219, abs=1e-5)
    assert row["detail"] == pytest.approx(np.abs(np.diff(now, axis=1)).mean() / 219, abs=1e-5)
    cells = now.reshape(6, 6, 8, 8).mean(axis=(1, 3)).ravel()
    assert np.allclose(row["thumb"], (cells - 16) * 255 / 219, atol=0.51)


def test_the_first_frame_changes_nothing():
    row = measure(texture()).row(0, named=True)
    assert row["diff_luma"] == row["diff_moved"] == 0


def test_histograms_give_the_share_of_each_level():
    row = measure(small(16)).row(0, named=True)
    assert list(row["luma_hist"]) == [255] + [0] * 15
    shares = (np.array(measure(texture())["luma_hist"][0]) / 255.0) ** 2
    assert shares.sum() == pytest.approx(1, abs=0.02)


def test_a_small_movement_is_change_but_not_what_movement_leaves_unexplained():
    still = texture(3)
    moved = small(np.roll(still[:HEIGHT], 2, axis=1))
    other = texture(4)
    by_moving = measure(still, moved).row(1, named=True)
    by_cutting = measure(still, other).row(1, named=True)
    assert by_moving["diff_luma"] > 0.1
    assert by_moving["diff_moved"] < 0.15 * by_cutting["diff_moved"]


def test_colour_counts_as_saturation_and_grey_does_not():
    grey, red = measure(texture(), small(100, u=90, v=240))["saturation"]
    assert grey == 0
    assert red == pytest.approx(1)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "yuv422p10le", "rgb24", "gray"])
@pytest.mark.parametrize(("colour", "luma"), [("black", 0.0), ("white", 1.0), ("0x808080", 128 / 255)])
def test_luma_is_the_same_whatever_the_range_and_depth_of_the_source(pixel_format, colour, luma):
    source = f"color=c={colour}:s=322x182:r=25:d=0.08,format={pixel_format}"
    assert piped("-f", "lavfi", "-i", source)["luma_mean"].to_list() == pytest.approx([luma] * 2, abs=0.006)


@pytest.mark.parametrize("size", ["2x2", "1080x1920", "4096x16"])
def test_a_picture_of_any_shape_can_be_measured(size):
    assert piped("-f", "lavfi", "-i", f"testsrc2=s={size}:r=25:d=0.12").height == 3


def test_a_frame_takes_about_130_bytes():
    measures = measure(*[texture(seed) for seed in range(10)] * 50)
    assert measures.estimated_size() / measures.height < 150


def test_a_frame_of_another_shape_or_type_is_refused():
    measures = FrameMeasures()
    with pytest.raises(MediaError, match="SMALL_FILTER"):
        measures.add(0.0, np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    with pytest.raises(MediaError, match="float64"):
        measures.add(0.0, np.zeros(SMALL_SHAPE))


def test_a_size_that_cannot_be_divided_into_cells_is_refused():
    with pytest.raises(ValueError, match="63 x 36"):
        FrameMeasures(63, 36)
