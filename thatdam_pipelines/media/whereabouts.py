"""Where the original of a content is: in the store, or at any place where it was left by reference."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import polars as pl

from thatdam_pipelines.errors import AwayError, MediaError, OfflineError, StoreError, ThatdamError
from thatdam_pipelines.library.files import unescape_name
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.locations import locations_by
from thatdam_pipelines.library.schemas import LOCATIONS, MEDIA
from thatdam_pipelines.library.store import Store

_DOWNLOAD_BYTES_A_SECOND = 1_000_000
"""Slowest store that is waited for."""


T = TypeVar("T")


class Place(NamedTuple):
    """A key of the store, or the absolute path (bytes that are not UTF-8 escaped) of a file left by reference."""

    path: str
    in_store: bool


@dataclass(frozen=True)
class Whereabouts:
    """Where a content is to be looked for.

    Args:
        name: File name as it came.
        source_path: Path it came from, as people know the file.
        places: The copy in the store first.
    """

    media_id: str
    name: str
    source_path: str
    size_bytes: int
    places: tuple[Place, ...]

    def download_s(self, store: Store) -> float:
        """Longest that bringing it to this machine may take, in seconds."""
        away = not store.is_local and any(place.in_store for place in self.places)
        return self.size_bytes / _DOWNLOAD_BYTES_A_SECOND if away else 0.0


def whereabouts(library: Library, batch_id: str) -> dict[str, Whereabouts]:
    """The places of the contents that a batch brought first, by media_id."""
    brought = library.tables.read(MEDIA, batch_id)["media_id"].to_list()
    rows = library.tables.read(LOCATIONS, batch_id).filter(pl.col("media_id").is_in(brought))
    firsts: dict[str, dict[str, Any]] = {}
    places: dict[str, list[Place]] = {media_id: [] for media_id in brought}
    for media_id, content in library.ledger.contents(brought).items():
        # What first came by reference may have been stored since, and a lost copy replaced.
        if content.kept_key is not None:
            places[media_id].append(Place(content.kept_key, True))
    for row in rows.sort("duplicate", "source_path").iter_rows(named=True):
        firsts.setdefault(row["media_id"], row)
        places[row["media_id"]].append(Place(row["path"], row["in_store"]))
    return {
        media_id: Whereabouts(
            media_id, row["name"], row["source_path"], row["size_bytes"], tuple(dict.fromkeys(places[media_id]))
        )
        for media_id, row in firsts.items()
    }


@contextmanager
def original(library: Library, found: Whereabouts) -> Iterator[Path]:
    """The original of a content, as a path on this machine.

    It is read from the first of its places that has it. Where none of ``found`` has it, the places at which other
    batches found the same content are tried too. A file of another size than the content is not used.

    Raises:
        AwayError: It was left by reference, on a disk that cannot be reached now.
        MediaError: It is missing from the store, or it was left by reference and has changed.
        OfflineError: The store cannot be reached.
        StoreError: The store does not work.
    """
    with ExitStack() as opened:
        yield at_first_place(library, found, lambda place: _open(library.store, place, found, opened))


def at_first_place(library: Library, found: Whereabouts, use: Callable[[Place], T]) -> T:
    """What ``use`` gets at the first of a content's places where it does not fail; raises as ``original``."""
    problems: list[ThatdamError] = []
    for place in _everywhere(library, found):
        try:
            return use(place)
        except (MediaError, OfflineError, StoreError) as error:
            problems.append(error)
    # What may pass comes before what will stay.
    kinds = (OfflineError, StoreError, AwayError, MediaError)
    raise next(error for kind in kinds for error in problems if isinstance(error, kind))


def _everywhere(library: Library, found: Whereabouts) -> Iterator[Place]:
    yield from found.places
    elsewhere = locations_by(library.tables, "media_id", [found.media_id]).select("path", "in_store").unique()
    yield from sorted({Place(*row) for row in elsewhere.iter_rows()} - set(found.places))


def _open(store: Store, place: Place, found: Whereabouts, opened: ExitStack) -> Path:
    if place.in_store:
        try:
            return opened.enter_context(store.local(place.path))
        except StoreError as error:
            # A file that the store lost costs only itself; a store that is gone, all of them.
            if not store.is_online():
                raise
            raise MediaError(found.name, error.cause, error.next_step) from error
    left = LeftFiles(found.size_bytes)
    left.size(place.path)
    return left.path(place.path)


@dataclass(frozen=True)
class LeftFiles:
    """Files of one size that were left by reference, read as those of the store are. Keys are paths of ``Place``.

    Every method raises AwayError when the file cannot be reached, and MediaError when it is another one now.
    """

    size_bytes: int

    def path(self, key: str) -> Path:
        return Path(unescape_name(key))

    def size(self, key: str) -> int:
        return self._found(key).st_size

    def modified_ns(self, key: str) -> int:
        return self._found(key).st_mtime_ns

    def read_range(self, key: str, start: int, end: int) -> bytes:
        path = self.path(key)
        with _reaching(path):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                self._require_same(path, os.fstat(descriptor))
                return os.pread(descriptor, end - start, start)
            finally:
                os.close(descriptor)

    def _found(self, key: str) -> os.stat_result:
        path = self.path(key)
        with _reaching(path):
            return self._require_same(path, path.lstat())

    def _require_same(self, path: Path, found: os.stat_result) -> os.stat_result:
        if not stat.S_ISREG(found.st_mode) or found.st_size != self.size_bytes:
            raise MediaError(path, "it has changed since it was ingested", "Ingest it again.")
        return found


@contextmanager
def _reaching(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AwayError(
            path, f"it cannot be reached ({error.strerror})", "Mount its disk, or ingest it from where it is now."
        ) from error
