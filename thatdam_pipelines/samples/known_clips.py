"""Clips whose boundaries are known, and what a detector makes of them."""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from thatdam_pipelines.media.measures import SMALL_FILTER, FrameMeasures
from thatdam_pipelines.samples.shots import SIZE

CLOCK = 90_000
"""Ticks a second of the clips' time stamps."""

EARLY_OR_LATE_S = 0.25
"""How far outside a dissolve or fade its boundary may be found."""


@dataclass(frozen=True)
class Boundary:
    """Where one shot becomes another: ``kind`` is cut, dissolve or fade; a cut starts and ends at its first frame."""

    kind: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class KnownClip:
    """A clip not yet rendered.

    Args:
        name: Kind, rate and number.
        kind: Question it asks: one of ``KINDS``.
        times_s: Presentation time of each frame.
        boundaries: Every place where a scene begins but the first.
        crf: x264 quality; higher is worse.
        picture: Renders one frame, RGB uint8 ``[180, 320, 3]``, given its index.
    """

    name: str
    kind: str
    times_s: tuple[float, ...]
    boundaries: tuple[Boundary, ...]
    crf: int
    picture: Callable[[int], npt.NDArray[np.uint8]]

    @property
    def duration_s(self) -> float:
        return 2 * self.times_s[-1] - self.times_s[-2]

    def frames(self) -> Iterator[npt.NDArray[np.uint8]]:
        return (self.picture(index) for index in range(len(self.times_s)))

    def write(self, path: Path) -> Path:
        """Encode as H.264 with its own time stamps; returns ``path``."""
        import av

        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=30)
            stream.width, stream.height = SIZE
            stream.pix_fmt = "yuv420p"
            stream.options = {"preset": "veryfast", "crf": str(self.crf), "threads": "1"}
            stream.codec_context.time_base = stream.time_base = Fraction(1, CLOCK)
            for time_s, pixels in zip(self.times_s, self.frames(), strict=True):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = round(time_s * CLOCK), Fraction(1, CLOCK)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path


def measured(path: Path) -> pl.DataFrame:
    """Measures of a clip, from small frames that ffmpeg pipes as the proxy pass does."""
    import av
    import imageio_ffmpeg

    measures = FrameMeasures()
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-threads", "1", "-i", f"file:{path}"]
    command += ["-vf", SMALL_FILTER, "-fps_mode", "passthrough", "-enc_time_base", f"1:{CLOCK}"]
    command += ["-c:v", "rawvideo", "-f", "nut", "pipe:1"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as process,
        av.open(process.stdout, "r", format="nut") as container,
    ):
        for frame in container.decode(video=0):
            measures.add(frame.time or 0.0, frame.to_ndarray().astype(np.uint8, copy=False))
    return measures.frame()


@dataclass
class Tally:
    """What was found of what is there; adds up.

    Args:
        cuts: Hard cuts there are.
        cuts_found: Those found at their very frame.
        gradual: Dissolves and fades there are.
        gradual_found: Those with a boundary in them, or at most ``EARLY_OR_LATE_S`` away.
        false: Boundaries found where there is none, or a second time.
        minutes: Duration of the clips.
    """

    cuts: int = 0
    cuts_found: int = 0
    gradual: int = 0
    gradual_found: int = 0
    false: int = 0
    minutes: float = 0.0

    @property
    def precision(self) -> float:
        """Share of the boundaries found that are there, dissolves and fades included."""
        right = self.cuts_found + self.gradual_found
        return right / (right + self.false) if right + self.false else 1.0

    @property
    def recall(self) -> float:
        """Share of the hard cuts found."""
        return self.cuts_found / self.cuts if self.cuts else 1.0

    @property
    def f1(self) -> float:
        """Of hard cuts, every false boundary held against it."""
        return 2 * self.cuts_found / max(1, self.cuts_found + self.false + self.cuts)

    @property
    def gradual_recall(self) -> float:
        return self.gradual_found / self.gradual if self.gradual else 1.0

    @property
    def false_a_minute(self) -> float:
        return self.false / self.minutes if self.minutes else 0.0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(**{name: value + getattr(other, name) for name, value in vars(self).items()})


def tally(clip: KnownClip, found_s: Sequence[float]) -> Tally:
    """Compare the times at which a detector begins scenes, but for the first, with the clip's boundaries."""
    left = sorted(found_s)
    half_frame_s = float(np.median(np.diff(clip.times_s))) / 2
    result = Tally(minutes=clip.duration_s / 60)
    for edge in clip.boundaries:
        margin = half_frame_s if edge.kind == "cut" else EARLY_OR_LATE_S
        hits = [time_s for time_s in left if edge.start_s - margin < time_s < edge.end_s + margin]
        left = [time_s for time_s in left if time_s not in hits[:1]]
        if edge.kind == "cut":
            result.cuts, result.cuts_found = result.cuts + 1, result.cuts_found + bool(hits)
        else:
            result.gradual, result.gradual_found = result.gradual + 1, result.gradual_found + bool(hits)
    result.false = len(left)
    return result
