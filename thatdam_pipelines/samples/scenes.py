"""Sample scenes: a coloured subject that moves before a place, drawn frame by frame, with words for what is seen."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from thatdam_pipelines.samples.backgrounds import BACKGROUNDS, Picture, draw_background

Motion = Literal["still", "sideways", "rising", "circling", "growing", "bouncing"]
MOTIONS: tuple[Motion, ...] = ("still", "sideways", "rising", "circling", "growing", "bouncing")

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (216, 28, 36),
    "orange": (248, 138, 18),
    "yellow": (250, 226, 40),
    "green": (28, 170, 60),
    "blue": (30, 84, 224),
    "purple": (140, 44, 190),
    "white": (248, 248, 248),
    "black": (16, 16, 18),
}
PLACES = {
    "field": "a green field",
    "sea": "the blue sea",
    "night": "a starry night sky",
    "desert": "desert dunes",
    "snow": "snowy hills",
    "sunset": "a sunset sky",
    "bricks": "a brick wall",
    "forest": "a dark forest",
    "checker": "a checkered floor",
    "planks": "wooden planks",
    "curtain": "a purple curtain",
    "city": "a city skyline",
}
SUBJECTS = (
    "ball",
    "square",
    "triangle",
    "star",
    "heart",
    "ring",
    "cross",
    "arrow",
    "house",
    "fish",
    "flower",
    "crescent",
)
assert set(PLACES) == set(BACKGROUNDS)


@dataclass(frozen=True)
class Scene:
    """What a scene shows.

    Args:
        background: Key of ``PLACES``.
        subject: One of ``SUBJECTS``; None shows the place alone.
        colour: Key of ``COLOURS``: the subject's.
        many: Three subjects instead of one.
        motion: How the subject moves.
        seed: Decides everything else: size, path, tilt, texture.
    """

    background: str
    subject: str | None = None
    colour: str = "red"
    many: bool = False
    motion: Motion = "sideways"
    seed: int = 0

    @property
    def caption(self) -> str:
        """What is seen, in words: ``a red ball over a green field``."""
        place = PLACES[self.background]
        if self.subject is None:
            return place
        if not self.many:
            article = "an" if self.colour[0] in "aeiou" else "a"
            return f"{article} {self.colour} {self.subject} over {place}"
        return f"{self.colour} {plural(self.subject)} over {place}"


def plural(subject: str) -> str:
    """English plural of a subject's name."""
    if subject.endswith("fish"):
        return subject
    if subject.endswith("sy"):
        return f"{subject[:-1]}ies"
    return f"{subject}es" if subject.endswith(("s", "x")) else f"{subject}s"


def random_scene(rng: np.random.Generator, background: str | None = None) -> Scene:
    """Any scene of the vocabulary; one in twelve shows a place alone, one in four three subjects."""
    return Scene(
        background=background or str(rng.choice(list(PLACES))),
        subject=None if rng.random() < 1 / 12 else str(rng.choice(SUBJECTS)),
        colour=str(rng.choice(list(COLOURS))),
        many=bool(rng.random() < 0.25),
        motion=MOTIONS[rng.integers(len(MOTIONS))],
        seed=int(rng.integers(2**31)),
    )


def scene_frames(scene: Scene, fps: float, seconds: float, size: tuple[int, int]) -> Iterator[Picture]:
    """The scene's frames, RGB ``[height, width, 3]``.

    Subjects stay in the middle square of the frame, so that a model that sees only that sees them.

    Args:
        size: Width and height in pixels.
    """
    stage = Stage.of(scene, size)
    count = round(fps * seconds)
    for index in range(count):
        yield stage.frame(index / max(count - 1, 1))


@dataclass
class Stage:
    """A scene with everything its seed decides; draws any moment of it.

    Args:
        backdrop: Background, larger than the frame by the way the camera drifts.
        spots: Place of each subject from the middle, in short edges of the frame: x, y, radius; and tilt in radians.
    """

    scene: Scene
    size: tuple[int, int]
    backdrop: Picture
    spots: list[tuple[float, float, float, float]]
    direction: float
    drift: tuple[float, float] = field(default=(1.0, 0.0))

    @classmethod
    def of(cls, scene: Scene, size: tuple[int, int], backdrop: Picture | None = None) -> "Stage":
        rng = np.random.default_rng(scene.seed)
        width, height = size
        if backdrop is None:
            backdrop = draw_background(scene.background, round(width * 1.1), round(height * 1.1), scene.seed)
        angle = rng.uniform(0, 2 * np.pi)
        drift = (0.5 + 0.5 * float(np.cos(angle)), 0.5 + 0.5 * float(np.sin(angle)))
        return cls(scene, size, backdrop, _spots(scene, rng), float(rng.choice([-1.0, 1.0])), drift)

    def frame(self, moment: float) -> Picture:
        """The picture at ``moment``, from 0 (the scene's start) to 1 (its end)."""
        width, height = self.size
        room = (self.backdrop.shape[1] - width, self.backdrop.shape[0] - height)
        left, top = (
            round(space * (0.5 + (share - 0.5) * moment)) for space, share in zip(room, self.drift, strict=True)
        )
        picture = self.backdrop[top : top + height, left : left + width].copy()
        if self.scene.subject is not None:
            for x, y, radius, tilt in self.spots:
                dx, dy, grow, turn = _moved(self.scene.motion, moment, self.direction)
                scale = min(width, height)
                centre = (width / 2 + (x + dx) * scale, height / 2 + (y + dy) * scale)
                draw_subject(picture, self.scene.subject, self.scene.colour, centre, radius * grow * scale, tilt + turn)
        return picture


def _spots(scene: Scene, rng: np.random.Generator) -> list[tuple[float, float, float, float]]:
    def spot(x: float, y: float, radius: float) -> tuple[float, float, float, float]:
        return x + rng.uniform(-0.05, 0.05), y + rng.uniform(-0.05, 0.05), radius, rng.uniform(-0.25, 0.25)

    if not scene.many:
        return [spot(rng.uniform(-0.08, 0.08), rng.uniform(-0.06, 0.06), rng.uniform(0.2, 0.28))]
    radius, side = rng.uniform(0.13, 0.16), rng.choice([-1.0, 1.0])
    return [spot(x, side * y, radius) for x, y in ((-0.22, -0.15), (0.22, -0.15), (0.0, 0.2))]


def _moved(motion: Motion, moment: float, direction: float) -> tuple[float, float, float, float]:
    """Shift in short edges of the frame, scale and turn at a moment from 0 to 1."""
    swing = (moment - 0.5) * direction
    if motion == "sideways":
        return 0.22 * swing, 0.0, 1.0, 0.0
    if motion == "rising":
        return 0.0, -0.2 * swing, 1.0, 0.0
    if motion == "circling":
        angle = 2 * np.pi * moment * direction
        return 0.08 * float(np.cos(angle)), 0.08 * float(np.sin(angle)), 1.0, 0.0
    if motion == "growing":
        return 0.0, 0.0, 1.0 + 0.25 * swing, 0.0
    if motion == "bouncing":
        return 0.15 * swing, 0.09 - 0.18 * abs(float(np.sin(3 * np.pi * moment))), 1.0, 0.2 * swing
    return 0.0, 0.0, 1.0, 0.0


def draw_subject(
    picture: Picture, subject: str, colour: str, centre: tuple[float, float], radius: float, tilt: float
) -> None:
    """Draw a subject into the picture, with an outline so that it shows on a background of its own colour."""
    import cv2

    fill = COLOURS[colour]
    outline = (30, 30, 34) if sum(fill) > 500 else (240, 240, 240)
    turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])

    def placed(points: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
        return np.round((points @ turn.T * radius + centre) * 16).astype(np.int32)

    contours = [placed(points) for points in _outline(subject)]
    cv2.fillPoly(picture, contours, fill, cv2.LINE_AA, shift=4)
    thickness = max(1, round(radius * 0.06))
    cv2.polylines(picture, contours, True, outline, thickness, cv2.LINE_AA, shift=4)
    for points in _details(subject):
        cv2.fillPoly(picture, [placed(points)], outline, cv2.LINE_AA, shift=4)


@cache
def _outline(subject: str) -> list[npt.NDArray[np.float64]]:
    """Contours of a subject in a circle of radius 1, y down; a contour inside another is a hole."""
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    match subject:
        case "ball":
            return [circle]
        case "square":
            return [_points(-0.8, -0.8, 0.8, -0.8, 0.8, 0.8, -0.8, 0.8)]
        case "triangle":
            return [_points(0, -1, 0.95, 0.75, -0.95, 0.75)]
        case "star":
            spokes = np.arange(10) * np.pi / 5 - np.pi / 2
            length = np.where(np.arange(10) % 2, 0.42, 1.05)
            return [np.stack([np.cos(spokes), np.sin(spokes)], axis=1) * length[:, None]]
        case "heart":
            x = np.sin(angles) ** 3
            y = -(13 * np.cos(angles) - 5 * np.cos(2 * angles) - 2 * np.cos(3 * angles) - np.cos(4 * angles)) / 16
            return [np.stack([x, y], axis=1)]
        case "ring":
            return [circle, circle * 0.58]
        case "cross":
            t = 0.3
            return [_points(-t, -1, t, -1, t, -t, 1, -t, 1, t, t, t, t, 1, -t, 1, -t, t, -1, t, -1, -t, -t, -t)]
        case "arrow":
            return [_points(-1, -0.24, 0.1, -0.24, 0.1, -0.7, 1.05, 0, 0.1, 0.7, 0.1, 0.24, -1, 0.24)]
        case "house":
            return [_points(0, -1, 1, -0.15, 0.75, -0.15, 0.75, 0.85, -0.75, 0.85, -0.75, -0.15, -1, -0.15)]
        case "fish":
            body = circle[4:45] * (0.9, 0.58)
            return [np.concatenate([body, _points(1.15, 0.62, 1.15, -0.62)]) * (-1, 1)]
        case "flower":
            return [circle * (0.72 + 0.3 * np.cos(6 * angles))[:, None]]
        case "crescent":
            outer = np.linspace(0.25 * np.pi, 1.75 * np.pi, 36)
            inner = outer[::-1]
            dent = np.stack([np.cos(inner) * 0.72 + 0.42, np.sin(inner) * 0.78], axis=1)
            return [np.concatenate([np.stack([np.cos(outer), np.sin(outer)], axis=1), dent])]
    raise KeyError(subject)


def _details(subject: str) -> list[npt.NDArray[np.float64]]:
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    dot = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    if subject == "flower":
        return [dot * 0.3]
    if subject == "fish":
        return [dot * 0.09 + (0.45, -0.1)]
    if subject == "house":
        return [_points(-0.18, 0.85, -0.18, 0.3, 0.18, 0.3, 0.18, 0.85)]
    return []


def _points(*values: float) -> npt.NDArray[np.float64]:
    return np.array(values, dtype=np.float64).reshape(-1, 2)
