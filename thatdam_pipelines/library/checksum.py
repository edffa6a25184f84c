"""Checksums of files: BLAKE3 for identity and XXH128 for ASC MHL, both in one read."""

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from blake3 import blake3
from xxhash import xxh3_128

from thatdam_pipelines.errors import ChangedError, MediaError, StoreError

BLOCK_BYTES = 4 * 2**20
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


@dataclass(frozen=True)
class Digest:
    """What a content is known by.

    Args:
        media_id: First 32 hex digits of the BLAKE3.
        blake3: 64 hex digits.
        xxh128: 32 hex digits.
        size_bytes: Bytes that were hashed.
    """

    media_id: str
    blake3: str
    xxh128: str
    size_bytes: int


class Observer(Protocol):
    """Sees the blocks of a file that is read anyway; ``begin`` comes before the first of each reading."""

    def begin(self) -> None: ...
    def update(self, block: bytes) -> None: ...


class Hasher:
    """Both checksums of one stream of blocks."""

    def __init__(self) -> None:
        self._blake3 = blake3()
        self._xxh128 = xxh3_128()
        self._size_bytes = 0

    def update(self, block: bytes) -> None:
        self._blake3.update(block)
        self._xxh128.update(block)
        self._size_bytes += len(block)

    def digest(self) -> Digest:
        text = self._blake3.hexdigest()
        return Digest(text[:32], text, self._xxh128.hexdigest(), self._size_bytes)


def digest_file(path: Path, observer: Observer | None = None) -> Digest:
    """The checksums of a file, read once.

    Raises:
        ChangedError: The file changed while it was read.
        MediaError: It cannot be read or is not a regular file.
    """
    descriptor = open_regular(path)
    try:
        return digest_open(descriptor, path, observer=observer)
    finally:
        os.close(descriptor)


def copy_with_digest(source: Path, target: Path, *, mode: int = 0o644, observer: Observer | None = None) -> Digest:
    """Copy ``source`` to the new file ``target`` and give the checksums of what was read, in one read.

    ``target`` gets the source's modification time and its user's attributes, and is on disk when this returns. On an
    error it is removed.

    Args:
        mode: Permissions of ``target``.

    Raises:
        ChangedError: The source changed while it was read.
        MediaError: The source cannot be read or is not a regular file.
        StoreError: ``target`` exists or cannot be written, for example because the disk is full.
    """
    descriptor = open_regular(source)
    try:
        try:
            copy = os.open(target, _CREATE, 0o600)
        except OSError as error:
            raise _unwritable(target, error) from error
        try:
            try:
                return _copy_open(descriptor, source, copy, target, mode, observer)
            finally:
                os.close(copy)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    finally:
        os.close(descriptor)


def read_back(path: Path) -> Digest:
    """The checksums of a file as the disk gives it: what the system still holds of it in memory is dropped first.

    Raises:
        ChangedError: The file changed while it was read.
        MediaError: It cannot be read or is not a regular file.
    """
    descriptor = open_regular(path)
    try:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        return digest_open(descriptor, path)
    finally:
        os.close(descriptor)


def open_regular(path: Path) -> int:
    """A descriptor that reads a regular file; never follows a link, never waits for a pipe.

    Raises:
        MediaError: It cannot be opened or is something else.
    """
    try:
        descriptor = os.open(path, _READ)
    except OSError as error:
        raise unreadable(path, error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise MediaError(path, "it is not a regular file", "Only regular files are taken; remove it.")
    return descriptor


def digest_open(
    descriptor: int,
    path: Path,
    write: Callable[[bytes], None] | None = None,
    observer: Observer | None = None,
) -> Digest:
    """The checksums of an open file from where it stands; each block is also given to ``write`` and ``observer``.

    Raises:
        ChangedError: The file changed while it was read.
        MediaError: It cannot be read.
    """
    hasher = Hasher()
    if observer is not None:
        observer.begin()
    for block in read_blocks(descriptor, path):
        hasher.update(block)
        if observer is not None:
            observer.update(block)
        if write is not None:
            write(block)
    return hasher.digest()


def read_blocks(descriptor: int, path: Path) -> Iterator[bytes]:
    """The content of an open file in blocks of at most 4 MiB.

    Raises:
        ChangedError: The file changed while it was read; after the last block.
        MediaError: It cannot be read.
    """
    before = os.fstat(descriptor)
    # A file that keeps growing is read to its first size and then found changed.
    left = before.st_size
    while left > 0 and (block := _read(descriptor, min(left, BLOCK_BYTES), path)):
        left -= len(block)
        yield block
    after = os.fstat(descriptor)
    if left or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise changed(path)


def unreadable(path: Path, error: OSError) -> MediaError:
    """The error of a file that the system refuses to open or read."""
    return MediaError(
        path, f"it cannot be read ({error.strerror})", "Check that it is there and its permissions, then retry."
    )


def require(digest: Digest, blake3: str | None, path: Path) -> None:
    """Refuse a file whose content is not the one it was announced with.

    Args:
        blake3: The BLAKE3 it should have; None: any will do.

    Raises:
        MediaError: It has another.
    """
    if blake3 is not None and digest.blake3 != blake3:
        cause = f"its BLAKE3 is {digest.blake3}, its manifest says {blake3}"
        raise MediaError(path, cause, "Copy it from where it was recorded again; it was left as it is.")


def changed(path: Path) -> ChangedError:
    """The error of a file that is being written or was replaced."""
    return ChangedError(path, "it changed while it was read", "Ingest it again when nothing writes to it.")


def _read(descriptor: int, size: int, path: Path) -> bytes:
    try:
        return os.read(descriptor, size)
    except OSError as error:
        raise unreadable(path, error) from error


def _copy_open(descriptor: int, source: Path, copy: int, target: Path, mode: int, observer: Observer | None) -> Digest:
    def write(block: bytes) -> None:
        try:
            written = os.write(copy, block)
            while written < len(block):
                written += os.write(copy, memoryview(block)[written:])
        except OSError as error:
            raise _unwritable(target, error) from error

    digest = digest_open(descriptor, source, write, observer)
    times = os.fstat(descriptor)
    try:
        os.utime(copy, ns=(times.st_atime_ns, times.st_mtime_ns))
        _copy_attributes(descriptor, copy)
        os.fchmod(copy, mode)
        os.fsync(copy)
    except OSError as error:
        raise _unwritable(target, error) from error
    return digest


def _copy_attributes(descriptor: int, copy: int) -> None:
    """Extended attributes of the user's own, as tags of a desktop, where both disks keep any."""
    if not hasattr(os, "listxattr"):
        return
    with contextlib.suppress(OSError):
        for name in os.listxattr(descriptor):
            if name.startswith("user."):
                os.setxattr(copy, name, os.getxattr(descriptor, name))


def _unwritable(target: Path, error: OSError) -> StoreError:
    return StoreError(
        target, f"it cannot be written ({error.strerror})", "Check the disk and its free space, then run it again."
    )
