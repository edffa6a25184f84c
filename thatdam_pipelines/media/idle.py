"""Stretches of a clip in which nothing is to be seen: black, frozen, nothing that moves; and where it flashes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from thatdam_pipelines.media.moves import STATIC, Move
from thatdam_pipelines.media.track import Flags, Track, runs

BLACK, FROZEN, STILL, FLASH = "black", "frozen", "still", "flash"

BLACK_LUMA, BLACK_CONTRAST = 0.04, 0.03
"""Mean and standard deviation of luma below which a picture is black: what noise of a capped lens stays under."""

FROZEN_CHANGE = 0.001
"""Mean change of luma from frame to frame below which a picture is frozen: -60 dB, as ffmpeg's ``freezedetect``."""

SHORTEST_S = 1.0
"""Shortest stretch but for flashes."""

PARAMETERS = [BLACK_LUMA, BLACK_CONTRAST, FROZEN_CHANGE, SHORTEST_S]


@dataclass(frozen=True)
class PictureRange:
    """A stretch of a clip: ``kind`` is black, frozen, still or flash; the end is not included."""

    kind: str
    start_s: float
    end_s: float


def picture_ranges(measures: pl.DataFrame, seconds: Sequence[Move], duration_s: float) -> list[PictureRange]:
    """Where a clip's picture is black, where it is frozen, where nothing in it moves, and where it flashes.

    Args:
        measures: Rows of ``MEASURES_SCHEMA``, one a frame.
        seconds: What moves in each second.
    """
    track = Track.of(measures)
    if not len(track):
        return []
    black = (track.luma < BLACK_LUMA) & (track.contrast < BLACK_CONTRAST)
    # The first frame has none before it that it could have changed from.
    frozen = (track.change < FROZEN_CHANGE) & (np.arange(len(track)) > 0) & ~black
    found = [*_ranges(BLACK, track, black, duration_s), *_ranges(FROZEN, track, frozen, duration_s), *_still(seconds)]
    lasting = [one for one in found if one.end_s - one.start_s >= SHORTEST_S - 1e-3]
    return sorted([*lasting, *_ranges(FLASH, track, track.flashed(), duration_s)], key=lambda one: one.start_s)


def _ranges(kind: str, track: Track, flags: Flags, duration_s: float) -> list[PictureRange]:
    ends = np.append(track.times_s[1:], max(duration_s, track.times_s[-1]))
    return [PictureRange(kind, float(track.times_s[first]), float(ends[last])) for first, last in runs(flags)]


def _still(seconds: Sequence[Move]) -> list[PictureRange]:
    idle = np.array([one.camera == STATIC and not one.subject_moves for one in seconds], bool)
    return [PictureRange(STILL, seconds[first].start_s, seconds[last].end_s) for first, last in runs(idle)]
