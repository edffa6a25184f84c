"""A backup target on a server: S3, or whatever else fsspec can reach."""

import contextlib
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
"""Larger files are sent in parts of this size."""
_ATTEMPTS = 5
T = TypeVar("T")


class RemotePlace:
    """Objects below one URL. Safe to use from several threads and processes."""

    workers = 8
    pause_s = 0.2
    """Seconds before the second attempt; each further pause is twice as long, up to 5 s."""

    def __init__(self, url: str, settings: Settings, pace: Pace) -> None:
        self.url = url.rstrip("/")
        self._settings = settings
        self._pace = pace
        self._opened: tuple[Any, str] | None = None

    def exists(self) -> bool:
        """Whether the bucket or folder is there."""
        files, path = self._files()
        if self.url.startswith("s3://"):
            bucket = path.partition("/")[0]
            self._trying("", lambda: files.call_s3("list_objects_v2", Bucket=bucket, MaxKeys=1))
            return True
        return bool(self._trying("", lambda: files.exists(path)))

    def is_empty(self) -> bool:
        files, path = self._files()
        try:
            return not self._trying("", lambda: files.ls(path, detail=False, refresh=True))
        except FileNotFoundError:
            return True

    def create(self) -> None:
        """Make the folder; a bucket is never made."""
        if not self.url.startswith("s3://"):
            files, path = self._files()
            self._trying("", lambda: files.makedirs(path, exist_ok=True))

    def size(self, key: str) -> int | None:
        files, path = self._files(key)
        try:
            return int(self._trying(key, lambda: files.info(path))["size"])
        except FileNotFoundError:
            return None

    def list(self, folder: str) -> Iterator[tuple[str, int, float]]:
        """Name, size in bytes and modification time (s since 1970) of the objects in a folder."""
        files, path = self._files(folder)
        try:
            found = self._trying(folder, lambda: files.ls(path, detail=True, refresh=True))
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
        files, path = self._files(key)
        for start in range(0, size, PART_BYTES):
            end = min(size, start + PART_BYTES)
            block = self._trying(key, lambda start=start, end=end: _range(files, path, start, end))  # type: ignore[misc]
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
        files, path = self._files(key)
        self._trying(key, lambda: files.pipe_file(path, content))

    def remove(self, key: str) -> None:
        files, path = self._files(key)
        with contextlib.suppress(FileNotFoundError):
            self._trying(key, lambda: files.rm_file(path))

    def move(self, key: str, to: str) -> None:
        """Give an object another name."""
        files, path = self._files(key)
        _, target = self._files(to)
        self._trying(key, lambda: files.cp_file(path, target))
        self.remove(key)

    def flush(self) -> None:
        """Nothing to do: an object is durable when the server has answered."""

    def clean(self) -> None:
        """Nothing to do: what is half sent is no object. A lifecycle rule of the bucket drops the parts."""

    def _send(self, source: Path, key: str, blake3: str | None) -> Digest:
        """Send a file whole or not at all: only when it was read to its end unchanged does the object appear."""
        files, path = self._files(key)

        def once() -> Digest:
            descriptor = open_regular(source)
            try:
                if os.fstat(descriptor).st_size <= PART_BYTES:
                    content = io.BytesIO()
                    digest = digest_open(descriptor, source, lambda block: _collect(content, block, self._pace))
                    require_content(digest, blake3, source)
                    files.pipe_file(path, content.getvalue())
                    return digest
                sending = files.open(path, "wb", block_size=PART_BYTES, autocommit=False)
                try:
                    digest = digest_open(descriptor, source, lambda block: _collect(sending, block, self._pace))
                    require_content(digest, blake3, source)
                    sending.close()
                    sending.commit()
                except BaseException:
                    with contextlib.suppress(Exception):
                        sending.discard()
                    raise
                return digest
            finally:
                os.close(descriptor)

        return self._trying(key, once)

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
                        f"the server does not answer as it should ({error})",
                        "Check the address, the keys and the network, then run it again.",
                    ) from error
                time.sleep(min(self.pause_s * 2**attempt, 5.0))
        raise AssertionError("unreachable")

    def _files(self, key: str = "") -> tuple[Any, str]:
        if self._opened is None:
            import fsspec

            options: dict[str, Any] = {}
            if self.url.startswith("s3://"):
                options = {
                    "key": self._settings.s3_key,
                    "secret": self._settings.s3_secret,
                    "endpoint_url": self._settings.s3_endpoint,
                    "use_listings_cache": False,
                    "config_kwargs": {"connect_timeout": 10, "read_timeout": 60, "retries": {"max_attempts": 0}},
                }
            try:
                files, path = fsspec.core.url_to_fs(self.url, **options)
            except (ImportError, ValueError) as error:
                cause = f"it cannot be opened ({error})"
                raise OfflineError(self.url, cause, "Check its URL, and install what fsspec needs for it.") from error
            self._opened = (files, path)
        files, path = self._opened
        return files, f"{path}/{key}" if key else path

    def _url(self, key: str) -> str:
        return f"{self.url}/{key}" if key else self.url


def _collect(target: Any, block: bytes, pace: Pace) -> None:
    pace.wait(len(block))
    target.write(block)


def _range(files: Any, path: str, start: int, end: int) -> bytes:
    block = bytes(files.cat_file(path, start=start, end=end))
    if len(block) != end - start:
        raise OSError(f"{len(block)} bytes came instead of {end - start}")
    return block


def _modified(entry: dict[str, Any]) -> float:
    found: Any = entry.get("LastModified") or entry.get("mtime") or entry.get("created")
    return found.timestamp() if hasattr(found, "timestamp") else float(found or 0.0)


def _may_pass(error: Exception) -> bool:
    """Whether asking again can help: not where the server said that it may not be, or that there is no such bucket."""
    return not isinstance(error, (PermissionError, NotADirectoryError, IsADirectoryError, ValueError))
