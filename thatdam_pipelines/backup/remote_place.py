"""A backup target on a server: whatever fsspec can reach. S3 is ``BucketPlace``."""

import contextlib
import errno
import io
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from thatdam_pipelines.backup.pace import Pace
from thatdam_pipelines.backup.sound import require_content
from thatdam_pipelines.errors import OfflineError, StoreError, ThatdamError
from thatdam_pipelines.library.checksum import Digest, Hasher, digest_open, open_regular
from thatdam_pipelines.settings import Settings

PART_BYTES = 16 * 2**20
"""Larger files are sent in parts of this size, and read so many bytes at a time."""
_ATTEMPTS = 5
SLOWEST_BYTES_PER_S = 16 * 2**10
"""A server that is slower than this is taken for one that does not answer."""
T = TypeVar("T")


class RemotePlace:
    """Objects below one URL. Safe to use from several threads and processes."""

    workers = 8
    pause_s = 0.2
    """Seconds before the second attempt; each further pause is twice as long, up to 5 s."""
    time_limit_s = 60.0
    """Longest a request may take, and besides as long as its bytes take at 16 KiB a second."""

    def __init__(self, url: str, settings: Settings, pace: Pace) -> None:
        self.url = url.rstrip("/")
        self._settings = settings
        self._pace = pace
        self._opened: tuple[Any, str] | None = None

    def exists(self) -> bool:
        """Whether the folder is there."""
        return bool(self._ask("", "exists", self._path()))

    def is_empty(self) -> bool:
        try:
            return not self._ask("", "ls", self._path(), detail=False, refresh=True)
        except FileNotFoundError:
            return True

    def create(self) -> None:
        """Make the folder."""
        self._ask("", "makedirs", self._path(), exist_ok=True)

    def size(self, key: str) -> int | None:
        try:
            return int(self._ask(key, "info", self._path(key))["size"])
        except FileNotFoundError:
            return None

    def fits(self, stored_bytes: int, size_bytes: int) -> bool:
        """Whether what takes so many bytes there can be a content of that size."""
        return stored_bytes == size_bytes

    def list(self, folder: str) -> Iterator[tuple[str, int, float]]:
        """Name, size in bytes and modification time (s since 1970) of the objects in a folder."""
        try:
            found = self._ask(folder, "ls", self._path(folder), detail=True, refresh=True)
        except FileNotFoundError:
            return
        for entry in found:
            if entry["type"] == "file" and (name := entry["name"].rstrip("/").rpartition("/")[2]):
                yield name, int(entry["size"]), _modified(entry)

    def read(self, key: str) -> Iterator[bytes]:
        """The content of an object as the server gives it, in blocks; what fails for a moment is asked again.

        Raises:
            FileNotFoundError: There is none.
        """
        size = self.size(key)
        if size is None:
            raise FileNotFoundError(key)
        for start in range(0, size, PART_BYTES):
            block = self._range(key, start, min(size, start + PART_BYTES))
            self._pace.wait(len(block))
            yield block

    def add(self, source: Path, key: str, blake3: str | None = None) -> Digest:
        """Copy a file to the new ``key`` and read it back whole; an object that differs is removed.

        Args:
            blake3: What the file is to be; one with another content is not sent.

        Returns:
            The checksums of what was read, which equal what was read back.

        Raises:
            ChangedError: The source changed while it was read.
            MediaError: The source cannot be read, or is another content.
            OfflineError: The server does not answer as it should, even when asked again.
            StoreError: What was read back differs.
        """
        digest = self._send(source, key, blake3)
        hasher = Hasher()
        try:
            for block in self.read(key):
                hasher.update(block)
        except FileNotFoundError as error:
            raise StoreError(self._url(key), "the server lost it right after it took it", "Run it again.") from error
        if hasher.digest() != digest:
            self.remove(key)
            raise StoreError(self._url(key), "what was read back does not equal the file", "Run it again.")
        return digest

    def write(self, key: str, content: bytes) -> None:
        """Write a small object, in the place of one that is there."""
        self._ask(key, "pipe_file", self._path(key), content, size_bytes=len(content))

    def remove(self, key: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._ask(key, "rm_file", self._path(key))

    def move(self, key: str, to: str) -> None:
        """Give an object another name."""
        size = self.size(key) or 0
        self._ask(key, "cp_file", self._path(key), self._path(to), size_bytes=size)
        self.remove(key)

    def flush(self) -> None:
        """Nothing to do: an object is durable when the server has answered."""

    def clean(self, *, dry_run: bool = False) -> int:
        """Nothing to do: what is half sent is no object."""
        return 0

    def _send(self, source: Path, key: str, blake3: str | None) -> Digest:
        """Send a file whole or not at all: only when it was read to its end unchanged does the object appear."""
        descriptor = open_regular(source)
        try:
            if os.fstat(descriptor).st_size > PART_BYTES:
                return self._send_large(descriptor, source, key, blake3)
            content = io.BytesIO()
            digest = digest_open(descriptor, source, lambda block: collect(content, block, self._pace))
            require_content(digest, blake3, source)
            self.write(key, content.getvalue())
            return digest
        finally:
            os.close(descriptor)

    def _send_large(self, descriptor: int, source: Path, key: str, blake3: str | None) -> Digest:
        files = self._files()

        def once() -> Digest:
            os.lseek(descriptor, 0, os.SEEK_SET)
            sending = files.open(self._path(key), "wb", block_size=PART_BYTES, autocommit=False)
            try:
                digest = digest_open(descriptor, source, lambda block: collect(sending, block, self._pace))
                require_content(digest, blake3, source)
                sending.close()
                sending.commit()
            except BaseException:
                with contextlib.suppress(Exception):
                    sending.discard()
                raise
            return digest

        return self._trying(key, once)

    def _range(self, key: str, start: int, end: int) -> bytes:
        def once() -> bytes:
            limit = self._limit(end - start)
            block = bytes(self._files().cat_file(self._path(key), start=start, end=end, **limit))
            if len(block) != end - start:
                raise OSError(f"{len(block)} bytes came instead of {end - start}")
            return block

        return self._trying(key, once)

    def _ask(self, key: str, request: str, *arguments: Any, size_bytes: int = 0, **more: Any) -> Any:
        """One request by its fsspec name, within its time limit, sent again when it fails."""
        files = self._files()
        limit = self._limit(size_bytes)
        return self._trying(key, lambda: getattr(files, request)(*arguments, **more, **limit))

    def _limit(self, size_bytes: int) -> dict[str, float]:
        # A server that takes no more bytes and says nothing would be waited for without end.
        if not getattr(self._files(), "async_impl", False):
            return {}
        return {"timeout": self.time_limit_s + size_bytes / SLOWEST_BYTES_PER_S}

    def _trying(self, key: str, request: Callable[[], T]) -> T:
        """A request, sent again with growing pauses when the server fails or asks for patience."""
        for attempt in range(_ATTEMPTS):
            try:
                return request()
            except (ThatdamError, FileNotFoundError):
                raise
            except Exception as error:
                if attempt + 1 == _ATTEMPTS or not _may_pass(error):
                    raise OfflineError(
                        self._url(key),
                        f"the server does not answer as it should ({str(error) or 'it took too long'})",
                        "Check the address, the keys and the network, then run it again.",
                    ) from error
                time.sleep(min(self.pause_s * 2**attempt, 5.0))
        raise AssertionError("unreachable")

    def _files(self) -> Any:
        if self._opened is None:
            import fsspec

            try:
                self._opened = fsspec.core.url_to_fs(self.url, **self._options())
            except (ImportError, ValueError) as error:
                cause = f"it cannot be opened ({error})"
                raise OfflineError(self.url, cause, "Check its URL, and install what fsspec needs for it.") from error
        return self._opened[0]

    def _options(self) -> dict[str, Any]:
        """What fsspec is to open the URL with."""
        return {}

    def _path(self, key: str = "") -> str:
        self._files()
        assert self._opened is not None
        return f"{self._opened[1]}/{key}" if key else self._opened[1]

    def _url(self, key: str) -> str:
        return f"{self.url}/{key}" if key else self.url


def collect(target: Any, block: bytes, pace: Pace) -> None:
    """Write a block to ``target`` at that pace."""
    pace.wait(len(block))
    target.write(block)


def _modified(entry: dict[str, Any]) -> float:
    found: Any = entry.get("LastModified") or entry.get("mtime") or entry.get("created")
    return found.timestamp() if hasattr(found, "timestamp") else float(found or 0.0)


def _may_pass(error: Exception) -> bool:
    """Whether asking again can help: not where the server said that it may not be or that it cannot do such a thing."""
    if getattr(error, "errno", None) == errno.ENOSYS:
        return False
    return not isinstance(error, (PermissionError, NotADirectoryError, IsADirectoryError, ValueError))
