"""Gradual transitions: dissolves, where one shot shines through another, and fades through black or white."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from thatdam_pipelines.media.track import Cells, Floats, Track, Transition, places, runs, structure, weights

Ints = npt.NDArray[np.intp]


@dataclass(frozen=True)
class DissolveLimits:
    """What a dissolve must reach; chosen by benchmarks/scenes.py on its tuning seeds.

    In a dissolve every cell of the picture goes straight from the old shot's value to the new one's, at an even pace,
    and contrast dips on the way, for the mean of two unrelated pictures has less of it than either.

    Args:
        lengths_s: Lengths tried.
        distance: Least distance of the frames at its ends.
        structure: Least difference of their structure.
        dip: Least part of the contrast, as power, that is missing halfway.
        deepest: Greatest part of it that is missing anywhere; more is a fade.
        bend: Greatest root mean square distance of the frames from the straight way, by the distance of the ends.
        heading: Least cosine between a step and the straight way, but for the worst sixth of the steps.
        pace: Greatest step, by the mean step.
        unrest: Greatest distance that frames before or after go a second, by that inside.
        evidence: Weights of heading (mean), bend, dip, structure, luma change a second on the calmer side and on the
            other by that inside, and the logarithm of pace; and a constant.
    """

    lengths_s: tuple[float, ...] = (0.48, 0.64, 0.88, 1.2, 1.6, 2.08)
    distance: float = 8.0
    structure: float = 0.4
    dip: float = 0.1
    deepest: float = 0.85
    bend: float = 0.3
    heading: float = 0.25
    pace: float = 3.2
    unrest: float = 1.5
    evidence: tuple[float, ...] = (8.0, -3.3, 6.5, 6.3, -3.2, -1.1, -3.9, -9.7)


@dataclass(frozen=True)
class FadeLimits:
    """What a fade must reach.

    Args:
        blank: Contrast below which a picture shows nothing.
        depth: Contrast in the middle by the least of that on both sides, at most.
        black: Greatest mean luma of the middle of a fade through black.
        white: Least mean luma of the middle of a fade through white.
        rise: Least difference of mean luma between the middle and the shots on either side.
        side_s: Time on either side in which the shots are fully seen.
        slope_s: Least time that fading out or in takes; a flash takes none.
        bend: Greatest distance of a frame from the straight way between a shot and the blank, by its length.
    """

    blank: float = 0.012
    depth: float = 0.25
    black: float = 0.12
    white: float = 0.8
    rise: float = 0.05
    side_s: float = 1.5
    slope_s: float = 0.16
    bend: float = 0.4


_SAMPLE_S = 0.08
_CHUNK = 2048
_STRAIGHT = 2
_STILL = 0.5
_DEEPEST_DIP = 0.6
_GREATEST_CHANGE = 1.5


@dataclass(frozen=True)
class _Samples:
    """Frames of a clip at an even pace, those lit by a flash left out; ``changed`` is the luma change up to each."""

    times_s: npt.NDArray[np.float64]
    cells: Cells
    luma: Floats
    contrast: Floats
    changed: npt.NDArray[np.float64]
    weights: Floats

    @classmethod
    def of(cls, track: Track) -> "_Samples":
        lit = track.flashed()
        kept = np.flatnonzero(~lit)
        times = track.times_s[kept]
        ticks = np.arange(times[0], times[-1], _SAMPLE_S) if len(kept) else np.zeros(0)
        chosen = kept[np.searchsorted(times, ticks)] if len(kept) else kept
        cells = track.cells[chosen]
        weight = weights(cells) if len(chosen) else np.zeros(0, np.float32)
        by_flash = lit | np.concatenate([[False], lit[:-1]])
        changed = np.cumsum(np.where(by_flash, 0, track.change), dtype=np.float64)[chosen]
        return cls(ticks, cells, track.luma[chosen], track.contrast[chosen], changed, weight)

    def __len__(self) -> int:
        return len(self.times_s)


def find_gradual(track: Track, dissolves: DissolveLimits, fades: FadeLimits) -> list[Transition]:
    """Every dissolve and fade, in order; none overlaps another."""
    samples = _Samples.of(track)
    found: list[Transition] = []
    for one in [*_fades(samples, fades), *sorted(_dissolves(samples, dissolves), key=lambda one: -one.score)]:
        if all(one.end_s <= other.start_s or one.start_s >= other.end_s for other in found):
            found.append(one)
    return sorted(found, key=lambda one: one.time_s)


def _dissolves(samples: _Samples, limits: DissolveLimits) -> list[Transition]:
    found = []
    for length_s in limits.lengths_s:
        length = round(length_s / _SAMPLE_S)
        starts = _likely(samples, length, limits)
        for part in range(0, len(starts), _CHUNK):
            chosen = starts[part : part + _CHUNK]
            evidence = _evidence(samples, chosen, length, limits)
            for start, score in zip(chosen[evidence >= 0], evidence[evidence >= 0], strict=True):
                first, last = float(samples.times_s[start]), float(samples.times_s[start + length])
                found.append(Transition("dissolve", (first + last) / 2, first, last, 1 + float(score)))
    return found


def _likely(samples: _Samples, length: int, limits: DissolveLimits) -> Ints:
    """Samples from which a dissolve of ``length`` samples could start, by what its ends and its middle look like."""
    count = len(samples) - length
    if count <= 0:
        return np.zeros(0, np.intp)
    starts = np.arange(count)
    power = samples.contrast.astype(np.float32) ** 2
    dip = 1 - 2 * power[starts + length // 2] / (power[:-length] + power[length:] + 1e-9)
    starts = starts[dip >= limits.dip]
    first, last = samples.cells[starts], samples.cells[starts + length]
    starts = starts[np.sqrt(((places(first) - places(last)) ** 2).sum(axis=1)) >= limits.distance]
    built = structure(samples.cells[starts], samples.cells[starts + length], samples.weights)
    return np.asarray(starts[built >= limits.structure], np.intp)


def _evidence(samples: _Samples, starts: Ints, length: int, limits: DissolveLimits) -> Floats:
    """Weighted evidence of a dissolve from each start, minus infinity where a limit is not reached."""
    way = places(samples.cells[starts[:, None] + np.arange(length + 1)])
    along, aside = _along_and_aside(way)
    whole = way[:, -1] - way[:, 0]
    distance = np.sqrt((whole**2).sum(axis=1))
    ahead = whole / distance[:, None]
    bend = np.sqrt((aside[:, 1:-1] ** 2).mean(axis=1))
    pace = np.diff(along, axis=1).max(axis=1) * length
    stride = way[:, _STRAIGHT:] - way[:, :-_STRAIGHT]
    heading = np.einsum("nlc,nc->nl", stride, ahead) / (np.sqrt((stride**2).sum(axis=2)) + _STILL)
    steady = np.sort(heading, axis=1)[:, int(heading.shape[1] * 0.15)]
    unrest = _unrest(samples, starts, length) * length / distance
    calmer, other = _changes_outside(samples, starts, length)
    power = samples.contrast**2
    dip = 1 - 2 * power[starts + length // 2] / (power[starts] + power[starts + length] + 1e-9)
    built = structure(samples.cells[starts], samples.cells[starts + length], samples.weights)
    terms = (
        heading.mean(axis=1),
        bend,
        np.minimum(dip, _DEEPEST_DIP),
        built,
        np.minimum(calmer, _GREATEST_CHANGE),
        np.minimum(other, _GREATEST_CHANGE),
        np.log(np.maximum(pace, 1)),
        np.ones_like(bend),
    )
    evidence = sum(weight * term for weight, term in zip(limits.evidence, terms, strict=True))
    least = sliding_window_view(power, length + 1)[starts].min(axis=1)
    shown = 1 - 2 * least / (power[starts] + power[starts + length] + 1e-9) <= limits.deepest
    fits = shown & (bend <= limits.bend) & (steady >= limits.heading)
    fits &= (pace <= limits.pace) & (unrest <= limits.unrest)
    return np.where(fits, np.asarray(evidence, np.float32), -np.inf).astype(np.float32)


def _changes_outside(samples: _Samples, starts: Ints, length: int) -> tuple[Floats, Floats]:
    """Luma change a second on the calmer side of each window and on the other, by that inside.

    A side that the clip has no two samples of counts as the other does.
    """
    reach = max(3, length // 2)
    ends = starts + length
    inside = (samples.changed[ends] - samples.changed[starts]) / length + 1e-4
    rates = []
    for first, last in ((np.maximum(starts - reach, 0), starts), (ends, np.minimum(ends + reach, len(samples) - 1))):
        rate = (samples.changed[last] - samples.changed[first]) / np.maximum(last - first, 1) / inside
        rates.append(np.where(last - first >= 2, rate, np.nan))
    calmer, other = np.fmin(*rates), np.fmax(*rates)
    return np.nan_to_num(calmer, nan=1.0).astype(np.float32), np.nan_to_num(other, nan=1.0).astype(np.float32)


def _unrest(samples: _Samples, starts: Ints, length: int) -> Floats:
    """Change a sample just before or just after each window, whichever is greater."""
    reach = max(3, length // 2)
    rates = []
    for inner, outer in ((starts, starts - reach), (starts + length, starts + length + reach)):
        outer = np.clip(outer, 0, len(samples) - 1)
        change = places(samples.cells[inner]) - places(samples.cells[outer])
        rates.append(np.sqrt((change**2).sum(axis=1)) / reach)
    return np.asarray(np.maximum(*rates), np.float32)


def _fades(samples: _Samples, limits: FadeLimits) -> list[Transition]:
    reach = round(limits.side_s / _SAMPLE_S)
    if len(samples) < 4:
        return []
    contrast = samples.contrast
    before = sliding_window_view(np.pad(contrast, (reach, 0)), reach + 1).max(axis=1)
    after = sliding_window_view(np.pad(contrast, (0, reach)), reach + 1).max(axis=1)
    faint = contrast < np.maximum(limits.blank, limits.depth * np.minimum(before, after))
    blank = faint & ((samples.luma <= limits.black) | (samples.luma >= limits.white))
    found = []
    for first, last in runs(blank):
        shown_before, shown_after = float(before[first]), float(after[last])
        least = float(contrast[first : last + 1].min())
        shown = min(shown_before, shown_after)
        if first == 0 or last == len(samples) - 1 or shown < limits.blank or least > limits.depth * shown:
            continue
        start = _side(contrast[max(0, first - reach) : first][::-1], shown_before)
        end = _side(contrast[last + 1 : last + 1 + reach], shown_after)
        if min(start, end) * _SAMPLE_S < limits.slope_s:
            continue
        middle = (first + last) // 2
        shots = samples.luma[[first - start, last + end]]
        if (
            np.abs(shots - samples.luma[middle]).min() < limits.rise
            or max(_bend(samples, first - start, first), _bend(samples, last + end, last)) > limits.bend
        ):
            continue
        times = samples.times_s
        score = limits.depth * shown / max(least, limits.depth * shown / 10)
        found.append(
            Transition(
                "fade",
                float(times[first] + times[last]) / 2,
                float(times[first - start]),
                float(times[last + end]),
                score,
            )
        )
    return found


def _side(contrast: Floats, shown: float) -> int:
    """Samples away from the blank at which a shot is nearly fully seen."""
    return int(np.argmax(contrast >= 0.85 * shown)) + 1


def _bend(samples: _Samples, shown: int, blank: int) -> float:
    """Distance of the frames between from the straight way, as of a dissolve into the blank."""
    way = places(samples.cells[min(shown, blank) : max(shown, blank) + 1])
    return float(_along_and_aside(way[None])[1][0, 1:-1].max(initial=0.0))


def _along_and_aside(way: Floats) -> tuple[Floats, Floats]:
    """Where frames ``[n, l, 72]`` lie along the straight way from first to last, and how far aside, by its length."""
    whole = way[:, -1:] - way[:, :1]
    length = np.sqrt((whole**2).sum(axis=2)) + 1e-6
    offset = (way - way[:, :1]) / length[..., None]
    along = (offset * whole).sum(axis=2) / length
    return along, np.sqrt(np.maximum((offset**2).sum(axis=2) - along**2, 0))
