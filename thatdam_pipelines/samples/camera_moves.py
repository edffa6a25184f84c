"""Clips whose camera move is known, and whether a subject moves: made from the shots that scenes are tested with."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thatdam_pipelines.samples import shots
from thatdam_pipelines.samples.known_clips import KnownClip
from thatdam_pipelines.samples.shots import SIZE, Camera, Rng, Shot, View

MOVES = ("static", "pan", "tilt", "zoom", "shaky")
RATES = (24, 25, 30, 50)
IN_FOCUS, OUT_OF_FOCUS = ("leaves", "landscape", "rooms"), ("soft",)
"""Manners of places in which there is something to follow, and in which there is hardly anything."""

_PLACE = (1280, 800)


@dataclass(frozen=True)
class KnownMove:
    """A clip with one camera move from its beginning to its end.

    Args:
        clip: None where only the truth is wanted.
        camera: One of ``MOVES``.
        direction: left, right, up, down, in, out; None of a camera that stays or shakes.
        subject: Whether something moves in front of it.
    """

    clip: KnownClip | None
    camera: str
    direction: str | None
    subject: bool


def known_moves(seed: int, seconds: float = 4.0, manners: Sequence[str] = IN_FOCUS) -> Iterator[KnownMove]:
    """One clip of every move, with a subject and without, at a rate of its own."""
    for number, move in enumerate(MOVES):
        for subject in (False, True):
            yield known_move(seed * 100 + 2 * number + subject, move, seconds, subject=subject, manners=manners)


def known_move(
    seed: int, move: str, seconds: float = 4.0, *, subject: bool = False, manners: Sequence[str] = IN_FOCUS
) -> KnownMove:
    """A clip of one of ``MOVES``, with one or two things that cross the picture when there is a ``subject``."""
    rng = np.random.default_rng(seed)
    rate = int(rng.choice(RATES))
    camera, direction = _camera(rng, move)
    passers = tuple(shots.passer(rng, (0.25, 0.5), (0.08, 0.4)) for _ in range(int(rng.integers(1, 3))))
    shot = Shot(shots.place(rng, *_PLACE, manners=manners), camera, passers if subject else (), blur_s=0.008)
    noise, noise_seed = float(rng.uniform(0, 4)), int(rng.integers(1 << 30))

    def picture(index: int) -> npt.NDArray[np.uint8]:
        grain = np.random.default_rng([noise_seed, index]).normal(0, noise, (SIZE[1], SIZE[0], 3))
        return np.clip(shot.render(index / rate) + grain, 0, 255).astype(np.uint8)

    times = tuple(index / rate for index in range(int(seconds * rate)))
    name = f"{move}{' with a subject' if subject else ''}"
    clip = KnownClip(name, move, times, (), int(rng.integers(20, 28)), picture)
    return KnownMove(clip, move, direction, subject)


def _camera(rng: Rng, move: str) -> tuple[Camera, str | None]:
    x, y, zoom = _PLACE[0] / 2 + rng.uniform(-60, 60), _PLACE[1] / 2 + rng.uniform(-60, 60), rng.uniform(0.9, 1.5)
    way = int(rng.choice([-1, 1]))
    if move == "shaky":
        return shots.handheld(rng, zoom, float(rng.uniform(1, 2.5))), None
    if move == "static":
        return lambda _: View(x, y, zoom), None
    if move == "zoom":
        growth, first = way * float(rng.uniform(0.05, 0.25)), 1.0 if way > 0 else 2.2
        return lambda time_s: View(x, y, first * float(np.exp(growth * time_s))), "in" if way > 0 else "out"
    speed = way * float(rng.uniform(0.05, 0.3)) / zoom
    if move == "pan":
        return lambda time_s: View(x + speed * SIZE[0] * time_s, y, zoom), "right" if way > 0 else "left"
    return lambda time_s: View(x, y + speed * SIZE[1] * time_s, zoom), "down" if way > 0 else "up"
