"""The catalogue: a DuckDB file of documented views over the tables, published whole and only ever read."""

import contextlib
import fcntl
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, cast

import duckdb
import polars as pl

from thatdam_pipelines.errors import OfflineError, QueryError
from thatdam_pipelines.library.compaction import compact, remove_retired
from thatdam_pipelines.library.exporting import export_ledger
from thatdam_pipelines.library.exports import EXPORT_FOLDER, EXPORTS
from thatdam_pipelines.library.files import replacing
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.projections import (
    Coverage,
    Stamps,
    cover,
    fresh_relation,
    most_fresh,
    projections,
    relation,
    scan,
    vectors_relation,
    without_wildcards,
)
from thatdam_pipelines.library.relations import (
    Statement,
    empty_relation,
    list_literal,
    statements,
    text_literal,
)
from thatdam_pipelines.library.schemas import MEDIA, TABLES
from thatdam_pipelines.library.sql_guard import ALLOWED, LIST, check_reads_only, first_line, short
from thatdam_pipelines.library.table import Table
from thatdam_pipelines.library.tables import Tables
from thatdam_pipelines.settings import Settings

COMPACT_ABOVE = 50
"""Publishing first compacts a library in which more batches than this would be read from their own files."""


@dataclass(frozen=True)
class CatalogReport:
    """What publishing did.

    Args:
        batches: Batches with a file of any table.
        files: Files of all tables.
        fresh_batches: Most batches that any view reads from their own files instead of from a merged copy.
        exported: True when the ledger was copied anew; false when its last copy is young for what copying costs.
    """

    path: str
    views: int
    batches: int
    files: int
    fresh_batches: int
    exported: bool
    elapsed_s: float


@dataclass(frozen=True)
class ViewInfo:
    """A view of the catalogue. ``columns`` are dicts of name, type and description."""

    name: str
    title: str
    description: str
    columns: list[dict[str, str]]


@dataclass(frozen=True)
class ReadyQuery:
    """A query of ``sql/queries``. ``title`` says what it answers."""

    name: str
    title: str
    sql: str


def publish(library: Library) -> CatalogReport:
    """Build the catalogue from the tables as they are now and put it in the place of the last one.

    Queries that run go on with the one they opened. Many small files are merged first, see ``compaction``.

    Raises:
        OfflineError: The tables are gone though the last catalogue was made of some: their disk is not mounted.
    """
    started = time.monotonic()
    settings, tables = library.settings, library.tables
    with _only_publisher(settings.catalog_path):
        stamps = scan(tables)
        _refuse_to_forget(settings, stamps)
        exported = export_ledger(library)
        batches = {batch_id for found in stamps.values() for batch_id in found}
        covered = cover(tables, stamps)
        if most_fresh(covered) > COMPACT_ABOVE and compact(library).merged:
            stamps = scan(tables)
            covered = cover(tables, stamps)
        files = sum(len(found) for found in stamps.values())
        with replacing(settings.catalog_path) as part:
            part.unlink(missing_ok=True)
            with duckdb.connect(str(part)) as con:
                views = _create_views(con, tables, stamps, covered)
                con.execute("CREATE TABLE facts.published (at_utc TIMESTAMPTZ, batches BIGINT, files BIGINT)")
                con.execute("INSERT INTO facts.published VALUES (?, ?, ?)", [datetime.now(UTC), len(batches), files])
        remove_retired(tables.root)
    path = str(settings.catalog_path)
    fresh = most_fresh(covered)
    return CatalogReport(path, len(views), len(batches), files, fresh, exported, time.monotonic() - started)


def open_catalog(settings: Settings) -> duckdb.DuckDBPyConnection:
    """The published catalogue, read-only and locked: it reads the files of the tables folder and nothing else.

    Statements from people go through ``run_sql``, which also keeps them from writing files into that folder.

    Raises:
        QueryError: Nothing was published yet.
    """
    if not settings.catalog_path.exists():
        next_step = "Ingest something, or run `thatdam index rebuild catalog`."
        raise QueryError(settings.catalog_path, "nothing published yet", next_step)
    with _OPENING:
        con = duckdb.connect(
            str(settings.catalog_path),
            read_only=True,
            config={
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "python_enable_replacements": False,
            },
        )
        try:
            _lock(con, settings)
        except BaseException:
            con.close()
            raise
    return con


_OPENING = threading.Lock()


def _lock(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Set what holds for the catalogue, once: all connections of a process to one file share what is set."""
    if con.execute("SELECT current_setting('lock_configuration')").fetchall() == [(True,)]:
        return
    con.execute("SET GLOBAL TimeZone = 'UTC'")
    # Compared as text: with the names as they are, and as patterns write them.
    folders = dict.fromkeys([f"{settings.tables_dir}/", f"{without_wildcards(settings.tables_dir)}/"])
    con.execute(f"SET allowed_directories = {list_literal(folders)}")
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")


def run_sql(
    settings: Settings,
    query: str,
    params: Sequence[Any] | Mapping[str, Any] | None = None,
    *,
    most_rows: int | None = None,
) -> pl.DataFrame:
    """Answer one question about the library.

    Args:
        query: One SELECT over the views, with ``?`` or ``$name`` for ``params``.
        most_rows: Most rows given; all, when not said.

    Raises:
        QueryError: It is no question the catalogue answers: wrong SQL, a write, other files; or nothing is published.
        OfflineError: The disk with the tables cannot be reached.
    """
    try:
        return _answer(settings, query, params, most_rows)
    except duckdb.Error as error:
        if isinstance(error, duckdb.IOException) and not _tables_there(settings):
            raise _offline(settings) from error
    try:
        # A batch was rewritten or merged, or the ledger copied anew, while the query ran: files are replaced whole, but
        # DuckDB opens one more than once. The catalogue of now knows the files of now.
        return _answer(settings, query, params, most_rows)
    except duckdb.Error as error:
        cause = f"a file of the tables cannot be read ({first_line(error)})"
        raise QueryError(short(query), cause, "Run `thatdam index rebuild catalog`.") from error


def stream_sql(settings: Settings, query: str, rows: int) -> Iterator[pl.DataFrame]:
    """A query of our own as frames of at most so many rows, read as they are asked for.

    Raises:
        OfflineError: The disk with the tables cannot be reached.
    """
    with open_catalog(settings) as con:
        try:
            for batch in con.sql(query).to_arrow_reader(rows):
                yield _frame(batch)
        except duckdb.IOException as error:
            raise _offline(settings) from error


def as_rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """An answer as rows for JSON, which has no infinite numbers: they are None."""
    floats = pl.selectors.float()
    return frame.with_columns(pl.when(floats.is_finite()).then(floats)).to_dicts()


def as_csv(frame: pl.DataFrame, *, header: bool = True) -> str:
    """An answer as CSV, which has no lists and no structures: they are JSON texts."""
    nested = [name for name, kind in frame.schema.items() if kind.is_nested()]
    texts = {
        name: pl.Series([None if value is None else _json(value) for value in frame[name].to_list()], dtype=pl.String)
        for name in nested
    }
    return frame.with_columns(**texts).write_csv(include_header=header)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def list_views() -> list[ViewInfo]:
    """Every view with its columns, as an empty library has them."""
    with duckdb.connect() as con:
        nothing = Tables(Path("/nonexistent"))
        stamps = scan(nothing)
        views = _create_views(con, nothing, stamps, cover(nothing, stamps))
        found = con.execute(
            "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() "
            "WHERE schema_name = 'main' AND NOT internal ORDER BY table_name, column_index"
        ).fetchall()
    columns: dict[str, list[dict[str, str]]] = {view.name: [] for view in views}
    for view, name, data_type, comment in found:
        columns[view].append({"name": name, "type": data_type, "description": comment or ""})
    return [ViewInfo(view.name, view.title, _described(view), columns[view.name]) for view in views]


def list_queries() -> list[ReadyQuery]:
    """The ready-made queries."""
    return [ReadyQuery(query.name, query.title, query.sql) for query in statements("queries")]


def _create_views(
    con: duckdb.DuckDBPyConnection, tables: Tables, stamps: Stamps, covers: Mapping[str, Coverage]
) -> list[Statement]:
    """Every relation and view, documented, in one transaction."""
    made = ["BEGIN", "CREATE SCHEMA facts", "CREATE SCHEMA fresh", "CREATE SCHEMA ledger"]
    views = {view.name: view for view in statements("views")}
    wide = ""
    for projection in projections():
        covered = covers[projection.name]
        if projection.name == MEDIA.name:
            made += projection.fresh_views("fresh", tables, covered.fresh, stamps)
            wide = relation(projection, tables.root, covered, projection.sql.replace("facts.", "fresh."))
        else:
            fresh = fresh_relation(projection, tables, covered)
            made.append(f"CREATE VIEW facts.{projection.name} AS {relation(projection, tables.root, covered, fresh)}")
    for table in TABLES.values():
        if "vector" in table.schema:
            vectors = vectors_relation(table, tables.root, stamps)
            made.append(f"CREATE VIEW facts.{table.name}_vectors AS {vectors}")
    for table in EXPORTS:
        made.append(f"CREATE VIEW ledger.{table.name} AS {_export_relation(table, tables.root)}")
    # Other views may read media.
    made.append(f"CREATE VIEW {MEDIA.name} AS {wide}")
    made += [f"CREATE VIEW {name} AS {view.sql}" for name, view in views.items() if name != MEDIA.name]
    for statement in made:
        con.execute(statement)
    for comment in _comments(con, views):
        con.execute(comment)
    con.execute("COMMIT")
    return list(views.values())


def _comments(con: duckdb.DuckDBPyConnection, views: Mapping[str, Statement]) -> Iterator[str]:
    declared = {table.name: table for table in (*TABLES.values(), *EXPORTS)}
    found = con.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE schema_name = 'main' AND NOT internal"
    ).fetchall()
    for view in views.values():
        yield f"COMMENT ON VIEW {view.name} IS {text_literal(_described(view))}"
    for name, column in found:
        sources = [declared[source] for source in _sources(views[name])]
        if description := views[name].columns.get(column) or _declared(column, sources):
            yield f"COMMENT ON COLUMN {name}.{column} IS {text_literal(description)}"


def _sources(view: Statement) -> list[str]:
    found = re.search(r"Columns from: ([a-z0-9_, ]+)", view.description)
    return found[1].split(", ") if found else []


def _described(view: Statement) -> str:
    return re.sub(r"\s*Columns from: [a-z0-9_, ]+", "", view.description)


def _declared(name: str, sources: Sequence[Table]) -> str:
    return next((column.description for table in sources for column in table.columns if column.name == name), "")


def _export_relation(table: Table, root: Path) -> str:
    path = root / EXPORT_FOLDER / f"{table.name}.parquet"
    if not path.exists():
        return empty_relation(table.columns)
    return f"SELECT {', '.join(table.schema)} FROM read_parquet({list_literal([path])})"


def _refuse_to_forget(settings: Settings, stamps: Stamps) -> None:
    if any(stamps.values()) or not settings.catalog_path.exists():
        return
    with contextlib.suppress(duckdb.Error), open_catalog(settings) as con:
        published = con.execute("SELECT files FROM facts.published").fetchone()
        if published and published[0]:
            raise _offline(settings)


def _offline(settings: Settings) -> OfflineError:
    next_step = f"Mount its disk and try again. If they were removed on purpose, remove {settings.catalog_path} too."
    return OfflineError(settings.tables_dir, "the tables that the catalogue was made of cannot be reached", next_step)


def _tables_there(settings: Settings) -> bool:
    return any((settings.tables_dir / name).is_dir() for name in TABLES)


def _answer(
    settings: Settings, query: str, params: Sequence[Any] | Mapping[str, Any] | None, most_rows: int | None
) -> pl.DataFrame:
    try:
        with open_catalog(settings) as con:
            check_reads_only(con, query)
            answer = con.sql(query, params=params)
            return _frame((answer if most_rows is None else answer.limit(most_rows)).to_arrow_table())
    except duckdb.PermissionException as error:
        raise QueryError(short(query), "it reads files outside the tables, or the network", ALLOWED) from error
    except duckdb.Error as error:
        if isinstance(error, duckdb.IOException | duckdb.InternalError) or type(error) is duckdb.Error:
            raise
        raise QueryError(short(query), first_line(error), LIST) from error


def _frame(answer: Any) -> pl.DataFrame:
    """An Arrow table as a frame that prints and serialises plainly: names once each, whole numbers, spans of time."""
    names: list[str] = []
    for name in answer.column_names:
        names.append(next(new for n in count() if (new := f"{name}_{n}" if n else name) not in names))
    columns = []
    for name, column in zip(names, answer.columns, strict=True):
        kind = str(column.type)
        if kind == "month_day_nano_interval":
            spans = [v and timedelta(days=30 * v[0] + v[1], microseconds=v[2] // 1000) for v in column.to_pylist()]
            columns.append(pl.Series(name, spans, dtype=pl.Duration("us")))
        elif kind.startswith(("dense_union", "sparse_union")):
            columns.append(
                pl.Series(name, [None if v is None else str(v) for v in column.to_pylist()], dtype=pl.String)
            )
        else:
            columns.append(_plain(cast(pl.Series, pl.from_arrow(column)).alias(name)))
    return pl.DataFrame(columns)


def _plain(series: pl.Series) -> pl.Series:
    if isinstance(series.dtype, pl.Datetime) and series.dtype.time_zone:
        return series.dt.convert_time_zone("UTC")
    if isinstance(series.dtype, pl.Decimal):
        whole = series.cast(pl.Int64, strict=False) if not series.dtype.scale else series.clear()
        fits = len(whole) == len(series) and whole.null_count() == series.null_count()
        return whole if fits else series.cast(pl.Float64)
    return series


@contextlib.contextmanager
def _only_publisher(path: Path) -> Iterator[None]:
    """Publish one after another, so that the last one published is of the latest tables."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in path.parent.glob(f".{path.name}.*.part*"):
            leftover.unlink()
        yield
