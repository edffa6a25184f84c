"""Raw stills (DNG, CR2, CR3, NEF, ARW, RAF, RW2, ...): the JPEG the camera embedded, and the EXIF around it."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from thatdam_pipelines.media.boxes import XMP_BOX, inner_boxes
from thatdam_pipelines.media.containers import BoundedFile
from thatdam_pipelines.media.tiff import EXIF_DIRECTORY, GPS_DIRECTORY, Directory, Tiff, tiff_of

_PREVIEW_BYTES_MAX = 128 * 2**20
_SCAN_BYTES = 64 * 2**20
_CANON_EXIF = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
_XMP = 700
_FRAME_HEADERS = frozenset({0xC0, 0xC1, 0xC2})
"""JPEG codings every decoder reads; 0xC3, lossless, is the raw picture itself."""


@dataclass(frozen=True)
class Preview:
    """An embedded JPEG: place in the file, bytes and pixels."""

    offset: int
    length: int
    width: int
    height: int


@dataclass
class RawStill:
    """What is found in a raw still.

    Args:
        preview: The largest JPEG in it, or None.
        width, height: Size of the picture the camera would make, in pixels; None where the file does not say.
        xmp: The XMP packet in it; b"" without one.
    """

    preview: Preview | None
    width: int | None
    height: int | None
    main: Directory
    exif: Directory
    gps: Directory
    xmp: bytes = b""


def read_raw_still(file: BoundedFile, form: str) -> RawStill:
    """Look through a raw still within bounds.

    Args:
        form: Format by signature: ``cr3``, ``raf``, or TIFF and its relatives.
    """
    if form == "cr3":
        return _read_cr3(file)
    start, exif_start = 0, 0
    candidates: list[tuple[int, int]] = []
    if form == "raf":
        # Big-endian offset and length of a JPEG that carries the EXIF.
        offset, length = struct.unpack(">II", file.read_at(84, 8).ljust(8, b"\0"))
        candidates.append((offset, length))
        head = file.read_at(offset, 2**16 + 32)
        exif_start = offset + head.find(b"Exif\0\0") + 6 if b"Exif\0\0" in head else 0
        start = exif_start
    tiff = Tiff(lambda offset, count: file.read_at(start + offset, count))
    directories = tiff.directories()
    main = directories[0] if directories else Directory()
    exif = tiff.directory(main.integer(EXIF_DIRECTORY) or 0) or Directory()
    gps = tiff.directory(main.integer(GPS_DIRECTORY) or 0) or Directory()
    candidates += [place for directory in directories for place in _jpegs_of(directory)]
    preview = _largest(file, candidates) or _largest(file, _scan(file))
    sizes = [(d.integer(256) or 0, d.integer(257) or 0) for d in directories]
    width, height = max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))
    if crop := main.numbers(0xC620) or next((d.numbers(0xC620) for d in directories if d.numbers(0xC620)), ()):
        width, height = (int(crop[0]), int(crop[1])) if len(crop) == 2 else (width, height)
    return RawStill(preview, width or None, height or None, main, exif, gps, main.block(_XMP))


def _read_cr3(file: BoundedFile) -> RawStill:
    blocks = {b"CMT1": Directory(), b"CMT2": Directory(), b"CMT4": Directory()}
    candidates: list[tuple[int, int]] = []
    xmp = b""
    start = 0
    for _ in range(16):
        head = file.read_at(start, 32)
        if len(head) < 16:
            break
        size, kind = struct.unpack_from(">I4s", head)
        header = 8
        if size == 1:
            (size,), header = struct.unpack_from(">Q", head, 8), 16
        if size < header:
            break
        if kind == b"moov" and size <= 2**24:
            moov = file.read_at(start + header, size - header)
            candidates += _cr3_jpegs(moov)
            for name, at, until in _cr3_boxes(moov):
                if name in blocks and (directories := tiff_of(moov[at:until]).directories()):
                    blocks[name] = directories[0]
        elif kind == b"uuid" and size <= 2**24:
            body = file.read_at(start + header, size - header)
            if body.startswith(XMP_BOX):
                xmp = body[len(XMP_BOX) :]
            elif (at := body.find(b"PRVW")) >= 0 and (jpeg := body.find(b"\xff\xd8\xff", at)) >= 0:
                candidates.append((start + header + jpeg, len(body) - jpeg))
        start += size
    main, exif, gps = blocks[b"CMT1"], blocks[b"CMT2"], blocks[b"CMT4"]
    return RawStill(_largest(file, candidates), main.integer(256), main.integer(257), main, exif, gps, xmp)


def _cr3_boxes(moov: bytes) -> Iterator[tuple[bytes, int, int]]:
    for kind, at, until in inner_boxes(moov):
        if kind == b"uuid" and moov[at : at + 16] == _CANON_EXIF:
            yield from inner_boxes(moov, at + 16, until)


def _cr3_jpegs(moov: bytes) -> list[tuple[int, int]]:
    """Place and length of each track's first sample: the first track is a full-size JPEG."""
    places: list[tuple[int, int]] = []
    for kind, at, until in inner_boxes(moov):
        if kind != b"trak":
            continue
        for name in (b"mdia", b"minf", b"stbl"):
            at, until = next(((a, u) for k, a, u in inner_boxes(moov, at, until) if k == name), (0, 0))
        tables = {k: moov[a:u] for k, a, u in inner_boxes(moov, at, until)}
        sizes, offsets = tables.get(b"stsz", b""), tables.get(b"co64", b"")
        if len(sizes) >= 12 and len(offsets) >= 16:
            size = int.from_bytes(sizes[4:8], "big") or int.from_bytes(sizes[12:16], "big")
            places.append((int.from_bytes(offsets[8:16], "big"), size))
    return places


def _jpegs_of(directory: Directory) -> Iterator[tuple[int, int]]:
    """Places where a directory says there is a JPEG: as thumbnails are kept, or as one strip."""
    offset, length = directory.integer(513), directory.integer(514)
    if offset and length:
        yield offset, length
    if directory.integer(259) in (6, 7, 34892) and len(directory.numbers(273)) == 1:
        yield int(directory.numbers(273)[0]), int(directory.number(279) or 0)


def _largest(file: BoundedFile, candidates: list[tuple[int, int]]) -> Preview | None:
    previews = []
    for offset, length in candidates[:64]:
        if not (0 < offset < file.size and 0 < length <= _PREVIEW_BYTES_MAX):
            continue
        length = min(length, file.size - offset)
        size = jpeg_size(file.read_at(offset, min(length, 2**18)))
        if size is not None:
            previews.append(Preview(offset, length, *size))
    return max(previews, key=lambda preview: preview.width * preview.height, default=None)


def _scan(file: BoundedFile) -> list[tuple[int, int]]:
    """Every place in the first 64 MiB that begins as a JPEG does, for makers that hide it in their own notes."""
    data = file.read_at(0, _SCAN_BYTES)
    places: list[tuple[int, int]] = []
    at = data.find(b"\xff\xd8\xff")
    while at >= 0 and len(places) < 64:
        places.append((at, file.size - at))
        at = data.find(b"\xff\xd8\xff", at + 3)
    return places


def jpeg_size(head: bytes) -> tuple[int, int] | None:
    """Width and height by a JPEG's frame header; None when it is none that every decoder reads."""
    if head[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 9 <= len(head):
        if head[at] != 0xFF:
            return None
        marker = head[at + 1]
        if marker in _FRAME_HEADERS:
            height, width = struct.unpack_from(">HH", head, at + 5)
            return (width, height) if width and height else None
        if marker == 0xFF:
            at += 1
        elif marker == 0xC3 or marker == 0xDA:
            return None
        else:
            at += 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return None
