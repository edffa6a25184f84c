"""The kinds of clips that scene detection is chosen, measured and tested by.

Each kind of clip asks one question: is this hard cut found, is that flash left alone? Everything follows from a seed;
two seeds share no picture, so that what is tuned on one can be measured on another.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from thatdam_pipelines.samples import shots
from thatdam_pipelines.samples.known_clips import CLOCK, Boundary, KnownClip
from thatdam_pipelines.samples.shots import SIZE, Camera, Picture, Rng, Shot

Rate = int | str
RATES: tuple[Rate, ...] = (25, 30, 60, "vfr")
"""Frames a second; ``vfr`` is a phone: about 30, down to 12 in the dark, with frames dropped."""

TUNING_SEEDS, HELD_OUT_SEEDS = (1, 2, 3, 4, 101, 102), (301, 302)
"""Every limit was chosen on the first; every figure that is told is measured on the others."""

Effect = Callable[[Picture, int, float], Picture]


def known_clips(
    seed: int, kinds: Sequence[str] | None = None, rates: Sequence[Rate] = RATES, seconds: float = 12.0
) -> Iterator[KnownClip]:
    """One clip of every kind at every rate, about ``seconds`` long, all from ``seed``."""
    for kind in kinds or KINDS:
        for rate in rates:
            rng = np.random.default_rng([seed, list(KINDS).index(kind), 0 if rate == "vfr" else int(rate)])
            yield KINDS[kind](kind, rate, rng, seconds)


def _times(rate: Rate, seconds: float, rng: Rng) -> tuple[float, ...]:
    if rate != "vfr":
        return tuple(index / int(rate) for index in range(int(seconds * int(rate))))
    times, now = [], 0.0
    while now < seconds:
        slow = rng.choice([1, 1, 1, 1.6, 2.5])
        for _ in range(int(rng.integers(10, 40))):
            times.append(round(now * CLOCK) / CLOCK)
            now += slow / 30 * rng.uniform(0.85, 1.15) * rng.choice([1, 2, 3], p=[0.96, 0.03, 0.01])
    return tuple(time for time in times if time < seconds)


def _camera(rng: Rng) -> Camera:
    zoom = float(rng.uniform(0.8, 1.6))
    manner = rng.choice(["still", "hand", "hand", "pan", "zoom"])
    if manner == "still":
        return shots.still(rng, zoom)
    if manner == "pan":
        return shots.pan(rng, zoom=zoom)
    return shots.zooming(rng) if manner == "zoom" else shots.handheld(rng, zoom, float(rng.choice([0.5, 1, 2])))


def _restless(rng: Rng) -> Camera:
    """A camera that walks, runs or pans fast."""
    if rng.random() < 0.5:
        return shots.pan(rng, (0.3, 1.0))
    return shots.handheld(rng, 1.2, float(rng.uniform(3, 6)))


def _shot(rng: Rng, place: Picture | None = None, *, grey: bool = False, contrast: float = 1.0) -> Shot:
    passers = tuple(shots.passer(rng, (0.1, 0.5), (0.05, 0.5)) for _ in range(rng.integers(0, 4)))
    scene = shots.place(rng, contrast=contrast) if place is None else place
    return Shot(scene, _camera(rng), passers, grey=grey)


def _marks(rng: Rng, times: Sequence[float], shortest: float, longest: float, margin: float = 0.8) -> list[int]:
    """Frame indices ``shortest`` to ``longest`` seconds apart, none within ``margin`` of either end."""
    marks, now = [], margin + float(rng.uniform(0, longest - shortest))
    while now < times[-1] - margin:
        marks.append(int(np.searchsorted(times, now)))
        now = times[marks[-1]] + float(rng.uniform(shortest, longest))
    return marks


def _noise(rng: Rng, sigma: float) -> Effect:
    bank = rng.normal(0, sigma, (SIZE[1] * 3, SIZE[0] * 3, 3)).astype(np.float32)

    def add(picture: Picture, index: int, _: float) -> Picture:
        y, x = (index * 7919) % (SIZE[1] * 2), (index * 104_729) % (SIZE[0] * 2)
        return picture + bank[y : y + SIZE[1], x : x + SIZE[0]]

    return add


def _bars(rng: Rng) -> Effect:
    """Black bars: a wide film in a 16:9 picture, or an upright one."""
    inside = np.zeros((SIZE[1], SIZE[0], 1), np.float32)
    if rng.random() < 0.5:
        inside[24:-24] = 1
    else:
        inside[:, 108:-108] = 1
    return lambda picture, _, __: picture * inside


def _flashes(rng: Rng, times: Sequence[float], marks: Sequence[int]) -> Effect:
    """Camera flashes at the frames: 1 to 4 frames each, alone or in bursts, over the whole picture or a band of it."""
    lit: dict[int, tuple[float, slice]] = {}
    for mark in marks:
        start = mark
        for _ in range(int(rng.choice([1, 1, 2, 3, 5]))):
            length = int(rng.integers(1, 5))
            band = slice(None) if rng.random() < 0.75 else slice(int(rng.integers(20, 110)), None)
            power = float(rng.uniform(0.35, 1.0))
            for step in range(length):
                lit[start + step] = (power * float(rng.uniform(0.6, 1) if step else 1), band)
            start += length + int(rng.integers(2, 12))

    def add(picture: Picture, index: int, _: float) -> Picture:
        if index in lit:
            power, band = lit[index]
            picture[band] = picture[band] * (1 + 2.5 * power) + 120 * power
        return picture

    return add


def _clip(
    kind: str,
    rate: Rate,
    rng: Rng,
    times: tuple[float, ...],
    takes: Sequence[Shot],
    boundaries: Sequence[Boundary],
    effects: Sequence[Effect],
    white: bool = False,
) -> KnownClip:
    ghost = np.float32(245 if white else 4)
    crf = int(rng.choice([23, 28, 33]))

    def picture(index: int) -> npt.NDArray[np.uint8]:
        time_s = times[index]
        number = sum(time_s >= boundary.end_s for boundary in boundaries)
        pixels = takes[number].render(time_s)
        if number < len(boundaries) and time_s >= boundaries[number].start_s:
            edge = boundaries[number]
            part = np.float32((time_s - edge.start_s) / (edge.end_s - edge.start_s))
            after = takes[number + 1].render(time_s)
            if edge.kind == "dissolve":
                pixels = pixels * (1 - part) + after * part
            else:
                cover = min(np.float32(1), max(np.float32(0), 2.4 * abs(part - np.float32(0.5)) - np.float32(0.2)))
                pixels = (pixels if part < 0.5 else after) * cover + ghost * (1 - cover)
        for effect in effects:
            pixels = effect(pixels, index, time_s)
        return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)

    return KnownClip(f"{kind}-{rate}", kind, times, tuple(boundaries), crf, picture)


def _cuts(
    kind: str,
    rate: Rate,
    rng: Rng,
    seconds: float,
    *,
    apart: tuple[float, float] = (0.9, 3.0),
    grey: bool = False,
    contrast: float = 1.0,
    noise: float = 2.0,
    dark: bool = False,
    bars: bool = False,
    similar: bool = False,
    flashes: bool = False,
    moving: bool = False,
) -> KnownClip:
    times = _times(rate, seconds, rng)
    marks = _marks(rng, times, *apart, margin=min(0.8, apart[0]))
    scene = shots.place(rng) if similar else None
    takes = [_shot(rng, scene, grey=grey, contrast=contrast) for _ in range(len(marks) + 1)]
    if similar:
        takes = _reframed(rng, takes)
    if moving:
        takes = [Shot(take.place, _restless(rng), take.passers, blur_s=0.01) for take in takes]
    effects: list[Effect] = []
    if dark:
        gain = float(rng.uniform(0.05, 0.14))
        effects.append(lambda picture, _, __: picture * np.float32(gain) + 2)
    if bars:
        effects.append(_bars(rng))
    if flashes:
        between = [(a + b) // 2 for a, b in zip([0, *marks], [*marks, len(times)], strict=True)]
        effects.append(_flashes(rng, times, between))
    effects.append(_noise(rng, noise))
    edges = [Boundary("cut", times[mark], times[mark]) for mark in marks]
    return _clip(kind, rate, rng, times, takes, edges, effects)


def _reframed(rng: Rng, takes: list[Shot]) -> list[Shot]:
    """The same place from one set-up after another: wide, close, to the side; never almost the same frame."""
    views = [(480.0, 270.0, 0.75), (360.0, 240.0, 1.4), (600.0, 300.0, 1.3), (480.0, 200.0, 2.0), (300.0, 330.0, 1.0)]
    order = rng.permutation(len(views))
    result = []
    for number, take in enumerate(takes):
        x, y, zoom = views[order[number % len(views)]]
        sway = shots.handheld(rng, zoom, float(rng.choice([0.0, 0.5, 1.0])))
        origin = sway(0.0)

        def camera(
            time_s: float, sway: Camera = sway, dx: float = x - origin.x, dy: float = y - origin.y
        ) -> shots.View:
            view = sway(time_s)
            return shots.View(view.x + dx, view.y + dy, view.zoom, view.roll_deg)

        result.append(Shot(take.place, camera, take.passers))
    return result


def _gradual(kind: str, rate: Rate, rng: Rng, seconds: float, *, edge: str, white: bool = False) -> KnownClip:
    times = _times(rate, seconds * 1.5, rng)
    edges: list[Boundary] = []
    now = float(rng.uniform(1.5, 2.5))
    while True:
        length = float(rng.uniform(0.5, 2.0))
        if now + length > times[-1] - 1.2:
            break
        edges.append(Boundary(edge, now, now + length))
        now += length + float(rng.uniform(1.5, 3.0))
    takes = [_shot(rng) for _ in range(len(edges) + 1)]
    return _clip(kind, rate, rng, times, takes, edges, [_noise(rng, 2.0)], white)


def _one_take(
    kind: str, rate: Rate, rng: Rng, seconds: float, make: Callable[[Rng, Sequence[float]], tuple[Shot, list[Effect]]]
) -> KnownClip:
    times = _times(rate, seconds, rng)
    take, effects = make(rng, times)
    return _clip(kind, rate, rng, times, [take], [], effects)


def _flashing(rng: Rng, times: Sequence[float]) -> tuple[Shot, list[Effect]]:
    return _shot(rng), [_flashes(rng, times, _marks(rng, times, 0.8, 2.5)), _noise(rng, 2.0)]


def _whipping(rng: Rng, times: Sequence[float]) -> tuple[Shot, list[Effect]]:
    starts = [times[mark] for mark in _marks(rng, times, 1.0, 2.5)]
    return Shot(shots.place(rng, 2880, 540), shots.whips(rng, starts), blur_s=0.015), [_noise(rng, 2.0)]


def _panning(rng: Rng, times: Sequence[float]) -> tuple[Shot, list[Effect]]:
    return Shot(shots.place(rng, 2880, 540), shots.pan(rng, (0.3, 1.5)), blur_s=0.012), [_noise(rng, 2.0)]


def _shaking(rng: Rng, times: Sequence[float]) -> tuple[Shot, list[Effect]]:
    return Shot(shots.place(rng), shots.handheld(rng, 1.2, float(rng.uniform(3, 8)))), [_noise(rng, 2.0)]


def _crossed(rng: Rng, times: Sequence[float]) -> tuple[Shot, list[Effect]]:
    passers = tuple(shots.passer(rng, (0.6, 1.4), (0.5, 2.0)) for _ in range(3))
    return Shot(shots.place(rng), shots.handheld(rng), passers), [_noise(rng, 2.0)]


def _zoomed(rng: Rng, times: Sequence[float]) -> tuple[Shot, list[Effect]]:
    centre = shots.still(rng)(0.0)

    def camera(time_s: float) -> shots.View:
        return shots.View(centre.x, centre.y, 1.6 + 0.9 * float(np.sin(1.3 * time_s)) ** 3)

    return Shot(shots.place(rng), camera), [_noise(rng, 2.0)]


def _lit(rng: Rng, times: Sequence[float]) -> tuple[Shot, list[Effect]]:
    """Sun and clouds: gains of up to 2.2 that come or go within 0.3 to 2 s, warmer when bright."""
    changes = [
        (times[mark], float(rng.uniform(0.3, 2.0)), float(rng.uniform(1.3, 2.2)))
        for mark in _marks(rng, times, 1.5, 4.0)
    ]
    warm = np.array([1.05, 1.0, 0.92], np.float32)

    def light(time_s: float) -> npt.NDArray[np.float32]:
        gain, way = 0.0, 1
        for start, length, strength in changes:
            gain += way * np.log(strength) * min(1.0, max(0.0, (time_s - start) / length))
            way = -way
        return np.float32(0.7 * np.exp(gain)) * warm ** np.float32(gain)

    return Shot(shots.place(rng), _camera(rng), light=light), [_noise(rng, 2.0)]


def _held(rng: Rng, times: Sequence[float]) -> tuple[Shot, list[Effect]]:
    """Fewer pictures than frames, as of a webcam: each is shown for 2 to 4 frames."""
    hold = int(rng.integers(2, 5))
    inner = shots.pan(rng, (0.1, 0.6))
    starts = np.asarray(times)

    def camera(time_s: float) -> shots.View:
        return inner(float(starts[int(np.searchsorted(starts, time_s)) // hold * hold]))

    return Shot(shots.place(rng, 1920, 540), camera), []


def _switched(rng: Rng, times: Sequence[float]) -> tuple[Shot, list[Effect]]:
    """A lamp that is switched on and off."""
    marks = [times[mark] for mark in _marks(rng, times, 1.5, 4.0)]
    gain = float(rng.uniform(1.4, 2.2))
    warm = np.array([1.1, 1.0, 0.85], np.float32)

    def light(time_s: float) -> npt.NDArray[np.float32]:
        return (
            np.float32(0.7 * gain) * warm if sum(time_s >= mark for mark in marks) % 2 else np.full(3, 0.7, np.float32)
        )

    return Shot(shots.place(rng), shots.handheld(rng), light=light), [_noise(rng, 2.0)]


def _quiet(rng: Rng, times: Sequence[float]) -> tuple[Shot, list[Effect]]:
    gain = np.float32(rng.choice([0.05, 0.1, 0.3, 1.0]))
    return Shot(shots.place(rng), shots.still(rng)), [
        lambda picture, _, __: picture * gain + 3,
        _noise(rng, float(rng.uniform(3, 12))),
    ]


def _cuts_kind(**options: object) -> Callable[[str, Rate, Rng, float], KnownClip]:
    return lambda kind, rate, rng, seconds: _cuts(kind, rate, rng, seconds, **options)  # type: ignore[arg-type]


def _one_take_kind(
    make: Callable[[Rng, Sequence[float]], tuple[Shot, list[Effect]]],
) -> Callable[[str, Rate, Rng, float], KnownClip]:
    return lambda kind, rate, rng, seconds: _one_take(kind, rate, rng, seconds, make)


KINDS: dict[str, Callable[[str, Rate, Rng, float], KnownClip]] = {
    "cuts": _cuts_kind(),
    "similar cuts": _cuts_kind(similar=True),
    "fast cuts": _cuts_kind(apart=(0.4, 0.9)),
    "grey cuts": _cuts_kind(grey=True, contrast=0.6),
    "dark cuts": _cuts_kind(dark=True, noise=3.0),
    "letterbox cuts": _cuts_kind(bars=True),
    "flashes and cuts": _cuts_kind(apart=(2.0, 3.5), flashes=True),
    "short": lambda kind, rate, rng, _: _cuts(kind, rate, rng, 2.0, apart=(0.7, 1.2)),
    "dissolve": lambda kind, rate, rng, seconds: _gradual(kind, rate, rng, seconds, edge="dissolve"),
    "fade": lambda kind, rate, rng, seconds: _gradual(kind, rate, rng, seconds, edge="fade"),
    "white fade": lambda kind, rate, rng, seconds: _gradual(kind, rate, rng, seconds, edge="fade", white=True),
    "flash": _one_take_kind(_flashing),
    "whip pan": _one_take_kind(_whipping),
    "fast pan": _one_take_kind(_panning),
    "handheld": _one_take_kind(_shaking),
    "crossing": _one_take_kind(_crossed),
    "zoom": _one_take_kind(_zoomed),
    "light": _one_take_kind(_lit),
    "static": _one_take_kind(_quiet),
    "moving cuts": _cuts_kind(moving=True),
    "held frames": _one_take_kind(_held),
    "lamp": _one_take_kind(_switched),
}
"""How each kind of clip is made. Those named after cuts, dissolves and fades have boundaries, and ``short``."""
