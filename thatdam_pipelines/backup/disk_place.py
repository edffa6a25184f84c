"""A backup target in a folder of this machine: a disk, or a share that is mounted."""

import contextlib
import errno
import os
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from thatdam_pipelines.backup.pace import Pace
from thatdam_pipelines.backup.sound import require_content
from thatdam_pipelines.errors import MediaError, OfflineError, StoreError, ThatdamError
from thatdam_pipelines.library.checksum import BLOCK_BYTES, Digest, digest_open, open_regular, read_back
from thatdam_pipelines.library.files import PART_SUFFIX, fsync_dir

PARTS = "parts"
"""Folder at the target for what is being written."""
_STALE_S = 7 * 86_400


class DiskPlace:
    """Files below one folder. Safe to use from several threads and processes."""

    workers = 4

    def __init__(self, root: Path, pace: Pace) -> None:
        self.root = root.expanduser().absolute()
        self.url = str(self.root)
        self._pace = pace
        self._unsynced: set[Path] = set()
        self._lock = threading.Lock()

    def exists(self) -> bool:
        """Whether the folder is there; a disk that fails when it is asked is not."""
        with contextlib.suppress(OSError):
            return self.root.is_dir()
        return False

    def is_empty(self) -> bool:
        with self._working(""), os.scandir(self.root) as entries:
            return not any(entry.name not in (PARTS, "lost+found") for entry in entries)

    def create(self) -> None:
        """Make the folder itself; that above it must be there, as the folder of an unplugged disk is not.

        Raises:
            OfflineError: It cannot be made.
        """
        try:
            self.root.mkdir(exist_ok=True)
        except OSError as error:
            cause = f"it is not there and cannot be made ({error.strerror})"
            raise OfflineError(self.root, cause, "Mount its disk, or make the folder.") from error

    def size(self, key: str) -> int | None:
        with self._working(key):
            try:
                return (self.root / key).stat().st_size
            except FileNotFoundError:
                return None

    def fits(self, stored_bytes: int, size_bytes: int) -> bool:
        """Whether what takes so many bytes there can be a content of that size."""
        return stored_bytes == size_bytes

    def list(self, folder: str) -> Iterator[tuple[str, int, float]]:
        """Name, size in bytes and modification time (s since 1970) of the files in a folder."""
        with self._working(folder):
            try:
                with os.scandir(self.root / folder) as entries:
                    for entry in entries:
                        if entry.is_file(follow_symlinks=False):
                            facts = entry.stat(follow_symlinks=False)
                            yield entry.name, facts.st_size, facts.st_mtime
            except FileNotFoundError:
                return

    def read(self, key: str) -> Iterator[bytes]:
        """The content of a file as the disk has it, in blocks.

        Raises:
            FileNotFoundError: There is none.
        """
        with self._working(key, may_be_missing=True):
            descriptor = os.open(self.root / key, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                while block := os.read(descriptor, BLOCK_BYTES):
                    self._pace.wait(len(block))
                    yield block
            finally:
                os.close(descriptor)

    def add(self, source: Path, key: str, blake3: str | None = None) -> Digest:
        """Copy a file to the new ``key``: written aside, on the disk, read back and compared, then named.

        Args:
            blake3: What the file is to be; one with another content is not kept.

        Returns:
            The checksums of what was read, which equal what was read back.

        Raises:
            ChangedError: The source changed while it was read.
            MediaError: The source cannot be read, or is another content.
            OfflineError: The disk is not there any more.
            StoreError: It cannot be written, or what was read back differs.
        """
        part = self._part()
        descriptor = open_regular(source)
        try:
            with self._working(key):
                digest = self._copy(descriptor, source, part)
                require_content(digest, blake3, source)
            back = self._read_back(part, key)
            if back != digest:
                raise StoreError(self.root / key, "what was read back does not equal the file", "Check the disk.")
            with self._working(key):
                self._name(part, self.root / key)
        finally:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        return digest

    def write(self, key: str, content: bytes) -> None:
        """Write a small file, in the place of one that is there."""
        part = self._part()
        try:
            with self._working(key):
                with part.open("xb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                (self.root / key).parent.mkdir(parents=True, exist_ok=True)
                part.replace(self.root / key)
                fsync_dir((self.root / key).parent)
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)

    def remove(self, key: str) -> None:
        with self._working(key):
            (self.root / key).unlink(missing_ok=True)

    def move(self, key: str, to: str) -> None:
        """Give a file another name."""
        with self._working(key):
            (self.root / to).parent.mkdir(parents=True, exist_ok=True)
            (self.root / key).replace(self.root / to)

    def flush(self) -> None:
        """Make the names of everything added so far durable."""
        with self._lock:
            folders, self._unsynced = self._unsynced, set()
        with self._working(""):
            for folder in folders:
                fsync_dir(folder)

    def clean(self, *, dry_run: bool = False) -> int:
        """Remove what killed processes of this machine left half-written, and what others left a week ago.

        Returns:
            How many files.
        """
        removed = 0
        here = f"{os.uname().nodename}."
        for name, _, modified in list(self.list(PARTS)):
            pid = name.removeprefix(here).partition(".")[0]
            if name.startswith(here) and pid.isdecimal():
                stale = int(pid) != os.getpid() and not Path(f"/proc/{pid}").exists()
            else:
                stale = time.time() - modified > _STALE_S
            removed += stale
            if stale and not dry_run:
                self.remove(f"{PARTS}/{name}")
        return removed

    def _part(self) -> Path:
        folder = self.root / PARTS
        with self._working(PARTS):
            folder.mkdir(exist_ok=True)
        return folder / f"{os.uname().nodename}.{os.getpid()}.{secrets.token_hex(8)}{PART_SUFFIX}"

    def _copy(self, descriptor: int, source: Path, part: Path) -> Digest:
        copy = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)

        def write(block: bytes) -> None:
            self._pace.wait(len(block))
            written = 0
            while written < len(block):
                written += os.write(copy, memoryview(block)[written:])

        try:
            digest = digest_open(descriptor, source, write)
            os.fsync(copy)
        finally:
            os.close(copy)
        return digest

    def _read_back(self, part: Path, key: str) -> Digest:
        try:
            return read_back(part)
        except MediaError as error:
            raise self._gone(key) if not part.exists() else self._broken(key, str(error)) from error

    def _name(self, part: Path, target: Path) -> None:
        """Name a verified file; one that is there already has the same content and stays."""
        if not target.parent.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
            with self._lock:
                self._unsynced |= {target.parent.parent, self.root}
        try:
            os.link(part, target)
        except FileExistsError:
            return
        except OSError:
            # Some file systems have no second names.
            if target.exists():
                return
            part.replace(target)
        with self._lock:
            self._unsynced.add(target.parent)

    @contextlib.contextmanager
    def _working(self, key: str, may_be_missing: bool = False) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if may_be_missing and self.exists():
                raise
            raise self._gone(key) from error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                next_step = "Free space there, then run it again."
                raise StoreError(self.root / key, "the backup target is full", next_step) from error
            raise self._broken(key, error.strerror or str(error)) from error

    def _gone(self, key: str) -> ThatdamError:
        """The error for something that was there a moment ago."""
        if not self.exists():
            return OfflineError(self.root, "the backup target is not there", "Mount its disk, then run it again.")
        cause = "what was just written there is gone: another disk may be mounted in its place"
        return StoreError(self.root / key, cause, "Mount the target's disk, then run it again.")

    def _broken(self, key: str, how: str) -> StoreError:
        return StoreError(self.root / key, f"it does not work ({how})", "Check the disk, then run it again.")
