"""QuickTime and MP4 boxes (ISO/IEC 14496-12), walked within bounds: what a demuxer hides or wrongly believes."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from thatdam_pipelines.media.containers import BoundedFile

_TOP_BOXES_MAX = 512
_MOOV_BYTES_MAX = 256 * 2**20
_XML_BYTES_MAX = 2**20
_XMP_BYTES_MAX = 8 * 2**20
XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
"""Identifies the `uuid` box with an XMP packet (ISO 16684-3)."""
_TABLE_ENTRIES_MAX = 500_000
_ROUNDING_S = 0.0011
"""Frame durations of a constant rate differ by no more than this, or by one and a half ticks of a coarse clock."""

_GOPRO_MODELS = {
    "HD5": "HERO5",
    "HD6": "HERO6",
    "HD7": "HERO7",
    "HD8": "HERO8",
    "HD9": "HERO9",
    "H19": "MAX",
    "H21": "HERO10",
    "H22": "HERO11",
    "H23": "HERO12",
    "H24": "HERO13",
}


@dataclass
class Track:
    """One ``trak``.

    Args:
        handler: ``vide``, ``soun``, ``tmcd``, ...
        duration_s: Length the media header claims; None when it claims none.
        table_s: Length the table of frame durations adds up to.
        samples: Samples of that table.
        is_vfr: Whether their durations differ by more than rounding; None without a table.
        external: Its samples are in another file.
        width, height: Size in pixels that a video's sample description claims; 0 without one.
    """

    handler: str = ""
    width: int = 0
    height: int = 0
    duration_s: float | None = None
    table_s: float = 0.0
    samples: int = 0
    is_vfr: bool | None = None
    external: bool = False


@dataclass
class Movie:
    """What the boxes of a file say.

    Args:
        brand: Major brand, or '' without one.
        has_index: There is a ``moov``.
        has_media: There is an ``mdat`` or a fragment with bytes in it.
        missing_bytes: Bytes that the last box claims beyond the end of the file.
        duration_s: Length the movie header claims.
        fragmented: Frames are described in fragments, not in the index.
        lies: Tables that cannot be true, as clauses.
        tags: Camera facts from makers' own boxes, by names as in ``metadata``.
        xmp: The XMP packet, of a `uuid` box or of QuickTime's `XMP_`; b"" without one.
    """

    brand: str = ""
    has_index: bool = False
    has_media: bool = False
    missing_bytes: int = 0
    duration_s: float | None = None
    fragmented: bool = False
    tracks: list[Track] = field(default_factory=list)
    lies: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    xmp: bytes = b""


def read_movie(file: BoundedFile) -> Movie:
    """Walk a file's boxes. Damage ends the walk where it is; what was found until there is returned."""
    movie = Movie()
    for kind, start, end in _top_boxes(file):
        movie.missing_bytes = max(0, end - file.size)
        if kind == b"ftyp":
            movie.brand = file.read_at(start, 4).decode("latin-1")
        elif kind == b"mdat":
            movie.has_media |= min(end, file.size) > start
        elif kind == b"moof":
            movie.has_media = movie.fragmented = True
        elif kind == b"moov" and not movie.has_index:
            movie.has_index = end <= file.size
            if movie.has_index and end - start <= _MOOV_BYTES_MAX:
                _read_moov(movie, file.read_at(start, end - start), file.size)
        elif kind == b"meta" and end - start <= _XML_BYTES_MAX:
            movie.tags |= _sony_tags(file.read_at(start, end - start))
        elif kind == b"uuid" and end - start <= _XMP_BYTES_MAX and file.read_at(start, 16) == XMP_BOX:
            movie.xmp = file.read_at(start + 16, end - start - 16)
    return movie


def inner_boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """(type, first byte of the content, end) of each box between two places of ``data``; stops at damage."""
    end = len(data) if end is None else end
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        header = 8
        if size == 1 and start + 16 <= end:
            (size,) = struct.unpack_from(">Q", data, start + 8)
            header = 16
        elif size == 0:
            size = end - start
        if size < header or start + size > end:
            return
        yield kind, start + header, start + size
        start += size


def _top_boxes(file: BoundedFile) -> Iterator[tuple[bytes, int, int]]:
    start = 0
    for _ in range(_TOP_BOXES_MAX):
        head = file.read_at(start, 16)
        if len(head) < 8:
            return
        size, kind = struct.unpack_from(">I4s", head)
        header = 8
        if size == 1 and len(head) == 16:
            (size,) = struct.unpack_from(">Q", head, 8)
            header = 16
        elif size == 0:
            size = file.size - start
        if size < header or not re.fullmatch(rb"[\x20-\x7e\xa9]{4}", kind):
            return
        yield kind, start + header, start + size
        start += size


def _read_moov(movie: Movie, moov: bytes, file_size: int) -> None:
    for kind, start, end in inner_boxes(moov):
        if kind == b"mvhd":
            movie.duration_s = _header_duration(moov[start:end])
        elif kind == b"trak":
            movie.tracks.append(_read_track(movie, moov, start, end, file_size))
        elif kind == b"mvex":
            movie.fragmented = True
        elif kind == b"udta":
            movie.tags |= _gopro_tags(moov, start, end)
            if packet := _find(moov, b"XMP_", start, end):
                movie.xmp = movie.xmp or moov[slice(*packet)]
        elif kind == b"meta":
            movie.tags |= _sony_tags(moov[start : min(end, start + _XML_BYTES_MAX)])


def _read_track(movie: Movie, data: bytes, start: int, end: int, file_size: int) -> Track:
    track = Track()
    media = _find(data, b"mdia", start, end)
    if media is None:
        return track
    timescale = 0
    for kind, at, until in inner_boxes(data, *media):
        if kind == b"mdhd":
            track.duration_s = _header_duration(data[at:until])
            timescale = _timescale(data[at:until])
        elif kind == b"hdlr" and until - at >= 12:
            track.handler = data[at + 8 : at + 12].decode("latin-1")
    information = _find(data, b"minf", *media)
    if information is None:
        return track
    if references := _find(data, b"dref", *(_find(data, b"dinf", *information) or (0, 0))):
        # One entry is the rule; bit 0 of its flags says that the samples are in this file.
        track.external = _only_elsewhere(data, *references)
    if tables := _find(data, b"stbl", *information):
        _read_tables(movie, track, data, tables, timescale, file_size)
    return track


def _only_elsewhere(data: bytes, start: int, end: int) -> bool:
    """Whether a ``dref`` has entries and none of them is this very file."""
    entries = [data[at + 3] & 1 for _, at, until in inner_boxes(data, start + 8, end) if until - at >= 4]
    return bool(entries) and not any(entries)


def _read_tables(
    movie: Movie, track: Track, data: bytes, tables: tuple[int, int], timescale: int, file_size: int
) -> None:
    for kind, at, until in inner_boxes(data, *tables):
        if kind == b"stts" and until - at >= 8 and timescale:
            _read_durations(movie, track, data[at:until], timescale)
        elif kind == b"stsd" and track.handler == "vide" and until - at >= 44:
            track.width, track.height = struct.unpack_from(">HH", data, at + 40)
            # In a `logs` box of the description, CoreVideo's name of the curve.
            if curve := re.search(rb"com\.apple\.[a-z0-9-]{1,40}\.apple-log", data[at:until]):
                movie.tags["log_profile"] = curve[0].decode()
        elif kind == b"stsz" and until - at >= 12:
            size, count = struct.unpack_from(">II", data, at + 4)
            if (size and size * count > file_size) or (not size and 4 * count > until - at):
                movie.lies.append(f"the index claims {count:,} samples, more than the file can hold")


def _read_durations(movie: Movie, track: Track, table: bytes, timescale: int) -> None:
    (count,) = struct.unpack_from(">I", table, 4)
    if 8 * count > len(table) - 8:
        movie.lies.append(f"the index claims {count:,} frame durations, more than it holds")
        return
    count = min(count, _TABLE_ENTRIES_MAX)
    values = struct.unpack_from(f">{2 * count}I", table, 8)
    counts, deltas = values[::2], values[1::2]
    track.samples = sum(counts)
    track.table_s = sum(number * delta for number, delta in zip(counts, deltas, strict=True)) / timescale
    # The last frame's duration is often a filler.
    inner = [delta for delta, number in zip(deltas[:-1], counts[:-1], strict=True) if number]
    if count and counts[-1] > 1:
        inner.append(deltas[-1])
    if inner:
        track.is_vfr = durations_vary([delta / timescale for delta in inner], 1 / timescale)


def durations_vary(durations_s: list[float], tick_s: float) -> bool:
    """Whether frame durations differ from their median by more than rounding to ``tick_s`` explains."""
    middle = sorted(durations_s)[len(durations_s) // 2]
    return max(abs(duration - middle) for duration in durations_s) > max(_ROUNDING_S, 1.5 * tick_s)


def _find(data: bytes, wanted: bytes, start: int, end: int) -> tuple[int, int] | None:
    return next(((at, until) for kind, at, until in inner_boxes(data, start, end) if kind == wanted), None)


def _header_duration(header: bytes) -> float | None:
    """Seconds of an ``mvhd`` or ``mdhd``; None where it says nothing or says that it does not know."""
    form, unknown = (">IQ", 2**64 - 1) if header[:1] == b"\1" else (">II", 2**32 - 1)
    at = 20 if header[:1] == b"\1" else 12
    if len(header) < at + struct.calcsize(form):
        return None
    timescale, duration = struct.unpack_from(form, header, at)
    return duration / timescale if timescale and 0 < duration < unknown else None


def _timescale(header: bytes) -> int:
    at = 20 if header[:1] == b"\1" else 12
    return int.from_bytes(header[at : at + 4], "big")


def _sony_tags(meta: bytes) -> dict[str, str]:
    """Camera facts of the XML that Sony cameras put into a ``meta`` box (NonRealTimeMeta); read by pattern only."""
    if b"<NonRealTimeMeta" not in meta:
        return {}
    text = meta.decode("utf-8", "replace")
    patterns = {
        "com.apple.quicktime.creationdate": r'<CreationDate\s+value="([^"]{1,40})"',
        "make": r'<Device\b[^>]*?\bmanufacturer="([^"]{1,80})"',
        "model": r'<Device\b[^>]*?\bmodelName="([^"]{1,80})"',
        "log_profile": r'<Item\s+name="CaptureGammaEquation"\s+value="([^"]{1,40})"',
        "serial": r'<Device\b[^>]*?\bserialNo="([^"]{1,80})"',
    }
    return {name: match[1] for name, pattern in patterns.items() if (match := re.search(pattern, text))}


def _gopro_tags(data: bytes, start: int, end: int) -> dict[str, str]:
    tags: dict[str, str] = {}
    for kind, at, until in inner_boxes(data, start, end):
        if kind == b"FIRM":
            firmware = data[at : min(until, at + 32)].decode("latin-1")
            if model := _GOPRO_MODELS.get(firmware[:3]):
                tags |= {"make": "GoPro", "model": model}
        elif kind == b"GPMF":
            telemetry = data[at : min(until, at + 2**16)]
            # GPMF: four letters, type 'c', size of one item, number of items (16 bit), text.
            for key, name in ((b"MINF", "model"), (b"CASN", "serial")):
                place = telemetry.find(key + b"c")
                if place >= 0 and place + 8 <= len(telemetry):
                    size, repeat = struct.unpack_from(">BH", telemetry, place + 5)
                    text = telemetry[place + 8 : place + 8 + size * repeat].decode("latin-1").strip("\0 ")
                    tags |= {"make": "GoPro", name: text}
    return tags
