"""A media store on a disk."""

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from blake3 import blake3

from thatdam_pipelines.errors import MediaError, OfflineError, OverwriteError, StoreError
from thatdam_pipelines.library.checksum import (
    Digest,
    Observer,
    changed,
    copy_with_digest,
    digest_file,
    digest_open,
    open_regular,
    read_back,
    require,
    unreadable,
)
from thatdam_pipelines.library.disk_identity import DiskIdentity, locked, unwritable
from thatdam_pipelines.library.files import NO_HARD_LINKS, PART_SUFFIX, fsync_dir
from thatdam_pipelines.settings import Settings

ORIGINAL_MODE = 0o444
_PART_PREFIX = ".thatdam-"


class Disk:
    """Files below one folder. Safe to use from several threads."""

    def __init__(self, root: Path, settings: Settings) -> None:
        self.root = root.expanduser().absolute()
        self._reserve_bytes = settings.disk_reserve_bytes
        self._identity = DiskIdentity(self.root, settings.home)
        self._unsynced: set[Path] = set()
        # Folders whose folders are on the disk: they need not be synced for each file below them.
        self._lasting: set[Path] = set()
        self._lock = threading.Lock()
        self._flushing = threading.Lock()

    def path(self, key: str) -> Path:
        return self.root / key

    def url(self, key: str) -> str:
        return str(self.path(key))

    def put(self, source: Path, key: str, move: bool, expected: str | None, observer: Observer | None) -> Digest:
        self._identity.require()
        target = self.path(key)
        if os.path.lexists(target):
            return self._same_content(source, target, move, expected, observer)
        self._make_folder(target.parent)
        if move and (digest := self._take_over(source, target, expected, observer)):
            return digest
        before = _lstat(source) if move else None
        digest = self._copy(source, target, move, expected, observer)
        if before is not None:
            self._remove_source(source, before, target)
        return digest

    def flush(self) -> None:
        # One at a time: who finds nothing to do may rely on what another thread took on being done.
        with self._flushing:
            with self._lock:
                folders, self._unsynced = self._unsynced, set()
            above = {parent for folder in folders for parent in folder.parents if parent.is_relative_to(self.root)}
            try:
                for folder in sorted(folders | (above - self._lasting), reverse=True):
                    fsync_dir(folder)
            except OSError as error:
                with self._lock:
                    self._unsynced |= {folder for folder in folders if folder.is_dir()}
                raise unwritable(folder, error) from error
            self._lasting |= above

    @contextmanager
    def local(self, key: str) -> Iterator[Path]:
        yield self._existing(key)

    def size(self, key: str) -> int | None:
        found = self._stat(key)
        return found.st_size if found else None

    def modified_ns(self, key: str) -> int | None:
        found = self._stat(key)
        return found.st_mtime_ns if found else None

    def read_bytes(self, key: str, limit: int) -> bytes:
        return self._read(key, 0, limit)

    def read_range(self, key: str, start: int, end: int) -> bytes:
        return self._read(key, start, end - start)

    def _read(self, key: str, start: int, length: int) -> bytes:
        path = self._existing(key)
        try:
            with path.open("rb") as stored:
                stored.seek(start)
                return stored.read(length)
        except OSError as error:
            raise _damaged(path, f"it cannot be read ({error.strerror})") from error

    @contextmanager
    def opened(self, key: str) -> Iterator[BinaryIO]:
        path = self._existing(key)
        try:
            stored = path.open("rb")
        except OSError as error:
            raise _damaged(path, f"it cannot be read ({error.strerror})") from error
        with stored:
            yield stored

    def digest(self, key: str) -> Digest:
        path = self._existing(key)
        try:
            return read_back(path)
        except MediaError as error:
            raise _damaged(path, error.cause) from error

    def take_out(self, key: str, aside: Path) -> None:
        shutil.move(self._existing(key), aside)

    def publish_dir(self, folder: Path, key: str) -> None:
        self._identity.require()
        target = self.path(key)
        try:
            if not target.is_dir():
                self._make_folder(target.parent)
                self._rename_dir(folder, target)
            shutil.rmtree(folder, ignore_errors=True)
        except OSError as error:
            raise unwritable(target, error) from error

    def is_published(self, key: str) -> bool:
        return self.path(key).is_dir()

    def is_new(self) -> bool:
        return self._identity.is_new()

    def is_online(self) -> bool:
        try:
            self._identity.require()
        except (OfflineError, StoreError):
            return False
        return True

    @contextmanager
    def exclusive(self, key: str) -> Iterator[None]:
        self._identity.require()
        folder = self.path(key)
        self._make_folder(folder)
        try:
            with locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
                for leftover in folder.rglob(f"{_PART_PREFIX}*{PART_SUFFIX}"):
                    leftover.unlink()
                try:
                    yield
                finally:
                    _remove_empty(folder)
        except BlockingIOError as error:
            raise StoreError(
                folder, "another process is writing to it", "Wait until that run ended, then run this again."
            ) from error

    def _take_over(self, source: Path, target: Path, expected: str | None, observer: Observer | None) -> Digest | None:
        """Give a file of this disk its name in the store; None when only a copy will do."""
        descriptor = open_regular(source)
        try:
            before = os.fstat(descriptor)
            # A file with another name elsewhere, or that somebody else owns, could still be written to later.
            if (
                before.st_dev != target.parent.stat().st_dev
                or before.st_nlink != 1
                or os.geteuid() not in (0, before.st_uid)
                or not os.access(source.parent, os.W_OK | os.X_OK)
            ):
                return None
            digest = digest_open(descriptor, source, observer=observer)
            os.fsync(descriptor)
            if not _same_file(source, before):
                raise changed(source)
            require(digest, expected, source)
            if not self._name(source, target):
                return None
            os.fchmod(descriptor, ORIGINAL_MODE)
            self._remember(target.parent)
            self.flush()
            if not _same_file(target, before):
                if _same_file(source, _lstat(target)):
                    os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
                    target.unlink()
                raise changed(source)
            if _same_file(source, before):
                with contextlib.suppress(OSError):
                    source.unlink()
        finally:
            os.close(descriptor)
        return digest

    def _copy(self, source: Path, target: Path, move: bool, expected: str | None, observer: Observer | None) -> Digest:
        self._require_space(source)
        part = target.with_name(_part_name(target.name))
        try:
            digest = copy_with_digest(source, part, mode=ORIGINAL_MODE, observer=observer)
            require(digest, expected, source)
            try:
                written = read_back(part)
            except MediaError as error:
                raise _damaged(part, error.cause) from error
            if written != digest:
                raise _damaged(part, "what is on the disk does not equal what was written")
            if not self._name(part, target):
                self._rename(part, target)
        finally:
            part.unlink(missing_ok=True)
        self._remember(target.parent)
        if move:
            # The copy's name must be durable before the source goes.
            self.flush()
        return written

    def _name(self, existing: Path, target: Path) -> bool:
        """Give a file a second name, never replacing one; False where this disk cannot."""
        try:
            os.link(existing, target, follow_symlinks=False)
        except FileExistsError as error:
            raise _occupied(target) from error
        except FileNotFoundError as error:
            raise unreadable(existing, error) from error
        except OSError as error:
            if error.errno == errno.EXDEV or error.errno in NO_HARD_LINKS:
                return False
            raise unwritable(target, error) from error
        return True

    def _rename(self, part: Path, target: Path) -> None:
        # exFAT and some network disks have no hard links. Only one process writes a batch's folder, see exclusive.
        if os.path.lexists(target):
            raise _occupied(target)
        part.rename(target)

    def _same_content(
        self, source: Path, target: Path, move: bool, expected: str | None, observer: Observer | None
    ) -> Digest:
        before = _lstat(source)
        if not stat.S_ISREG(target.lstat().st_mode):
            raise _occupied(target)
        kept = read_back(target)
        require(kept, expected, source)
        if digest_file(source, observer) != kept:
            raise _occupied(target)
        target.chmod(ORIGINAL_MODE)
        self._remember(target.parent)
        if move:
            self.flush()
            self._remove_source(source, before, target)
        return kept

    def _remove_source(self, source: Path, before: os.stat_result, kept: Path) -> None:
        # A source that changed since is a new file with the old name; one on read-only media cannot go: both stay.
        # So does what is in the store already, where it has no other name.
        if _same_file(source, before) and not (kept.samefile(source) and before.st_nlink == 1):
            with contextlib.suppress(OSError):
                source.unlink()

    def _stat(self, key: str) -> os.stat_result | None:
        try:
            # No Path: this is asked of every file of a library.
            found = os.lstat(f"{self.root}/{key}")
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found if stat.S_ISREG(found.st_mode) else None

    def _existing(self, key: str) -> Path:
        path = self.path(key)
        if not os.path.lexists(path):
            self._identity.require()
            raise StoreError(path, "it is missing from the media store", "Restore it from a backup.")
        return path

    def _require_space(self, source: Path) -> None:
        try:
            size = source.lstat().st_size
        except OSError:
            return
        free = shutil.disk_usage(self.root).free
        if free < size + self._reserve_bytes:
            raise StoreError(
                self.root,
                f"{_amount(free)} are free; {source.name!r} needs {_amount(size)} and "
                f"{_amount(self._reserve_bytes)} stay in reserve",
                "Free space on the media disk or lower THATDAM_DISK_RESERVE_BYTES, then run it again.",
            )

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        with self._flushing:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise unwritable(folder, error) from error
            self._lasting.difference_update(folder.parents)

    def _rename_dir(self, folder: Path, target: Path) -> None:
        staged = folder
        if folder.stat().st_dev != target.parent.stat().st_dev:
            for leftover in target.parent.glob(f"{_PART_PREFIX}*{PART_SUFFIX}"):
                shutil.rmtree(leftover, ignore_errors=True)
            staged = target.with_name(_part_name(target.name))
            shutil.copytree(folder, staged)
        try:
            for path in [*staged.rglob("*"), staged]:
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
            staged.rename(target)
        except OSError as error:
            if staged != folder:
                shutil.rmtree(staged, ignore_errors=True)
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        self._remember(target.parent)
        self.flush()

    def _remember(self, folder: Path) -> None:
        with self._lock:
            self._unsynced.add(folder)


def _amount(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.1f} GiB" if size_bytes >= 2**30 else f"{size_bytes / 2**20:.1f} MiB"


def _part_name(name: str) -> str:
    # The hash stands for the name, which may itself be as long as a name can be.
    token = blake3(os.fsencode(name)).hexdigest()[:16]
    return f"{_PART_PREFIX}{token}.{os.getpid()}.{threading.get_ident()}{PART_SUFFIX}"


def _remove_empty(top: Path) -> None:
    for folder, _, _ in os.walk(top, topdown=False):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()


def _lstat(source: Path) -> os.stat_result:
    try:
        return source.lstat()
    except OSError as error:
        raise unreadable(source, error) from error


def _same_file(path: Path, before: os.stat_result) -> bool:
    try:
        now = path.lstat()
    except FileNotFoundError:
        return False
    return (now.st_ino, now.st_dev, now.st_size, now.st_mtime_ns) == (
        before.st_ino,
        before.st_dev,
        before.st_size,
        before.st_mtime_ns,
    )


def _occupied(target: Path) -> OverwriteError:
    return OverwriteError(target, "different content is already there", "Nothing was overwritten; compare the two.")


def _damaged(path: Path, cause: str) -> StoreError:
    return StoreError(path, cause, "Check the media disk (cable, SMART, memory), then run it again.")
