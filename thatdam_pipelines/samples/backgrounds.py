"""Places that sample scenes happen in, drawn from noise and simple shapes at any size."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
_Plane = npt.NDArray[Any]


def draw_background(name: str, width: int, height: int, seed: int) -> Picture:
    """RGB picture ``[height, width, 3]`` of a place; the same seed gives the same picture."""
    rng = np.random.default_rng(seed)
    return np.clip(BACKGROUNDS[name](width, height, rng), 0, 255).astype(np.uint8)


def _noise(width: int, height: int, cells: float, rng: np.random.Generator, stretch: float = 1.0) -> _Plane:
    """Smooth noise from -1 to 1 with ``cells`` bumps a picture height, each ``stretch`` times wider than high."""
    import cv2

    columns = max(2, round(cells * width / height / stretch))
    grid = rng.uniform(-1, 1, (max(2, round(cells)), columns)).astype(np.float32)
    return cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)


def _rows(height: int) -> _Plane:
    return np.linspace(0, 1, height, dtype=np.float32)[:, None]


def _columns(width: int, height: int) -> _Plane:
    """Horizontal place in picture heights."""
    return (np.arange(width, dtype=np.float32) / height)[None, :]


def _mix(low: tuple[int, int, int], high: tuple[int, int, int], share: _Plane) -> _Plane:
    share = np.clip(share, 0, 1)[..., None]
    return np.array(low, np.float32) * (1 - share) + np.array(high, np.float32) * share


def _field(width: int, height: int, rng: np.random.Generator) -> _Plane:
    blades = 0.35 * _noise(width, height, 60, rng, 0.3) + 0.3 * _noise(width, height, 9, rng)
    grass = _mix((38, 96, 28), (120, 178, 62), 0.5 + blades + 0.2 * (_rows(height) - 0.5))
    sky = _mix((150, 200, 240), (215, 232, 245), _rows(height) * 4 + 0 * blades)
    horizon = rng.uniform(0.05, 0.2) + 0.02 * np.sin(_columns(width, height) * 5 + rng.uniform(0, 6))
    return np.where((_rows(height) < horizon)[..., None], sky, grass)


def _sea(width: int, height: int, rng: np.random.Generator) -> _Plane:
    rows = _rows(height)
    swell = 0.25 * _noise(width, height, 6, rng, 2)
    waves = np.sin((rows * 9 + swell + 0.1 * np.sin(_columns(width, height) * 9)) * 2 * np.pi + rng.uniform(0, 6))
    picture = _mix((8, 48, 128), (40, 130, 200), 0.45 + 0.4 * waves + 0.15 * swell)
    foam = np.clip((waves - 0.9) * 10, 0, 1) * np.clip(0.5 + _noise(width, height, 14, rng, 3), 0, 1)
    return picture + foam[..., None] * 120


def _night(width: int, height: int, rng: np.random.Generator) -> _Plane:
    import cv2

    picture = _mix((4, 6, 24), (24, 30, 70), _rows(height) * 0.8 + 0.15 * _noise(width, height, 3, rng))
    picture = np.ascontiguousarray(picture)
    for _ in range(round(110 * width / height)):
        at = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        light = rng.uniform(120, 255)
        cv2.circle(picture, at, max(1, round(height * rng.uniform(0.002, 0.006))), (light, light, light), -1)
    return picture


def _desert(width: int, height: int, rng: np.random.Generator) -> _Plane:
    columns, rows = _columns(width, height), _rows(height)
    picture = _mix((250, 222, 160), (240, 205, 140), rows + 0 * columns)
    for level in (0.15, 0.4, 0.65):
        crest = level + 0.09 * np.sin(columns * rng.uniform(2, 3.5) + rng.uniform(0, 6))
        depth = np.clip((rows - crest) * 4, 0, 1)
        dune = _mix((196, 138, 66), (236, 190, 116), depth)
        picture = np.where((rows > crest)[..., None], dune, picture)
    return picture + 10 * _noise(width, height, 40, rng, 4)[..., None]


def _snow(width: int, height: int, rng: np.random.Generator) -> _Plane:
    columns, rows = _columns(width, height), _rows(height)
    picture = _mix((176, 200, 224), (214, 226, 238), rows * 2 + 0 * columns)
    for level in (0.3, 0.55):
        crest = level + 0.1 * np.sin(columns * rng.uniform(1.5, 3) + rng.uniform(0, 6))
        hill = _mix((252, 254, 255), (206, 220, 238), np.clip((rows - crest) * 2.2, 0, 1))
        picture = np.where((rows > crest)[..., None], hill, picture)
    return picture + 5 * _noise(width, height, 30, rng)[..., None]


def _sunset(width: int, height: int, rng: np.random.Generator) -> _Plane:
    rows = _rows(height) + 0.05 * _noise(width, height, 6, rng, 5)
    stops = np.array([[92, 40, 110], [206, 70, 110], [250, 130, 60], [255, 205, 90]], np.float32)
    place = np.clip(rows * 3.4, 0, 2.999)
    lower = place.astype(int)
    share = (place - lower)[..., None]
    picture = stops[lower] * (1 - share) + stops[lower + 1] * share
    ground = 0.86 + 0.03 * np.sin(_columns(width, height) * 6 + rng.uniform(0, 6))
    return np.where((_rows(height) > ground)[..., None], np.array([36, 20, 34], np.float32), picture)


def _bricks(width: int, height: int, rng: np.random.Generator) -> _Plane:
    across, down = _columns(width, height) * 5.0 + rng.uniform(0, 1), _rows(height) * 10.0 + rng.uniform(0, 1)
    course = np.floor(down).astype(int)
    shifted = across + 0.5 * (course % 2)
    tint = rng.uniform(-26, 26, (16, 64))[course % 16, np.floor(shifted).astype(int) % 64]
    brick = np.array([158, 74, 54], np.float32) + (tint + 12 * _noise(width, height, 50, rng))[..., None]
    mortar = ((down % 1) < 0.14) | ((shifted % 1) < 0.07)
    return np.where(mortar[..., None], np.array([196, 186, 172], np.float32), brick)


def _forest(width: int, height: int, rng: np.random.Generator) -> _Plane:
    picture = _mix((8, 34, 16), (42, 92, 40), 0.5 + 0.5 * _noise(width, height, 16, rng) + 0 * _rows(height))
    columns = _columns(width, height) + 0.008 * np.sin(_rows(height) * 7)
    for _ in range(round(6 * width / height)):
        centre, half = rng.uniform(0, width / height), rng.uniform(0.016, 0.036)
        trunk = np.abs(columns - centre) / half
        bark = _mix((96, 66, 40), (48, 32, 20), trunk)
        picture = np.where((trunk < 1)[..., None], bark, picture)
    return picture


def _checker(width: int, height: int, rng: np.random.Generator) -> _Plane:
    across, down = _columns(width, height) * 6 + rng.uniform(0, 2), _rows(height) * 6 + rng.uniform(0, 2)
    dark = (np.floor(across) + np.floor(down)) % 2
    return _mix((230, 230, 228), (52, 52, 56), dark) + 6 * _noise(width, height, 8, rng)[..., None]


def _planks(width: int, height: int, rng: np.random.Generator) -> _Plane:
    down = _rows(height) * 6 + rng.uniform(0, 1)
    tint = rng.uniform(-0.2, 0.2, 16)[np.floor(down).astype(int) % 16]
    grain = 0.3 * _noise(width, height, 70, rng, 16)
    picture = _mix((112, 70, 32), (186, 132, 76), 0.5 + tint + grain)
    return np.where(((down % 1) < 0.06)[..., None], np.array([58, 34, 16], np.float32), picture)


def _curtain(width: int, height: int, rng: np.random.Generator) -> _Plane:
    bend = 0.05 * np.sin(_rows(height) * 4 + rng.uniform(0, 6))
    folds = np.sin((_columns(width, height) + bend) * rng.uniform(26, 34) + rng.uniform(0, 6))
    return _mix((60, 8, 70), (150, 40, 160), 0.5 + 0.45 * folds + 0.08 * _noise(width, height, 5, rng))


def _city(width: int, height: int, rng: np.random.Generator) -> _Plane:
    picture = np.ascontiguousarray(_mix((70, 92, 130), (168, 176, 190), _rows(height) + 0 * _columns(width, height)))
    left = 0
    while left < width:
        right = left + round(height * rng.uniform(0.14, 0.26))
        top = round(height * rng.uniform(0.15, 0.5))
        shade = rng.uniform(30, 62)
        picture[top:, left:right] = (shade, shade + 4, shade + 14)
        pane = max(2, round(height * 0.022))
        for y in range(top + pane, height - pane, 2 * pane):
            for x in range(left + pane, min(right, width) - pane, 2 * pane):
                if rng.random() < 0.5:
                    picture[y : y + pane, x : x + pane] = (238, 214, 130)
        left = right + round(height * 0.015)
    return picture


BACKGROUNDS: dict[str, Callable[[int, int, np.random.Generator], _Plane]] = {
    "field": _field,
    "sea": _sea,
    "night": _night,
    "desert": _desert,
    "snow": _snow,
    "sunset": _sunset,
    "bricks": _bricks,
    "forest": _forest,
    "checker": _checker,
    "planks": _planks,
    "curtain": _curtain,
    "city": _city,
}
