"""The library database as files: copied while it is in use, and loaded into an empty database."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import sqlalchemy as sa

from thatdam_pipelines.errors import OfflineError, OverwriteError, SettingsError, StoreError
from thatdam_pipelines.library.ledger_metadata import METADATA
from thatdam_pipelines.library.ledger_tables import create_tables, frames_of, open_engine

SQLITE_NAME = "library.db"
EXPORT_FOLDER = "database"
"""Folder with a Parquet file a table, where the database is none of SQLite's."""
_ROWS_AT_ONCE = 1_000
_POSTGRES_URL = "Give one like postgresql://user:password@host/name."


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
    return export_tables(url, folder)


def export_tables(url: str, folder: Path) -> list[Path]:
    """Copy a database of any kind as of one moment, a Parquet file a table.

    Returns:
        The files, relative to ``folder``.
    """
    engine, _ = open_engine(url)
    try:
        with engine.connect() as connection:
            if connection.dialect.name != "sqlite":
                connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            (folder / EXPORT_FOLDER).mkdir()
            for table in METADATA.sorted_tables:
                _write(frames_of(connection, table), folder / EXPORT_FOLDER / f"{table.name}.parquet")
    finally:
        engine.dispose()
    return [Path(EXPORT_FOLDER, f"{table.name}.parquet") for table in METADATA.sorted_tables]


def require_empty(url: str) -> None:
    """Make sure that a Postgres database can be reached and that no table of a library has rows in it.

    Raises:
        OfflineError: It cannot be reached.
        OverwriteError: A table has rows.
        SettingsError: The URL is none of Postgres.
    """
    try:
        address = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise SettingsError("the database", f"its URL cannot be read ({error})", _POSTGRES_URL) from error
    if address.get_backend_name() != "postgresql":
        raise SettingsError("the database", f"{address.get_backend_name()} is none of Postgres", _POSTGRES_URL)
    engine, _ = open_engine(url)
    try:
        with engine.connect() as connection:
            there = set(sa.inspect(connection).get_table_names())
            for table in METADATA.sorted_tables:
                if table.name in there:
                    _require_no_rows(connection, table)
    except sa.exc.OperationalError as error:
        shown = address.render_as_string(hide_password=True)
        next_step = "Start its server, or make the database, then run it again."
        raise OfflineError(shown, f"the database cannot be reached ({error.orig})", next_step) from error
    finally:
        engine.dispose()


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
                _require_no_rows(connection, table)
                path = folder / f"{table.name}.parquet"
                if path.exists():
                    loaded += _load(connection, table, path)
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


def _write(frames: Iterator[pl.DataFrame], path: Path) -> None:
    import pyarrow.parquet as pq

    first = next(frames).to_arrow(compat_level=pl.CompatLevel.oldest())
    with pq.ParquetWriter(path, first.schema, compression="zstd") as writer:
        writer.write_table(first)
        for frame in frames:
            writer.write_table(frame.to_arrow(compat_level=pl.CompatLevel.oldest()))


def _load(connection: sa.Connection, table: sa.Table, path: Path) -> int:
    import pyarrow.parquet as pq

    rows = 0
    with pq.ParquetFile(path) as file:
        known = [column.name for column in table.c if column.name in file.schema_arrow.names]
        for batch in file.iter_batches(_ROWS_AT_ONCE, columns=known):
            connection.execute(sa.insert(table), batch.to_pylist())
            rows += batch.num_rows
    return rows


def _require_no_rows(connection: sa.Connection, table: sa.Table) -> None:
    if connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first():
        raise OverwriteError(
            table.name, "the database is not empty: it has rows of a library in it", "Name an empty database."
        )
