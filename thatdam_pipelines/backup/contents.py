"""What a home consists of: every file that a snapshot of it has, and where its bytes are."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from thatdam_pipelines.backup.manifest import Role
from thatdam_pipelines.backup.store_history import history_keys
from thatdam_pipelines.errors import MediaError, StoreError
from thatdam_pipelines.library.checksum import digest_file
from thatdam_pipelines.library.files import escape_name, unescape_name
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import AUDIO, LOCATIONS, MEDIA, PROXIES, REWRAPS, TABLES

MEDIA_FOLDER = "media"
REFERENCED_FOLDER = "referenced"
TABLES_FOLDER = "tables"
_STAMPS = "stamps.db"
_BATCHES_AT_ONCE = 50
_PLACE = ("duplicate", "source_path", "batch_id", "media_id", "path", "in_store", "manifest_path")
_DERIVED = {
    PROXIES: ("proxy_path", "poster_path", "sprite_path", "sprite_vtt_path", "audio_path", "measures_path"),
    AUDIO: ("waveform_path",),
    REWRAPS: ("path",),
}


class Source(NamedTuple):
    """A file of a home.

    Args:
        path: Where it is in a snapshot; see ``manifest.Line``.
        blake3: 64 hex digits; None: it is to be hashed.
        place: Its key in the media store, or its path on this machine, escaped.
        in_store: Whether ``place`` is a key.
    """

    path: str
    role: Role
    media_id: str | None
    blake3: str | None
    size_bytes: int
    place: str
    in_store: bool


def originals(library: Library) -> Iterator[Source]:
    """Every original once: the copy in the store, or where it was left by reference; and the recorder's manifests."""
    batch_ids = iter(library.tables.batches(MEDIA))
    while some := list(islice(batch_ids, _BATCHES_AT_ONCE)):
        yield from _originals(library, some)
        for key in (key for batch_id in some for key in history_keys(library, batch_id)):
            yield Source(_path_of(key, True), "original", None, None, 0, key, True)


def _originals(library: Library, batch_ids: list[str]) -> Iterator[Source]:
    firsts: dict[tuple[str, str], tuple[str, bool]] = {}
    manifests: set[tuple[str, bool]] = set()
    places = library.tables.read_some(LOCATIONS, batch_ids, _PLACE).sort("duplicate", "source_path")
    for batch_id, media_id, place, in_store, manifest in places.drop("duplicate", "source_path").iter_rows():
        firsts.setdefault((batch_id, media_id), (place, in_store))
        if manifest is not None:
            manifests.add((manifest, in_store))
    kept = library.ledger.kept_keys(batch_ids)
    media = library.tables.read_some(MEDIA, batch_ids, ("batch_id", "media_id", "blake3", "size_bytes"))
    # Who owns a content can change after a batch that broke off; its table stays.
    owned_by_others = library.ledger.contents(set(media["media_id"]) - kept.keys())
    kept |= {media_id: content.kept_key for media_id, content in owned_by_others.items()}
    for batch_id, media_id, blake3, size_bytes in media.iter_rows():
        key = kept.get(media_id)
        first = (key, True) if key is not None else firsts.get((batch_id, media_id))
        if first is not None:
            yield Source(_path_of(*first), "original", media_id, blake3, size_bytes, *first)
    for place, in_store in sorted(manifests):
        yield Source(_path_of(place, in_store), "original", None, None, 0, place, in_store)


def derived(library: Library) -> Iterator[Source]:
    """Proxies and what else was made and is kept in the media store."""
    for table, columns in _DERIVED.items():
        for batch_id in library.tables.batches(table):
            for row in library.tables.read(table, batch_id).select("media_id", *columns).iter_rows(named=True):
                for key in filter(None, (row[column] for column in columns)):
                    yield Source(f"{MEDIA_FOLDER}/{key}", "derived", None, None, 0, key, True)


def tables(library: Library) -> Iterator[Source]:
    """The Parquet file of every table and batch. Merged copies are left out: they are made again."""
    for table in TABLES.values():
        for batch_id in library.tables.batches(table):
            path = library.tables.path(table, batch_id)
            place = escape_name(str(path))
            yield Source(f"{TABLES_FOLDER}/{table.name}/{path.name}", "table", None, None, 0, place, False)


def _path_of(place: str, in_store: bool) -> str:
    return f"{MEDIA_FOLDER}/{place}" if in_store else f"{REFERENCED_FOLDER}/{place.lstrip('/')}"


def places_of(library: Library, source: Source) -> Iterator[Source]:
    """A file, then the other places at which the same original was found."""
    from thatdam_pipelines.library.locations import locations_by

    yield source
    if source.role == "original" and source.media_id is not None:
        rows = locations_by(library.tables, "media_id", [source.media_id]).select("path", "in_store").unique()
        for place, in_store in sorted(rows.iter_rows()):
            if (place, in_store) != (source.place, source.in_store):
                yield source._replace(place=place, in_store=in_store)


@contextmanager
def local_path(library: Library, source: Source) -> Iterator[Path]:
    """The bytes of a file as a path on this machine.

    Raises:
        MediaError: It is missing.
        OfflineError: The media store cannot be reached.
    """
    if not source.in_store:
        yield Path(unescape_name(source.place))
        return
    with contextlib.ExitStack() as opened:
        try:
            path = opened.enter_context(library.store.local(source.place))
        except StoreError as error:
            if not library.store.is_online():
                raise
            raise MediaError(library.store.url(source.place), error.cause, error.next_step) from error
        yield path


class Stamps:
    """Remembers the BLAKE3 of files by their size, time and inode, so that unchanged ones are not read again.

    Args:
        folder: Where it is kept. It can be removed at will.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._database = self._opened()
        try:
            self._set_up()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            self._begin_anew()

    def blake3(self, path: Path) -> tuple[str, int]:
        """BLAKE3 and size in bytes of a file.

        Raises:
            MediaError: It cannot be read, or changes.
        """
        name = escape_name(os.fspath(path))
        try:
            facts = path.stat()
        except OSError as error:
            raise MediaError(path, f"it cannot be read ({error.strerror})", "Restore it from a backup.") from error
        stamp = (facts.st_size, facts.st_mtime_ns, facts.st_ino)
        known = self._asked(
            "SELECT blake3 FROM stamps WHERE path = ? AND size = ? AND mtime_ns = ? AND inode = ?", name, *stamp
        )
        if known:
            return known[0], facts.st_size
        digest = digest_file(path)
        self._asked("INSERT OR REPLACE INTO stamps VALUES (?, ?, ?, ?, ?)", name, *stamp, digest.blake3)
        return digest.blake3, digest.size_bytes

    def close(self) -> None:
        self._database.close()

    def _asked(self, statement: str, *values: object) -> tuple[str, ...] | None:
        try:
            row: tuple[str, ...] | None = self._database.execute(statement, values).fetchone()
            return row
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            self._begin_anew()
            return None

    def _begin_anew(self) -> None:
        """A cut of the power may damage it, as nothing of it is forced to the disk: then all is read once more."""
        self._database.close()
        for suffix in ("", "-wal", "-shm"):
            (self._folder / f"{_STAMPS}{suffix}").unlink(missing_ok=True)
        self._database = self._opened()
        self._set_up()

    def _opened(self) -> sqlite3.Connection:
        return sqlite3.connect(self._folder / _STAMPS, isolation_level=None, timeout=30)

    def _set_up(self) -> None:
        for statement in (
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = OFF",
            "CREATE TABLE IF NOT EXISTS stamps (path TEXT PRIMARY KEY, size, mtime_ns, inode, blake3) WITHOUT ROWID",
        ):
            self._database.execute(statement).close()
