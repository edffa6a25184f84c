"""Per-frame measures: what scene detection, motion and brightness need to know of every frame, in about 130 bytes.

The pass that makes the proxy pipes every frame, made very small, out of the same ffmpeg: ``SMALL_FILTER`` says how,
``FrameMeasures`` turns the stream of small frames into one row a frame. Pictures are never kept.
"""

import numpy as np
import numpy.typing as npt
import polars as pl

from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.library.table import Column

SMALL_SIZE = (64, 36)
"""Width and height of a small frame, whatever the aspect of the picture."""

SMALL_PIXEL_FORMAT = "yuv420p"
"""Planar, limited range: the luma plane, then U and V at half width and height."""

SMALL_SHAPE = (SMALL_SIZE[1] * 3 // 2, SMALL_SIZE[0])
"""Shape of a small frame as an array of uint8: the three planes under each other, as PyAV gives them."""

SMALL_FILTER = f"scale={SMALL_SIZE[0]}:{SMALL_SIZE[1]}:flags=area:out_range=tv,format={SMALL_PIXEL_FORMAT}"
"""ffmpeg filters that make small frames of a picture of any size."""

GRID = (8, 6)
"""Columns and rows of the luma thumbnail; the chroma thumbnails have half as many."""

CELLS = GRID[0] * GRID[1]
CHROMA_CELLS = CELLS // 4
LUMA_BINS = 16
CHROMA_BINS = 8
REACH = 2
"""Pixels of a small frame that anything may move between two frames without counting in ``diff_moved``."""

_BLOCK = 64

MEASURES: tuple[Column, ...] = (
    Column("time_s", pl.Float64, "Presentation time of the frame in the clip.", required=True),
    Column("luma_mean", pl.Float32, "Mean luma, 0 (black) to 1 (white).", required=True),
    Column("luma_std", pl.Float32, "Standard deviation of luma over the frame, 0 to 0.5.", required=True),
    Column("saturation", pl.Float32, "Mean distance of chroma from grey, 0 to 1.", required=True),
    Column("detail", pl.Float32, "Mean absolute luma step between neighbours left and right, 0 to 1.", required=True),
    Column("diff_luma", pl.Float32, "Mean absolute luma change since the frame before, 0 to 1; 0 at first.", True),
    Column("diff_moved", pl.Float32, "The same without what a small movement explains, 0 to 1; 0 at first.", True),
    Column("luma_hist", pl.Array(pl.UInt8, LUMA_BINS), "255 times the square root of each bin's share of luma.", True),
    Column("chroma_hist", pl.Array(pl.UInt8, 2 * CHROMA_BINS), "The same for the bins of U, then those of V.", True),
    Column("thumb", pl.Array(pl.UInt8, CELLS), "Luma of 8 x 6 cells, row by row, 0 to 255 full range.", True),
    Column("chroma_thumb", pl.Array(pl.UInt8, 2 * CHROMA_CELLS), "U of 4 x 3 cells, then V; 128 is grey.", True),
)
"""The columns of ``measures.parquet``: one row a decoded frame, in the order of the stream."""

MEASURES_SCHEMA = pl.Schema({column.name: column.dtype for column in MEASURES})

_LUMA_SCALE = 1 / 219
_CHROMA_SCALE = 1 / 112

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]


class FrameMeasures:
    """Measures of a stream of small frames; memory grows by about 130 bytes a frame.

    Args:
        width: Width of the small frames in pixels, a multiple of 8.
        height: Height of the small frames in pixels, a multiple of 6.
    """

    def __init__(self, width: int = SMALL_SIZE[0], height: int = SMALL_SIZE[1]) -> None:
        if width % GRID[0] or height % GRID[1] or width < GRID[0] or height < GRID[1]:
            raise ValueError(f"small frames must be multiples of {GRID[0]} x {GRID[1]}, not {width} x {height}")
        self.width = width
        self.height = height
        self.shape = (height * 3 // 2, width)
        self._times = np.zeros(_BLOCK, np.float64)
        self._frames = np.zeros((_BLOCK, *self.shape), np.uint8)
        self._waiting = 0
        self._before: UInt8 | None = None
        self._done: list[dict[str, npt.NDArray[np.generic]]] = []

    def add(self, time_s: float, frame: UInt8) -> None:
        """Take the next frame.

        Args:
            time_s: Its presentation time in seconds.
            frame: uint8 ``[height * 3 / 2, width]`` in ``SMALL_PIXEL_FORMAT``; may be reused by the caller after.

        Raises:
            MediaError: The frame has another shape or type.
        """
        if frame.shape != self.shape or frame.dtype != np.uint8:
            raise MediaError(
                "small frame",
                f"it is {frame.dtype} {frame.shape}, not uint8 {self.shape}",
                "Pipe frames made by SMALL_FILTER.",
            )
        self._times[self._waiting] = time_s
        self._frames[self._waiting] = frame
        self._waiting += 1
        if self._waiting == _BLOCK:
            self._flush()

    def frame(self) -> pl.DataFrame:
        """All rows so far, with ``MEASURES_SCHEMA``."""
        self._flush()
        columns: dict[str, npt.NDArray[np.generic] | list[float]] = {
            name: np.concatenate([block[name] for block in self._done]) if self._done else []
            for name in MEASURES_SCHEMA.names()
        }
        return pl.DataFrame(columns, schema=MEASURES_SCHEMA)

    def _flush(self) -> None:
        count = self._waiting
        if not count:
            return
        frames = self._frames[:count]
        first = frames[:1] if self._before is None else self._before
        self._done.append(
            {"time_s": self._times[:count].copy(), **_measure(np.concatenate([first, frames]), self.width)}
        )
        self._before = frames[-1:].copy()
        self._waiting = 0


def _measure(frames: UInt8, width: int) -> dict[str, npt.NDArray[np.generic]]:
    """Columns for ``frames[1:]``, each compared with the one before it; planes lie as in ``SMALL_SHAPE``."""
    height = frames.shape[1] * 2 // 3
    luma = frames[:, :height]
    chroma = frames[1:, height:].reshape(len(frames) - 1, 2, height // 2, width // 2)
    now, before = luma[1:], luma[:-1]
    low, high = _reach(luma)
    steps = _mean(_distance(now[:, :, 1:], now[:, :, :-1]))
    moved = np.maximum(
        _mean(_outside(now, low[:-1], high[:-1])),
        _mean(_outside(before, low[1:], high[1:])),
    )
    mean, std = _mean_and_std(now)
    return {
        "luma_mean": np.clip((mean - 16) * _LUMA_SCALE, 0, 1),
        "luma_std": std * np.float32(_LUMA_SCALE),
        "saturation": np.minimum(_mean(_distance(chroma, np.uint8(128)).max(axis=1)) * _CHROMA_SCALE, 1),
        "detail": steps * np.float32(_LUMA_SCALE),
        "diff_luma": _mean(_distance(now, before)) * np.float32(_LUMA_SCALE),
        "diff_moved": moved * np.float32(_LUMA_SCALE),
        "luma_hist": _histogram(now, 16, 220, LUMA_BINS),
        "chroma_hist": np.concatenate([_histogram(chroma[:, plane], 16, 225, CHROMA_BINS) for plane in (0, 1)], axis=1),
        "thumb": np.clip(np.rint((_cells(now, GRID) - 16) * (255 * _LUMA_SCALE)), 0, 255).astype(np.uint8),
        "chroma_thumb": np.rint(
            np.concatenate([_cells(chroma[:, plane], (GRID[0] // 2, GRID[1] // 2)) for plane in (0, 1)], axis=1)
        ).astype(np.uint8),
    }


def _distance(a: UInt8, b: UInt8 | np.uint8) -> UInt8:
    return np.maximum(a, b) - np.minimum(a, b)


def _outside(values: UInt8, low: UInt8, high: UInt8) -> UInt8:
    """How far each value lies outside its range."""
    return (np.maximum(values, high) - high) + (low - np.minimum(values, low))


def _reach(luma: UInt8) -> tuple[UInt8, UInt8]:
    """Least and greatest luma within ``REACH`` pixels of each pixel."""
    low, high = luma.copy(), luma.copy()
    for axis in (1, 2):
        low_before, high_before = low.copy(), high.copy()
        for step in range(1, REACH + 1):
            ahead = (slice(None),) * axis + (slice(step, None),)
            behind = (slice(None),) * axis + (slice(None, -step),)
            np.minimum(low[ahead], low_before[behind], out=low[ahead])
            np.minimum(low[behind], low_before[ahead], out=low[behind])
            np.maximum(high[ahead], high_before[behind], out=high[ahead])
            np.maximum(high[behind], high_before[ahead], out=high[behind])
    return low, high


def _mean(values: UInt8) -> Float32:
    flat = values.reshape(len(values), -1)
    return (flat.sum(axis=1, dtype=np.uint32) / np.float32(flat.shape[1])).astype(np.float32)


def _mean_and_std(values: UInt8) -> tuple[Float32, Float32]:
    flat = values.reshape(len(values), -1).astype(np.float32)
    mean = flat.mean(axis=1)
    flat -= mean[:, None]
    return mean, np.sqrt(np.einsum("ij,ij->i", flat, flat) / flat.shape[1])


def _cells(plane: UInt8, grid: tuple[int, int]) -> Float32:
    count, height, width = plane.shape
    columns, rows = grid
    strips = plane.reshape(count, rows, height // rows, width).sum(axis=2, dtype=np.uint16)
    cells = strips.reshape(count, rows * columns, width // columns).sum(axis=2, dtype=np.uint32)
    return (cells / np.float32(height // rows * (width // columns))).astype(np.float32)


def _histogram(plane: UInt8, lowest: int, levels: int, bins: int) -> UInt8:
    """255 times the root of each bin's share: the dot product of two is 255^2 times their Bhattacharyya coefficient."""
    count = len(plane)
    flat = plane.reshape(count, -1)
    table = np.clip((np.arange(256) - lowest) * bins // levels, 0, bins - 1).astype(np.intp)
    index = table[flat] + (np.arange(count, dtype=np.intp) * bins)[:, None]
    shares = np.bincount(index.ravel(), minlength=count * bins).reshape(count, bins) / flat.shape[1]
    return np.rint(255 * np.sqrt(shares)).astype(np.uint8)
