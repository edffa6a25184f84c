"""The media store: originals that are never overwritten, and what is derived from them."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from blake3 import blake3

from thatdam_pipelines.library.checksum import Digest, Observer
from thatdam_pipelines.library.disk import Disk
from thatdam_pipelines.library.files import escape_name, replacing
from thatdam_pipelines.library.s3 import Bucket
from thatdam_pipelines.settings import Settings

NAME_BYTES = 255
PATH_BYTES = 800
"""Longest path below a batch's folder: S3 keys end at 1,024 bytes."""


class Place(Protocol):
    """Where a store's files are: a disk or a bucket."""

    def put(self, source: Path, key: str, move: bool, expected: str | None, observer: Observer | None) -> Digest: ...
    def flush(self) -> None: ...
    def local(self, key: str) -> AbstractContextManager[Path]: ...
    def url(self, key: str) -> str: ...
    def size(self, key: str) -> int | None: ...
    def modified_ns(self, key: str) -> int | None: ...
    def read_bytes(self, key: str, limit: int) -> bytes: ...
    def read_range(self, key: str, start: int, end: int) -> bytes: ...
    def opened(self, key: str) -> AbstractContextManager[BinaryIO]: ...
    def digest(self, key: str) -> Digest: ...
    def take_out(self, key: str, aside: Path) -> None: ...
    def publish_dir(self, folder: Path, key: str) -> None: ...
    def is_published(self, key: str) -> bool: ...
    def is_new(self) -> bool: ...
    def is_online(self) -> bool: ...
    def exclusive(self, key: str) -> AbstractContextManager[None]: ...


class Store:
    """The files of a library. Keys are ``/``-separated text relative to its top.

    Args:
        url: A folder, or ``s3://bucket/prefix``.
    """

    def __init__(self, url: str, settings: Settings) -> None:
        self.is_local = not url.startswith("s3://")
        self._place: Place = (
            Disk(Path(url.removeprefix("file://")), settings) if self.is_local else Bucket(url, settings)
        )

    @staticmethod
    def raw_key(batch_id: str, rel_path: str) -> str:
        """Key of an original: ``raw/<yyyy>/<mm>/<dd>/<batch>/<path as it came>``, the date being the batch's.

        Bytes that are not UTF-8 are escaped; a name over 255 bytes and a path over 800 are shortened and told apart
        by a hash.
        """
        return f"{raw_folder(batch_id)}/{_storable(rel_path)}"

    @staticmethod
    def derived_key(media_id: str, recipe_id: str) -> str:
        """Key of the folder with what a recipe made of a content: ``derived/<ab>/<media_id>/<recipe>``."""
        return f"derived/{media_id[:2]}/{media_id}/{recipe_id}"

    def put(
        self,
        source: Path,
        key: str,
        *,
        move: bool = False,
        blake3: str | None = None,
        observer: Observer | None = None,
    ) -> Digest:
        """Store an original: copied, read back and compared, then given its name; read-only from then on.

        The same content already there is fine. With ``move`` the source goes: by its name alone where it is on the
        same disk, else by a verified copy, and in either case only when it is unchanged; a source that may not be
        removed stays. The folders' entries are only surely on disk after ``flush``.

        Args:
            blake3: The BLAKE3 that the file was announced with; one with another is not stored, and stays.
            observer: Sees the blocks of the source.

        Returns:
            What was read back at ``key``; of a file that kept its bytes and got another name, what was read of those.
            It equals what was read from the source.

        Raises:
            ChangedError: The source changed meanwhile.
            MediaError: The source cannot be read, is not a regular file, or has another BLAKE3.
            OfflineError: The store cannot be reached.
            OverwriteError: Different content stands at ``key``.
            StoreError: The copy cannot be written or does not equal the source; nothing is left of it.
        """
        return self._place.put(source, key, move, blake3, observer)

    def flush(self) -> None:
        """Make the names of everything put so far durable."""
        self._place.flush()

    def local(self, key: str) -> AbstractContextManager[Path]:
        """A file as a path on this machine; from S3 it is downloaded to a temporary file that goes afterwards.

        Raises:
            OfflineError: The store cannot be reached.
            StoreError: There is no such file.
        """
        return self._place.local(key)

    @contextmanager
    def local_once(self, key: str, folder: Path) -> Iterator[Path]:
        """``local`` for processes that all want the same file: from S3 it is downloaded once, by the first of them.

        Args:
            folder: Where the download is kept, until whoever named the folder removes it.
        """
        if self.is_local:
            with self.local(key) as path:
                yield path
            return
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{_hash(key)}{Path(key).suffix}"
        with target.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.exists():
                with self.local(key) as path, replacing(target) as part:
                    shutil.move(path, part)
        yield target

    def url(self, key: str) -> str:
        """Where a file is: an absolute path, or ``s3://bucket/key``."""
        return self._place.url(key)

    def exists(self, key: str) -> bool:
        """Whether there is a file, or a published folder, at ``key``."""
        return self._place.size(key) is not None or self._place.is_published(key)

    def size(self, key: str) -> int | None:
        """Size of a file in bytes; None when there is none."""
        return self._place.size(key)

    def modified_ns(self, key: str) -> int | None:
        """Modification time the file came with, in ns since 1970; None when there is no such file."""
        return self._place.modified_ns(key)

    def read_bytes(self, key: str, limit: int = -1) -> bytes:
        """The content of a file, or its first ``limit`` bytes.

        Raises:
            OfflineError: The store cannot be reached.
            StoreError: There is no such file.
        """
        return self._place.read_bytes(key, limit)

    def read_range(self, key: str, start: int, end: int) -> bytes:
        """The bytes of a file from ``start`` on, ``end`` not included; fewer where it ends before.

        Raises:
            OfflineError: The store cannot be reached.
            StoreError: There is no such file.
        """
        return self._place.read_range(key, start, end)

    def opened(self, key: str) -> AbstractContextManager[BinaryIO]:
        """A file to read and seek in; from S3 only what is read is fetched, in ranges.

        Raises:
            OfflineError: The store cannot be reached, now or while it is read.
            StoreError: There is no such file.
        """
        return self._place.opened(key)

    def digest(self, key: str) -> Digest:
        """The checksums of a stored file, read back from the disk or the server.

        Raises:
            OfflineError: The store cannot be reached.
            StoreError: There is no such file, or it cannot be read.
        """
        return self._place.digest(key)

    def take_out(self, key: str, aside: Path) -> None:
        """Move a damaged file out of the store to the new file ``aside``, so that a good one can be put at ``key``.

        Raises:
            OfflineError: The store cannot be reached.
            StoreError: There is no such file.
        """
        self._place.take_out(key, aside)

    def publish_dir(self, folder: Path, key: str) -> None:
        """Move a finished local folder of files to ``key``, all of it or nothing.

        When a folder is already published there, that one stays and ``folder`` is removed.

        Raises:
            OfflineError: The store cannot be reached.
            StoreError: It cannot be written.
        """
        self._place.publish_dir(folder, key)

    def is_new(self) -> bool:
        """Whether this home has begun no store there yet: the first file makes it. A bucket is never made."""
        return self._place.is_new()

    def is_online(self) -> bool:
        """Whether the store can be reached now; an empty mount point is not the store."""
        return self._place.is_online()

    @contextmanager
    def exclusive(self, key: str) -> Iterator[None]:
        """Be the only process that puts files below ``key``; what killed ones left half-written there is removed.

        Raises:
            OfflineError: The store cannot be reached.
            StoreError: Another process is at it.
        """
        with self._place.exclusive(key):
            yield


def raw_folder(batch_id: str) -> str:
    """Key of the folder with a batch's originals."""
    return f"raw/{batch_id[:4]}/{batch_id[4:6]}/{batch_id[6:8]}/{batch_id}"


def _storable(rel_path: str) -> str:
    folder, _, name = rel_path.rpartition("/")
    name = _short(name)
    folders = "/".join(_short(part) for part in folder.split("/"))
    path = f"{folders}/{name}" if folder else name
    return path if len(path.encode()) <= PATH_BYTES else f"{_hash(folder)}/{name}"


def _short(name: str) -> str:
    text = escape_name(name)
    if len(text.encode()) <= NAME_BYTES:
        return text
    stem, dot, extension = text.rpartition(".")
    if not dot or len(extension.encode()) > 20:
        stem, extension = text, ""
    tail = f"~{_hash(name)}{dot if extension else ''}{extension}"
    room = NAME_BYTES - len(tail.encode())
    return stem.encode()[:room].decode(errors="ignore") + tail


def _hash(name: str) -> str:
    return blake3(name.encode(errors="surrogateescape")).hexdigest()[:16]
