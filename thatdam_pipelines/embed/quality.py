"""What a frame looks like in numbers: sharpness, light, colour; and whether two frames show nearly the same."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]

COLORS = 5
"""Most dominant colours of a frame."""

_LEAST_SHARE = 0.05
_SAME_COLOR = 32.0
_PALETTE_SIDE = 32
_TINY = (16, 9)
_SAME_MEAN, _SAME_CELL = 2.5, 14.0
_OTHER_MEAN = 24.0


@dataclass(frozen=True)
class Quality:
    """Measures of one frame, as table ``frames`` describes them."""

    sharpness: float
    brightness: float
    contrast: float
    saturation: float
    dominant_colors: list[str]


def quality_of(frame: Picture) -> Quality:
    """Measures of a frame.

    Sharpness is the variance of the Laplacian (Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy",
    ICPR 2000); it depends on the size of the picture, so compare frames of proxies only.

    Args:
        frame: RGB ``[height, width, 3]`` uint8.
    """
    import cv2

    luma = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    mean, deviation = cv2.meanStdDev(luma)
    _, edges = cv2.meanStdDev(cv2.Laplacian(luma, cv2.CV_16S))
    small = np.asarray(cv2.resize(frame, (_PALETTE_SIDE, _PALETTE_SIDE), interpolation=cv2.INTER_AREA), np.uint8)
    saturation = cv2.cvtColor(small, cv2.COLOR_RGB2HSV)[:, :, 1].mean()
    return Quality(
        sharpness=float(edges[0, 0]) ** 2,
        brightness=float(mean[0, 0]) / 255,
        contrast=float(deviation[0, 0]) / 255,
        saturation=float(saturation) / 255,
        dominant_colors=dominant_colors(small),
    )


def dominant_colors(frame: Picture) -> list[str]:
    """Up to ``COLORS`` colours as ``#rrggbb``, each of at least 5 % of the frame, most of it first.

    Median cut (Heckbert, "Color image quantization for frame buffer display", SIGGRAPH 1982), then colours that are
    hard to tell apart joined. The first is given whatever its share.
    """
    from PIL import Image

    palette_image = Image.fromarray(frame).quantize(16, method=Image.Quantize.MEDIANCUT)
    palette = np.array(palette_image.getpalette(), dtype=np.float64).reshape(-1, 3)
    counts = np.bincount(np.asarray(palette_image).ravel())
    joined: list[tuple[float, npt.NDArray[np.float64]]] = []
    for index in np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]:
        count, color = int(counts[index]), palette[index]
        near = next((at for at, (_, known) in enumerate(joined) if np.linalg.norm(known - color) < _SAME_COLOR), None)
        if near is None:
            joined.append((count, color))
        else:
            weight, known = joined[near]
            joined[near] = (weight + count, (known * weight + color * count) / (weight + count))
    joined.sort(key=lambda found: -found[0])
    least = _LEAST_SHARE * frame.shape[0] * frame.shape[1]
    kept = [color for at, (count, color) in enumerate(joined) if at == 0 or count >= least][:COLORS]
    return ["#{:02x}{:02x}{:02x}".format(*np.rint(color).astype(int)) for color in kept]


def tiny(frame: Picture) -> npt.NDArray[np.float32]:
    """The frame as 16 x 9 mean colours, for ``is_near_duplicate``."""
    import cv2

    return cv2.resize(frame, _TINY, interpolation=cv2.INTER_AREA).astype(np.float32)


def is_near_duplicate(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> bool:
    """Whether two tiny pictures differ by no more than noise: 1 % on average and 5.5 % in any cell of 16 x 9.

    The cell's limit keeps a frame in which only something small has moved or come in. No model is asked, so the
    frames that are kept do not depend on which one serves.
    """
    difference = np.abs(one - other).mean(axis=2)
    return bool(difference.mean() <= _SAME_MEAN and difference.max() <= _SAME_CELL)


def is_another_shot(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> bool:
    """Whether two tiny pictures differ by 10 % on average, as across a cut."""
    return bool(np.abs(one - other).mean() >= _OTHER_MEAN)
