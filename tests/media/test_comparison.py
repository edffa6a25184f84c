"""Two files shown beside each other: is one a copy of the other?"""

import numpy as np
import pytest

from thatdam_pipelines.media.comparison import find_copy
from thatdam_pipelines.media.fingerprint import Fingerprint
from thatdam_pipelines.media.landmarks import Landmarks
from thatdam_pipelines.media.measures import CELLS


def still(frame: np.ndarray, frames: int = 1) -> Fingerprint:
    """A still that shows ``frame`` (``[27, 48]`` uint8)."""
    times = np.zeros(frames)
    return Fingerprint(np.zeros(1), np.zeros((1, CELLS), np.uint8), times, frame[None][:frames], Landmarks.none())


@pytest.fixture
def frame() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (27, 48), dtype=np.uint8)


@pytest.mark.parametrize("flip", [False, True])
def test_a_still_is_found_to_be_a_copy_also_when_it_is_mirrored(frame: np.ndarray, flip: bool) -> None:
    shown = frame[:, ::-1] if flip else frame
    noise = np.random.default_rng(4).integers(-3, 4, frame.shape)
    found = find_copy(still(np.clip(shown + noise, 0, 255).astype(np.uint8)), still(frame))
    assert found is not None and found.mirrored == flip


def test_another_still_is_no_copy_and_one_without_a_picture_is_not_either(frame: np.ndarray) -> None:
    other = np.random.default_rng(5).integers(0, 256, frame.shape, dtype=np.uint8)
    assert find_copy(still(other), still(frame)) is None
    assert find_copy(still(frame), still(frame, frames=0)) is None
