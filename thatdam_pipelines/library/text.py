"""The text index: a projection of the tables into SQLite's full-text search, rebuilt from them at any time."""

import contextlib
import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from blake3 import blake3

from thatdam_pipelines.errors import QueryError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.index_report import IndexReport
from thatdam_pipelines.library.ledger import Ledger
from thatdam_pipelines.library.schemas import LOCATIONS, MEDIA
from thatdam_pipelines.library.text_documents import (
    CURATED,
    FACTS,
    FIELDS,
    NARROWING,
    Document,
    Words,
    curated_fields,
    curated_words,
    documents,
    fold,
)
from thatdam_pipelines.library.text_query import TextQuery, name_parts, parse

VERSION = 3
"""Raised when the documents or the database change shape. An index of another version is not read; the next batch, or a
rebuild, makes it anew from the tables."""

_WEIGHTS = {
    "name": 6.0, "parts": 3.0, "folder": 3.0, "camera": 3.0, "technical": 2.0,
    "category": 4.0, "tags": 5.0, "dates": 3.0, "context": 0.5,
    "title": 6.0, "description": 3.0, "people": 5.0, "keywords": 5.0, "album": 4.0, "rights": 2.0, "spellings": 3.0,
    "about": 0.5,
}  # fmt: skip
_BM25 = f"bm25({', '.join(str(_WEIGHTS[field]) for field in FIELDS)})"
_SCHEMA = f"""
CREATE TABLE documents (
    id INTEGER PRIMARY KEY, item_id TEXT NOT NULL, batch_id TEXT NOT NULL, media_id TEXT NOT NULL, level TEXT NOT NULL,
    start_s REAL NOT NULL, end_s REAL NOT NULL, path TEXT, digest BLOB NOT NULL, take_id TEXT, chapter INTEGER,
    UNIQUE (batch_id, item_id)
);
CREATE INDEX documents_of_media ON documents (media_id);
CREATE INDEX documents_of_takes ON documents (take_id) WHERE take_id IS NOT NULL;
CREATE VIRTUAL TABLE words USING fts5({", ".join(FIELDS)}, tokenize = 'porter unicode61 remove_diacritics 2');
CREATE VIRTUAL TABLE names USING fts5(name, tokenize = 'trigram');
CREATE TABLE curated (version INTEGER NOT NULL);
INSERT INTO curated VALUES (0);
PRAGMA user_version = {VERSION};
"""
_TABLES = ("documents", "words", "names", "curated")
_BUSY_S = 30.0
_CATCH_UP_WAIT_S = 2.0
_LOOK_AGAIN_S = 0.02
_NAMED = [field for field in FIELDS if field not in ("parts", "spellings", *NARROWING)]
_OPEN, _CLOSE = "\x02", "\x03"
_AROUND = 60
"""Characters of a snippet on either side of its first match."""
_SOME = 0.4
"""Least share of the words that must be there when no document has all of them: one of two, two of three to five."""


@dataclass(frozen=True)
class TextHit:
    """A file or a scene that words lead to.

    Args:
        level: ``l0`` a file, ``l2`` a scene.
        score: Higher fits better; comparable within one answer only.
        fields: What matched: name, folder, camera, technical, tags, dates, title, people, keywords, album, ...
        snippet: The text around the match, with the match in square brackets.
        match: ``all words``, ``part of name`` or ``some words``.
    """

    item_id: str
    media_id: str
    level: str
    start_s: float
    end_s: float
    score: float
    fields: list[str]
    snippet: str
    match: str


@dataclass(frozen=True)
class Place:
    """Where a file came from and how long it is (0 for stills and what was not probed).

    Args:
        take_id: Recording that it is a chapter of; None when it is of none, or when names do not tell the chapters
            apart.
        chapter: Its place in the take, from 1.
        take_start_s: Where it begins in the take: the length of the chapters before it that the library has.
    """

    path: str
    duration_s: float
    take_id: str | None = None
    chapter: int | None = None
    take_start_s: float | None = None


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
            return IndexReport(added, 0, 0, expected, _count(self._open()))

    def catch_up(self, ledger: Ledger) -> int:
        """Index what people said of media since the index last looked; one transaction.

        Nothing is done while there is no index, or while a rebuild keeps it: the next call catches up.

        Returns:
            Documents that changed.
        """
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
            with contextlib.closing(_connect(part)) as fresh:
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
            QueryError: The index is damaged.
        """
        asked = parse(text)
        if not asked.wanted or limit <= 0 or (media_ids is not None and not media_ids):
            return []
        among = None if media_ids is None else json.dumps(sorted(media_ids))
        with self._reading() as con:
            for expression in asked.all_words():
                if hits := _by_words(con, expression, limit, among, "all words"):
                    return hits
            return _by_name(con, asked, limit, among) or _by_some_words(con, asked, limit, among)

    def places(self, media_ids: Collection[str]) -> dict[str, Place]:
        """Where each of these files came from; files that are not indexed are left out."""
        with self._reading() as con:
            rows = con.execute(
                "SELECT media_id, path, end_s, take_id, chapter FROM documents WHERE path IS NOT NULL "
                "AND media_id IN (SELECT value FROM json_each(?))",
                [json.dumps(sorted(media_ids))],
            ).fetchall()
            takes = {take_id for *_, take_id, _ in rows if take_id is not None}
            starts = {take_id: _chapter_starts(con, take_id) for take_id in takes}
        places = {}
        for media_id, path, end_s, take_id, chapter in rows:
            start_s = starts.get(take_id, {}).get(chapter)
            take = (None, None, None) if start_s is None else (take_id, chapter, start_s)
            places[media_id] = Place(path, end_s, *take)
        return places

    def count(self) -> int:
        """Documents in the index."""
        with self._reading() as con:
            return _count(con)

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = _connect(self.path)
        return self._connection

    def _is_current(self) -> bool:
        """There is an index of this version."""
        return self._connection is not None or self._version() == VERSION

    def _version(self) -> int:
        """Version of the index on the disk; 0 where there is none, or one that a kill left unmade."""
        if not self.path.exists():
            return 0
        with contextlib.closing(sqlite3.connect(self.path, timeout=_BUSY_S)) as con:
            return _version(con)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        next_step = "Run `thatdam index rebuild text`."
        try:
            version = VERSION if self._connection is not None else self._version()
            if version == VERSION:
                yield self._open()
            elif version:
                raise QueryError(self.path, "the text index was made by another version of thatdam", next_step)
            else:
                # Nothing is made on the disk: an empty index would pass for one that holds the whole library.
                with contextlib.closing(_connect(Path(":memory:"))) as nothing:
                    yield nothing
        except sqlite3.DatabaseError as error:
            raise QueryError(self.path, f"the text index cannot be read ({error})", next_step) from error

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
            self._connection = _replaced(self.path, fresh)
            return
        except sqlite3.DatabaseError:
            pass
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        self._connection = _replaced(self.path, fresh)


def _connect(path: Path) -> sqlite3.Connection:
    """A connection to the index at ``path``; one that is missing or of another version is made, empty."""
    con = _plain(path)
    try:
        if _version(con) != VERSION:
            _create(con)
    except BaseException:
        con.close()
        raise
    return con


def _replaced(path: Path, fresh: sqlite3.Connection) -> sqlite3.Connection:
    """A connection to the index at ``path`` once it is what ``fresh`` is."""
    con = _plain(path)
    try:
        fresh.backup(con)
    except BaseException:
        con.close()
        raise
    return con


def _plain(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    con = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        con.execute("PRAGMA journal_mode = WAL")
        con.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        con.close()
        raise
    return con


def _create(con: sqlite3.Connection) -> None:
    with _transaction(con):
        if _version(con) == VERSION:
            return
        for table in _TABLES:
            con.execute(f"DROP TABLE IF EXISTS {table}")
        for statement in filter(str.strip, _SCHEMA.split(";")):
            con.execute(statement)


@contextlib.contextmanager
def _transaction(con: sqlite3.Connection) -> Iterator[None]:
    con.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        con.execute("ROLLBACK")
        raise
    con.execute("COMMIT")


def _version(con: sqlite3.Connection) -> int:
    return int(con.execute("PRAGMA user_version").fetchone()[0])


def _count(con: sqlite3.Connection) -> int:
    return int(con.execute("SELECT count(*) FROM documents").fetchone()[0])


def _chapter_starts(con: sqlite3.Connection, take_id: str) -> dict[int, float]:
    """Where each chapter of a take begins in it; none when two files claim to be the same chapter."""
    starts: dict[int, float] = {}
    at = 0.0
    chapters = con.execute(
        "SELECT chapter, end_s FROM documents WHERE take_id = ? AND path IS NOT NULL ORDER BY chapter", [take_id]
    )
    for chapter, duration_s in chapters:
        if chapter in starts:
            return {}
        starts[chapter] = at
        at += duration_s
    return starts


def _index(con: sqlite3.Connection, batch_id: str, made: list[Document]) -> IndexReport:
    digests = {document.item_id: _digest(document) for document in made}
    with _transaction(con):
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
    with _transaction(con):
        count = sum(_say(con, media_id, said.get(media_id)) for media_id in changed)
        con.execute("UPDATE curated SET version = ?", [version])
    return count


def _say(con: sqlite3.Connection, media_id: str, words: Words | None) -> int:
    """Give the documents of a file and its scenes what people say of it now."""
    columns = ", ".join(f"w.{field}" for field in FACTS)
    rows = con.execute(
        "SELECT d.id, d.digest, d.item_id, d.media_id, d.level, d.start_s, d.end_s, d.path, d.take_id, d.chapter, "
        f"{columns} FROM documents d JOIN words w ON w.rowid = d.id WHERE d.media_id = ? "
        "AND (d.path IS NOT NULL OR d.level != 'l0')",
        [media_id],
    ).fetchall()
    changed = 0
    assignments = ", ".join(f"{field} = ?" for field in CURATED)
    for number, digest, item_id, owner, level, start_s, end_s, path, take_id, chapter, *facts in rows:
        curated = curated_fields(words, level)
        made = Document(item_id, owner, level, start_s, end_s, path, (*facts, *curated), take_id, chapter)
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
        "INSERT INTO documents (item_id, batch_id, media_id, level, start_s, end_s, path, digest, take_id, chapter) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [document.item_id, batch_id, document.media_id, document.level, document.start_s, document.end_s,
         document.path, digest, document.take_id, document.chapter],
    ).lastrowid  # fmt: skip
    marks = ", ".join("?" * len(FIELDS))
    con.execute(f"INSERT INTO words (rowid, {', '.join(FIELDS)}) VALUES (?, {marks})", [number, *document.words])
    if document.level == "l0":
        con.execute("INSERT INTO names (rowid, name) VALUES (?, ?)", [number, fold(document.words[0])])


def _digest(document: Document) -> bytes:
    return blake3(repr(document).encode("utf-8", "surrogateescape")).digest(16)


def _by_words(con: sqlite3.Connection, expression: str, limit: int, among: str | None, match: str) -> list[TextHit]:
    marked = ", ".join(f"highlight(words, {at}, '{_OPEN}', '{_CLOSE}')" for at in range(len(FIELDS)))
    rows = con.execute(
        f"SELECT rowid, -rank, {marked} FROM words "
        f"WHERE words MATCH ? AND rank MATCH '{_BM25}' {_AMONG if among else ''} ORDER BY rank LIMIT ?",
        [expression, *([among] if among else []), 2 * limit],
    ).fetchall()
    found = [(number, score, *_shown(dict(zip(FIELDS, texts, strict=True)))) for number, score, *texts in rows]
    return _hits(con, found, limit, match)


def _by_name(con: sqlite3.Connection, asked: TextQuery, limit: int, among: str | None) -> list[TextHit]:
    expression, short = name_parts(asked.wanted)
    if expression is None and all(len(text) == 1 and text.isascii() for text in short):
        return []
    conditions = ["names MATCH ?"] if expression else []
    conditions += ["instr(name, ?) > 0"] * len(short)
    unwanted = [fold(term.text) for term in asked.unwanted]
    conditions += ["instr(name, ?) = 0"] * len(unwanted)
    rows = con.execute(
        f"SELECT rowid, 1.0 / length(name) FROM names WHERE {' AND '.join(conditions)} {_AMONG if among else ''} "
        "ORDER BY length(name), name, rowid LIMIT ?",
        [*([expression] if expression else []), *short, *unwanted, *([among] if among else []), 2 * limit],
    ).fetchall()
    found = []
    for number, score in rows:
        name = con.execute("SELECT name FROM words WHERE rowid = ?", [number]).fetchone()[0]
        found.append((number, score, ["name"], name))
    return _hits(con, found, limit, "part of name")


def _by_some_words(con: sqlite3.Connection, asked: TextQuery, limit: int, among: str | None) -> list[TextHit]:
    expression = asked.any_word()
    if expression is None:
        return []
    hits = _by_words(con, expression, 5 * limit, among, "some words")
    has: dict[str, int] = dict.fromkeys((hit.item_id for hit in hits), 0)
    for term in asked.words:
        rows = con.execute(
            "SELECT DISTINCT item_id FROM documents WHERE item_id IN (SELECT value FROM json_each(?)) "
            "AND id IN (SELECT rowid FROM words WHERE words MATCH ?)",
            [json.dumps(list(has)), term.expression()],
        )
        for (item_id,) in rows:
            has[item_id] += 1
    enough = _SOME * len(asked.words)
    return [hit for hit in hits if has[hit.item_id] >= enough][:limit]


_AMONG = "AND rowid IN (SELECT id FROM documents WHERE media_id IN (SELECT value FROM json_each(?)))"


def _shown(marked: dict[str, str]) -> tuple[list[str], str]:
    """The fields that matched, and the text around the first match of the first of them."""
    fields = [field for field in _NAMED if _OPEN in marked[field]]
    if not fields:
        # A piece of a name, or another spelling of something.
        return ["name"] if marked["name"] else ["tags"], marked["name"] or marked["tags"]
    text = marked[fields[0]]
    start = max(0, text.index(_OPEN) - _AROUND)
    end = text.index(_CLOSE) + _AROUND
    cut = f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"
    return fields, cut.replace(_OPEN, "[").replace(_CLOSE, "]")


def _hits(
    con: sqlite3.Connection, found: list[tuple[int, float, list[str], str]], limit: int, match: str
) -> list[TextHit]:
    """The hits of these documents, an item once: another place of a file leads to the same file."""
    hits: dict[str, TextHit] = {}
    for number, score, fields, snippet in found:
        row = con.execute(
            "SELECT d.item_id, d.media_id, d.level, d.start_s, coalesce(f.end_s, d.end_s) FROM documents d "
            "LEFT JOIN documents f ON d.path IS NULL AND d.level = 'l0' AND f.media_id = d.media_id "
            "AND f.path IS NOT NULL WHERE d.id = ?",
            [number],
        ).fetchone()
        if row is None or row[0] in hits or len(hits) == limit:
            continue
        item_id, media_id, level, start_s, end_s = row
        hits[item_id] = TextHit(item_id, media_id, level, start_s, end_s, score, fields, snippet, match)
    return list(hits.values())
