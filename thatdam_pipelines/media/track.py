"""A clip's measures as arrays, and how far two of its frames are from each other.

The distance of two frames is that of their thumbnails: the root of the mean square difference of luma plus that of
chroma, in levels of 0 to 255. Their structure differs by 0 when one is the other in another light, by 1 when they are
unrelated.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from numpy.lib.stride_tricks import sliding_window_view

from thatdam_pipelines.media.measures import CELLS, CHROMA_CELLS

Floats = npt.NDArray[np.float32]
Cells = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

FLASH_S = 0.25
"""Time that a flash is shorter than, at usual frame rates."""

LONGEST_FLASH_S = 0.36
"""Longest flash at any frame rate."""

FLASH_RISE = 0.05
"""Least rise of mean luma that is a flash."""

FLASH_ONSET = 0.5
"""Least part of its rise that a flash reaches within one frame."""

FLASH_FRAMES = 6
"""Frames that a flash is shorter than, where frames are few."""

_CHUNK = 4096
_FAINT = 2.0
_SCALE = np.repeat(np.array([CELLS, CHROMA_CELLS * 2], np.float32) ** -0.5, [CELLS, CHROMA_CELLS * 2])


@dataclass(frozen=True)
class Transition:
    """One shot becoming another.

    Args:
        kind: cut, fade or dissolve.
        time_s: Where the new scene begins: the first frame after a cut, the middle of anything gradual.
        start_s: Last moment that shows the old shot alone; a cut's own time.
        end_s: First moment that shows the new shot alone; a cut's own time.
        score: How far beyond the limit of its kind it is, at least 1.
    """

    kind: str
    time_s: float
    start_s: float
    end_s: float
    score: float


@dataclass(frozen=True)
class Track:
    """Frames in order of time.

    Args:
        times_s: ``[n]`` seconds, rising.
        cells: ``[n, 72]`` uint8: luma thumbnail, then the two of chroma.
        change: ``[n]`` mean luma change since the frame before, ``diff_luma``.
        moved: ``[n]`` change that small movements do not explain, ``diff_moved``.
        luma: ``[n]`` mean luma.
        contrast: ``[n]`` standard deviation of luma.
    """

    times_s: npt.NDArray[np.float64]
    cells: Cells
    change: Floats
    moved: Floats
    luma: Floats
    contrast: Floats

    @classmethod
    def of(cls, measures: pl.DataFrame) -> "Track":
        rows = measures.filter(pl.col("time_s").is_finite()).unique("time_s", keep="first").sort("time_s")
        return cls(
            rows["time_s"].to_numpy(),
            np.concatenate([rows["thumb"].to_numpy(), rows["chroma_thumb"].to_numpy()], axis=1),
            rows["diff_luma"].to_numpy(),
            rows["diff_moved"].to_numpy(),
            rows["luma_mean"].to_numpy(),
            rows["luma_std"].to_numpy(),
        )

    def __len__(self) -> int:
        return len(self.times_s)

    def frames(self, seconds: float, least: int) -> int:
        """Frames that usually make up ``seconds``."""
        usual = float(np.median(np.diff(self.times_s))) if len(self) > 1 else seconds
        return max(least, round(seconds / usual))

    def flashed(self) -> Flags:
        """Frames of flashes: brighter than those before and after for less than ``FLASH_S``, and suddenly so.

        The first is a top-hat transform of mean luma; the second tells a flash from a short fade through white.
        """
        width = self.frames(FLASH_S, FLASH_FRAMES)
        if len(self) < 2 * width:
            return np.zeros(len(self), bool)
        low = sliding_window_view(np.pad(self.luma, width - 1, mode="edge"), width).min(axis=1)
        lit = self.luma - sliding_window_view(low, width).max(axis=1) > FLASH_RISE
        for first, last in runs(lit):
            lasted = self.times_s[min(last + 1, len(self) - 1)] - self.times_s[first]
            before = self.luma[max(0, first - width) : max(1, first)]
            rise = self.luma[first : last + 1].max() - before.min()
            sudden = self.luma[first] - before[-1] >= FLASH_ONSET * rise
            lit[first : last + 1] = sudden and lasted <= LONGEST_FLASH_S
        return np.asarray(lit)


def runs(flags: Flags) -> list[tuple[int, int]]:
    """First and last index of each stretch of true."""
    edges = np.diff(np.concatenate([[0], flags.astype(np.int8), [0]]))
    return list(zip(np.flatnonzero(edges == 1).tolist(), (np.flatnonzero(edges == -1) - 1).tolist(), strict=True))


def places(cells: Cells) -> Floats:
    """Cells ``[..., 72]`` scaled such that the Euclidean distance of two rows is the distance of their frames."""
    return cells.astype(np.float32) * _SCALE


def steps(cells: Cells) -> Floats:
    """Distance of each frame from the one before; 0 for the first."""
    found = np.zeros(len(cells), np.float32)
    for start in range(1, len(cells), _CHUNK):
        rows = places(cells[start - 1 : start + _CHUNK])
        found[start : start + _CHUNK] = np.sqrt(((rows[1:] - rows[:-1]) ** 2).sum(axis=1))
    return found


def structure(first: Cells, second: Cells, weights: Floats) -> Floats:
    """How differently frames are built, 0 to 1, whatever their exposure; faint pictures count less.

    Args:
        first: Cells ``[..., 72]``; so is ``second``.
        weights: ``[48]`` of the luma cells, see ``weights``.
    """
    luma = [cells[..., :CELLS].astype(np.float32) for cells in (first, second)]
    a, b = (part - (part * weights).sum(axis=-1, keepdims=True) for part in luma)
    power = np.sqrt((a * a * weights).sum(axis=-1) * (b * b * weights).sum(axis=-1))
    likeness = (a * b * weights).sum(axis=-1) / (power + 1e-6)
    return np.asarray(np.sqrt(np.clip(1 - likeness, 0, 1)) * np.sqrt(power) / (np.sqrt(power) + _FAINT))


def weights(cells: Cells) -> Floats:
    """Weights ``[48]`` of luma cells, adding up to 1: black bars never change, so they say nothing of a picture."""
    spread = cells[:: max(1, len(cells) // _CHUNK), :CELLS].astype(np.float32).std(axis=0) + 0.5
    return np.asarray(spread / spread.sum(), np.float32)
