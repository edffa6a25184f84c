"""The frames of a video in which something moves, as pictures: the camera's own motion does not count."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from thatdam_pipelines.errors import MediaError, SettingsError, StoreError
from thatdam_pipelines.library.workers import Job, Workers
from thatdam_pipelines.media.camera_path import LONG_EDGE, Gray, step_between
from thatdam_pipelines.media.frames import Rgb, spaced_frames
from thatdam_pipelines.media.given_video import longest_s, probe_video
from thatdam_pipelines.settings import Settings

PICTURE_EDGE = 540
"""Shorter edge of the pictures, in pixels."""

_JPEG_QUALITY = 88


@dataclass(frozen=True)
class MotionFrame:
    """A picture that was written. ``moving`` is the share of it that moves on its own, 0 to 1."""

    path: Path
    time_s: float
    moving: float


def extract_motion(
    path: Path, name: str, folder: Path, settings: Settings, *, threshold: float, fps: float
) -> list[MotionFrame]:
    """Write the frames in which at least ``threshold`` of the picture moves on its own into ``folder``, as JPEG.

    Args:
        path: The video; only read, in a worker process.
        name: The file as people know it; pictures are named after it, and after their time in seconds.
        fps: Frames a second that are looked at.

    Raises:
        MediaError: It cannot be read, or took too long.
        SettingsError: ``folder`` cannot be made.
        StoreError: It has a picture of a name that would be written; those written before stay.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(folder, f"it cannot be made ({error.strerror})", "Give another folder.") from error
    original, _ = probe_video(path, name, settings)
    order = _Order(path, Path(name).stem, folder, threshold, fps)
    with closing(Workers(1, settings.worker_memory_bytes)) as workers:
        [(_, found)] = workers.run(_extract, [Job(name, name, order, longest_s(original, settings))])
    if isinstance(found, MediaError):
        raise found
    written: list[MotionFrame] = found
    return written


@dataclass(frozen=True)
class _Order:
    path: Path
    stem: str
    folder: Path
    threshold: float
    fps: float


def _extract(order: _Order) -> list[MotionFrame]:
    """Runs in a worker."""
    from PIL import Image

    found = []
    before: tuple[float, Gray] | None = None
    for time_s, picture in spaced_frames(order.path, every_s=1 / order.fps, short_edge=PICTURE_EDGE):
        now = _small(picture)
        if before is not None:
            step, _ = step_between(before[1], now, time_s, time_s - before[0])
            if step.known and step.subject >= order.threshold:
                path = order.folder / f"{order.stem}-{time_s:010.3f}.jpg"
                try:
                    with path.open("xb") as file:
                        Image.fromarray(picture).save(file, "JPEG", quality=_JPEG_QUALITY)
                except FileExistsError as error:
                    cause = "there is a picture of that name"
                    raise StoreError(path, cause, "Give another folder; nothing is overwritten.") from error
                found.append(MotionFrame(path, time_s, step.subject))
        before = time_s, now
    return found


def _small(picture: Rgb) -> Gray:
    import cv2

    height, width = picture.shape[:2]
    scale = LONG_EDGE / max(width, height)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)
