"""Scenes: a clip divided where one shot becomes another, decided from its measures alone."""

from dataclasses import asdict, dataclass

import polars as pl

from thatdam_pipelines.library.recipes import Recipe
from thatdam_pipelines.media.gradual import DissolveLimits, FadeLimits, find_gradual
from thatdam_pipelines.media.hard_cuts import CutLimits, find_cuts
from thatdam_pipelines.media.track import (
    FLASH_FRAMES,
    FLASH_ONSET,
    FLASH_RISE,
    FLASH_S,
    LONGEST_FLASH_S,
    Track,
    Transition,
)

SHORTEST_S = 0.25
"""Shortest scene; what is shorter belongs to the scene before it."""

_CUTS, _DISSOLVES, _FADES = CutLimits(), DissolveLimits(), FadeLimits()

SCENES_RECIPE = Recipe(
    "scenes",
    "1",
    {
        "shortest_s": SHORTEST_S,
        "flashes": [FLASH_S, LONGEST_FLASH_S, FLASH_RISE, FLASH_ONSET, FLASH_FRAMES],
        "cuts": asdict(_CUTS),
        "dissolves": asdict(_DISSOLVES),
        "fades": asdict(_FADES),
    },
)


@dataclass(frozen=True)
class Scene:
    """A stretch of a clip.

    Args:
        start_s: Start: the first frame after a cut, the middle of a fade or dissolve.
        end_s: End, not included.
        transition_in: How it begins: start, cut, fade, dissolve.
        transition_score: How far beyond its limit that transition is, at least 1; None for the start of the clip.
    """

    start_s: float
    end_s: float
    transition_in: str
    transition_score: float | None


def detect_scenes(measures: pl.DataFrame, duration_s: float) -> list[Scene]:
    """Divide a clip into scenes, which follow each other from 0 to its end without a gap.

    Args:
        measures: Rows of ``MEASURES_SCHEMA``, one a frame, in any order.
        duration_s: Duration of the clip; 0 for a still, which is one scene.

    Returns:
        At least one scene; none but the first begins within ``SHORTEST_S`` of another's start or of the end.
    """
    starts = _kept(find_transitions(measures), duration_s)
    ends = [one.time_s for one in starts] + [max(0.0, duration_s)]
    first = Scene(0.0, ends[0], "start", None)
    return [first] + [
        Scene(one.time_s, end_s, one.kind, one.score) for one, end_s in zip(starts, ends[1:], strict=True)
    ]


def find_transitions(measures: pl.DataFrame) -> list[Transition]:
    """Every transition of a clip, in order of time; a gradual one that holds a hard cut gives way to it."""
    track = Track.of(measures)
    cuts = find_cuts(track, _CUTS)
    gradual = [
        one
        for one in find_gradual(track, _DISSOLVES, _FADES)
        if not any(one.start_s <= cut.time_s <= one.end_s for cut in cuts)
    ]
    return sorted([*cuts, *gradual], key=lambda one: one.time_s)


def _kept(found: list[Transition], duration_s: float) -> list[Transition]:
    """Those that leave no scene shorter than ``SHORTEST_S``: of two too close the stronger stays."""
    kept: list[Transition] = []
    for one in found:
        if not SHORTEST_S <= one.time_s <= duration_s - SHORTEST_S:
            continue
        if kept and one.time_s - kept[-1].time_s < SHORTEST_S:
            kept[-1] = max(kept[-1], one, key=lambda each: each.score)
        else:
            kept.append(one)
    return kept
