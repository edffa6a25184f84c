"""Taking the files of one batch: each read, stored, proven, and known by its content."""

import os
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import polars as pl

from thatdam_pipelines.errors import ChangedError, MediaError, OverwriteError, StoreError
from thatdam_pipelines.library.arrivals import Batch, KnownFile, Sighting
from thatdam_pipelines.library.checksum import Digest, changed, digest_file, open_regular, require, unreadable
from thatdam_pipelines.library.files import escape_name, unescape_name
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.ledger import Content
from thatdam_pipelines.library.stage import Progress
from thatdam_pipelines.library.watch import folder_identity, plain_path
from thatdam_pipelines.media.hash_lists import FORMAT, CardHistory, Hashes
from thatdam_pipelines.media.kinds import HEAD_BYTES, kind_of
from thatdam_pipelines.media.recorded import ManifestsBeside, Recorded

VANISHED = "it is not there any more"
"""Reason of a file that was claimed and is gone."""

_THREADS = 8
"""Small files wait for the disk to confirm each write: several wait together. Hashing frees the interpreter."""
Item = TypeVar("Item", KnownFile, "Found")
Done = TypeVar("Done")


@dataclass(frozen=True)
class Found:
    """A claimed file as it is now.

    Args:
        found: Its size and time now; those of the stored copy when only that is left.
        head: Its first bytes.
        stored: An earlier run, killed before it wrote the tables, already gave it its place in the store.
        digest: Checksums, where they had to be known before storing.
        hashes: Those that the card's own hash lists ask for, taken in the same read.
        recorded: The recorder's word on what it is.
    """

    file: KnownFile
    found: Sighting
    head: bytes
    key: str
    stored: bool = False
    digest: Digest | None = None
    hashes: dict[str, str] | None = None
    recorded: Recorded | None = None

    @property
    def blake3(self) -> str | None:
        """The BLAKE3 it is known to have had; None when nothing says so."""
        return self.recorded.manifest.blake3 if self.recorded else None


@dataclass(frozen=True)
class Taken:
    """A file whose bytes are proven.

    Args:
        digest: What was read back where they are: in the store, or at the source.
        key: Where they are in the store, perhaps brought there by another file; None when they stay at the source.
        hashes: By ASC MHL's names, those that the card's own hash lists ask for; None: they ask for none.
    """

    file: KnownFile
    found: Sighting
    kind: str
    digest: Digest
    key: str | None
    verified_utc: datetime
    hashes: dict[str, str] | None = None
    recorded: Recorded | None = None

    @property
    def media_id(self) -> str:
        return self.digest.media_id

    def content(self, batch_id: str) -> Content:
        """What the ledger is told of it."""
        return Content(self.media_id, batch_id, self.digest.size_bytes, self.key)


def source_text(file: KnownFile) -> str:
    """Absolute path of a file as text: bytes that are not UTF-8 are escaped."""
    return escape_name(str(Path(file.root, file.rel_path)))


def unsettled(library: Library, batch: Batch, failures: pl.DataFrame) -> pl.DataFrame:
    """The rows of a batch's ``raw_media_failures`` less those of paths that another batch has claimed since."""
    paths = {Path(unescape_name(path)).relative_to(batch.root).as_posix(): path for path in failures["path"]}
    known = library.ledger.files_at(batch.root, paths)
    settled = [paths[file.rel_path] for file in known.values() if file.batch_id not in (None, batch.batch_id)]
    return failures.filter(~pl.col("path").is_in(settled))


class Taking:
    """One go at the files of a batch.

    Attributes:
        failed: Files that cannot be taken, and why.
        returned: Files that are new arrivals again, as they are now.
        sightings: Size and time of each taken file as it was read.
        proven: Keys of copies that were read back just now.
    """

    def __init__(self, library: Library, batch: Batch, history: CardHistory, progress: Progress | None) -> None:
        self._library = library
        self._batch = batch
        self._history = history
        self._progress = progress
        self._done = 0
        self._todo = 0
        self._real_folders: dict[Path, bool] = {}
        self._manifests = ManifestsBeside(library, batch)
        self._settle_s = {plain_path(folder.path): folder.settle_seconds for folder in library.watched_folders}
        self._settle_s[plain_path(library.settings.capture_dir)] = 0.0
        self.failed: dict[KnownFile, MediaError] = {}
        self.returned: dict[str, Sighting] = {}
        self.sightings: dict[str, Sighting] = {}
        self.proven: set[str] = set()

    @property
    def is_watched(self) -> bool:
        """Whether scans look for new arrivals where the files of the batch are."""
        return self._batch.root in self._settle_s

    def take(self, files: Sequence[KnownFile]) -> list[Taken]:
        """Take the files; give those that are proven, in the order of their paths.

        Of files with the same content, and of contents already kept in the library, one copy is kept. Nothing is
        claimed and no table is written: when it is done again after a kill, it ends in the same.

        Raises:
            OfflineError: The folder the files are in, or the store, cannot be reached.
            StoreError: A copy cannot be written or proven.
        """
        self._todo = len(files)
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="ingest") as pool:
            found = self._each(pool, self._find, files)
            found = self._each(pool, self._with_manifest, found)
            ambiguous = self._ambiguous_sizes(found)
            found = self._each(pool, lambda file: self._digest(file, ambiguous), found)
            if self._batch.mode == "reference":
                taken = [self._taken(file, _known(file), None) for file in found]
                for file in found:
                    self._tell(file.file)
            else:
                taken = self._store(pool, found)
        return sorted(taken, key=lambda file: file.file.rel_path)

    def _store(self, pool: ThreadPoolExecutor, found: list[Found]) -> list[Taken]:
        known = self._library.ledger.contents({file.digest.media_id for file in found if file.digest})
        kept = {content.media_id: content.kept_key for content in known.values() if content.kept_key}
        firsts: list[Found] = []
        twins: list[Found] = []
        for file in sorted(found, key=lambda file: file.file.rel_path):
            alone = file.digest is None or kept.setdefault(file.digest.media_id, file.key) == file.key
            (firsts if alone else twins).append(file)
        taken = self._each(pool, self._put, firsts)
        for file in twins:
            # One after the other: should the kept copy be lost, the first of them becomes it for the rest.
            with self._failing(file.file):
                taken.append(self._link(file, kept))
                self._tell(file.file)
        return taken

    def _find(self, file: KnownFile) -> Found:
        store = self._library.store
        key = store.raw_key(self._batch.batch_id, file.rel_path)
        size = store.size(key) if self._batch.mode != "reference" else None
        stored = Sighting(file.rel_path, size, store.modified_ns(key) or file.mtime_ns) if size is not None else None
        try:
            now, head, still_s = self._look(file)
        except MediaError:
            if stored is None:
                raise
            return self._found_stored(file, stored, key)
        if now not in (Sighting(file.rel_path, file.size_bytes, file.mtime_ns), stored):
            # It was replaced since it was claimed.
            if stored is not None:
                if self.is_watched:
                    self.returned[file.rel_path] = now
                return self._found_stored(file, stored, key)
            if still_s < self._settle_s.get(file.root, self._library.settings.settle_seconds):
                raise changed(Path(file.root, file.rel_path))
        return Found(file, now, head, key)

    def _with_manifest(self, file: Found) -> Found:
        return replace(file, recorded=self._manifests.find(file.file))

    def _found_stored(self, file: KnownFile, stored: Sighting, key: str) -> Found:
        return Found(file, stored, self._library.store.read_bytes(key, HEAD_BYTES), key, stored=True)

    def _look(self, file: KnownFile) -> tuple[Sighting, bytes, float]:
        """A file as it is now, its first bytes, and for how many seconds it has been left alone."""
        source = Path(file.root, file.rel_path)
        if not self._is_real(source.parent, file.root):
            raise MediaError(source, "a folder above it is a symbolic link", "Put the file itself into the folder.")
        try:
            if not stat.S_ISREG(source.lstat().st_mode):
                raise MediaError(source, "it is not a regular file", "Only regular files are taken; remove it.")
        except FileNotFoundError as error:
            raise _vanished(source) from error
        except OSError as error:
            raise unreadable(source, error) from error
        descriptor = open_regular(source)
        try:
            now = os.fstat(descriptor)
            head = os.pread(descriptor, HEAD_BYTES, 0)
        except OSError as error:
            raise unreadable(source, error) from error
        finally:
            os.close(descriptor)
        return Sighting(file.rel_path, now.st_size, now.st_mtime_ns), head, time.time() - now.st_ctime

    def _is_real(self, folder: Path, root: str) -> bool:
        if folder not in self._real_folders:
            below = folder.relative_to(root)
            self._real_folders[folder] = folder.resolve() == Path(root).resolve() / below
        return self._real_folders[folder]

    def _ambiguous_sizes(self, found: Sequence[Found]) -> set[int]:
        """Sizes that several files, or a file and a content of the library, share: only those can be the same."""
        sizes = Counter(file.found.size_bytes for file in found)
        return {size for size, files in sizes.items() if files > 1} | self._library.ledger.sizes_in_library(sizes)

    def _digest(self, file: Found, ambiguous: set[int]) -> Found:
        source = Path(file.file.root, file.file.rel_path)
        if file.stored:
            digest = self._library.store.digest(file.key)
        elif self._batch.mode == "reference" or file.found.size_bytes in ambiguous:
            hashers = self._hashers(file)
            digest = digest_file(source, hashers)
            file = replace(file, hashes=_listed(digest, hashers))
        else:
            return file
        require(digest, file.blake3, source)
        return replace(file, digest=digest)

    def _hashers(self, file: Found) -> Hashes | None:
        """What sees the blocks of a file that a hash list of its card names, unless it was read before."""
        named = file.hashes is None and self._history.names(file.file.rel_path)
        return self._history.hashers(file.file.rel_path) if named else None

    def _put(self, file: Found) -> Taken:
        if file.stored:
            return self._taken(file, _known(file), file.key)
        source = Path(file.file.root, file.file.rel_path)
        move = self._batch.mode == "move"
        hashers = self._hashers(file)
        digest = self._library.store.put(source, file.key, move=move, blake3=file.blake3, observer=hashers)
        return self._taken(replace(file, hashes=file.hashes or _listed(digest, hashers)), digest, file.key)

    def _link(self, file: Found, kept: dict[str, str]) -> Taken:
        digest = _known(file)
        key = kept[digest.media_id]
        try:
            whole = key in self.proven or self._library.store.digest(key) == digest
        except StoreError:
            whole = False
        if whole:
            self.proven.add(key)
            return self._taken(file, digest, key)
        taken = self._put(file)
        kept[digest.media_id] = file.key
        self._library.ledger.replace_kept(digest.media_id, key, file.key)
        return taken

    def _taken(self, file: Found, digest: Digest, key: str | None) -> Taken:
        name = file.file.rel_path.rpartition("/")[2]
        self.sightings[file.file.rel_path] = file.found
        kind = kind_of(name, file.head)
        return Taken(file.file, file.found, kind, digest, key, datetime.now(UTC), file.hashes, file.recorded)

    def _each(self, pool: ThreadPoolExecutor, work: Callable[[Item], Done], items: Iterable[Item]) -> list[Done]:
        """``work`` on every item at once; what fails because of the file costs only the file."""
        running = [(item, pool.submit(work, item)) for item in items]
        done = []
        try:
            for item, future in running:
                file = item if isinstance(item, KnownFile) else item.file
                with self._failing(file):
                    done.append(future.result())
                    if isinstance(done[-1], Taken):
                        self._tell(file)
        except BaseException:
            for _, future in running:
                future.cancel()
            raise
        return done

    @contextmanager
    def _failing(self, file: KnownFile) -> Iterator[None]:
        """Tell what is the file's own fault from what stops the batch."""
        try:
            yield
        except ChangedError as error:
            self._give_back(file, error)
        except MediaError as error:
            self._fail(file, error)
        except OverwriteError as error:
            self._fail(file, MediaError(error.subject, error.cause, error.next_step))

    def _give_back(self, file: KnownFile, error: ChangedError) -> None:
        try:
            now = Path(file.root, file.rel_path).lstat()
        except OSError:
            now = None
        if now is None or not self.is_watched:
            # Nobody would look at it again.
            self._fail(file, error)
        else:
            self.returned[file.rel_path] = Sighting(file.rel_path, now.st_size, now.st_mtime_ns)
            self._tell(file)

    def _fail(self, file: KnownFile, error: MediaError) -> None:
        # A disk that is gone is no fault of its files.
        folder_identity(self._library.ledger, file.root)
        source = Path(file.root, file.rel_path)
        self.failed[file] = error if os.path.lexists(source) else _vanished(source)
        self._tell(file)

    def _tell(self, file: KnownFile) -> None:
        if self._progress is not None:
            self._done += 1
            self._progress(self._done, self._todo, escape_name(file.rel_path))


def _vanished(source: Path) -> MediaError:
    return MediaError(source, VANISHED, "Drop it again; nothing of it was taken.")


def _listed(digest: Digest, hashers: Hashes | None) -> dict[str, str] | None:
    return {FORMAT: digest.xxh128, **hashers.digests()} if hashers is not None else None


def _known(file: Found) -> Digest:
    if file.digest is None:
        raise AssertionError(f"{file.key} was not hashed")
    return file.digest
