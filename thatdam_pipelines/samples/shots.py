"""Shots made by program: textured places seen by a moving camera, with things that move in them.

A place is a picture in the "dead leaves" manner: shapes of every size cover one another, which gives it the edges and
the spectrum of photographs. A shot looks at a place through a camera, adds passers-by and light.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

SIZE = (320, 180)
"""Width and height of every shot in pixels."""

MANNERS = ("leaves", "landscape", "rooms", "soft")
"""Manners of places: busy, open, built, and out of focus with hardly anything to see."""

Picture = npt.NDArray[np.float32]
Rng = np.random.Generator


@dataclass(frozen=True)
class View:
    """Where the camera looks: centre in pixels of the place, magnification, roll in degrees."""

    x: float
    y: float
    zoom: float = 1.0
    roll_deg: float = 0.0


Camera = Callable[[float], View]


@dataclass(frozen=True)
class Passer:
    """A thing that crosses the picture: an ellipse cut from another place.

    Args:
        texture: Picture ``[h, w, 3]`` it shows.
        mask: Cover ``[h, w, 1]``, 0 to 1.
        start: Centre at time 0, in pixels of the shot.
        velocity: Pixels a second.
        wrap: Comes again from the other side when true.
    """

    texture: Picture
    mask: Picture
    start: tuple[float, float]
    velocity: tuple[float, float]
    wrap: bool = True


@dataclass(frozen=True)
class Shot:
    """One uncut take. ``render(time_s)`` gives linear-ish RGB ``[180, 320, 3]`` float32, 0 to 255, without noise.

    Args:
        place: Picture ``[h, w, 3]`` the camera looks at, larger than the shot.
        camera: View at each time.
        passers: What crosses the picture.
        light: Gain of each channel at each time.
        blur_s: Time the shutter is open; 0 for none. Fast camera moves need it to look real.
    """

    place: Picture
    camera: Camera
    passers: tuple[Passer, ...] = ()
    light: Callable[[float], npt.NDArray[np.float32]] | None = None
    blur_s: float = 0.0
    grey: bool = field(default=False)

    def render(self, time_s: float) -> Picture:
        picture = self._exposed(time_s)
        for passer in self.passers:
            _paint(picture, passer, time_s)
        if self.light is not None:
            picture *= self.light(time_s)
        if self.grey:
            picture[:] = picture.mean(axis=2, keepdims=True)
        return picture

    def _exposed(self, time_s: float) -> Picture:
        now, later = self.camera(time_s), self.camera(time_s + self.blur_s)
        path = np.hypot((later.x - now.x) * now.zoom, (later.y - now.y) * now.zoom)
        looks = int(min(12, 1 + path / 4)) if self.blur_s else 1
        total = _look(self.place, now)
        for step in range(1, looks):
            total += _look(self.place, self.camera(time_s + self.blur_s * step / looks))
        return total / np.float32(looks) if looks > 1 else total


def place(
    rng: Rng, width: int = 960, height: int = 540, contrast: float = 1.0, manners: Sequence[str] = MANNERS
) -> Picture:
    """A textured picture ``[height, width, 3]``, 0 to 255, in one of the manners and in a palette of its own."""
    import cv2

    palette = _palette(rng)
    manner = rng.choice(manners)
    picture = np.empty((height, width, 3), np.float32)
    ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    picture[:] = palette[0] * (1 - ramp) + palette[1] * ramp
    shapes = {"leaves": 700, "landscape": 250, "rooms": 220, "soft": 60}[str(manner)]
    for _ in range(shapes):
        radius = float(np.clip(6 / rng.random() ** 0.6, 5, 0.3 * height))
        x, y = float(rng.uniform(0, width)), float(rng.uniform(0, height))
        if manner == "landscape":
            y = height * (0.45 + 0.55 * rng.random())
        colour = np.clip(palette[rng.integers(len(palette))] + rng.normal(0, 12) + rng.normal(0, 8, 3), 0, 255).tolist()
        if manner == "rooms":
            w, h = radius * rng.uniform(0.4, 2.5), radius * rng.uniform(0.4, 2.5)
            cv2.rectangle(picture, (int(x - w), int(y - h)), (int(x + w), int(y + h)), colour, -1)
        elif rng.random() < 0.6:
            axes = (int(radius), int(radius * rng.uniform(0.3, 1)) + 1)
            cv2.ellipse(picture, (int(x), int(y)), axes, float(rng.uniform(0, 180)), 0, 360, colour, -1)
        else:
            corners = np.array([x, y]) + rng.normal(0, radius, (int(rng.integers(3, 6)), 2))
            cv2.fillPoly(picture, [corners.astype(np.int32)], colour)
    picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), 4.0 if manner == "soft" else 0.8), np.float32)
    picture *= 1 + 0.5 * _cloud(rng, width, height, 3)[..., None]
    for cells, strength in ((8, 10), (21, 7), (55, 5), (130, 4), (310, 4)):
        picture += strength * (0.4 if manner == "soft" else 1) * _cloud(rng, width, height, cells)[..., None]
    mean = picture.mean()
    return np.clip((picture - mean) * contrast + mean, 2, 250).astype(np.float32)


def passer(rng: Rng, size: tuple[float, float], speed: tuple[float, float]) -> Passer:
    """Something crossing level: ``size`` is the range of its height by the picture's, ``speed`` of widths a second."""
    import cv2

    height = max(12, int(rng.uniform(*size) * SIZE[1]))
    width = max(12, int(height * rng.uniform(0.4, 1.1)))
    mask = np.zeros((height, width, 1), np.float32)
    cv2.ellipse(mask, (width // 2, height // 2), (width // 2 - 3, height // 2 - 3), 0, 0, 360, 1.0, -1)
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), 1.5), np.float32)[..., None]
    way = rng.choice([-1, 1])
    velocity = (float(way * rng.uniform(*speed) * SIZE[0]), float(rng.normal(0, 6)))
    start = (float(rng.uniform(0, SIZE[0])), float(rng.uniform(0.3, 0.8) * SIZE[1]))
    return Passer(place(rng, width, height), mask, start, velocity)


def still(rng: Rng, zoom: float = 1.0) -> Camera:
    """A tripod."""
    view = _somewhere(rng, zoom)
    return lambda _: view


def handheld(rng: Rng, zoom: float = 1.0, sway: float = 1.0) -> Camera:
    """A hand: slow sway of some pixels with a tremor on it; ``sway`` 3 is somebody walking."""
    view = _somewhere(rng, zoom)
    waves = [(rng.uniform(0.2, 1.2), 4.0) for _ in range(3)] + [(rng.uniform(3, 9), 0.8) for _ in range(3)]
    parts = [(rate, size * sway, rng.uniform(0, 7, 3)) for rate, size in waves]

    def look(time_s: float) -> View:
        x, y, roll = (
            sum(size * np.sin(2 * np.pi * rate * time_s + phase[axis]) for rate, size, phase in parts)
            for axis in range(3)
        )
        return View(view.x + float(x), view.y + float(y), zoom, float(roll) * 0.1)

    return look


def pan(rng: Rng, speed: tuple[float, float] = (0.03, 0.2), zoom: float = 1.0) -> Camera:
    """A steady pan or tilt, ``speed`` in picture widths a second; the place is reflected at its edges."""
    view, angle, rate = (
        _somewhere(rng, zoom),
        rng.choice([0, np.pi, 0.4, -0.4, np.pi / 2]),
        rng.uniform(*speed) * SIZE[0],
    )
    dx, dy = float(np.cos(angle) * rate / zoom), float(np.sin(angle) * rate / zoom)
    return lambda time_s: View(view.x + dx * time_s, view.y + dy * time_s, zoom)


def zooming(rng: Rng, rate: tuple[float, float] = (0.03, 0.25)) -> Camera:
    """A steady zoom in or out; ``rate`` is the growth a second."""
    view, growth = _somewhere(rng, 1.0), float(rng.uniform(*rate) * rng.choice([-1, 1]))
    first = 1.1 if growth > 0 else 2.2
    return lambda time_s: View(view.x, view.y, max(0.6, first * float(np.exp(growth * time_s))))


def whips(rng: Rng, times_s: list[float]) -> Camera:
    """A hand that swings the camera 0.5 to 2.5 picture widths away at each of the times, within 0.15 to 0.5 s."""
    base = handheld(rng, 1.0)
    swings = []
    x = 0.0
    for time_s in times_s:
        target = x + float(rng.uniform(0.5, 2.5) * SIZE[0] * rng.choice([-1, 1]))
        swings.append((time_s, float(rng.uniform(0.15, 0.5)), target - x))
        x = target

    def look(time_s: float) -> View:
        view = base(time_s)
        moved = sum(way * _ease((time_s - start) / length) for start, length, way in swings)
        return View(view.x + moved, view.y, view.zoom, view.roll_deg)

    return look


def _ease(part: float) -> float:
    part = min(1.0, max(0.0, part))
    return part * part * (3 - 2 * part)


def _somewhere(rng: Rng, zoom: float) -> View:
    return View(float(rng.uniform(250, 710)), float(rng.uniform(150, 390)), zoom)


def _palette(rng: Rng) -> Picture:
    base = rng.uniform(50, 180)
    tint = rng.normal(0, 12, 3)
    colours = base + tint + rng.normal(0, 45, (6, 1)) + rng.normal(0, 14, (6, 3))
    return np.clip(colours, 5, 245).astype(np.float32)


def _cloud(rng: Rng, width: int, height: int, cells: int) -> Picture:
    """Smooth noise, about -1 to 1, with ``cells`` bumps across."""
    import cv2

    small = rng.uniform(-1, 1, (max(2, cells * height // width), max(2, cells))).astype(np.float32)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def _look(picture: Picture, view: View) -> Picture:
    import cv2

    turn = np.deg2rad(view.roll_deg)
    cos, sin = np.cos(turn) / view.zoom, np.sin(turn) / view.zoom
    half = (SIZE[0] / 2, SIZE[1] / 2)
    matrix = np.array(
        [
            [cos, -sin, view.x - cos * half[0] + sin * half[1]],
            [sin, cos, view.y - sin * half[0] - cos * half[1]],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, matrix, SIZE, flags=flags, borderMode=cv2.BORDER_REFLECT), np.float32)


def _paint(picture: Picture, passer: Passer, time_s: float) -> None:
    height, width = passer.mask.shape[:2]
    x = passer.start[0] + passer.velocity[0] * time_s
    y = passer.start[1] + passer.velocity[1] * time_s
    if passer.wrap:
        span = SIZE[0] + width * 2
        x = (x + width) % span - width
    left, top = round(x - width / 2), round(y - height / 2)
    x0, x1, y0, y1 = max(0, left), min(SIZE[0], left + width), max(0, top), min(SIZE[1], top + height)
    if x0 >= x1 or y0 >= y1:
        return
    part = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
    mask = passer.mask[part]
    picture[y0:y1, x0:x1] = picture[y0:y1, x0:x1] * (1 - mask) + passer.texture[part] * mask
