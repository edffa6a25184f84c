"""Damaging media on purpose: cutting, flipping bytes, and headers that lie."""

import random
import struct
import zlib

CONTAINER_BOXES = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf", b"edts", b"udta")


def cut(data: bytes, share: float) -> bytes:
    """The first ``share`` of the data, at least one byte."""
    return data[: max(1, int(len(data) * share))]


def flipped(data: bytes, start: float, end: float, count: int, seed: int) -> bytes:
    """``count`` bytes between two shares of the data replaced by random others."""
    chance = random.Random(seed)
    damaged = bytearray(data)
    for _ in range(count):
        damaged[chance.randrange(int(len(data) * start), max(1, int(len(data) * end)))] ^= chance.randrange(1, 256)
    return bytes(damaged)


def box(kind: bytes, *contents: bytes) -> bytes:
    """One ISO BMFF box."""
    body = b"".join(contents)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def box_places(data: bytes, wanted: bytes, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """(first byte of the content, end) of every box of a type, in whatever box it is."""
    end = len(data) if end is None else end
    found: list[tuple[int, int]] = []
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        size = size or end - start
        if size < 8 or start + size > end:
            break
        if kind == wanted:
            found.append((start + 8, start + size))
        if kind in CONTAINER_BOXES:
            found += box_places(data, wanted, start + 8, start + size)
        start += size
    return found


def patched(data: bytes, kind: bytes, offset: int, value: bytes) -> bytes:
    """The data with ``value`` at ``offset`` of the content of every box of a type."""
    changed = bytearray(data)
    for start, _ in box_places(data, kind):
        changed[start + offset : start + offset + len(value)] = value
    return bytes(changed)


def claiming_hours(movie: bytes, hours: float) -> bytes:
    """An MP4 whose movie, track and media headers (version 0) claim another duration."""
    changed = bytearray(movie)
    for start, _ in box_places(movie, b"mvhd") + box_places(movie, b"mdhd"):
        (timescale,) = struct.unpack_from(">I", changed, start + 12)
        struct.pack_into(">I", changed, start + 16, min(int(hours * 3600 * timescale), 2**32 - 2))
    return bytes(changed)


def claiming_size(movie: bytes, width: int, height: int) -> bytes:
    """An MP4 whose track header and sample description claim another picture size."""
    changed = bytearray(movie)
    for _, end in box_places(movie, b"tkhd"):
        if struct.unpack_from(">I", changed, end - 8)[0]:
            struct.pack_into(">II", changed, end - 8, width << 16, height << 16)
    for start, _ in box_places(movie, b"stsd"):
        if changed[start + 12 : start + 16] in (b"avc1", b"mp4v"):
            struct.pack_into(">HH", changed, start + 40, width, height)
    return bytes(changed)


def with_tracks(movie: bytes, count: int) -> bytes:
    """An MP4, index at its end, whose first track is there ``count`` times."""
    (start, end), *_ = box_places(movie, b"moov")
    (first, last), *_ = box_places(movie, b"trak")
    return movie[: start - 8] + box(b"moov", movie[start:end], movie[first - 8 : last] * (count - 1))


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *extra: bytes) -> bytes:
    """A PNG whose header claims a size and whose picture is one row of one pixel."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    picture = png_chunk(b"IDAT", zlib.compress(b"\0\xff\x80\0"))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + picture + png_chunk(b"IEND", b"")


def jpeg_claiming(jpeg: bytes, width: int, height: int) -> bytes:
    """A JPEG whose frame header claims another size."""
    at = jpeg.index(b"\xff\xc0")
    return jpeg[: at + 5] + struct.pack(">HH", height, width) + jpeg[at + 9 :]


def jpeg_with_exif(jpeg: bytes, exif: bytes) -> bytes:
    """A JPEG with an EXIF segment put first."""
    body = b"Exif\0\0" + exif
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(body)) + body + jpeg[2:]


def tiff_of_entries(entries: list[tuple[int, int, int, int]], next_directory: int = 0) -> bytes:
    """A little-endian TIFF of one directory of (tag, type, count, value or offset)."""
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body + struct.pack("<I", next_directory)


def bmp(width: int, height: int) -> bytes:
    """A BMP header that claims a size, and a few bytes of picture."""
    return b"BM" + struct.pack("<IIIIiiHHIIiiII", 154, 0, 54, 40, width, height, 1, 24, 0, 100, 0, 0, 0, 0) + bytes(100)


def wav(claimed_bytes: int, data: bytes) -> bytes:
    """A 48 kHz mono 16-bit WAV whose data chunk claims a size."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 48000, 96000, 2, 16)
    return (
        b"RIFF" + struct.pack("<I", claimed_bytes) + b"WAVE" + form + b"data" + struct.pack("<I", claimed_bytes) + data
    )


def id3(claimed_bytes: int) -> bytes:
    """Header of an ID3v2 tag that claims a size."""
    digits = bytes((claimed_bytes >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\0\0" + digits
