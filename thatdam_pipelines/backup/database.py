"""The library database as files: copied while it is in use, and loaded into an empty database."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import sqlalchemy as sa

from thatdam_pipelines.errors import OverwriteError, StoreError
from thatdam_pipelines.library.ledger_metadata import METADATA
from thatdam_pipelines.library.ledger_tables import create_tables, frame_of, open_engine

SQLITE_NAME = "library.db"
EXPORT_FOLDER = "database"
"""Folder with a Parquet file a table, where the database is none of SQLite's."""
_ROWS_AT_ONCE = 1_000


def export_database(url: str, folder: Path) -> list[Path]:
    """Copy the database as of one moment into ``folder``, whoever writes to it meanwhile.

    SQLite is copied page by page by its online backup; any other is read in one transaction, a Parquet file a table.

    Returns:
        The files, relative to ``folder``: ``library.db``, or ``database/<table>.parquet`` each.

    Raises:
        StoreError: The copy is not sound.
    """
    address = sa.make_url(url)
    if address.get_backend_name() == "sqlite":
        return [_export_sqlite(Path(str(address.database)), folder)]
    engine, _ = open_engine(url)
    try:
        with engine.connect() as connection:
            connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            (folder / EXPORT_FOLDER).mkdir()
            for table in METADATA.sorted_tables:
                frame_of(connection, table).write_parquet(folder / EXPORT_FOLDER / f"{table.name}.parquet")
    finally:
        engine.dispose()
    return [Path(EXPORT_FOLDER, f"{table.name}.parquet") for table in METADATA.sorted_tables]


def load_database(folder: Path, url: str) -> int:
    """Load the Parquet files of ``export_database`` into a database that has no rows yet, in one transaction.

    Returns:
        Rows loaded.

    Raises:
        OverwriteError: The database has rows already.
    """
    engine, writer = open_engine(url)
    try:
        create_tables(engine, writer)
        loaded = 0
        with writer.begin() as connection:
            for table in METADATA.sorted_tables:
                if connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first():
                    raise OverwriteError(table.name, "the database has rows already", "Load it into an empty database.")
                path = folder / f"{table.name}.parquet"
                if path.exists():
                    loaded += _load(connection, table, pl.read_parquet(path, memory_map=False, glob=False))
        return loaded
    finally:
        engine.dispose()


def check_sqlite(path: Path) -> str | None:
    """What SQLite finds wrong with a database file; None when it is sound."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)) as database:
            (said,) = database.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if said == "ok" else str(said)


def _export_sqlite(database: Path, folder: Path) -> Path:
    copy = folder / SQLITE_NAME
    with contextlib.closing(sqlite3.connect(database)) as source, contextlib.closing(sqlite3.connect(copy)) as target:
        source.execute("PRAGMA busy_timeout = 30000")
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")
    if problem := check_sqlite(copy):
        raise StoreError(database, f"the library database is damaged ({problem})", "Restore it from the last snapshot.")
    return Path(SQLITE_NAME)


def _load(connection: sa.Connection, table: sa.Table, frame: pl.DataFrame) -> int:
    known = [column.name for column in table.c if column.name in frame.columns]
    rows = frame.select(known)
    for part in _parts(rows):
        connection.execute(sa.insert(table), part)
    return rows.height


def _parts(frame: pl.DataFrame) -> Iterator[list[dict[str, object]]]:
    for part in frame.iter_slices(_ROWS_AT_ONCE):
        yield part.to_dicts()
