"""Telling the media store from the empty folder that is left where its disk was."""

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from blake3 import blake3

from thatdam_pipelines.errors import OfflineError, StoreError
from thatdam_pipelines.library.files import fsync_dir, replacing

MARKER = ".thatdam-store"


class DiskIdentity:
    """The store's folder carries an id, and the home remembers which id belongs there.

    Args:
        root: Folder of the store.
        home: Home folder.
    """

    def __init__(self, root: Path, home: Path) -> None:
        self._root = root
        self._witness = home / f"store-{blake3(os.fsencode(root)).hexdigest()[:8]}.id"
        self._found = False

    def is_new(self) -> bool:
        """Whether no store was ever begun there."""
        return not self._witness.exists()

    def require(self) -> None:
        """Make sure that the store is there; one that was never begun is begun.

        Raises:
            OfflineError: It is not there.
            StoreError: It cannot be read or begun.
        """
        marker = self._root / MARKER
        if self._found and marker.exists():
            return
        known = None if self.is_new() else self._witness.read_text()
        try:
            if known is None:
                self._adopt(marker)
            elif not marker.exists() or marker.read_text() != known:
                raise OfflineError(
                    self._root,
                    "the media store is not there",
                    f"Mount its disk, then try again. To begin an empty store here, remove {self._witness}.",
                )
        except OSError as error:
            raise unwritable(self._root, error) from error
        self._found = True

    def _adopt(self, marker: Path) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        for folder in self._root.parents:
            with contextlib.suppress(PermissionError):
                fsync_dir(folder)
        # It may be a store already, and other processes may be opening it for the first time too.
        with locked(self._root, fcntl.LOCK_EX):
            if not marker.exists():
                with replacing(marker) as part:
                    part.write_text(secrets.token_hex(8))
            with replacing(self._witness) as part:
                part.write_text(marker.read_text())


@contextmanager
def locked(folder: Path, kind: int) -> Iterator[None]:
    """Hold a lock on a folder. The kernel lets go of it when the process dies, however it dies."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, kind)
        except OSError as error:
            # Some network disks have no locks.
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
        yield
    finally:
        os.close(descriptor)


def unwritable(target: Path, error: OSError) -> StoreError:
    """The error for what the disk of the store refused."""
    return StoreError(
        target, f"it cannot be written ({error.strerror})", "Check the disk and its free space, then run it again."
    )
