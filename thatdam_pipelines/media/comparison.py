"""Whether one clip is a copy of another, or looks like it: parts of the picture and mirroring are tried."""

import math
from dataclasses import dataclass, replace

import numpy as np

from thatdam_pipelines.media.alignment import STILL, Alignment, Floats, View, align, mirrored, sides, stretch
from thatdam_pipelines.media.fingerprint import Box, Fingerprint
from thatdam_pipelines.media.look_keys import PARTS

SAME_LOOK = 0.92
"""Median likeness of looks from which two clips show the same scene."""

COPY_AGREEMENT = 0.9
"""Least agreement of changes in a copy. Other takes of a scene reach 0.7 (benchmarks/relations.py)."""

COPY_LIKENESS = 0.86
SHORTEST_S = 2.0
STILL_LIKENESS = 0.995
"""Of clips in which nothing moves only the picture can speak."""

_SAMPLES = 24
_HYPOTHESES = 3
_WORTH_ALIGNING = 0.72
_STEPS = (0.06, 0.03, 0.015, 0.008)


@dataclass(frozen=True)
class Resemblance:
    """How much the looks of one clip are like those of another, in a part of its picture.

    Args:
        likeness: Mean, over looks of the first, of the cosine with the most alike look of the second.
    """

    likeness: float
    mirrored: bool
    box: Box


def resemblances(copy: Fingerprint, source: Fingerprint) -> list[Resemblance]:
    """How ``copy`` may show ``source``, the likeliest first: in each part of it, as it is or mirrored."""
    if not len(copy.looks) or not len(source.looks):
        return []
    seen = [(flip, _unit(_spread(mirrored(copy.looks) if flip else copy.looks))) for flip in (False, True)]
    frames = _slice(len(source.frames))
    found = []
    for box in (Box(), *PARTS):
        shown = _spread(source.looks) if box.is_whole else source.looks_in(box, frames)
        if len(shown):
            across = _unit(shown).T
            found += [Resemblance(float((looks @ across).max(axis=1).mean()), flip, box) for flip, looks in seen]
    return sorted(found, key=lambda one: -one.likeness - 0.03 * one.box.is_whole)


def find_copy(copy: Fingerprint, source: Fingerprint) -> Alignment | None:
    """Where ``copy`` shows ``source``, or a part of its picture; None when it is no copy of it."""
    if len(copy.looks) == 1 or len(source.looks) == 1:
        return _still_copy(copy, source) if len(copy.looks) == len(source.looks) == 1 else None
    likely = resemblances(copy, source)
    whole = [one for one in likely if one.box.is_whole]
    chosen = dict.fromkeys([one for one in likely[:_HYPOTHESES] if one.likeness >= _WORTH_ALIGNING] + whole)
    best: Alignment | None = None
    for one in chosen:
        found = _aligned(copy, source, one)
        if found is not None and (best is None or _rank(found) > _rank(best)):
            best = found
        if best is not None and is_copy(best) and best.agreement > 0.95:
            break
    return best


def _rank(found: Alignment) -> tuple[bool, float]:
    return is_copy(found), found.agreement


def is_copy(found: Alignment | None) -> bool:
    """Whether the changes on the line say so; where nothing changes nothing does."""
    return (
        found is not None
        and found.activity >= STILL
        and found.agreement >= COPY_AGREEMENT
        and found.likeness >= COPY_LIKENESS
        and (math.isinf(found.activity) or found.end_s - found.start_s >= _least_s(found))
    )


def _least_s(found: Alignment) -> float:
    """Shortest stretch that is believed: another speed, or a picture a second, may agree by chance."""
    faster = 1.0 if abs(found.speed - 1) < 0.1 else 2.0
    return SHORTEST_S * faster * (1.0 if found.box.is_whole else 1.5)


def _aligned(copy: Fingerprint, source: Fingerprint, likely: Resemblance) -> Alignment | None:
    box = likely.box
    found = align(*sides(copy, source, flipped=likely.mirrored, box=box))
    if found is None:
        return None
    if not box.is_whole:
        for _ in range(2):
            box = _fitted(copy, source, likely.mirrored, box, found)
            views = sides(copy, source, flipped=likely.mirrored, box=box)
            again = align(*views) or stretch(*views, found.speed, found.offset_s)
            if again is None:
                break
            found = again
    return replace(found, mirrored=likely.mirrored, box=Box() if box.is_whole else box)


def _fitted(copy: Fingerprint, source: Fingerprint, flip: bool, box: Box, line: Alignment) -> Box:
    """The part of the source's frames that is most like the copy, along a line: one edge moved at a time."""
    start_s, end_s = line.source_s
    inside = np.flatnonzero((source.frame_times_s >= start_s - 0.05) & (source.frame_times_s <= end_s + 0.05))
    if not len(inside):
        return box
    chosen = slice(int(inside[0]), int(inside[-1]) + 1, max(1, len(inside) // _SAMPLES))
    ours = View.of(copy.look_times_s, mirrored(copy.looks) if flip else copy.looks)
    shown = _unit(ours.at((source.frame_times_s[chosen] - line.offset_s) / line.speed))

    def likeness(tried: Box) -> float:
        return float((shown * _unit(source.looks_in(tried, chosen))).sum(axis=1).mean())

    best = likeness(box)
    for step in _STEPS:
        better = True
        while better:
            better = False
            for tried in _neighbours(box, step):
                if (found := likeness(tried)) > best + 1e-4:
                    box, best, better = tried, found, True
    return box


def _neighbours(box: Box, step: float) -> list[Box]:
    """The box moved, made larger and smaller by ``step``, within the picture."""
    edges = [
        (dx, dy, dw, dh)
        for dx, dy, dw, dh in (
            (1, 0, 0, 0), (-1, 0, 0, 0), (0, 1, 0, 0), (0, -1, 0, 0), (-0.5, -0.5, 1, 1), (0.5, 0.5, -1, -1),
            (-0.5, 0, 1, 0), (0.5, 0, -1, 0), (0, -0.5, 0, 1), (0, 0.5, 0, -1),
        )
    ]  # fmt: skip
    found = []
    for dx, dy, dw, dh in edges:
        width = min(1.0, max(0.2, box.width + dw * step))
        height = min(1.0, max(0.2, box.height + dh * step))
        left = min(max(0.0, box.left + dx * step), 1 - width)
        top = min(max(0.0, box.top + dy * step), 1 - height)
        found.append(Box(left, top, width, height))
    return found


def _still_copy(copy: Fingerprint, source: Fingerprint) -> Alignment | None:
    """Two stills, by their small frames: 48 x 27 pixels tell pictures apart that 8 x 6 cells do not."""
    if not len(copy.frames) or not len(source.frames):
        return None
    ours, theirs = copy.frames[:1].astype(np.float32), source.frames[:1].astype(np.float32).reshape(1, -1)
    best: tuple[float, bool] = (0.0, False)
    for flip in (False, True):
        shown = (ours[:, :, ::-1] if flip else ours).reshape(1, -1)
        likeness = float((_unit(shown) * _unit(theirs)).sum())
        best = max(best, (likeness, flip))
    if best[0] < 0.97:
        return None
    return Alignment(0.0, 0.0, 0.0, 1.0, best[0], best[0], math.inf, mirrored=best[1])


def _slice(count: int) -> slice:
    return slice(0, count, max(1, -(-count // _SAMPLES)))


def _spread(looks: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Floats:
    most = 3 * _SAMPLES
    return np.asarray(looks[:: max(1, -(-len(looks) // most))], np.float32)


def _unit(looks: Floats) -> Floats:
    centred = looks - looks.mean(axis=1, keepdims=True)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6)
