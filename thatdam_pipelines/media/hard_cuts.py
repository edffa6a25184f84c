"""Hard cuts: from one frame to the next, another shot."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from thatdam_pipelines.media.measures import CELLS
from thatdam_pipelines.media.track import (
    FLASH_FRAMES,
    FLASH_S,
    Floats,
    Track,
    Transition,
    places,
    steps,
    structure,
    weights,
)


@dataclass(frozen=True)
class CutLimits:
    """What a hard cut must reach; chosen by benchmarks/scenes.py on its tuning seeds.

    Args:
        isolation: Change into the frame that movement does not explain, by the greatest such change near it.
        novelty: Least distance of a frame shortly before from one shortly after, by the greatest step near it.
        least_moved: Least change that movement does not explain, 0 to 1.
        sure_moved: Such a change below which structure must differ too: a codec's keyframes refresh the picture.
        least_structure: Difference of structure it then must reach.
        under_flash: Least distance, in levels, of the shots on either side of a flash that hides the cut.
        lit_structure: Difference of structure that a clear picture must reach: a lamp changes all but that.
        clear: Contrast in levels from which a picture counts as clear.
    """

    isolation: float = 5.0
    novelty: float = 1.9
    least_moved: float = 0.0015
    sure_moved: float = 0.008
    least_structure: float = 0.34
    under_flash: float = 14.0
    lit_structure: float = 0.06
    clear: float = 5.0


_NEAR_S = 0.1
_NEAR_FRAMES = 3
_HELD_S = 0.3
_HELD_CHANGES = 2
_STEP_FLOOR = 0.5
_MOVED_FLOOR = 0.0003
_STILL = 0.0005
_LONGEST_PACE = 8.0


def find_cuts(track: Track, limits: CutLimits) -> list[Transition]:
    """Every hard cut, in order.

    A frame begins a shot when the change into it stands alone (a pan, a shake or a passer-by changes frame after
    frame) and when nothing seen shortly before it is seen again shortly after (a flash or a glitch passes, and the
    picture comes back). Frames lit by a flash are left out first; a cut within a flash is then one across the gap.
    """
    kept = np.flatnonzero(~track.flashed())
    if len(kept) < 2 * _NEAR_FRAMES:
        return []
    times, cells, moved = track.times_s[kept], track.cells[kept], track.moved[kept]
    gap = np.diff(kept, prepend=kept[0] - 1) > 1
    change = steps(cells)
    reach = track.frames(FLASH_S, FLASH_FRAMES)
    near = track.frames(_NEAR_S, _NEAR_FRAMES)
    pace = _pace(times, near)
    others = _others(np.where(gap, 0, moved), times, near)
    usual = _others(change, times, near) + _STEP_FLOOR
    alone = (moved >= limits.least_moved) & (moved >= limits.isolation * pace * (others + _MOVED_FLOOR))
    alone[gap] = (change >= limits.novelty * pace * usual)[gap]
    alone[0] = False
    weight = weights(cells)
    cuts = []
    for index in np.flatnonzero(alone):
        before, after = cells[max(0, index - reach) : index, None], cells[None, index : index + reach]
        distance = np.sqrt(((places(before) - places(after)) ** 2).sum(axis=2)).min()
        novelty = float(distance / usual[index] / limits.novelty)
        if gap[index]:
            same = bool(distance < limits.under_flash)
        else:
            same = _is_same_place(before, after, weight, float(moved[index]), limits)
        if novelty < 1 or same:
            continue
        first = _first_in_flash(track, kept[index - 1], kept[index], weight) if gap[index] else kept[index]
        time_s = float(track.times_s[first])
        cuts.append(Transition("cut", time_s, time_s, time_s, novelty))
    return cuts


def _is_same_place(
    before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8], weight: Floats, moved: float, limits: CutLimits
) -> bool:
    built = float(structure(before, after, weight).min())
    if moved < limits.sure_moved and built < limits.least_structure:
        return True
    contrast = min(float(cells[..., :CELLS].std(axis=-1).min()) for cells in (before, after))
    return built < limits.lit_structure and contrast >= limits.clear


def _first_in_flash(track: Track, last: int, first: int, weight: Floats) -> int:
    """Where between two frames around a flash the new shot begins: where the structure changes most."""
    cells = track.cells[last : first + 1]
    return int(last + 1 + np.argmax(structure(cells[:-1], cells[1:], weight)))


def _pace(times: npt.NDArray[np.float64], near: int) -> Floats:
    """Time to the frame before by the greatest such time near it, at least 1: after a pause more may have changed."""
    passed = np.diff(times, prepend=times[0])
    return np.clip(passed / np.maximum(_nearby(passed, near), 1e-6), 1, _LONGEST_PACE).astype(np.float32)


def _others(values: Floats, times: npt.NDArray[np.float64], near: int) -> Floats:
    """Greatest value around each, itself left out.

    Around means within ``near`` frames, and the next two changes each way within ``_HELD_S``: where a picture is held
    for several frames, as of a webcam or in animation, its neighbours say nothing.
    """
    greatest = _nearby(values, near)
    changed = np.flatnonzero(values > _STILL)
    for places_away in range(1, _HELD_CHANGES + 1):
        early, late = changed[:-places_away], changed[places_away:]
        close = times[late] - times[early] <= _HELD_S
        early, late = early[close], late[close]
        np.maximum.at(greatest, early, values[late])
        np.maximum.at(greatest, late, values[early])
    return greatest


def _nearby(values: npt.NDArray[np.floating], reach: int) -> Floats:
    windows = sliding_window_view(np.pad(values, reach), reach).max(axis=1)
    return np.asarray(np.maximum(windows[: len(values)], windows[reach + 1 :]), np.float32)
