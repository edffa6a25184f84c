"""TIFF structures (TIFF 6.0, also EXIF and most raw stills), walked within bounds."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

_DIRECTORIES_MAX = 32
_ENTRIES_MAX = 4096
_VALUE_BYTES_MAX = 2**20
_FORMATS = {1: "B", 2: "s", 3: "H", 4: "I", 6: "b", 7: "s", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}

SUB_DIRECTORIES, EXIF_DIRECTORY, GPS_DIRECTORY = 330, 34665, 34853


@dataclass
class Directory:
    """One IFD: its values by tag number. Texts are str, rationals float, several values a tuple."""

    values: dict[int, Any] = field(default_factory=dict)

    def number(self, tag: int) -> float | None:
        """The first number of a tag; None when it is missing or is no number."""
        value = self.values.get(tag)
        if isinstance(value, tuple):
            value = value[0] if value else None
        return value if isinstance(value, int | float) else None

    def integer(self, tag: int) -> int | None:
        value = self.number(tag)
        return int(value) if value is not None and abs(value) < 2**63 else None

    def numbers(self, tag: int) -> tuple[float, ...]:
        value = self.values.get(tag, ())
        values = value if isinstance(value, tuple) else (value,)
        return tuple(item for item in values if isinstance(item, int | float))

    def block(self, tag: int) -> bytes:
        """Bytes that a tag holds, as UNDEFINED or as BYTE; b"" when it holds none."""
        value = self.values.get(tag, b"")
        if isinstance(value, bytes):
            return value
        numbers = value if isinstance(value, tuple) else ()
        return bytes(numbers) if all(isinstance(one, int) and 0 <= one < 256 for one in numbers) else b""

    def text(self, tag: int) -> str | None:
        value = self.values.get(tag)
        return value if isinstance(value, str) else None


class Tiff:
    """A TIFF structure, or none.

    Args:
        read_at: Gives up to ``count`` bytes at ``offset`` of the structure.
    """

    def __init__(self, read_at: Callable[[int, int], bytes]) -> None:
        self._read_at = read_at
        head = read_at(0, 8)
        self._order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
        self._first = struct.unpack(self._order + "I", head[4:8])[0] if self._order and len(head) == 8 else 0
        self._seen: set[int] = set()

    def directories(self) -> list[Directory]:
        """The main directory, those chained to it and those below them (SubIFDs), each once; a loop ends the walk."""
        found: list[Directory] = []
        waiting = [self._first]
        while waiting and len(found) < _DIRECTORIES_MAX:
            offset = waiting.pop(0)
            directory = self.directory(offset)
            if directory is None:
                continue
            found.append(directory)
            waiting += [int(place) for place in directory.numbers(SUB_DIRECTORIES)]
            waiting.append(int(directory.values.get(-1, 0)))
        return found

    def directory(self, offset: int) -> Directory | None:
        """The directory at ``offset``; None when there is none or it was read before. Tag -1: offset of the next."""
        if not self._order or offset <= 0 or offset in self._seen:
            return None
        self._seen.add(offset)
        head = self._read_at(offset, 2)
        if len(head) < 2:
            return None
        count = min(struct.unpack(self._order + "H", head)[0], _ENTRIES_MAX)
        body = self._read_at(offset + 2, 12 * count + 4)
        directory = Directory(dict(self._entries(body, count)))
        if len(body) == 12 * count + 4:
            (directory.values[-1],) = struct.unpack_from(self._order + "I", body, 12 * count)
        return directory

    def _entries(self, body: bytes, count: int) -> Iterator[tuple[int, Any]]:
        for place in range(min(count, len(body) // 12)):
            tag, kind, number = struct.unpack_from(self._order + "HHI", body, 12 * place)
            length = _SIZES.get(kind, 0) * number
            if not 0 < length <= _VALUE_BYTES_MAX:
                continue
            data = body[12 * place + 8 : 12 * place + 12][:length]
            if length > 4:
                (offset,) = struct.unpack_from(self._order + "I", body, 12 * place + 8)
                data = self._read_at(offset, length)
            if len(data) == length:
                yield tag, self._value(kind, number, data)

    def _value(self, kind: int, number: int, data: bytes) -> Any:
        if kind == 2:
            return data.split(b"\0")[0].decode("utf-8", "replace")
        if kind == 7:
            return data
        if kind in (5, 10):
            pairs = struct.unpack(f"{self._order}{2 * number}{'I' if kind == 5 else 'i'}", data)
            values: tuple[Any, ...] = tuple(
                top / bottom if bottom else 0.0 for top, bottom in zip(pairs[::2], pairs[1::2], strict=True)
            )
        else:
            values = struct.unpack(f"{self._order}{number}{_FORMATS[kind]}", data)
        return values if number > 1 else values[0]


def tiff_of(data: bytes) -> Tiff:
    """The TIFF structure in a block of bytes, with or without EXIF's own six-byte header."""
    block = data.removeprefix(b"Exif\0\0")
    return Tiff(lambda offset, count: block[offset : offset + count])
