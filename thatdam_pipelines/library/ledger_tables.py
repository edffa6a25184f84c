"""The ledger's tables, how its database is opened, and a table as a frame for the catalogue."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from sqlite3 import Connection, connect
from typing import Any, TypeVar
from urllib.parse import quote

import polars as pl
import sqlalchemy as sa

from thatdam_pipelines.library.curation_tables import CURATED
from thatdam_pipelines.library.ledger_metadata import METADATA, UtcTime

MOVED = "moved into the library"
"""Reason of a done file whose source is not there any more because the library took it."""
T = TypeVar("T")
_ROWS_AT_ONCE = 10_000
_IN_ONE_QUERY = 500
_BUSY_MS = 30_000
_FILE = "file"
_CREATE_LOCK = 0x7DA3


def utc_of(raw: str | datetime) -> datetime:
    """A time as the database driver gives it (SQLite: text), as an aware datetime."""
    return (datetime.fromisoformat(raw) if isinstance(raw, str) else raw).replace(tzinfo=UTC)


FILES = sa.Table(
    "files",
    METADATA,
    sa.Column("root", sa.Text, primary_key=True),
    sa.Column("rel_path", sa.Text, primary_key=True),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("mtime_ns", sa.BigInteger, nullable=False),
    sa.Column("first_seen_utc", UtcTime, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("settled_utc", UtcTime),
    sa.Column("batch_id", sa.Text, index=True),
    sa.Column("reason", sa.Text, nullable=False, default=""),
    sa.Index("files_by_state", "root", "state", "reason"),
)
BATCHES = sa.Table(
    "batches",
    METADATA,
    sa.Column("batch_id", sa.Text, primary_key=True),
    sa.Column("root", sa.Text, nullable=False),
    sa.Column("mode", sa.Text, nullable=False),
    sa.Column("album", sa.Text),
    sa.Column("category", sa.Text),
    sa.Column("created_utc", UtcTime, nullable=False),
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("run_id", sa.Text),
    sa.Column("files", sa.Integer, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("finished_utc", UtcTime),
    sa.Column("released", sa.Integer, nullable=False, server_default="0"),
)
CONTENTS = sa.Table(
    "contents",
    METADATA,
    sa.Column("media_id", sa.Text, primary_key=True),
    sa.Column("batch_id", sa.Text, nullable=False, index=True),
    sa.Column("claimed_utc", UtcTime, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False, index=True),
    sa.Column("kept_key", sa.Text),
)
FOLDERS = sa.Table(
    "folders",
    METADATA,
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("online", sa.Boolean, nullable=False),
    sa.Column("changed_utc", UtcTime, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("identity", sa.Text),
    sa.Column("resume", sa.Text),
)
SETTINGS = sa.Table(
    "settings",
    METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
TARGETS = sa.Table(
    "targets",
    METADATA,
    sa.Column("target_id", sa.Text, primary_key=True),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("volume", sa.Text, nullable=False),
    sa.Column("offsite", sa.Boolean, nullable=False),
    sa.Column("price_per_tb_month", sa.Float),
    sa.Column("seen_utc", UtcTime, nullable=False),
)
SNAPSHOTS = sa.Table(
    "snapshots",
    METADATA,
    sa.Column("snapshot_id", sa.Text, primary_key=True),
    sa.Column("target_id", sa.Text, nullable=False, index=True),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("started_utc", UtcTime, nullable=False),
    sa.Column("finished_utc", UtcTime, nullable=False),
    sa.Column("files", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("new_files", sa.BigInteger, nullable=False),
    sa.Column("new_bytes", sa.BigInteger, nullable=False),
    sa.Column("known_files", sa.BigInteger, nullable=False),
    sa.Column("known_bytes", sa.BigInteger, nullable=False),
    sa.Column("missing", sa.BigInteger, nullable=False),
    sa.Column("manifest_blake3", sa.Text, nullable=False),
    sa.Column("pruned_utc", UtcTime),
)
COPIES = sa.Table(
    "copies",
    METADATA,
    sa.Column("target_id", sa.Text, primary_key=True),
    sa.Column("blake3", sa.Text, primary_key=True),
    sa.Column("media_id", sa.Text, index=True),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("copied_utc", UtcTime, nullable=False),
    sa.Column("verified_utc", UtcTime),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Index("copies_by_age", "target_id", "verified_utc"),
)
AUDITS = sa.Table(
    "audits",
    METADATA,
    sa.Column("audit_id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("target_id", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("started_utc", UtcTime, nullable=False),
    sa.Column("finished_utc", UtcTime, nullable=False),
    sa.Column("files", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("wrong", sa.BigInteger, nullable=False),
    sa.Column("message", sa.Text, nullable=False, server_default=""),
)
OFFLOADS = sa.Table(
    "offloads",
    METADATA,
    sa.Column("offload_id", sa.Text, primary_key=True),
    sa.Column("destination", sa.Text, primary_key=True),
    sa.Column("card", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("folder", sa.Text),
    sa.Column("started_utc", UtcTime, nullable=False),
    sa.Column("elapsed_s", sa.Float, nullable=False),
    sa.Column("files", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("verified", sa.BigInteger, nullable=False),
    sa.Column("verified_earlier", sa.BigInteger, nullable=False),
    sa.Column("whole", sa.Boolean, nullable=False),
    sa.Column("reasons", sa.Text, nullable=False),
)
EXPORTED = (BATCHES, FILES, FOLDERS, TARGETS, SNAPSHOTS, COPIES, AUDITS, OFFLOADS, *CURATED)


def open_engine(url: str) -> tuple[sa.Engine, sa.Engine]:
    """The database for reading, and the same for writing: SQLite takes its write lock when a write begins."""
    address = sa.make_url(url)
    if address.drivername == "postgresql":
        # The driver that dagster-postgres installs; SQLAlchemy's own default is another.
        address = address.set(drivername="postgresql+psycopg2")
    in_file = address.get_backend_name() == "sqlite" and address.database
    engine = _engine_of_file(address, Path(in_file).absolute()) if in_file else sa.create_engine(address)
    writer = engine.execution_options(writes=True)
    if address.get_backend_name() == "sqlite":
        sa.event.listen(engine, "connect", _set_up_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine, writer


def _engine_of_file(address: sa.URL, path: Path) -> sa.Engine:
    """Of a SQLite file that is made now or is there; when it goes, connections fail.

    They would otherwise write into the removed file, or make an empty one in its place.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()

    def open_existing() -> Connection:
        return connect(f"file:{quote(str(path))}?mode=rw", uri=True, check_same_thread=False)

    def remember(_connection: object, record: Any) -> None:
        record.info[_FILE] = _file_id(path)

    def require_same(_connection: object, record: Any, _proxy: object) -> None:
        if record.info[_FILE] != _file_id(path):
            # The pool then makes a new connection: to what is there now.
            raise sa.exc.DisconnectionError

    engine = sa.create_engine(address, creator=open_existing)
    sa.event.listen(engine, "connect", remember)
    sa.event.listen(engine, "checkout", require_same)
    return engine


def _file_id(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def create_tables(engine: sa.Engine, writer: sa.Engine) -> None:
    """Create what is missing, of an older library columns too; many processes may open an empty database at once."""
    with engine.connect() as connection:
        if set(METADATA.tables) <= set(sa.inspect(connection).get_table_names()) and not _missing_columns(connection):
            return
    with writer.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CREATE_LOCK)))
        METADATA.create_all(connection)
        for column in _missing_columns(connection):
            declared = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
            connection.execute(sa.DDL(f"ALTER TABLE {column.table.name} ADD COLUMN {declared}"))


def frame_of(connection: sa.Connection, table: sa.Table) -> pl.DataFrame:
    """A table as a frame, in the order of its key."""
    return pl.concat(frames_of(connection, table))


def frames_of(connection: sa.Connection, table: sa.Table) -> Iterator[pl.DataFrame]:
    """A table as frames of so many rows, at least one, in the order of its key."""
    # Values as the driver gives them: a library of a million files is exported often.
    raw = [sa.type_coerce(column, sa.types.NullType()) for column in table.c]
    query = sa.select(*raw).order_by(*table.primary_key).execution_options(yield_per=_ROWS_AT_ONCE)
    with connection.execute(query) as found:
        first = True
        while (rows := [tuple(row) for row in found.fetchmany(_ROWS_AT_ONCE)]) or first:
            yield _frame(rows, table, sqlite=connection.dialect.name == "sqlite")
            first = False


def _frame(rows: list[tuple[Any, ...]], table: sa.Table, *, sqlite: bool) -> pl.DataFrame:
    schema = {column.name: _driver_dtype(column, sqlite) for column in table.c}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    times = [column.name for column in table.c if isinstance(column.type, UtcTime)]
    days = [column.name for column in table.c if isinstance(column.type, sa.Date)]
    flags = [column.name for column in table.c if isinstance(column.type, sa.Boolean)]
    if sqlite:
        frame = frame.with_columns(pl.col(times).str.to_datetime("%Y-%m-%d %H:%M:%S%.6f", time_unit="us"))
        frame = frame.with_columns(pl.col(days).str.to_date("%Y-%m-%d"))
    return frame.with_columns(pl.col(times).dt.replace_time_zone("UTC"), pl.col(flags).cast(pl.Boolean))


def portions(items: Iterable[T]) -> Iterator[list[T]]:
    """The items in lists short enough for one query each."""
    rest = iter(items)
    while some := list(islice(rest, _IN_ONE_QUERY)):
        yield some


def _missing_columns(connection: sa.Connection) -> list[sa.Column[Any]]:
    there = sa.inspect(connection).get_multi_columns(filter_names=list(METADATA.tables))
    names = {table: {column["name"] for column in columns} for (_, table), columns in there.items()}
    return [column for table in METADATA.tables.values() for column in table.c if column.name not in names[table.name]]


def _driver_dtype(column: sa.Column[Any], sqlite: bool) -> pl.DataType:
    if isinstance(column.type, UtcTime):
        return pl.String() if sqlite else pl.Datetime("us")
    if isinstance(column.type, sa.Date):
        return pl.String() if sqlite else pl.Date()
    if isinstance(column.type, sa.Boolean):
        return pl.Int64() if sqlite else pl.Boolean()
    if isinstance(column.type, sa.Float):
        return pl.Float64()
    return pl.Int64() if isinstance(column.type, sa.Integer) else pl.String()


def _set_up_sqlite(connection: Any, _record: object) -> None:
    # Transactions begin where SQLAlchemy says, see _begin_sqlite, not where sqlite3 thinks.
    connection.isolation_level = None
    for pragma in (f"busy_timeout = {_BUSY_MS}", "journal_mode = WAL", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # A read that turns into a write fails at once when another writes; waiting is only possible at the beginning.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")
