"""The text index: a projection of the tables into SQLite's full-text search, rebuilt from them at any time."""

import contextlib
import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from blake3 import blake3

from thatdam_pipelines.errors import DamagedIndexError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.index_report import IndexReport
from thatdam_pipelines.library.ledger import Ledger
from thatdam_pipelines.library.schemas import LOCATIONS, MEDIA
from thatdam_pipelines.library.text_database import BUSY_S, VERSION, connect, count, replaced, transaction, version_of
from thatdam_pipelines.library.text_documents import (
    CURATED,
    FACTS,
    FIELDS,
    Document,
    Words,
    curated_fields,
    curated_words,
    documents,
    fold,
)
from thatdam_pipelines.library.text_hits import Place, TextHit, hits_of, places_of
from thatdam_pipelines.library.text_query import parse

__all__ = ["Place", "TextHit", "TextIndex"]

_CATCH_UP_WAIT_S = 2.0
_LOOK_AGAIN_S = 0.02
_REBUILD = "Run `thatdam index rebuild text`."


class TextIndex:
    """Words of files and scenes in one SQLite file. Opens on first use; use as a context manager, or call ``close``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def index_batch(self, library: Library, batch_id: str) -> IndexReport:
        """Make the index hold exactly the batch's documents; one transaction, so a kill leaves it as it was.

        Where there is no index of this version, that of the whole library is made first: it never holds a part of it.
        """
        with self._writing():
            if not self._is_current() and (made := self._rebuild(library).get(batch_id)):
                return made
            report = _index(self._open(), batch_id, documents(library, batch_id))
            # An arrival may say something of files of other batches: that they are in its album.
            _catch_up(self._open(), library.ledger)
            return report

    def rebuild(self, library: Library) -> IndexReport:
        """Make the index anew from the tables. Searches go on with the old one until the new one takes its place."""
        with self._writing():
            reports = self._rebuild(library).values()
            expected, added = sum(report.expected for report in reports), sum(report.added for report in reports)
            return IndexReport(added, 0, 0, expected, count(self._open()))

    def catch_up(self, ledger: Ledger) -> int:
        """Index what people said of media since the index last looked; one transaction.

        Nothing is done while there is no index, or while a rebuild keeps it: the next call catches up.

        Returns:
            Documents that changed.
        """
        with self._readable():
            if not self._is_current() or _curated_version(self._open()) == ledger.curation.last_version():
                return 0
            with self._writing(wait_s=_CATCH_UP_WAIT_S) as mine:
                return _catch_up(self._open(), ledger) if mine else 0

    def _rebuild(self, library: Library) -> dict[str, IndexReport]:
        for leftover in self.path.parent.glob(f".{self.path.name}.*.part*"):
            leftover.unlink()
        part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        batches = sorted({*library.tables.batches(MEDIA), *library.tables.batches(LOCATIONS)})
        # What is said from now on may be in the documents or not: it is caught up with.
        version = library.ledger.curation.last_version()
        try:
            with contextlib.closing(connect(part)) as fresh:
                fresh.execute("PRAGMA synchronous = OFF")
                fresh.execute("UPDATE curated SET version = ?", [version])
                reports = {batch_id: _index(fresh, batch_id, documents(library, batch_id)) for batch_id in batches}
                for table in ("words", "names"):
                    fresh.execute(f"INSERT INTO {table} ({table}) VALUES ('optimize')")
                self._take(fresh)
        finally:
            for suffix in ("", "-wal", "-shm"):
                Path(f"{part}{suffix}").unlink(missing_ok=True)
        return reports

    def query(self, text: str, limit: int = 20, media_ids: Collection[str] | None = None) -> list[TextHit]:
        """Files and scenes that ``text`` leads to, best first; none for an empty text or one of exclusions only.

        Every word must be there; where no document has them all, the last one may be the beginning of a word; then
        parts of names are looked for, then documents that have some of the words.

        Args:
            text: Words, "phrases" and -exclusions. It is never read as a full-text expression.
            media_ids: Only these media, when given.

        Raises:
            DamagedIndexError: The index cannot be read, or was made by another version.
        """
        asked = parse(text)
        if not asked.wanted or limit <= 0 or (media_ids is not None and not media_ids):
            return []
        with self._reading() as con:
            return hits_of(con, asked, limit, None if media_ids is None else json.dumps(sorted(media_ids)))

    def places(self, media_ids: Collection[str]) -> dict[str, Place]:
        """Where each of these files came from; files that are not indexed are left out."""
        with self._reading() as con:
            return places_of(con, media_ids)

    def count(self) -> int:
        """Documents in the index."""
        with self._reading() as con:
            return count(con)

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connect(self.path)
        return self._connection

    def _is_current(self) -> bool:
        """There is an index of this version."""
        return self._connection is not None or self._version() == VERSION

    def _version(self) -> int:
        """Version of the index on the disk; 0 where there is none, or one that a kill left unmade."""
        if not self.path.exists():
            return 0
        with contextlib.closing(sqlite3.connect(self.path, timeout=BUSY_S)) as con:
            return version_of(con)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._readable():
            version = VERSION if self._connection is not None else self._version()
            if version == VERSION:
                yield self._open()
            elif version:
                cause = "the text index was made by another version of thatdam"
                raise DamagedIndexError(self.path, cause, _REBUILD)
            else:
                # Nothing is made on the disk: an empty index would pass for one that holds the whole library.
                with contextlib.closing(connect(Path(":memory:"))) as nothing:
                    yield nothing

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise DamagedIndexError(self.path, f"the text index cannot be read ({error})", _REBUILD) from error

    @contextlib.contextmanager
    def _writing(self, wait_s: float | None = None) -> Iterator[bool]:
        """Be the only writer, so that a rebuild never undoes what another process has indexed meanwhile.

        Gives False when ``wait_s`` is over and another one still writes.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_name(f".{self.path.name}.lock").open("a") as lock:
            if wait_s is None:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield True
            else:
                yield _locked_within(lock, wait_s)

    def _take(self, fresh: sqlite3.Connection) -> None:
        """Put ``fresh`` in the place of what is there, in one transaction that readers see whole.

        Not by a rename: a write-ahead log left by the old file would be replayed into the new one.
        """
        self.close()
        try:
            self._connection = replaced(self.path, fresh)
            return
        except sqlite3.DatabaseError:
            pass
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        self._connection = replaced(self.path, fresh)


def _index(con: sqlite3.Connection, batch_id: str, made: list[Document]) -> IndexReport:
    digests = {document.item_id: _digest(document) for document in made}
    with transaction(con):
        known = con.execute("SELECT item_id, id, digest FROM documents WHERE batch_id = ?", [batch_id]).fetchall()
        same = {item_id for item_id, _, digest in known if digests.get(item_id) == digest}
        gone = [(number,) for item_id, number, _ in known if item_id not in same]
        for table, key in (("documents", "id"), ("words", "rowid"), ("names", "rowid")):
            con.executemany(f"DELETE FROM {table} WHERE {key} = ?", gone)
        new = [document for document in made if document.item_id not in same]
        for document in new:
            _add(con, batch_id, document, digests[document.item_id])
        present = con.execute("SELECT count(*) FROM documents WHERE batch_id = ?", [batch_id]).fetchone()[0]
    return IndexReport(len(new), len(gone), len(same), len(made), present)


def _curated_version(con: sqlite3.Connection) -> int:
    return int(con.execute("SELECT version FROM curated").fetchone()[0])


def _catch_up(con: sqlite3.Connection, ledger: Ledger) -> int:
    version = ledger.curation.last_version()
    changed = ledger.curation.changed_since(_curated_version(con))
    said = curated_words(ledger, changed)
    with transaction(con):
        count = sum(_say(con, media_id, said.get(media_id)) for media_id in changed)
        con.execute("UPDATE curated SET version = ?", [version])
    return count


def _say(con: sqlite3.Connection, media_id: str, words: Words | None) -> int:
    """Give the documents of a file and its scenes what people say of it now."""
    columns = ", ".join(f"w.{field}" for field in FACTS)
    rows = con.execute(
        "SELECT d.id, d.digest, d.item_id, d.media_id, d.level, d.start_s, d.end_s, d.path, d.take_id, d.chapter, "
        f"d.times, {columns} FROM documents d JOIN words w ON w.rowid = d.id WHERE d.media_id = ? "
        "AND (d.path IS NOT NULL OR d.level != 'l0')",
        [media_id],
    ).fetchall()
    changed = 0
    assignments = ", ".join(f"{field} = ?" for field in CURATED)
    for number, digest, item_id, owner, level, start_s, end_s, path, take_id, chapter, times, *facts in rows:
        curated = curated_fields(words, level)
        made = Document(item_id, owner, level, start_s, end_s, path, (*facts, *curated), take_id, chapter, times)
        if _digest(made) == digest:
            continue
        changed += 1
        con.execute(f"UPDATE words SET {assignments} WHERE rowid = ?", [*curated, number])
        con.execute("UPDATE documents SET digest = ? WHERE id = ?", [_digest(made), number])
    return changed


def _locked_within(lock: IO[str], wait_s: float) -> bool:
    until = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(_LOOK_AGAIN_S)


def _add(con: sqlite3.Connection, batch_id: str, document: Document, digest: bytes) -> None:
    number = con.execute(
        "INSERT INTO documents (item_id, batch_id, media_id, level, start_s, end_s, path, digest, take_id, chapter, "
        "times) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [document.item_id, batch_id, document.media_id, document.level, document.start_s, document.end_s,
         document.path, digest, document.take_id, document.chapter, document.times],
    ).lastrowid  # fmt: skip
    marks = ", ".join("?" * len(FIELDS))
    con.execute(f"INSERT INTO words (rowid, {', '.join(FIELDS)}) VALUES (?, {marks})", [number, *document.words])
    if document.level == "l0":
        con.execute("INSERT INTO names (rowid, name) VALUES (?, ?)", [number, fold(document.words[0])])


def _digest(document: Document) -> bytes:
    return blake3(repr(document).encode("utf-8", "surrogateescape")).digest(16)
