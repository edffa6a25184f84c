"""The camera's path through a clip, told apart from what moves in front of it, from the small frames of its proxy.

The sharpest corner of each cell of the picture is followed to the next frame and back again (J. Shi, C. Tomasi, "Good
Features to Track", 1994; J.-Y. Bouguet, "Pyramidal Implementation of the Lucas Kanade Feature Tracker", 2000; Z. Kalal
et al., "Forward-Backward Error", ICPR 2010). Shifts, turns and scales that many of them share are tried one after the
other (M. Fischler, R. Bolles, "Random Sample Consensus", 1981); the one that explains most of the *picture*, not of the
corners, is the camera's: a subject with many corners does not outvote the wall behind it. What still differs once a
frame is laid over the next by it is the subject (M. Irani, B. Rousso, S. Peleg, "Computing Occluding and Transparent
Motions", 1994).
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from thatdam_pipelines.errors import MediaError

LONG_EDGE = 160
"""Longer edge of the frames that motion is measured in, in pixels."""

STEP_S = 0.095
"""Frames nearer together than this are left out: motion is measured about 10 times a second."""

CELL = 10
"""Edge of the cells of which the sharpest corner is followed, in pixels."""

LEAST_CORNER = 2e-6
"""Strength (least eigenvalue) below which a corner is noise, or made by coding."""

BACK_AGAIN = 0.5
"""Pixels a corner may be off once it was followed back."""

APART = 0.7
"""Pixels a corner may be off from a motion it shares."""

DIFFERS = 14
"""Levels of luma by which a pixel must differ from where the camera's motion puts it to move on its own."""

PARAMETERS = [LONG_EDGE, STEP_S, CELL, LEAST_CORNER, BACK_AGAIN, APART, DIFFERS]

_LEAST_CORNERS = 8
_MOTIONS = 3
_ENOUGH = 20.0
"""Levels of luma from which a pixel that differs more says no more against a motion."""
_LEAST_SEEN = 0.3
_FLASH = 45.0
_STILL = 1.0
_MOST_SHIFT = 0.5

Gray = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Points = npt.NDArray[np.float32]
Similarity = npt.NDArray[np.float64]
"""``[2, 3]``: where a pixel of one frame is in the next."""

_UNMOVED: Similarity = np.array([[1.0, 0, 0], [0, 1, 0]])


@dataclass(frozen=True)
class Step:
    """What happened between two frames.

    Args:
        time_s: Time of the second frame.
        elapsed_s: Since the first.
        known: False where nothing can be followed.
        cut: Another shot begins with the second frame.
        right: Shift of the picture's middle to the right, in widths.
        down: Its shift down, in heights.
        scale: Growth of the picture, as a natural logarithm.
        turn: Its turn clockwise, in radians.
        subject: Share of the picture that moves on its own, 0 to 1.
    """

    time_s: float
    elapsed_s: float
    known: bool
    cut: bool = False
    right: float = 0.0
    down: float = 0.0
    scale: float = 0.0
    turn: float = 0.0
    subject: float = 0.0


def steps_of(proxy: Path, name: str, cuts_s: Sequence[float] = ()) -> Iterator[Step]:
    """The steps from each frame to the next, about ten a second.

    Args:
        proxy: A proxy with pictures.
        name: The file as people know it, for messages.
        cuts_s: Times at which another shot begins.

    Raises:
        MediaError: It cannot be read.
    """
    motion = _UNMOVED
    for (before_s, old), (time_s, new) in itertools.pairwise(small_frames(proxy, name)):
        if any(before_s < cut_s <= time_s for cut_s in cuts_s):
            step, motion = Step(time_s, time_s - before_s, known=False, cut=True), _UNMOVED
        else:
            step, motion = step_between(old, new, time_s, time_s - before_s, motion)
        yield step


def small_frames(proxy: Path, name: str) -> Iterator[tuple[float, Gray]]:
    """Frames of a proxy, grey, with ``LONG_EDGE``, at least ``STEP_S`` apart, each with its time.

    Raises:
        MediaError: It cannot be read.
    """
    import av
    from av.error import FFmpegError

    try:
        with av.open(str(proxy), format="mov") as container:
            stream = container.streams.video[0]
            context = stream.codec_context
            context.skip_frame = "NONREF"
            context.options = {"skip_loop_filter": "nokey"}
            context.thread_count = 1
            scale = LONG_EDGE / max(context.width, context.height)
            width, height = (max(2 * CELL, round(edge * scale)) for edge in (context.width, context.height))
            last_s = -1.0
            for frame in container.decode(stream):
                time_s = frame.time or 0.0
                if time_s - last_s >= STEP_S:
                    last_s = time_s
                    small = frame.reformat(width, height, "gray8", interpolation="AREA").to_ndarray()
                    yield time_s, np.asarray(small, np.uint8)
    except (FFmpegError, OSError, IndexError) as error:
        raise MediaError(name, f"the picture of its proxy cannot be read ({error})", "Run `thatdam retry`.") from error


def step_between(
    old: Gray, new: Gray, time_s: float, elapsed_s: float, before: Similarity = _UNMOVED
) -> tuple[Step, Similarity]:
    """What moved between two frames, and the camera's motion.

    Args:
        old: Grey, with ``LONG_EDGE``; so is ``new``.
        before: The camera's motion in the step before.
    """
    import cv2

    height, width = old.shape
    change = float(cv2.absdiff(old, new).mean())
    if change > _FLASH:
        return Step(time_s, elapsed_s, known=False), _UNMOVED
    here, there = _followed(old, new)
    if len(here) < _LEAST_CORNERS:
        # A wall, the sky, the dark: without change there is no motion either.
        return Step(time_s, elapsed_s, known=change < _STILL), _UNMOVED
    smooth = _smoothed(old, 1.5), _smoothed(new, 1.5)
    motion = min([_UNMOVED, before, *_shared(here, there)], key=lambda one: _unexplained(*smooth, one))
    motion = _refined(motion, here, there, *smooth)
    middle = np.array([width / 2, height / 2])
    shift = (motion[:, :2] @ middle + motion[:, 2] - middle) / (width, height)
    if np.abs(shift).max() > _MOST_SHIFT:
        return Step(time_s, elapsed_s, known=False), _UNMOVED
    step = Step(
        time_s,
        elapsed_s,
        known=True,
        right=float(shift[0]),
        down=float(shift[1]),
        scale=float(np.log(np.hypot(motion[0, 0], motion[1, 0]))),
        turn=float(np.arctan2(motion[1, 0], motion[0, 0])),
        subject=_moved(old, new, motion),
    )
    return step, motion


def _followed(old: Gray, new: Gray) -> tuple[Points, Points]:
    """The sharpest corner of each cell, and where it went; ``[n, 2]`` both."""
    corners = _corners(old)
    if not len(corners):
        return corners, corners
    there, found = _flow(old, new, corners)
    back, found_again = _flow(new, old, there)
    good = found & found_again & (np.linalg.norm(back - corners, axis=1) < BACK_AGAIN)
    return corners[good], there[good]


def _flow(old: Gray, new: Gray, points: Points) -> tuple[Points, npt.NDArray[np.bool_]]:
    """Where points of one frame are in the next, and which were found."""
    import cv2

    there, found, _ = cv2.calcOpticalFlowPyrLK(old, new, points, points.copy(), winSize=(15, 15), maxLevel=3)
    return np.asarray(there, np.float32), np.asarray(found).ravel() == 1


def _corners(gray: Gray) -> Points:
    """One of every cell that has any, so that no part of the picture counts for more than its size."""
    import cv2

    rows, columns = gray.shape[0] // CELL, gray.shape[1] // CELL
    strength = cv2.cornerMinEigenVal(gray, 5)[: rows * CELL, : columns * CELL]
    cells = strength.reshape(rows, CELL, columns, CELL).transpose(0, 2, 1, 3).reshape(rows * columns, CELL * CELL)
    row, column = np.divmod(np.arange(rows * columns), columns)
    down, right = np.divmod(cells.argmax(axis=1), CELL)
    places = np.stack([column * CELL + right, row * CELL + down], axis=1)
    return places[cells.max(axis=1) > LEAST_CORNER].astype(np.float32)


def _shared(here: Points, there: Points) -> Iterator[Similarity]:
    """Motions that corners share: that of most, then that of most of the others, and so on."""
    for _ in range(_MOTIONS):
        if len(here) < _LEAST_CORNERS:
            return
        motion, shares = _fitted(here, there)
        if motion is None or shares.sum() < _LEAST_CORNERS:
            return
        yield motion
        here, there = here[~shares], there[~shares]


def _fitted(here: Points, there: Points) -> tuple[Similarity | None, npt.NDArray[np.bool_]]:
    import cv2

    motion, shares = cv2.estimateAffinePartial2D(
        here, there, method=cv2.RANSAC, ransacReprojThreshold=APART, maxIters=300, confidence=0.995
    )
    if motion is None:
        return None, np.zeros(len(here), bool)
    return np.asarray(motion, np.float64), np.asarray(shares).ravel() == 1


def _refined(motion: Similarity, here: Points, there: Points, old: Gray, new: Gray) -> Similarity:
    """The motion of the corners near a motion, where it explains the picture no worse."""
    near = np.linalg.norm(here @ motion[:, :2].T + motion[:, 2] - there, axis=1) < 2 * APART
    if near.sum() < _LEAST_CORNERS:
        return motion
    fitted, _ = _fitted(here[near], there[near])
    better = fitted is not None and _unexplained(old, new, fitted) <= _unexplained(old, new, motion)
    return fitted if fitted is not None and better else motion


def _unexplained(old: Gray, new: Gray, motion: Similarity) -> float:
    """Mean difference, at most ``_ENOUGH`` a pixel, of two frames once one is laid over the other."""
    import cv2

    laid, seen = _laid(old, motion)
    if seen.mean() < _LEAST_SEEN:
        return np.inf
    return float(np.minimum(cv2.absdiff(laid, new), _ENOUGH)[seen].mean())


def _moved(old: Gray, new: Gray, motion: Similarity) -> float:
    """Share of the picture that is not where the camera's motion puts it."""
    import cv2

    laid, seen = _laid(old, motion)
    seen = cv2.erode(seen.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    # Edges differ where a motion is off by a part of a pixel: a blur and a median leave only what has an area.
    change = cv2.absdiff(_smoothed(laid, 1.2), _smoothed(new, 1.2))
    return float(((cv2.medianBlur(change, 5) > DIFFERS) & seen).sum() / max(1, seen.sum()))


def _smoothed(gray: Gray, sigma: float) -> Gray:
    import cv2

    return np.asarray(cv2.GaussianBlur(gray, (0, 0), sigma), np.uint8)


def _laid(gray: Gray, motion: Similarity) -> tuple[Gray, npt.NDArray[np.bool_]]:
    """A frame moved, and which pixels of the result it covers."""
    import cv2

    size = gray.shape[1], gray.shape[0]
    covered = cv2.warpAffine(np.full_like(gray, 255), motion, size) == 255
    return np.asarray(cv2.warpAffine(gray, motion, size), np.uint8), covered
