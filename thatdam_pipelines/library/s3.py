"""A media store in an S3 bucket, through s3fs."""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from thatdam_pipelines.errors import OfflineError, OverwriteError, StoreError, ThatdamError
from thatdam_pipelines.library.checksum import (
    BLOCK_BYTES,
    Digest,
    Hasher,
    Observer,
    changed,
    digest_file,
    require,
    unreadable,
)
from thatdam_pipelines.settings import Settings

PUBLISHED = ".published"
"""Object that is written last into a derived folder: with it the folder is whole."""
_MODIFIED = "mtime-ns"
_SEEK_BLOCK_BYTES = 256 * 1024
"""Read ahead of whoever seeks: a keyframe of a proxy takes one or two requests."""
# Servers differ about control characters; s3fs takes what follows a question mark for a version.
_UNSAFE = re.compile(r"[%\x00-\x1f\x7f]|\?(?=versionId=)")


def access(settings: Settings, *, read_timeout_s: float, attempts: int) -> dict[str, Any]:
    """What s3fs is to open the settings' S3 server with.

    Args:
        attempts: How often it asks again by itself.
    """
    config = {
        "connect_timeout": 10,
        "read_timeout": read_timeout_s,
        "retries": {"max_attempts": attempts},
        # Servers that are none of Amazon's refuse checksums of this kind, or answer part of an object with that of all
        # of it. What is stored is proven by reading it back.
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
    }
    return {
        "key": settings.s3_key,
        "secret": settings.s3_secret,
        "endpoint_url": settings.s3_endpoint,
        "use_listings_cache": False,
        "config_kwargs": config,
    }


class Bucket:
    """Objects below one prefix of a bucket. Safe to use from several threads."""

    def __init__(self, url: str, settings: Settings) -> None:
        self._prefix = url.removeprefix("s3://").rstrip("/")
        self._settings = settings
        self._opened: Any = None

    @property
    def _files(self) -> Any:
        if self._opened is None:
            import s3fs

            self._opened = s3fs.S3FileSystem(**access(self._settings, read_timeout_s=60.0, attempts=1))
        return self._opened

    def path(self, key: str) -> str:
        return f"{self._prefix}/{_UNSAFE.sub(lambda found: f'%{ord(found[0]):02X}', key)}"

    def url(self, key: str) -> str:
        return f"s3://{self.path(key)}"

    def put(self, source: Path, key: str, move: bool, expected: str | None, observer: Observer | None) -> Digest:
        try:
            before = source.lstat()
        except OSError as error:
            raise unreadable(source, error) from error
        digest = digest_file(source, observer)
        require(digest, expected, source)
        if self.size(key) is None:
            self._upload(source, key, {_MODIFIED: str(before.st_mtime_ns)})
            if (written := self.digest(key)) != digest:
                with self._reaching(key):
                    self._files.rm_file(self.path(key))
                if digest_file(source) == written:
                    raise changed(source)
                raise StoreError(self.url(key), "what the server holds does not equal the file", "Run it again.")
        elif (written := self.digest(key)) != digest:
            raise OverwriteError(
                self.url(key), "different content is already there", "Nothing was overwritten; compare the two."
            )
        if move:
            # One that changed since is a new file with the old name: it stays. One that is gone needs not go.
            with contextlib.suppress(OSError):
                now = source.lstat()
                if (now.st_ino, now.st_size, now.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns):
                    source.unlink()
        return written

    def flush(self) -> None:
        """Nothing to do: an object is durable when the server has answered."""

    @contextmanager
    def local(self, key: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="thatdam-") as folder:
            # The extension stays: some decoders look at it.
            path = Path(folder) / f"original{Path(key).suffix}"
            with self._reaching(key):
                self._files.get_file(self.path(key), str(path))
            yield path

    def size(self, key: str) -> int | None:
        found = self._head(key)
        return int(found["size"]) if found else None

    def modified_ns(self, key: str) -> int | None:
        found = self._head(key)
        if found is None:
            return None
        with self._reaching(key):
            told = self._files.metadata(self.path(key))
        # Some servers give the names of metadata capital letters.
        kept = next((value for name, value in told.items() if name.lower() == _MODIFIED), None)
        return int(kept) if kept else int(found["LastModified"].timestamp() * 1e9)

    def read_bytes(self, key: str, limit: int) -> bytes:
        with self._reaching(key):
            if limit < 0:
                return bytes(self._files.cat_file(self.path(key)))
            # A range of an object without bytes is an error in S3.
            return bytes(self._files.cat_file(self.path(key), start=0, end=limit)) if self.size(key) else b""

    def read_range(self, key: str, start: int, end: int) -> bytes:
        with self._reaching(key):
            return bytes(self._files.cat_file(self.path(key), start=start, end=end)) if start < end else b""

    @contextmanager
    def opened(self, key: str) -> Iterator[BinaryIO]:
        with self._reaching(key), self._files.open(self.path(key), "rb", block_size=_SEEK_BLOCK_BYTES) as stored:
            yield stored

    def digest(self, key: str) -> Digest:
        hasher = Hasher()
        with self._reaching(key), self._files.open(self.path(key), "rb", block_size=2 * BLOCK_BYTES) as stored:
            while block := stored.read(BLOCK_BYTES):
                hasher.update(block)
        return hasher.digest()

    def take_out(self, key: str, aside: Path) -> None:
        with self._reaching(key):
            self._files.get_file(self.path(key), str(aside))
            self._files.rm_file(self.path(key))

    def publish_dir(self, folder: Path, key: str) -> None:
        if not self.is_published(key):
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                with self._reaching(key):
                    self._files.put_file(str(path), self.path(f"{key}/{path.relative_to(folder).as_posix()}"))
            with self._reaching(key):
                self._files.pipe_file(self.path(f"{key}/{PUBLISHED}"), b"")
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        folder.rmdir()

    def is_published(self, key: str) -> bool:
        return self.size(f"{key}/{PUBLISHED}") is not None

    def is_new(self) -> bool:
        return False

    def is_online(self) -> bool:
        try:
            self._files.call_s3("list_objects_v2", Bucket=self._prefix.partition("/")[0], MaxKeys=1)
        except Exception:
            return False
        return True

    @contextmanager
    def exclusive(self, key: str) -> Iterator[None]:
        # An object appears whole or not at all, and two writers of one key write the same content.
        yield

    def _upload(self, source: Path, key: str, metadata: dict[str, str]) -> None:
        with self._reaching(key):
            try:
                self._files.put_file(str(source), self.path(key), mode="create", Metadata=metadata)
            except FileExistsError as error:
                raise OverwriteError(self.url(key), "something was stored there just now", "Run it again.") from error
            except FileNotFoundError as error:
                if not os.path.lexists(source):
                    raise unreadable(source, error) from error
                raise

    def _head(self, key: str) -> dict[str, Any] | None:
        with self._reaching(key):
            try:
                found: dict[str, Any] = self._files.info(self.path(key))
            except FileNotFoundError:
                return None
        return found if found["type"] == "file" else None

    @contextmanager
    def _reaching(self, key: str) -> Iterator[None]:
        """Say plainly what a failed request means."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ThatdamError:
            raise
        except FileNotFoundError as error:
            raise StoreError(
                self.url(key), "it is missing from the media store", "Restore it from a backup."
            ) from error
        except (BotoCoreError, ClientError, OSError, TimeoutError) as error:
            raise OfflineError(
                self.url(key),
                f"the S3 server does not answer as it should ({error})",
                "Check THATDAM_S3_ENDPOINT, the keys and the bucket, then try again.",
            ) from error
