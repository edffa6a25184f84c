"""Where a picture is black, frozen or still, and where it flashes, in frames that are known."""

import numpy as np
import polars as pl
import pytest

from thatdam_pipelines.media.idle import PictureRange, picture_ranges
from thatdam_pipelines.media.measures import SMALL_SHAPE, FrameMeasures
from thatdam_pipelines.media.moves import Move

RATE = 25
NOISY, FROZEN, BLACK, LIT = "noisy", "frozen", "black", "lit"


def measured(*parts: tuple[str, float]) -> tuple[pl.DataFrame, float]:
    """Measures of a clip of these parts, each with its seconds, and the clip's duration."""
    rng, measures, at = np.random.default_rng(1), FrameMeasures(), 0
    place = rng.integers(60, 160, SMALL_SHAPE)
    for kind, seconds in parts:
        for _ in range(round(seconds * RATE)):
            frame = {
                NOISY: lambda: place + rng.integers(-8, 9, SMALL_SHAPE),
                FROZEN: lambda: place,
                BLACK: lambda: np.full(SMALL_SHAPE, 16) + rng.integers(0, 3, SMALL_SHAPE),
                LIT: lambda: place + 70,
            }[kind]()
            measures.add(at / RATE, frame.astype(np.uint8))
            at += 1
    return measures.frame(), at / RATE


def test_black_and_frozen_stretches_are_found_to_the_frame() -> None:
    measures, duration_s = measured((NOISY, 1), (BLACK, 2), (NOISY, 1), (FROZEN, 3))
    assert picture_ranges(measures, [], duration_s) == [
        PictureRange("black", 1, 3),
        PictureRange("frozen", pytest.approx(4.04), 7),
    ]


def test_noise_of_a_sensor_is_not_frozen_and_a_short_pause_is_none() -> None:
    assert picture_ranges(*_with_no_seconds((NOISY, 3))) == []
    assert picture_ranges(*_with_no_seconds((NOISY, 1), (BLACK, 0.5), (FROZEN, 0.5), (NOISY, 1))) == []


def _with_no_seconds(*parts: tuple[str, float]) -> tuple[pl.DataFrame, list[Move], float]:
    measures, duration_s = measured(*parts)
    return measures, [], duration_s


def test_a_flash_is_told_however_short() -> None:
    [found] = picture_ranges(*_with_no_seconds((NOISY, 2), (LIT, 0.08), (NOISY, 2)))
    assert (found.kind, found.start_s) == ("flash", 2) and found.end_s == pytest.approx(2.08)


def test_seconds_in_which_nothing_moves_make_one_stretch() -> None:
    moves = ["static", "static", "pan", "static", "static"]
    seconds = [Move(at, at + 1, camera, None, 1.0) for at, camera in enumerate(moves)]
    seconds[4] = Move(4, 5, "static", None, 1.0, subject=0.2)
    measures, duration_s = measured((NOISY, 5))
    assert picture_ranges(measures, seconds, duration_s) == [PictureRange("still", 0, 2), PictureRange("still", 3, 4)]


def test_a_clip_without_frames_has_none() -> None:
    assert picture_ranges(FrameMeasures().frame(), [], 0.0) == []
