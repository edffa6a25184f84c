"""The SQLite database of the text index: its shape, and how it is made, opened and replaced."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from thatdam_pipelines.library.text_documents import FIELDS

VERSION = 4
"""Raised when the documents or the database change shape. An index of another version is not read; the next batch, or a
rebuild, makes it anew from the tables."""

_SCHEMA = f"""
CREATE TABLE documents (
    id INTEGER PRIMARY KEY, item_id TEXT NOT NULL, batch_id TEXT NOT NULL, media_id TEXT NOT NULL, level TEXT NOT NULL,
    start_s REAL NOT NULL, end_s REAL NOT NULL, path TEXT, digest BLOB NOT NULL, take_id TEXT, chapter INTEGER,
    times TEXT,
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
BUSY_S = 30.0


def connect(path: Path) -> sqlite3.Connection:
    """A connection to the index at ``path``; one that is missing or of another version is made, empty."""
    con = _plain(path)
    try:
        if version_of(con) != VERSION:
            _create(con)
    except BaseException:
        con.close()
        raise
    return con


def replaced(path: Path, fresh: sqlite3.Connection) -> sqlite3.Connection:
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
    con = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        con.execute("PRAGMA journal_mode = WAL")
        con.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        con.close()
        raise
    return con


def _create(con: sqlite3.Connection) -> None:
    with transaction(con):
        if version_of(con) == VERSION:
            return
        for table in _TABLES:
            con.execute(f"DROP TABLE IF EXISTS {table}")
        for statement in filter(str.strip, _SCHEMA.split(";")):
            con.execute(statement)


@contextlib.contextmanager
def transaction(con: sqlite3.Connection) -> Iterator[None]:
    con.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        con.execute("ROLLBACK")
        raise
    con.execute("COMMIT")


def version_of(con: sqlite3.Connection) -> int:
    return int(con.execute("PRAGMA user_version").fetchone()[0])


def count(con: sqlite3.Connection) -> int:
    return int(con.execute("SELECT count(*) FROM documents").fetchone()[0])
