"""Fingerprints: what of a clip is compared to find its copies, in about 2 kB a second and without a model.

Three parts: *looks*, the 8 x 6 luma thumbnails of the measures about eight times a second; *frames*, small pictures
about one a second from the keyframes of the proxy, from which any region can be cut; and *sound*, landmarks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from thatdam_pipelines.media.frames import keyframes, still_frame
from thatdam_pipelines.media.landmarks import Landmarks, landmarks_of
from thatdam_pipelines.media.measures import CELLS, GRID

LOOKS_A_SECOND = 8
FRAME_SIZE = (48, 27)
"""Width and height of a small picture, whatever the aspect."""

FRAME_EVERY_S = 1.0
MOST_FRAMES = 3_600
"""Longer clips have their frames spread wider, and their looks as well."""

_SHORT_EDGE = 54
_MOST_PIXELS = 300_000_000

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Times = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Box:
    """A part of a picture: left, top, width and height as shares of it, 0 to 1."""

    left: float = 0.0
    top: float = 0.0
    width: float = 1.0
    height: float = 1.0

    @property
    def is_whole(self) -> bool:
        return self.width * self.height > 0.96


WHOLE = Box()


@dataclass(frozen=True)
class Fingerprint:
    """What is compared of one clip.

    Args:
        look_times_s: ``[n]`` rising.
        looks: ``[n, 48]`` uint8: luma of 8 x 6 cells, row by row.
        frame_times_s: ``[k]`` rising.
        frames: ``[k, 27, 48]`` uint8 luma.
        sound: Landmarks of its sound; empty when it has none.
    """

    look_times_s: Times
    looks: Bytes
    frame_times_s: Times
    frames: Bytes
    sound: Landmarks

    @cached_property
    def _sums(self) -> Times:
        """Summed-area tables of the frames, ``[k, 28, 49]``."""
        sums = self.frames.astype(np.float64).cumsum(axis=1).cumsum(axis=2)
        return np.pad(sums, ((0, 0), (1, 0), (1, 0)))

    def looks_in(self, box: Box, chosen: slice = slice(None)) -> Floats:
        """Looks ``[k, 48]`` of a part of each frame: means over cells whose edges lie anywhere."""
        width, height = FRAME_SIZE
        x = np.clip((box.left + box.width * np.arange(GRID[0] + 1) / GRID[0]) * width, 0, width)
        y = np.clip((box.top + box.height * np.arange(GRID[1] + 1) / GRID[1]) * height, 0, height)
        sums = _between(_between(self._sums[chosen], y, axis=1), x, axis=2)
        cells = np.diff(np.diff(sums, axis=1), axis=2)
        areas = np.maximum(np.diff(y)[:, None] * np.diff(x)[None, :], 1e-6)
        return np.asarray(cells / areas, np.float32).reshape(len(cells), CELLS)

    def row(self) -> dict[str, Any]:
        """Its columns in table ``fingerprints``."""
        return {
            "look_times": _packed(self.look_times_s),
            "looks": self.looks.tobytes(),
            "frame_times": _packed(self.frame_times_s),
            "frames": self.frames.tobytes(),
            "sound_times": self.sound.times.astype("<u4").tobytes(),
            "sound_keys": self.sound.keys.astype("<u4").tobytes(),
        }

    @classmethod
    def of_row(cls, row: dict[str, Any]) -> "Fingerprint":
        width, height = FRAME_SIZE
        return cls(
            _unpacked(row["look_times"]),
            np.frombuffer(row["looks"], np.uint8).reshape(-1, CELLS),
            _unpacked(row["frame_times"]),
            np.frombuffer(row["frames"], np.uint8).reshape(-1, height, width),
            Landmarks(np.frombuffer(row["sound_times"], "<u4"), np.frombuffer(row["sound_keys"], "<u4")),
        )


def fingerprint_of(proxy: Path | None, measures: pl.DataFrame | None, wav: Path | None, *, still: bool) -> Fingerprint:
    """The fingerprint of a clip, still or sound, from what the proxy pass made of it.

    Args:
        proxy: Its proxy; None for sound alone.
        measures: Rows of ``MEASURES_SCHEMA``; None for a still and for sound.
        wav: 16 kHz mono WAV; None without sound.

    Raises:
        MediaError: The proxy cannot be decoded.
    """
    shown: list[tuple[float, Bytes]] = []
    if proxy is not None and still:
        shown = [(0.0, _small(still_frame(proxy, short_edge=_SHORT_EDGE, max_pixels=_MOST_PIXELS)))]
    elif proxy is not None:
        shown = list(_frames(proxy))
    times = np.array([time_s for time_s, _ in shown])
    frames = np.array([frame for _, frame in shown], np.uint8).reshape(-1, FRAME_SIZE[1], FRAME_SIZE[0])
    sound = landmarks_of(wav) if wav is not None else Landmarks.none()
    look_times, looks = _looks(measures) if measures is not None else (np.zeros(0), np.zeros((0, CELLS), np.uint8))
    made = Fingerprint(look_times, looks, times, frames, sound)
    if still and len(frames):
        whole = np.rint(made.looks_in(Box())).astype(np.uint8)
        return Fingerprint(times, whole, times, frames, sound)
    return made


def _frames(proxy: Path) -> Iterator[tuple[float, Bytes]]:
    """Small pictures of the keyframes, at least ``FRAME_EVERY_S`` apart; twice as far whenever they get too many."""
    kept: list[tuple[float, Bytes]] = []
    every_s = FRAME_EVERY_S
    for time_s, picture in keyframes(proxy, short_edge=_SHORT_EDGE, every_s=FRAME_EVERY_S):
        if kept and time_s < kept[-1][0] + every_s - 0.05:
            continue
        kept.append((time_s, _small(picture)))
        if len(kept) > MOST_FRAMES:
            kept, every_s = kept[::2], 2 * every_s
    yield from kept


def _small(picture: Bytes) -> Bytes:
    import cv2

    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(luma, FRAME_SIZE, interpolation=cv2.INTER_AREA), np.uint8)


def _looks(measures: pl.DataFrame) -> tuple[Times, Bytes]:
    """The frames nearest after each eighth of a second."""
    rows = measures.filter(pl.col("time_s").is_finite()).unique("time_s", keep="first").sort("time_s")
    times = rows["time_s"].to_numpy()
    if not len(times):
        return np.zeros(0), np.zeros((0, CELLS), np.uint8)
    step_s = max(1 / LOOKS_A_SECOND, (times[-1] - times[0]) / (MOST_FRAMES * LOOKS_A_SECOND))
    _, chosen = np.unique(np.floor((times - times[0]) / step_s + 1e-6), return_index=True)
    return times[chosen], rows["thumb"].to_numpy()[chosen]


def _between(sums: Times, at: Times, axis: int) -> Times:
    """Values of a table at places between its entries."""
    low = np.minimum(at.astype(int), sums.shape[axis] - 2)
    share = (at - low).reshape([-1 if dimension == axis else 1 for dimension in range(3)])
    return np.take(sums, low, axis) * (1 - share) + np.take(sums, low + 1, axis) * share


def _packed(times_s: Times) -> bytes:
    return np.rint(times_s * 1000).astype("<u4").tobytes()


def _unpacked(packed: bytes) -> Times:
    return np.frombuffer(packed, "<u4") / 1000
