"""One file that editors open, of all chapters of a take: rewrapped, never encoded again, so that no picture changes."""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Literal, get_args

from thatdam_pipelines.errors import MediaError, QueryError, StoreError
from thatdam_pipelines.library.files import replacing
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.locations import locations_by, rows_by
from thatdam_pipelines.library.schemas import CAPTURE_SEGMENTS, PROBES
from thatdam_pipelines.media.ffmpeg import Limits, demuxer_of, ffmpeg_exe, file_url, run_ffmpeg
from thatdam_pipelines.media.whereabouts import Whereabouts, original, whereabouts

Wrap = Literal["mp4", "mov", "mkv"]

_MP4 = {
    "video": {"h264", "hevc", "av1", "vp9", "mpeg4"},
    "audio": {"aac", "mp3", "ac3", "eac3", "alac", "opus"},
}
_MOV = {
    "video": _MP4["video"] - {"av1", "vp9"} | {"prores", "mjpeg", "dnxhd", "dvvideo", "cfhd", "rawvideo"},
    "audio": _MP4["audio"] - {"opus"},
}
"""What editors read in these, which is less than what can be written into them. MKV holds everything."""
_FORMATS = {"mp4": "mp4", "mov": "mov", "mkv": "matroska"}
_BYTES_A_SECOND = 5_000_000
_NOT_IN_ORDER = "on-monoton"
_REORDERED = 32
"""More frames than are ever stored before the one that is shown first."""


@dataclass(frozen=True)
class Chapter:
    """One file of a take.

    Args:
        probe: Its row of ``probes``.
        segment: Its row of ``capture_segments``; None when the recorder did not record it.
    """

    media_id: str
    found: Whereabouts
    probe: Mapping[str, Any]
    segment: Mapping[str, Any] | None


@dataclass(frozen=True)
class Take:
    """What becomes one file: the chapters of a recording that the library has, in order, or a clip of one file.

    Args:
        name: File name without ending.
    """

    take_id: str | None
    name: str
    chapters: tuple[Chapter, ...]


@dataclass(frozen=True)
class Rewrapped:
    """A finished file."""

    path: Path
    chapters: int
    size_bytes: int
    duration_s: float
    frames: int


@dataclass(frozen=True)
class _Starts:
    """Where a file and its picture begin, in seconds of its own clock, and whether frames are stored as shown."""

    file_s: float
    video_s: float
    in_order: bool


def take_of(library: Library, take_id: str) -> Take:
    """A take by its id.

    Raises:
        QueryError: The library has no such take, or several files claim to be the same chapter of it.
    """
    places = locations_by(library.tables, "take_id", [take_id])
    chapters = dict(places.select("media_id", "chapter").unique().sort("chapter").iter_rows())
    if not chapters:
        raise QueryError(take_id, "there is no such take", "See column take_id of `thatdam sql takes`.")
    if len(set(chapters.values())) < len(chapters):
        cause = "several files claim to be the same chapter of it"
        raise QueryError(take_id, cause, "Name one of its files by its media_id.")
    return _take(library, take_id, list(chapters))


def clip_of(library: Library, media_id: str) -> Take:
    """A clip by its content alone, whatever take it is of."""
    return _take(library, None, [media_id])


def _take(library: Library, take_id: str | None, media_ids: Sequence[str]) -> Take:
    probes = {row["media_id"]: row for row in rows_by(library.tables, PROBES, "media_id", media_ids).to_dicts()}
    segments = {
        row["media_id"]: row for row in rows_by(library.tables, CAPTURE_SEGMENTS, "media_id", media_ids).to_dicts()
    }
    places: dict[str, Whereabouts] = {}
    for batch_id in {content.batch_id for content in library.ledger.contents(media_ids).values()}:
        places |= whereabouts(library, batch_id)
    for media_id in media_ids:
        if media_id not in probes or media_id not in places:
            name = places[media_id].name if media_id in places else media_id
            raise QueryError(name, "it could not be read as media", "See `thatdam explain`.")
    chapters = [Chapter(one, places[one], probes[one], segments.get(one)) for one in media_ids]
    first = Path(chapters[0].found.name).stem
    # cam1_20261121T100000250Z_5e551040_00000: a take is named without the place of its first segment.
    name = first.rpartition("_")[0] if chapters[0].segment and "_" in first else first
    return Take(take_id, name, tuple(chapters))


def require_fitting(take: Take, wrap: Wrap) -> None:
    """Refuse what a container cannot hold, or what cannot be joined, before anything is read.

    Raises:
        MediaError: The cause says what does not fit, the next step which container does.
    """
    first = take.chapters[0].probe
    if first["video_codec"] is None:
        raise MediaError(take.name, "it has no picture", "Only clips with a picture are rewrapped.")
    for kind, column in (("video", "video_codec"), ("audio", "audio_codec")):
        codec = first[column]
        if codec is not None and not _holds(wrap, kind, codec):
            other = next(name for name in get_args(Wrap) if name != wrap and _holds(name, kind, codec))
            if any(not _holds(other, *one) for one in _codecs(first)):
                other = "mkv"
            raise MediaError(take.name, f"{wrap} cannot hold {kind} in {codec}", f"Use `--container {other}`.")
    for chapter in take.chapters[1:]:
        for column in ("video_codec", "width", "height", "pixel_format", "audio_codec", "audio_channels"):
            if chapter.probe[column] != first[column]:
                cause = f"{chapter.found.name} has another {column.replace('_', ' ')} than the chapters before it"
                raise MediaError(take.name, cause, "Rewrap its files one by one.")


def rewrap(library: Library, take: Take, target: Path, wrap: Wrap = "mp4") -> Rewrapped:
    """Write a take into one file. Every frame and sample is as it was recorded; time and timecode are kept.

    Args:
        target: The file to make, in a folder that is there. It is written beside it and renamed; never replaced.

    Raises:
        MediaError: The container cannot hold it, or a chapter cannot be read.
        OfflineError: The store, or the disk of a file left by reference, cannot be reached.
        StoreError: Something stands at ``target``, or the result does not have every frame.
    """
    require_fitting(take, wrap)
    if target.exists():
        raise StoreError(target, "something is there already", "Nothing was overwritten; remove it or name a folder.")
    exe = ffmpeg_exe(library.settings)
    with ExitStack() as opened, tempfile.TemporaryDirectory(prefix="thatdam-") as text:
        folder = Path(text)
        demuxer = demuxer_of(take.chapters[0].probe["container"])
        paths = [opened.enter_context(original(library, chapter.found)) for chapter in take.chapters]
        starts = [
            _starts(path, demuxer, chapter.found.name) for path, chapter in zip(paths, take.chapters, strict=True)
        ]
        names = [f"{number:06d}" for number in range(len(paths))]
        for name, path in zip(names, paths, strict=True):
            (folder / name).symlink_to(path.absolute())
        chapters = folder / "chapters"
        chapters.write_text(_list(names, _lengths(take, starts)), "utf-8")
        size = sum(chapter.found.size_bytes for chapter in take.chapters)
        limits = Limits(
            wall_s=library.settings.proxy_timeout_min_s + size / _BYTES_A_SECOND,
            memory_bytes=library.settings.worker_memory_bytes,
            file_bytes=round(size * 1.1) + 2**26,
        )
        with replacing(target) as part:
            rate = _rate(take) if all(start.in_order for start in starts) else None
            for on_grid in dict.fromkeys((rate, None)):
                arguments = _arguments(take, wrap, chapters, demuxer, starts[0], on_grid, part)
                said = run_ffmpeg(arguments, exe=exe, name=take.name, limits=limits, folder=folder, making="it")
                # Two frames nearer to each other than the rate allows keep the times they have.
                if not any(_NOT_IN_ORDER in line for line in said.lines):
                    break
            return _inspect(part, target, take)


def _codecs(probe: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = [("video", probe["video_codec"]), ("audio", probe["audio_codec"])]
    return [(kind, codec) for kind, codec in found if codec is not None]


def _holds(wrap: str, kind: str, codec: str) -> bool:
    if wrap == "mkv":
        return True
    known = _MP4 if wrap == "mp4" else _MOV
    return codec in known[kind] or (wrap == "mov" and codec.startswith("pcm_"))


def _starts(path: Path, demuxer: str, name: str) -> _Starts:
    import av

    try:
        with av.open(file_url(path), format=demuxer, options={"protocol_whitelist": "file"}) as file:
            video = file.streams.video[0]
            file_s = (file.start_time or 0) / av.time_base
            shown = (float(one.pts * one.time_base) for one in file.demux(video) if one.pts is not None)
            begins = min(islice(shown, _REORDERED), default=file_s)
            in_order = not video.codec_context.has_b_frames
    except (av.FFmpegError, IndexError) as error:
        raise MediaError(name, f"it cannot be read ({error})", "Play the original; see `thatdam explain`.") from error
    return _Starts(file_s, begins, in_order)


def _lengths(take: Take, starts: Sequence[_Starts]) -> list[float | None]:
    """Seconds from the start of each file to that of the next, so that pictures follow one another as recorded.

    Files do not begin with their picture: sound is cut where its packets end. Joined by their lengths, every boundary
    would move what follows by that.
    """
    lengths: list[float | None] = []
    rows = list(zip(take.chapters, starts, strict=True))
    for (before, start), (after, next_start) in pairwise(rows):
        one, other = before.segment, after.segment
        if one is None or other is None:
            lengths.append(None)
            continue
        if other["segment_index"] == one["segment_index"] + 1:
            pictures = one["duration_s"] + (other["gap_before_s"] or 0.0)
        else:
            pictures = (other["start_utc"] - one["start_utc"]).total_seconds()
        lengths.append(pictures + (start.video_s - start.file_s) - (next_start.video_s - next_start.file_s))
    return [*lengths, None]


def _list(names: Sequence[str], lengths: Sequence[float | None]) -> str:
    lines = ["ffconcat version 1.0"]
    for name, length in zip(names, lengths, strict=True):
        lines += [f"file {name}", *([f"duration {length:.6f}"] if length is not None else [])]
    return "\n".join(lines) + "\n"


def _rate(take: Take) -> Fraction | None:
    """Frames a second that all chapters were recorded at; None when the recorder did not say."""
    rates = {chapter.segment["frame_rate"] if chapter.segment else None for chapter in take.chapters}
    (rate, *others) = rates
    return Fraction(rate) if rate and not others else None


def _arguments(
    take: Take, wrap: Wrap, chapters: Path, demuxer: str, start: _Starts, rate: Fraction | None, target: Path
) -> list[str]:
    first = take.chapters[0]
    # The picture begins at 0; what is heard before it has times below that, which players know to leave out.
    arguments = ["-copyts", "-itsoffset", f"{start.file_s - start.video_s:.6f}", "-protocol_whitelist", "file"]
    arguments += ["-format_whitelist", f"concat,{demuxer}", "-f", "concat", "-i", file_url(chapters)]
    arguments += ["-map", "0:v:0", "-map", "0:a?", "-c", "copy"]
    if rate is not None:
        # MKV holds milliseconds: on the grid of its rate every frame is as long as the next.
        arguments += ["-bsf:v", f"setts=time_base={rate.denominator}/{rate.numerator}"]
    if wrap != "mkv":
        arguments += ["-movflags", "+faststart"]
        arguments += ["-tag:v", "hvc1"] if first.probe["video_codec"] == "hevc" else []
        arguments += ["-timecode", first.probe["timecode"]] if first.probe["timecode"] else []
    created: datetime | None = first.probe["created_utc"]
    if created is not None:
        arguments += ["-metadata", f"creation_time={created:%Y-%m-%dT%H:%M:%S.%f}Z"]
    return [*arguments, "-f", _FORMATS[wrap], file_url(target)]


def _inspect(part: Path, target: Path, take: Take) -> Rewrapped:
    """Count what was written: a copy that lacks a frame is none."""
    import av

    with av.open(file_url(part)) as file:
        video = file.streams.video[0]
        frames = sum(1 for packet in file.demux(video) if packet.size)
        duration_s = (file.duration or 0) / av.time_base
    wanted = sum(chapter.segment["frames"] for chapter in take.chapters if chapter.segment)
    if frames < wanted:
        cause = f"{frames} of {wanted} frames were written"
        raise StoreError(target, cause, "Check the disk and the originals, then run it again.")
    return Rewrapped(target, len(take.chapters), part.stat().st_size, duration_s, frames)
