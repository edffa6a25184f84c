"""Reading the description that ffmpeg prints of an input, which PyAV gives as text too."""

import re
from dataclasses import dataclass, field

_STREAM = re.compile(r"  Stream #0:(\d+)(?:\[0x[0-9a-f]+\])?(?:\((.*?)\))?: (\w+): (.*)")
_DURATION = re.compile(r"  Duration: (?:(\d+):(\d\d):(\d\d)\.(\d+)|N/A).*?(?:bitrate: (\d+) kb/s)?$")
_DISPOSITION = re.compile(r" \(([a-z ]+)\)$")
_TAG = re.compile(r"\s{4,}(\S[^:]*?)\s*: (.*)")
_CODEC = re.compile(r"([\w-]+)(?: \(([^()/]+)\))?(?: \((.+) / 0x[0-9A-Fa-f]+\))?")
_SIZE = re.compile(r"(\d+)x(\d+)(?:.*?\[SAR (\d+):(\d+) DAR)?")
_ASPECT = re.compile(r"SAR (\d+):(\d+) DAR \d+:\d+")
_BIT_RATE = re.compile(r"(\d+) kb/s")
_PIXELS = re.compile(r"(\w+)(?:\((.*)\))?")
_COLOUR = re.compile(r"(bt|smpte|ycgco|gbr|film|linear|iec|arib|log)[\w-]*")
_NUMBER = re.compile(r"([\d.]+)(k?)")


@dataclass
class DumpedStream:
    """One ``Stream`` line with what is indented below it."""

    index: int
    type: str
    language: str | None
    codec: str | None = None
    profile: str | None = None
    codec_tag: str | None = None
    pixel_format: str | None = None
    color_range: str | None = None
    color_space: str | None = None
    color_primaries: str | None = None
    color_transfer: str | None = None
    interlace: str | None = None
    width: int | None = None
    height: int | None = None
    sample_aspect: tuple[int, int] = (1, 1)
    rate_fps: float | None = None
    bit_rate_bps: int | None = None
    sample_rate_hz: int | None = None
    layout: str | None = None
    dispositions: set[str] = field(default_factory=set)
    metadata: dict[str, str] = field(default_factory=dict)
    side_data: list[str] = field(default_factory=list)

    @property
    def rotation_deg(self) -> int:
        """Clockwise rotation that shows the picture upright, to the nearest quarter turn."""
        for entry in self.side_data:
            if match := re.match(r"display ?matrix: rotation of (-?[\d.]+)", entry, re.IGNORECASE):
                # ffmpeg counts counter-clockwise.
                return round(-float(match[1]) / 90) % 4 * 90
        return 0


@dataclass
class Dump:
    """The description of one input."""

    format: str
    duration_s: float | None = None
    bit_rate_bps: int | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    streams: list[DumpedStream] = field(default_factory=list)


def parse_dump(text: str) -> Dump | None:
    """What ``av_dump_format`` printed about its first input; None when there is no input in ``text``."""
    dump: Dump | None = None
    section: dict[str, str] | list[str] | None = None
    for line in text.split("\n"):
        if dump is None:
            if match := re.match(r"Input #0, (.+), from '", line):
                dump = Dump(match[1])
            continue
        if line.startswith("  Stream #") and (match := _STREAM.fullmatch(line)):
            dump.streams.append(_stream(int(match[1]), match[2], match[3], match[4]))
            section = None
        elif line.startswith("  Duration: ") and (match := _DURATION.match(line)):
            if match[1]:
                hours, minutes, seconds = int(match[1]), int(match[2]), int(match[3])
                dump.duration_s = hours * 3600 + minutes * 60 + seconds + float(f"0.{match[4]}")
            dump.bit_rate_bps = int(match[5]) * 1000 if match[5] else None
        elif line.endswith("Metadata:") and line.strip() == "Metadata:":
            section = dump.streams[-1].metadata if dump.streams else dump.metadata
        elif line.endswith("ata:") and line.strip().lower() == "side data:" and dump.streams:
            section = dump.streams[-1].side_data
        elif isinstance(section, list) and line.startswith("      "):
            section.append(line.strip())
        elif isinstance(section, dict) and (match := _TAG.match(line)):
            section.setdefault(match[1], match[2])
    return dump


def _stream(index: int, language: str | None, kind: str, line: str) -> DumpedStream:
    stream = DumpedStream(index, kind.lower(), language)
    while match := _DISPOSITION.search(line):
        stream.dispositions.add(match[1])
        line = line[: match.start()]
    first, *parts = _split(line)
    if match := _CODEC.match(first):
        stream.codec, stream.profile, stream.codec_tag = match[1], match[2], match[3]
    for part in parts:
        _read_part(stream, part)
    return stream


def _split(line: str) -> list[str]:
    """The line's parts at commas outside of brackets."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(line):
        if letter in "([":
            depth += 1
        elif letter in ")]":
            depth -= 1
        elif letter == "," and depth == 0:
            parts.append(line[start:place].strip())
            start = place + 1
    return [*parts, line[start:].strip()]


def _read_part(stream: DumpedStream, part: str) -> None:
    if stream.type == "video":
        _read_picture_part(stream, part)
    elif match := _BIT_RATE.match(part):
        stream.bit_rate_bps = int(match[1]) * 1000
    elif part.endswith(" Hz") and part[:-3].isdigit():
        stream.sample_rate_hz = int(part[:-3])
    elif stream.type == "audio" and stream.layout is None:
        stream.layout = part


def _read_picture_part(stream: DumpedStream, part: str) -> None:
    if match := _SIZE.match(part):
        stream.width, stream.height = int(match[1]), int(match[2])
        if match[3]:
            stream.sample_aspect = int(match[3]), int(match[4])
    elif part.endswith((" fps", " tbr")):
        if stream.rate_fps is None and (match := _NUMBER.match(part)):
            stream.rate_fps = float(match[1]) * (1000 if match[2] else 1)
    elif match := _BIT_RATE.match(part):
        stream.bit_rate_bps = int(match[1]) * 1000
    elif match := _ASPECT.fullmatch(part):
        stream.sample_aspect = int(match[1]), int(match[2])
    elif stream.pixel_format is None:
        _read_pixels(stream, part)


def _read_pixels(stream: DumpedStream, part: str) -> None:
    """``yuv420p10le(tv, bt2020nc/bt2020/smpte2084, progressive)``: range, matrix/primaries/transfer, field order."""
    match = _PIXELS.match(part)
    if match is None:
        return
    stream.pixel_format = match[1] if match[1] != "none" else None
    for detail in (match[2] or "").split(", "):
        if detail in ("tv", "pc"):
            stream.color_range = detail
        elif detail == "progressive":
            stream.interlace = "progressive"
        elif detail.startswith(("top ", "bottom ")):
            # "top coded first (swapped)" is shown bottom first.
            top_first = detail.startswith("top") != ("swapped" in detail)
            stream.interlace = "tff" if top_first else "bff"
        elif detail.count("/") == 2:
            stream.color_space, stream.color_primaries, stream.color_transfer = (
                name if name not in ("unknown", "reserved") else None for name in detail.split("/")
            )
        elif _COLOUR.fullmatch(detail):
            stream.color_space = stream.color_primaries = stream.color_transfer = detail
