"""An embedder without weights: where the colours are, which way the edges run, how coarse the texture is."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from thatdam_pipelines.embed.embedder import Frames, Vectors, checked
from thatdam_pipelines.errors import ModelError

_SIDE = 128
_LUMA_COEFFICIENTS, _CHROMA_COEFFICIENTS = 21, 15
_EDGE_THRESHOLD = 11.0
_SHARES = {"layout": 0.6, "edges": 0.25, "texture": 0.15}

NO_TEXT = "pictures find pictures that look alike; text finds names, tags, transcripts and facts, but not what is seen"


class DescriptorEmbedder:
    """Three classic descriptors of the whole frame, each of unit length, weighted and joined.

    - Colour layout: the first DCT coefficients of 8x8 mean colours in YCbCr (MPEG-7 CLD; Kasutani and Yamada, "The
      MPEG-7 color layout descriptor", ICIP 2001).
    - Edge histogram: shares of five edge directions in each of 4x4 sub-images and in all (MPEG-7 EHD; Park, Jeon and
      Won, "Efficient use of local edge histogram descriptor", ACM Multimedia workshops 2000).
    - Coarse texture: energy of four Laplacian pyramid bands in each of 4x4 sub-images (Burt and Adelson, "The
      Laplacian pyramid as a compact image code", IEEE Trans. Communications 1983).

    The same picture gives the same vector, on any machine and at any time.
    """

    name = "descriptor"
    space = "descriptor/1"
    dimensions = _LUMA_COEFFICIENTS + 2 * _CHROMA_COEFFICIENTS + 85 + 64 + 1
    input_size = _SIDE
    has_text = False

    def __init__(self, why: str = "it was chosen in the settings") -> None:
        self.note = f"The descriptor embedder serves because {why}: {NO_TEXT}."

    def embed_images(self, frames: Frames) -> Vectors:
        if not len(frames):
            return np.zeros((0, self.dimensions), dtype=np.float32)
        return checked(np.stack([_describe(frame) for frame in frames]), self.name)

    def embed_text(self, texts: Sequence[str]) -> Vectors:
        raise ModelError(
            self.name,
            "it has no text side, so it cannot compare words with pictures",
            "Set THATDAM_EMBEDDER=open_clip:<model>@<weights> (docs/models.md), or search with --image.",
        )


def _describe(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    import cv2

    square = cv2.resize(frame, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    ycc = cv2.cvtColor(square, cv2.COLOR_RGB2YCrCb)
    luma = ycc[:, :, 0].astype(np.float32)
    parts = {"layout": _colour_layout(ycc), "edges": _edge_histogram(luma), "texture": _coarse_texture(luma)}
    # The last value is constant, so that a plain mid-grey frame has a direction too.
    weighted = [np.sqrt(_SHARES[name]) * part / max(np.linalg.norm(part), 1e-3) for name, part in parts.items()]
    return np.concatenate([*weighted, [0.1]])


def _colour_layout(ycc: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    import cv2

    small = cv2.resize(ycc, (8, 8), interpolation=cv2.INTER_AREA).astype(np.float32) / 255 - 0.5
    kept = (_LUMA_COEFFICIENTS, _CHROMA_COEFFICIENTS, _CHROMA_COEFFICIENTS)
    # Chroma spans about half of luma's range in footage: doubled, a change of colour weighs as much as one of light.
    gains = (1.0, 2.0, 2.0)
    planes = [
        gain * cv2.dct(np.ascontiguousarray(small[:, :, plane]))[_zigzag()][:count]
        for plane, (count, gain) in enumerate(zip(kept, gains, strict=True))
    ]
    return np.concatenate(planes).astype(np.float64)


@cache
def _zigzag() -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Rows and columns of an 8x8 block in JPEG's zigzag order: low frequencies first."""
    order = sorted(
        ((row, column) for row in range(8) for column in range(8)),
        key=lambda at: (sum(at), at[0] if sum(at) % 2 else at[1]),
    )
    rows, columns = zip(*order, strict=True)
    return np.array(rows), np.array(columns)


def _edge_histogram(luma: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Square roots of the shares of vertical, horizontal, 45, 135 degree and undirected edges."""
    quarters = luma.reshape(32, 2, 2, 32, 2, 2).mean(axis=(2, 5))
    a, b, c, d = quarters[:, 0, :, 0], quarters[:, 0, :, 1], quarters[:, 1, :, 0], quarters[:, 1, :, 1]
    strengths = np.abs(
        np.stack([a - b + c - d, a + b - c - d, np.sqrt(2) * (a - d), np.sqrt(2) * (b - c), 2 * (a - b - c + d)])
    )
    kind = np.where(strengths.max(axis=0) > _EDGE_THRESHOLD, strengths.argmax(axis=0), -1)
    local = (kind[None] == np.arange(5)[:, None, None]).reshape(5, 4, 8, 4, 8).mean(axis=(2, 4))
    return np.sqrt(np.concatenate([local.ravel(), local.mean(axis=(1, 2))]))


def _coarse_texture(luma: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Root mean square of each pyramid band in each of 4x4 sub-images, on a log scale."""
    import cv2

    bands = []
    for _ in range(4):
        smaller = cv2.pyrDown(luma)
        band = luma - cv2.pyrUp(smaller, dstsize=(luma.shape[1], luma.shape[0]))
        cell = band.shape[0] // 4
        bands.append(np.sqrt((band.reshape(4, cell, 4, cell) ** 2).mean(axis=(1, 3))))
        luma = smaller
    return np.log1p(np.stack(bands)).ravel().astype(np.float64)
