"""What an offload has verified at one destination, kept there line by line, so that it can go on where it stopped."""

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from xxhash import xxh3_64

from thatdam_pipelines.backup.offload_card import Card, CardFile, edges_of
from thatdam_pipelines.errors import MediaError, StoreError
from thatdam_pipelines.library.checksum import Digest
from thatdam_pipelines.library.files import escape_name, fsync_dir, unescape_name

NAME = "journal.jsonl"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Record:
    """A file that was read back from the destination and equals what was read from the card.

    Args:
        path: Relative to the card, as the file system gives it.
        mtime_ns: Of the file on the card.
        copy_mtime_ns: Of the copy; some disks keep times less exactly.
        edges: Of the file on the card, see ``edges_of``.
        verified_at: UTC, ISO 8601.
        hashes: Further hashes of the content by ASC MHL's names, as the card's own history asked for.
        history: What the card's own history says of it: ``verified``, ``failed``; None: nothing.
    """

    path: str
    size_bytes: int
    mtime_ns: int
    copy_mtime_ns: int
    blake3: str
    xxh128: str
    edges: str
    verified_at: str
    hashes: dict[str, str] = field(default_factory=dict)
    history: str | None = None

    @property
    def digest(self) -> Digest:
        return Digest(self.blake3[:32], self.blake3, self.xxh128, self.size_bytes)

    def is_of(self, file: CardFile) -> bool:
        """Whether it speaks of this file with this size and time."""
        return (self.path, self.size_bytes, self.mtime_ns) == (file.path, file.size_bytes, file.mtime_ns)


class Journal:
    """The records of one offload at one destination. One process at a time holds it.

    A line that was torn or damaged does not count: its file is copied or compared again.

    Raises:
        OSError: The destination cannot be read or written.
        StoreError: Another process holds it.
    """

    def __init__(
        self, folder: Path, header: dict[str, Any], records: dict[str, Record], generation: str | None = None
    ) -> None:
        self.folder = folder
        self.header = header
        self.records = records
        self.generation = generation
        self._descriptor = os.open(folder / NAME, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _lock(self._descriptor, folder)
            size = os.fstat(self._descriptor).st_size
            if size == 0:
                self._append([header])
                fsync_dir(folder)
            elif os.pread(self._descriptor, 1, size - 1) != b"\n":
                os.write(self._descriptor, b"\n")
        except BaseException:
            os.close(self._descriptor)
            raise

    @classmethod
    def new(cls, folder: Path, card: Card, name: str) -> Self:
        """Begin one. ``folder`` is there and empty."""
        header = {
            "thatdam_offload": _VERSION,
            "folder": name,
            "card": escape_name(card.root.name),
            "volume": card.volume,
            "listing": card.listing(),
        }
        return cls(folder, header, {})

    @classmethod
    def open(cls, folder: Path) -> Self | None:
        """Take up one that is there; None when it is not one."""
        header, records, generation = _read(folder / NAME)
        return cls(folder, header, records, generation) if header else None

    def add(self, records: list[Record]) -> None:
        """Write records down for good."""
        self._append([{**asdict(record), "path": escape_name(record.path)} for record in records])
        self.records.update((record.path, record) for record in records)

    def revoke(self, path: str) -> None:
        """Write down that what is recorded of a file was found not to hold: no later run may take it for verified."""
        self._append([{"revoked": escape_name(path)}])
        del self.records[path]

    def note_generation(self, state: str) -> None:
        """Write down of which records the ASC MHL was written."""
        self._append([{"generation": state}])
        self.generation = state

    def close(self) -> None:
        os.close(self._descriptor)

    def _append(self, lines: list[dict[str, Any]]) -> None:
        left = memoryview(b"".join(_line(line) for line in lines))
        while left:
            left = left[os.write(self._descriptor, left) :]
        os.fsync(self._descriptor)


def is_of_card(folder: Path, card: Card) -> bool:
    """Whether the journal in ``folder`` is of this card: all that it records is still on it, the same at both ends."""
    header: dict[str, Any] = {}
    edges: dict[str, str] = {}
    files = {file.path: file for file in card.files}
    for values in _lines(folder / NAME):
        if _is_header(values):
            header = values
        elif _is_record(values):
            record = _record(values)
            # The first that does not fit decides: a disk may hold the journals of a thousand cards.
            if record.path not in files or not record.is_of(files[record.path]):
                return False
            edges[record.path] = record.edges
        elif "revoked" in values:
            edges.pop(unescape_name(values["revoked"]), None)
    if not header or (card.volume and header.get("volume") not in (None, card.volume)):
        return False
    try:
        return all(edges_of(card.root / path) == known for path, known in edges.items()) and (
            bool(edges) or header.get("listing") == card.listing()
        )
    except MediaError:
        return False


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Record], str | None]:
    generation: str | None = None
    header: dict[str, Any] = {}
    records: dict[str, Record] = {}
    for values in _lines(path):
        if _is_header(values):
            header = values
        elif _is_record(values):
            record = _record(values)
            records[record.path] = record
        elif "revoked" in values:
            records.pop(unescape_name(values["revoked"]), None)
        elif "generation" in values:
            generation = values["generation"]
    return header, records, generation


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines that are whole; none when the file cannot be read."""
    try:
        with path.open("rb") as file:
            for line in file:
                text, _, check = line.removesuffix(b"\n").rpartition(b"\t")
                if xxh3_64(text).hexdigest().encode() == check:
                    yield json.loads(text)
    except OSError:
        return


def _is_header(values: dict[str, Any]) -> bool:
    return values.get("thatdam_offload") == _VERSION


def _is_record(values: dict[str, Any]) -> bool:
    return "verified_at" in values


def _record(values: dict[str, Any]) -> Record:
    return Record(**{**values, "path": unescape_name(values["path"])})


def _line(values: dict[str, Any]) -> bytes:
    text = json.dumps(values).encode()
    return b"%b\t%b\n" % (text, xxh3_64(text).hexdigest().encode())


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StoreError(folder, "another offload is writing to it", "Wait until that one ended.") from error
    except OSError:
        # Some network disks have no locks.
        return
