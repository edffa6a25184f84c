"""Segments as they stand on disk: what ffmpeg's list says of them, what is in them, and how a cut one is saved."""

import csv
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from thatdam_capture.errors import SegmentError
from thatdam_capture.manifest import AudioFacts, VideoFacts
from thatdam_capture.progress import usual_step

REMUX_TIMEOUT_S = 600


@dataclass(frozen=True)
class SegmentFacts:
    """What a segment holds, counted from its packets.

    Attributes:
        times: Of every video frame, sorted, in seconds of the file.
        whole: The file could be read to its end.
    """

    times: tuple[float, ...]
    rate: Fraction
    video: VideoFacts
    audio: AudioFacts | None
    whole: bool

    @property
    def frames(self) -> int:
        return len(self.times)

    @property
    def first_s(self) -> float:
        return self.times[0]

    @property
    def step_s(self) -> float:
        """Usual seconds from frame to frame."""
        return usual_step(list(self.times)) or float(1 / self.rate)

    @property
    def end_s(self) -> float:
        return self.times[-1] + self.step_s

    @property
    def duration_s(self) -> float:
        return self.end_s - self.first_s


@dataclass(frozen=True)
class Row:
    """A line of ffmpeg's segment list, written when it has closed a segment. Times are the session's."""

    index: int
    start_s: float
    end_s: float

    def holds(self, facts: SegmentFacts) -> bool:
        """Whether a segment holds what this row says. The row alone proves nothing: a full disk cuts what it lists."""
        return facts.whole and abs((self.end_s - self.start_s) - facts.duration_s) < 1.5 * facts.step_s + 0.05


def read_rows(path: Path) -> list[Row]:
    """The rows of a segment list that are whole; an empty list when there is none."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    rows = []
    for line in csv.reader(text[: text.rfind("\n") + 1].splitlines()):
        try:
            name, start, end = line
            rows.append(Row(int(Path(name).stem), float(start), float(end)))
        except ValueError:
            continue
    return rows


def missing_frames(times: tuple[float, ...] | list[float], rate: Fraction | None) -> tuple[int, int]:
    """Frames that sorted times say are missing and frames that repeat a time: ``(dropped, duplicated)``.

    Args:
        rate: What the source was asked for; none: the usual step is taken for the rate.
    """
    step = float(1 / rate) if rate else usual_step(list(times))
    if step <= 0:
        return 0, 0
    dropped = duplicated = 0
    for before, after in pairwise(times):
        if after <= before:
            duplicated += 1
        elif after - before > 1.5 * step:
            dropped += round((after - before) / step) - 1
    return dropped, duplicated


def inspect(path: Path) -> SegmentFacts:
    """Read every packet of a segment.

    Raises:
        SegmentError: there is no video in it, or it cannot be opened.
    """
    import av

    times: list[float] = []
    samples: int | None = 0
    video_bytes = 0
    whole = True
    try:
        with av.open(f"file:{path}") as container:
            if not container.streams.video:
                raise SegmentError(f"{path.name} holds no video", "It is set aside")
            picture = container.streams.video[0]
            sound = container.streams.audio[0] if container.streams.audio else None
            rate = picture.base_rate or picture.average_rate or picture.guessed_rate or Fraction(25)
            try:
                for packet in container.demux():
                    if packet.size == 0 or packet.pts is None or packet.time_base is None:
                        continue
                    if packet.stream.index == picture.index:
                        times.append(float(packet.pts * packet.time_base))
                        video_bytes += packet.size
                    elif sound is not None and packet.stream.index == sound.index and samples is not None:
                        length = packet.duration
                        samples = samples + round(length * packet.time_base * sound.rate) if length else None
            except av.FFmpegError:
                whole = False
            codec = picture.codec_context
            audio = None
            if sound is not None:
                audio = AudioFacts(
                    codec=sound.codec_context.name, sample_rate=sound.rate, channels=sound.channels, samples=samples
                )
    except av.FFmpegError as error:
        raise SegmentError(f"{path.name} cannot be read ({error})", "It is set aside") from error
    if not times:
        raise SegmentError(f"{path.name} holds no frame", "It is set aside")
    times.sort()
    span = times[-1] - times[0] + (usual_step(times) or float(1 / rate))
    video = VideoFacts(
        codec=codec.name,
        width=codec.width,
        height=codec.height,
        pixel_format=codec.pix_fmt,
        bit_rate=int(video_bytes * 8 / span) if span > 0 else None,
    )
    return SegmentFacts(tuple(times), Fraction(rate), video, audio, whole)


def is_readable(path: Path) -> bool:
    """Whether a segment holds at least one frame that can be read."""
    try:
        inspect(path)
    except SegmentError:
        return False
    return True


def remux(ffmpeg: str, path: Path) -> SegmentFacts:
    """Give a segment that was cut off an end, and an index, in place. A copy that holds less is not taken.

    Raises:
        SegmentError: nothing in it can be read.
    """
    before = inspect(path)
    beside = path.with_name(f"{path.name}.tmp")
    arguments = ["-hide_banner", "-nostdin", "-loglevel", "error", "-y", "-i", f"file:{path}", "-map", "0"]
    arguments += ["-c", "copy", "-f", "matroska", f"file:{beside}"]
    try:
        subprocess.run([ffmpeg, *arguments], capture_output=True, timeout=REMUX_TIMEOUT_S, check=True)
        after = inspect(beside)
    except (OSError, subprocess.SubprocessError, SegmentError):
        beside.unlink(missing_ok=True)
        return before
    if after.frames < before.frames:
        beside.unlink()
        return before
    beside.replace(path)
    return after
