"""Facts of a file with streams: read by PyAV in this process, or from what ffmpeg prints about it."""

import functools
import os
import re
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.library.workers import die_with_parent
from thatdam_pipelines.media.boxes import Movie
from thatdam_pipelines.media.containers import FORMATS, BoundedFile, demuxing
from thatdam_pipelines.media.dump import Dump, DumpedStream, parse_dump
from thatdam_pipelines.media.facts import Probe, StreamFacts, plain
from thatdam_pipelines.media.ffmpeg import file_url
from thatdam_pipelines.media.formats import (
    AUDIO_MIME,
    MATRICES,
    PRIMARIES,
    TRANSFERS,
    VIDEO_MIME,
    bit_depth_of,
    channels_of,
    fraction_text,
    standard_rate,
)
from thatdam_pipelines.media.h264 import Sequence, read_sequence
from thatdam_pipelines.media.metadata import describe_recording, folded
from thatdam_pipelines.media.timecode import read_timecode
from thatdam_pipelines.media.timing import add_rates, packets_of, settle_duration

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Disposition, Stream

_WITH_HEADERS = frozenset({"mov", "matroska", "avi", "mxf", "wav", "aiff", "flac", "asf", "w64"})
_BEGINS_WITHIN_US = 400_000
_STILL_DISPOSITIONS = frozenset({"attached pic", "timed thumbnails", "still image"})


def probe_streams(
    file: BoundedFile, name: str, form: str | None, movie: Movie | None, timeout_s: float, max_pixels: int
) -> Probe:
    """Probe an open file by PyAV: by its headers alone where they tell everything, else by decoding a few frames.

    Args:
        form: Format by signature.
        movie: What its boxes say, if it has boxes.

    Raises:
        MediaError: It has neither pictures nor sound, or more pixels than allowed.
        av.FFmpegError: PyAV cannot demux it.
    """
    begins_within_us = 1 if form in _WITH_HEADERS else _BEGINS_WITHIN_US
    with demuxing(file, timeout_s, max_pixels, headers_only=True, begins_within_us=begins_within_us) as container:
        description = _description(container)
        if _tells_all(description):
            return _probe(container, description, file, name, movie, max_pixels)
    with demuxing(file, timeout_s, max_pixels) as container:
        return _probe(container, _description(container), file, name, movie, max_pixels)


def _description(container: "InputContainer") -> Dump:
    """What is printed about the container, its streams by what PyAV says exactly."""
    dump = _dump_of(container)
    streams = list(container.streams)
    # A tag that imitates the description of a stream must not be taken for one.
    trusted = dump is not None and [entry.index for entry in dump.streams] == [stream.index for stream in streams]
    entries = dump.streams if dump is not None and trusted else [DumpedStream(s.index, s.type, None) for s in streams]
    for stream, entry in zip(streams, entries, strict=True):
        _add_exact_facts(stream, entry)
    duration = container.duration / 1_000_000 if container.duration else None
    return Dump(container.format.name, duration, container.bit_rate, dict(container.metadata), entries)


def _tells_all(description: Dump) -> bool:
    picture, sound = _main_picture(description), _main_sound(description)
    if picture is not None and picture.codec not in (None, "none") and not (picture.width and picture.pixel_format):
        return False
    if sound is not None and sound.codec not in (None, "none") and not (sound.sample_rate_hz and sound.layout):
        return False
    return picture is not None or sound is not None


def _probe(
    container: "InputContainer", description: Dump, file: BoundedFile, name: str, movie: Movie | None, max_pixels: int
) -> Probe:
    durations = {stream.index: _stream_duration(stream) for stream in container.streams}
    probe = _describe(description, durations, file, name, movie, max_pixels)
    main = _main_picture(description)
    if main is not None:
        stream = container.streams[main.index]
        add_rates(probe, stream, container, file, movie)
        _compare_sizes(probe, movie)
        if probe.hdr == "pq":
            probe.hdr = _pq_kind(container, stream)
    settle_duration(probe, container, file, movie, main is not None)
    return probe


def probe_printed(path: Path, file: BoundedFile, name: str, ffmpeg: str, timeout_s: float, max_pixels: int) -> Probe:
    """Probe a file from what ``ffmpeg -i`` prints: for what PyAV refuses and a newer ffmpeg may read.

    Raises:
        MediaError: ffmpeg cannot read it either.
    """
    arguments = [ffmpeg, "-hide_banner", "-nostdin", "-protocol_whitelist", "file", "-format_whitelist", FORMATS]
    arguments += ["-i", file_url(path)]
    try:
        done = subprocess.run(
            arguments,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            stdin=subprocess.DEVNULL,
            preexec_fn=functools.partial(die_with_parent, os.getpid()),
        )
    except subprocess.TimeoutExpired as error:
        cause = f"reading it took longer than {timeout_s:.0f} s"
        raise MediaError(name, cause, "Copy it from the card again, or play it to see what it is.") from error
    printed = parse_dump(done.stderr[: 2**20].decode("utf-8", "replace"))
    if printed is None or not printed.streams:
        raise MediaError(name, "is not a media file that can be read", "Play it; if it plays, report it with the file.")
    return _describe(printed, {}, file, name, None, max_pixels)


def _dump_of(container: "InputContainer") -> Dump | None:
    from av import logging

    previous, repeating = logging.get_level(), logging.get_skip_repeated()
    logging.set_level(logging.INFO)
    logging.set_skip_repeated(False)
    try:
        return parse_dump(container.dumps_format())  # type: ignore[attr-defined]
    finally:
        logging.set_skip_repeated(repeating)
        logging.set_level(previous)


@functools.cache
def _disposition_names(flags: "type[Disposition]", value: int) -> frozenset[str]:
    return frozenset(str(flag.name).replace("_", " ") for flag in flags if flag.value & value)


def _add_exact_facts(stream: "Stream", entry: DumpedStream) -> None:
    """Put what PyAV says in place of what was printed, where it is exact or cannot be forged by a tag."""
    entry.type = stream.type
    entry.language = stream.metadata.get("language")
    entry.metadata = dict(stream.metadata)
    entry.dispositions = set(_disposition_names(type(stream.disposition), int(stream.disposition)))
    context: Any = stream.codec_context
    if context is None:
        return
    entry.codec, entry.profile = context.name if entry.codec is None else entry.codec, stream.profile
    if stream.type == "video":
        entry.width, entry.height, entry.pixel_format = context.width, context.height, context.pix_fmt
        video: Any = stream
        aspect = video.sample_aspect_ratio
        if context.name == "h264" and entry.pixel_format is None and (sequence := read_sequence(context.extradata)):
            _add_sequence(entry, sequence, aspect)
        elif aspect:
            entry.sample_aspect = aspect.numerator, aspect.denominator
    elif stream.type == "audio":
        entry.sample_rate_hz = context.sample_rate
        entry.bit_rate_bps = context.bit_rate or entry.bit_rate_bps


def _add_sequence(entry: DumpedStream, sequence: Sequence, aspect: Fraction | None) -> None:
    """Fill in what a decoder would have told; the container's aspect ratio goes before the stream's."""
    entry.pixel_format = sequence.pixel_format
    if sequence.full_range is not None:
        entry.color_range = "pc" if sequence.full_range else "tv"
    entry.color_primaries = PRIMARIES.get(sequence.primaries, entry.color_primaries)
    entry.color_transfer = TRANSFERS.get(sequence.transfer, entry.color_transfer)
    entry.color_space = MATRICES.get(sequence.matrix, entry.color_space)
    if aspect:
        entry.sample_aspect = aspect.numerator, aspect.denominator
    elif sequence.sample_aspect:
        entry.sample_aspect = sequence.sample_aspect


def _stream_duration(stream: "Stream") -> float | None:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    # Matroska keeps it as a tag.
    if match := re.match(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", "")):
        return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])
    return None


def _describe(
    dump: Dump, durations: dict[int, float | None], file: BoundedFile, name: str, movie: Movie | None, max_pixels: int
) -> Probe:
    picture, sound = _main_picture(dump), _main_sound(dump)
    if picture is None and sound is None:
        raise MediaError(name, "has neither pictures nor sound", "It may be damaged, or a companion of another file.")
    if picture is not None and (picture.width or 0) * (picture.height or 0) > max_pixels:
        cause = f"claims pictures of {picture.width}x{picture.height} pixels, more than the {max_pixels:,} allowed"
        raise MediaError(name, cause, "Its header is probably damaged; if not, raise THATDAM_IMAGE_MAX_PIXELS.")
    if picture is not None and not (picture.width and picture.height):
        if sound is None and picture.codec not in (None, "none"):
            cause = f"holds no picture of a size that can be read (at most {max_pixels:,} pixels)"
            raise MediaError(name, cause, "Copy it from the card again.")
        if sound is not None:
            picture = None
    container = _container_name(dump, movie, file)
    kind = "video" if picture is not None else "audio"
    mime = (VIDEO_MIME if kind == "video" else AUDIO_MIME).get(container, f"{kind}/x-{container}")
    probe = Probe(kind, container, mime, has_audio=sound is not None)
    probe.duration_s = dump.duration_s if dump.duration_s and dump.duration_s > 0 else None
    lengths = [durations.get(stream.index) or 0.0 for stream in (picture, sound) if stream is not None]
    if max(lengths) > 0:
        probe.duration_s = max(lengths)
    probe.bit_rate_bps = dump.bit_rate_bps or None
    if picture is not None:
        _describe_picture(probe, picture)
    if sound is not None:
        probe.audio_codec, probe.audio_rate_hz = _codec_of(sound), sound.sample_rate_hz or None
        probe.audio_layout, probe.audio_channels = sound.layout, channels_of(sound.layout)
        if not probe.audio_rate_hz or not probe.audio_channels:
            probe.warnings.append("the sound's rate or channels cannot be read")
    tags = folded(
        movie.tags if movie else {}, dump.metadata, *(stream.metadata for stream in (picture, sound) if stream)
    )
    describe_recording(probe, tags)
    _describe_timecode(probe, [dump.metadata, *(stream.metadata for stream in dump.streams)])
    probe.streams = [_stream_facts(stream, durations.get(stream.index)) for stream in dump.streams]
    return probe


def _main_picture(dump: Dump) -> DumpedStream | None:
    moving = [s for s in dump.streams if s.type == "video" and not s.dispositions & _STILL_DISPOSITIONS]
    return max(
        moving, key=lambda s: ("default" in s.dispositions, (s.width or 0) * (s.height or 0), -s.index), default=None
    )


def _main_sound(dump: Dump) -> DumpedStream | None:
    sounds = [stream for stream in dump.streams if stream.type == "audio"]
    return max(sounds, key=lambda stream: ("default" in stream.dispositions, -stream.index), default=None)


def _container_name(dump: Dump, movie: Movie | None, file: BoundedFile) -> str:
    if dump.format.startswith("mov,"):
        brand = movie.brand if movie else dump.metadata.get("major_brand", "")
        return {"qt": "mov", "": "mov"}.get(brand.strip(), "3gp" if brand.startswith("3g") else "mp4")
    if dump.format.startswith("matroska"):
        return "webm" if b"\x42\x82\x84webm" in file.read_at(0, 64) else "matroska"
    return dump.format.split(",")[0]


def _codec_of(stream: DumpedStream) -> str | None:
    """Codec name; the container's own four letters for a codec that is not known here."""
    if stream.codec in (None, "none"):
        return (plain(stream.codec_tag) or "unknown").lower()
    return stream.codec


def _describe_picture(probe: Probe, picture: DumpedStream) -> None:
    probe.video_codec, probe.video_profile = _codec_of(picture), picture.profile
    if picture.codec in (None, "none"):
        probe.warnings.append(f"its codec ({probe.video_codec}) cannot be decoded here: it is kept without a proxy")
    probe.pixel_format = picture.pixel_format
    probe.bit_depth = bit_depth_of(picture.pixel_format)
    probe.width, probe.height = picture.width or None, picture.height or None
    probe.rotation_deg = picture.rotation_deg
    probe.set_display(*picture.sample_aspect)
    probe.frame_rate_fps = picture.rate_fps
    probe.color_range, probe.color_space = picture.color_range, picture.color_space
    probe.color_primaries, probe.color_transfer = picture.color_primaries, picture.color_transfer
    probe.interlace = picture.interlace
    probe.hdr = _hdr_kind(picture)


def _hdr_kind(picture: DumpedStream) -> str:
    side_data = " ".join(picture.side_data).lower()
    if "dovi configuration" in side_data:
        return "dolby_vision"
    if picture.color_transfer == "arib-std-b67":
        return "hlg"
    if picture.color_transfer == "smpte2084":
        return "hdr10" if "mastering display" in side_data else "pq"
    return "sdr"


def _pq_kind(container: "InputContainer", stream: "Stream") -> str:
    """hdr10plus, hdr10 or pq by the first frame: HEVC carries the mastering display in the stream only."""
    import av

    try:
        for packet in packets_of(container, stream, 60, 16 * 2**20):
            for frame in packet.decode():
                found = {str(entry.type.name) for entry in frame.side_data}
                if "DYNAMIC_HDR_PLUS" in found:
                    return "hdr10plus"
                return "hdr10" if "MASTERING_DISPLAY_METADATA" in found else "pq"
    except av.FFmpegError:
        pass
    return "pq"


def _describe_timecode(probe: Probe, places: list[dict[str, str]]) -> None:
    for tags in places:
        if text := folded(tags).get("timecode"):
            if timecode := read_timecode(text):
                probe.timecode, probe.drop_frame = timecode.text, timecode.drop_frame
                return
            probe.warnings.append(f"its timecode is none ({plain(text, 40)})")


def _compare_sizes(probe: Probe, movie: Movie | None) -> None:
    claimed = [(track.width, track.height) for track in movie.tracks if track.width and track.height] if movie else []
    if claimed and (probe.width, probe.height) not in claimed:
        width, height = claimed[0]
        # Field-coded and cropped pictures differ by a few lines.
        if abs(width - (probe.width or 0)) > 64 or abs(height - (probe.height or 0)) > 64:
            claim = f"its header claims {width}x{height} pixels"
            probe.warnings.append(f"{claim}, its frames have {probe.width}x{probe.height}")


def _stream_facts(stream: DumpedStream, duration: float | None) -> StreamFacts:
    tags = folded(stream.metadata)
    return StreamFacts(
        stream_index=stream.index,
        type=stream.type,
        codec=_codec_of(stream),
        profile=stream.profile,
        language=plain(stream.language, 20),
        title=plain(tags.get("title") or tags.get("handler_name")),
        is_default="default" in stream.dispositions,
        duration_s=duration if duration and duration > 0 else None,
        bit_rate_bps=stream.bit_rate_bps or None,
        width=stream.width or None,
        height=stream.height or None,
        pixel_format=stream.pixel_format,
        frame_rate=None if stream.rate_fps is None else fraction_text(standard_rate(Fraction(stream.rate_fps))),
        channels=channels_of(stream.layout),
        layout=stream.layout,
        sample_rate_hz=stream.sample_rate_hz or None,
    )
