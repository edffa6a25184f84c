"""A file on its way to a destination of an offload: what was read of the card, what is written, proven and named."""

import contextlib
import hashlib
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from thatdam_pipelines.backup.offload_card import CardFile
from thatdam_pipelines.backup.offload_journal import Record
from thatdam_pipelines.errors import StoreError
from thatdam_pipelines.library.checksum import Digest, read_back
from thatdam_pipelines.library.files import PART_SUFFIX, give_name

PARTS = f".thatdam-*{PART_SUFFIX}"
"""Pattern of the names that files have while they are written."""
_WRITEBACK_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Source:
    """What was read of a file of the card, whole and unchanged meanwhile.

    Args:
        edges: See ``edges_of``.
        hashes: Further hashes of it by ASC MHL's names.
        history: What the card's own history says of it.
    """

    digest: Digest
    edges: str
    hashes: dict[str, str] = field(default_factory=dict)
    history: str | None = None


@dataclass
class Part:
    """A file being written."""

    file: CardFile
    path: Path
    descriptor: int
    written: int = 0
    source: Source | None = None

    @classmethod
    def begin(cls, folder: Path, file: CardFile) -> Self:
        """Begin to write a file of the card below ``folder``."""
        token = hashlib.blake2b(os.fsencode(file.path), digest_size=8).hexdigest()
        path = (folder / file.path).with_name(PARTS.replace("*", token))
        path.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        return cls(file, path, os.open(path, flags, 0o644))

    def write(self, block: bytes) -> None:
        left = memoryview(block)
        while left:
            left = left[os.write(self.descriptor, left) :]
        before, self.written = self.written, self.written + len(block)
        if before // _WRITEBACK_BYTES != self.written // _WRITEBACK_BYTES and hasattr(os, "posix_fadvise"):
            # The disk begins to write now, and not only when the file ends.
            os.posix_fadvise(self.descriptor, 0, self.written, os.POSIX_FADV_DONTNEED)

    def to_disk(self) -> None:
        os.utime(self.descriptor, ns=(self.file.mtime_ns, self.file.mtime_ns))
        os.fsync(self.descriptor)

    def verified(self, target: Path) -> Record | None:
        """Read it back, name it ``target`` and give its record; None when it was not read whole from the card.

        Raises:
            MediaError: It cannot be read back.
            StoreError: What is read back is not what was read from the card, or another content has that name.
        """
        source = self.source
        if source is None:
            return None
        if read_back(self.path) != source.digest:
            raise StoreError(target, "what the disk gives back is not what was read from the card", "Check the disk.")
        # Where there are no hard links: only one process writes here, see Journal.
        if not give_name(self.path, target) and read_back(target) != source.digest:
            raise StoreError(target, "another content stands under its name there", "Nothing was overwritten.")
        os.utime(target, ns=(self.file.mtime_ns, self.file.mtime_ns))
        return Record(
            self.file.path,
            self.file.size_bytes,
            self.file.mtime_ns,
            target.lstat().st_mtime_ns,
            source.digest.blake3,
            source.digest.xxh128,
            source.edges,
            now(),
            source.hashes,
            source.history,
        )

    def discard(self) -> None:
        """Let go of it; where it was named it keeps that name."""
        with contextlib.suppress(OSError):
            os.close(self.descriptor)
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


def now() -> str:
    """The time as records have it: UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
