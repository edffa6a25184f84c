"""A backup target whose contents and names mean nothing without its key."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile

from blake3 import blake3 as hash_of

from thatdam_pipelines.backup.keys import Key, encrypted_bytes
from thatdam_pipelines.backup.place import Place
from thatdam_pipelines.backup.sound import require_content
from thatdam_pipelines.errors import DamagedError, MediaError, StoreError
from thatdam_pipelines.library.checksum import Digest, Hasher, open_regular, read_blocks

_STALE_S = 7 * 86_400.0
_SUFFIX = ".age"


class EncryptedPlace:
    """Another place, to which everything goes encrypted. Only the first part of a key, such as ``objects``, is plain.

    Args:
        work: Folder of this machine with room for what is being sent: each file once, encrypted.
    """

    def __init__(self, inner: Place, key: Key, work: Path) -> None:
        self._inner = inner
        self._key = key
        self._work = work

    @property
    def url(self) -> str:
        return self._inner.url

    @property
    def workers(self) -> int:
        return self._inner.workers

    def exists(self) -> bool:
        return self._inner.exists()

    def is_empty(self) -> bool:
        return self._inner.is_empty()

    def create(self) -> None:
        self._inner.create()

    def size(self, key: str) -> int | None:
        """Bytes that it takes there."""
        return self._inner.size(self.stored(key))

    def fits(self, stored_bytes: int, size_bytes: int) -> bool:
        return stored_bytes in encrypted_bytes(size_bytes)

    def list(self, folder: str) -> Iterator[tuple[str, int, float]]:
        """Name, bytes that it takes there and modification time of the files in a folder that this key can read."""
        for name, size, modified in self._inner.list(self.stored(folder)):
            shown = self._key.shown(name)
            if shown is not None:
                yield shown, size, modified

    def read(self, key: str) -> Iterator[bytes]:
        """The content of a file, decrypted.

        Raises:
            DamagedError: It is not what was put there.
            FileNotFoundError: There is none.
        """
        yield from self._key.decrypt(self._inner.read(self.stored(key)), f"{self.url}/{self.stored(key)}")

    def add(self, source: Path, key: str, blake3: str | None = None) -> Digest:
        """Encrypt a file on this machine, prove that it can be decrypted, and have it copied and read back whole.

        What was encrypted before a break is used again: only so can an upload go on with the parts that arrived.

        Returns:
            The checksums of the file, not of what is stored.

        Raises:
            ChangedError: The source changed while it was read.
            MediaError: The source cannot be read, or is another content.
            OfflineError: The target cannot be reached.
            StoreError: It cannot be written, there or on this machine, or what was read back differs.
        """
        with self._spool(key) as spool:
            digest = self._proven(spool)
            if blake3 is None or digest is None or digest.blake3 != blake3:
                digest = self._encrypt(source, spool)
                require_content(digest, blake3, source)
                if self._proven(spool) != digest:
                    raise StoreError(spool, "it was encrypted, but decrypts to something else", "Check this machine.")
            self._inner.add(spool, self.stored(key))
        return digest

    def write(self, key: str, content: bytes) -> None:
        encrypted = BytesIO()
        self._key.encrypt([content], encrypted)
        self._inner.write(self.stored(key), encrypted.getvalue())

    def remove(self, key: str) -> None:
        self._inner.remove(self.stored(key))

    def move(self, key: str, to: str) -> None:
        self._inner.move(self.stored(key), self.stored(to))

    def flush(self) -> None:
        self._inner.flush()

    def clean(self, *, dry_run: bool = False) -> int:
        """As the place does; and what waits encrypted on this machine for a week goes."""
        for path in [] if dry_run else list(self._work.glob(f"*{_SUFFIX}")):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _STALE_S:
                    path.unlink()
        return self._inner.clean(dry_run=dry_run)

    def stored(self, key: str) -> str:
        """The key under which the place has it."""
        first, *others = key.split("/")
        return "/".join((first, *map(self._key.hide, others)))

    def _encrypt(self, source: Path, spool: Path) -> Digest:
        hasher = Hasher()

        def hashed() -> Iterator[bytes]:
            for block in read_blocks(descriptor, source):
                hasher.update(block)
                yield block

        descriptor = open_regular(source)
        try:
            with spool.open("r+b") as encrypted:
                encrypted.truncate()
                self._key.encrypt(hashed(), encrypted)
        except OSError as error:
            cause = f"what goes to the target cannot be encrypted there ({error.strerror or error})"
            raise StoreError(spool.parent, cause, "Check that disk and its space, then run it again.") from error
        finally:
            os.close(descriptor)
        return hasher.digest()

    def _proven(self, spool: Path) -> Digest | None:
        """What a file on this machine decrypts to; None when it cannot be."""
        hasher = Hasher()
        descriptor = open_regular(spool)
        try:
            for block in self._key.decrypt(read_blocks(descriptor, spool), str(spool)):
                hasher.update(block)
        except DamagedError:
            return None
        finally:
            os.close(descriptor)
        return hasher.digest()

    @contextmanager
    def _spool(self, key: str) -> Iterator[Path]:
        """A file for one content, which stays when the work is broken off; for nobody else meanwhile."""
        self._work.mkdir(parents=True, exist_ok=True)
        path = self._work / f"{hash_of(self.stored(key).encode()).hexdigest()[:32]}{_SUFFIX}"
        with path.open("ab") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                free = os.fstat(held.fileno()).st_nlink > 0
            except BlockingIOError:
                free = False
            if not free:
                # Another process sends the same content right now.
                with NamedTemporaryFile(dir=self._work, suffix=_SUFFIX) as own:
                    yield Path(own.name)
                return
            try:
                yield path
            except (MediaError, StoreError):
                path.unlink(missing_ok=True)
                raise
            path.unlink(missing_ok=True)
