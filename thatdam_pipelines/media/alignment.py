"""Temporal alignment of two clips: at what times, at what speed and in what part of the picture they show the same.

Candidate lines come from temporal Hough voting (Douze, Jegou, Schmid, "An image-based approach to video copy detection
with spatio-temporal post-filtering", IEEE Trans. Multimedia 2010): each pair of alike looks votes for an offset, at
each speed. What decides is how the pictures *change*: changes over a second, compared along the line, agree in copies
and do not in two takes of one scene, however alike their pictures are.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thatdam_pipelines.media.fingerprint import WHOLE, Box, Fingerprint
from thatdam_pipelines.media.measures import CELLS, GRID

SPEEDS = (*(float(speed) for speed in np.round(np.geomspace(0.48, 2.08, 50), 4)), 1.0)
"""Seconds of the source a second of the copy."""

ALIKE = 0.8
"""Least likeness of two looks in a matched stretch."""

GAP_S = 0.8
LEAST_S = 1.5
LAG_S = 1.0
"""Changes are over this time."""

STILL = 1.2
"""Root mean square change over ``LAG_S``, in levels of 255, below which a stretch says nothing of time."""

_LINES = 8
_COARSE = 320
_KEPT_CELLS = CELLS * 3 // 4

Floats = npt.NDArray[np.float32]
Times = npt.NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """Looks of one side of a comparison: times ``[n]`` and looks ``[n, 48]`` less their mean."""

    times_s: Times
    looks: Floats

    @classmethod
    def of(cls, times_s: Times, looks: npt.ArrayLike) -> "View":
        values = np.asarray(looks, np.float32)
        return cls(times_s, values - values.mean(axis=1, keepdims=True))

    def at(self, times_s: Times) -> Floats:
        """Looks between those it has."""
        after = np.clip(np.searchsorted(self.times_s, times_s), 1, max(1, len(self.times_s) - 1))
        if len(self.times_s) == 1:
            return np.repeat(self.looks, len(times_s), axis=0)
        before = after - 1
        span = self.times_s[after] - self.times_s[before]
        share = np.clip((times_s - self.times_s[before]) / np.maximum(span, 1e-6), 0, 1).astype(np.float32)[:, None]
        return self.looks[before] * (1 - share) + self.looks[after] * share

    def changes(self) -> "View":
        """What changes from each time to ``LAG_S`` later: what lies still over the picture is not in it."""
        later = self.times_s[self.times_s <= self.times_s[-1] - LAG_S]
        return View(later, self.at(later + LAG_S) - self.looks[: len(later)])

    def thinned(self, most: int) -> "View":
        step = -(-len(self.times_s) // most)
        return View(self.times_s[::step], self.looks[::step])


@dataclass(frozen=True)
class Alignment:
    """Where a copy shows its source.

    Args:
        start_s: Of the stretch in the copy.
        end_s: Its end.
        offset_s: Time in the source of time 0 of the copy.
        speed: Seconds of the source a second of the copy.
        likeness: Median cosine of looks, in the stretch, without the quarter of the cells that differ most.
        agreement: Cosine of changes in the stretch, likewise.
        activity: Root mean square of these changes, in levels of 255.
        mirrored: Left and right are swapped.
        box: Part of the source that the copy shows.
    """

    start_s: float
    end_s: float
    offset_s: float
    speed: float
    likeness: float
    agreement: float
    activity: float
    mirrored: bool = False
    box: Box = WHOLE

    @property
    def source_s(self) -> tuple[float, float]:
        """The stretch in the source."""
        return self.offset_s + self.speed * self.start_s, self.offset_s + self.speed * self.end_s


def mirrored(looks: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Looks ``[n, 48]`` with left and right swapped."""
    return looks.reshape(-1, GRID[1], GRID[0])[:, :, ::-1].reshape(-1, CELLS)


def align(copy: View, source: View) -> Alignment | None:
    """The line on which ``source`` agrees best with ``copy``, if there is any.

    Args:
        copy: Dense looks: it is interpolated.
        source: Looks at any times, a second apart or less.
    """
    if len(copy.times_s) < 2 or len(source.times_s) < 2:
        return None
    few = source.thinned(_COARSE)
    best: tuple[float, float, float] | None = None
    for speed, offset_s in _lines(copy, few):
        for tried_s in np.arange(offset_s - 0.75, offset_s + 0.76, 0.25):
            score = _score(copy, few, speed, float(tried_s))
            if best is None or score > best[0]:
                best = (score, speed, float(tried_s))
    if best is None or best[0] <= 0:
        return None
    _, speed, offset_s = _refined(copy, few, *best)
    return stretch(copy, source, speed, offset_s)


def _lines(copy: View, source: View) -> list[tuple[float, float]]:
    """Speeds and offsets that most alike looks vote for."""
    few = copy.thinned(_COARSE)
    votes_of = [_votes(few, source), _votes(few.changes(), source.changes())]
    lines = [line for times in votes_of if len(times[0]) for line in _most_voted(*times)]
    return list(dict.fromkeys(lines))


def _votes(copy: View, source: View) -> tuple[Times, Times, Floats]:
    """Times in the copy, times in the source, and weights of the looks that are most alike."""
    if not len(copy.times_s) or not len(source.times_s):
        return np.zeros(0), np.zeros(0), np.zeros(0, np.float32)
    alike = _unit(copy.looks) @ _unit(source.looks).T
    top = alike.max(axis=1, keepdims=True)
    voters, voted = np.nonzero((alike >= top - 0.02) & (alike >= 0.5))
    weights = 1.0 / np.bincount(voters, minlength=len(copy.times_s))[voters]
    return copy.times_s[voters], source.times_s[voted], weights.astype(np.float32)


def _most_voted(copy_s: Times, source_s: Times, weights: Floats) -> list[tuple[float, float]]:
    found: list[tuple[float, float, float]] = []
    for speed in SPEEDS:
        offsets = source_s - speed * copy_s
        bins = np.floor(offsets / 0.5).astype(int)
        low = int(bins.min())
        votes = np.bincount(bins - low, weights)
        both = votes + np.pad(votes, (0, 1))[1:]
        for at in np.argsort(-both)[:3]:
            favour = 1.15 if abs(speed - 1) < 1e-6 else 1.0
            found.append((float(both[at]) * favour, speed, (at + low + 1) * 0.5))
    found.sort(key=lambda line: -line[0])
    normal = [line for line in found if line[1] == 1.0][:2]
    return [(speed, offset_s) for _, speed, offset_s in dict.fromkeys([*normal, *found[:_LINES]])]


def _score(copy: View, source: View, speed: float, offset_s: float) -> float:
    """How well changes agree on a line, the longer the better; -1 where the clips do not meet."""
    pairs = _pairs(copy, source, speed, offset_s)
    if pairs is None:
        return -1.0
    ours, theirs, overlap_s = pairs
    product = float((ours * theirs).sum())
    power = float((ours * ours).sum()) * float((theirs * theirs).sum())
    noise = CELLS * len(ours) * (STILL / 3) ** 2
    return product / (power**0.5 + noise) * min(1.0, overlap_s / 6.0) ** 0.5


def _pairs(
    copy: View, source: View, speed: float, offset_s: float, within: tuple[float, float] | None = None
) -> tuple[Floats, Floats, float] | None:
    """Changes ``[pairs, 48]`` on both sides, and seconds of the copy they span."""
    start, end = within or (copy.times_s[0], copy.times_s[-1])
    at = (source.times_s - offset_s) / speed
    met = np.flatnonzero((at >= start - 1e-3) & (at <= end + 1e-3))
    if len(met) < 2:
        return None
    times = source.times_s[met]
    later = np.searchsorted(times, times + LAG_S - 0.06)
    first = np.flatnonzero(later < len(times))
    overlap_s = float(at[met[-1]] - at[met[0]])
    if not len(first) or overlap_s < LEAST_S * 0.8:
        return None
    looks = copy.at(at[met])
    ours = looks[later[first]] - looks[first]
    shown = source.looks[met]
    return ours, shown[later[first]] - shown[first], overlap_s


def _refined(copy: View, source: View, score: float, speed: float, offset_s: float) -> tuple[float, float, float]:
    """The best line near this one; the middle of the stretch stays where it is while the speed is tried."""
    best = (score, speed, offset_s)
    middle = (copy.times_s[0] + copy.times_s[-1]) / 2
    for moved_s in (-0.12, -0.06, 0.06, 0.12):
        found = _score(copy, source, speed, offset_s + moved_s)
        if found > best[0]:
            best = (found, speed, offset_s + moved_s)
    for reach in (0.016, 0.008, 0.004, 0.002):
        _, speed, offset_s = best
        for faster in (-reach, 0.0, reach):
            for moved_s in (-6 * reach, 0.0, 6 * reach):
                tried = speed * (1 + faster)
                tried_s = offset_s + (speed - tried) * middle + moved_s
                found = _score(copy, source, tried, tried_s)
                if found > best[0]:
                    best = (found, tried, tried_s)
    # A speed that is nearly 1 is 1, unless that is much worse.
    if best[1] != 1.0 and abs(best[1] - 1) < 0.1:
        exact_s = best[2] + (best[1] - 1) * middle
        plain = max((_score(copy, source, 1.0, exact_s + m), 1.0, exact_s + m) for m in np.arange(-0.3, 0.31, 0.03))
        lasted = max(1.0, min(copy.times_s[-1] - copy.times_s[0], source.times_s[-1] - source.times_s[0]))
        if plain[0] >= best[0] - 0.02 - 0.1 / lasted:
            return plain
    return best


def stretch(copy: View, source: View, speed: float, offset_s: float) -> Alignment | None:
    """The longest stretch of a line in which looks are alike."""
    at = (source.times_s - offset_s) / speed
    met = np.flatnonzero((at >= copy.times_s[0] - 0.13) & (at <= copy.times_s[-1] + 0.13))
    if len(met) < 2:
        return None
    ours, theirs = copy.at(at[met]), source.looks[met]
    cells = _steady_cells(ours, theirs)
    likeness = (_unit(ours[:, cells]) * _unit(theirs[:, cells])).sum(axis=1)
    plain = np.minimum(_power(ours), _power(theirs)) < 6.0
    good = np.flatnonzero((likeness >= ALIKE) | plain)
    if not len(good):
        return None
    spacing = float(np.median(np.diff(at[met])))
    gaps = np.flatnonzero(np.diff(at[met][good]) > max(GAP_S, 2.5 * spacing))
    edges = [0, *(gaps + 1), len(good)]
    first, last = max(itertools.pairwise(edges), key=lambda run: at[met][good[run[1] - 1]] - at[met][good[run[0]]])
    run = slice(good[first], good[last - 1] + 1)
    start_s, end_s = float(at[met][run][0]), float(at[met][run][-1])
    if end_s - start_s < LEAST_S * 0.6:
        return None
    agreement, activity = _agreement(copy, source, speed, offset_s, (start_s, end_s), cells)
    told = likeness[run][~plain[run]]
    return Alignment(
        start_s=max(0.0, start_s),
        end_s=end_s,
        offset_s=offset_s,
        speed=speed,
        likeness=float(np.median(told)) if len(told) else 0.0,
        agreement=agreement,
        activity=activity,
    )


def _agreement(
    copy: View,
    source: View,
    speed: float,
    offset_s: float,
    within: tuple[float, float],
    cells: npt.NDArray[np.intp],
) -> tuple[float, float]:
    pairs = _pairs(copy, source, speed, offset_s, within)
    if pairs is None:
        return 0.0, 0.0
    ours, theirs = pairs[0][:, cells], pairs[1][:, cells]
    activity = float(min(np.sqrt((ours**2).mean()), np.sqrt((theirs**2).mean())))
    power = float((ours * ours).sum()) * float((theirs * theirs).sum())
    return float((ours * theirs).sum()) / (power**0.5 + 1e-6), activity


def _steady_cells(ours: Floats, theirs: Floats) -> npt.NDArray[np.intp]:
    """The three quarters of the cells that differ least: the others may lie under a logo, a caption or a border."""
    gain = _power(ours)[:, None] / np.maximum(_power(theirs)[:, None], 1e-6)
    differences = np.abs(ours - theirs * gain).mean(axis=0)
    return np.sort(np.argsort(differences, kind="stable")[:_KEPT_CELLS])


def _power(looks: Floats) -> Floats:
    return np.asarray(np.sqrt((looks**2).mean(axis=1)), np.float32)


def _unit(looks: Floats) -> Floats:
    centred = looks - looks.mean(axis=1, keepdims=True)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6)


def sides(copy: Fingerprint, source: Fingerprint, *, flipped: bool, box: Box) -> tuple[View, View]:
    """Both clips as they are compared when ``copy`` shows ``box`` of ``source``."""
    looks = mirrored(copy.looks) if flipped else copy.looks
    if box.is_whole:
        return View.of(copy.look_times_s, looks), View.of(source.look_times_s, source.looks)
    return View.of(copy.look_times_s, looks), View.of(source.frame_times_s, source.looks_in(box))
