import numpy as np
import pytest

from thatdam_pipelines.embed.measured_tags import color_name
from thatdam_pipelines.embed.quality import is_another_shot, is_near_duplicate, quality_of, tiny
from thatdam_pipelines.samples.scenes import Scene, scene_frames


def first_frame(scene: Scene) -> np.ndarray:
    return next(scene_frames(scene, 25, 1, (640, 360)))


BRICKS = first_frame(Scene("bricks", "ring", "blue"))


def flat(*color: int) -> np.ndarray:
    return np.full((360, 640, 3), color, dtype=np.uint8)


def test_a_blurred_frame_is_less_sharp() -> None:
    import cv2

    assert quality_of(cv2.GaussianBlur(BRICKS, (0, 0), 4)).sharpness < quality_of(BRICKS).sharpness / 10


def test_light_contrast_and_saturation_of_known_pictures() -> None:
    white, red = quality_of(flat(255, 255, 255)), quality_of(flat(255, 0, 0))
    assert (white.brightness, white.contrast, white.saturation) == (1.0, 0.0, 0.0)
    assert (red.saturation, red.contrast) == (1.0, 0.0)
    halves = flat(0, 0, 0)
    halves[:, 320:] = 255
    assert quality_of(halves).contrast == pytest.approx(0.5)
    assert quality_of(halves).brightness == pytest.approx(0.5)


def test_dominant_colors_come_most_of_the_frame_first() -> None:
    frame = flat(200, 20, 20)
    frame[:, :200] = (20, 20, 220)
    frame[:180, 200:320] = (20, 180, 20)
    assert [color_name(color) for color in quality_of(frame).dominant_colors] == ["red", "blue", "green"]


def test_the_same_picture_with_noise_is_a_near_duplicate() -> None:
    noise = np.random.default_rng(0).normal(0, 6, BRICKS.shape)
    noisy = np.clip(BRICKS + noise, 0, 255).astype(np.uint8)
    assert is_near_duplicate(tiny(BRICKS), tiny(noisy))


def test_something_small_that_came_in_is_no_near_duplicate() -> None:
    entered = BRICKS.copy()
    entered[150:190, 20:60] = (0, 0, 0)
    assert not is_near_duplicate(tiny(BRICKS), tiny(entered))
    assert not is_another_shot(tiny(BRICKS), tiny(entered))


def test_another_place_is_another_shot() -> None:
    assert is_another_shot(tiny(BRICKS), tiny(first_frame(Scene("snow", "ring", "blue"))))


@pytest.mark.parametrize(
    ("color", "name"),
    [
        ("#d81c24", "red"),
        ("#f88a12", "orange"),
        ("#6b4020", "brown"),
        ("#fae228", "yellow"),
        ("#1caa3c", "green"),
        ("#1e54e0", "blue"),
        ("#8c2cbe", "purple"),
        ("#ff69b4", "pink"),
        ("#20c8c0", "turquoise"),
        ("#f8f8f8", "white"),
        ("#808080", None),
        ("#101012", None),
    ],
)
def test_colors_have_their_everyday_names(color: str, name: str | None) -> None:
    assert color_name(color) == name
