"""Rows of a table by the value of a column, whichever batch has them; every place of a content; what a path names."""

import contextlib
from collections.abc import Collection
from pathlib import Path
from typing import Literal, cast

import polars as pl

from thatdam_pipelines.errors import QueryError
from thatdam_pipelines.library.files import escape_name
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.projections import coverage, fresh_relation, load_segments, projections, relation
from thatdam_pipelines.library.relations import plain_columns
from thatdam_pipelines.library.schemas import LOCATIONS
from thatdam_pipelines.library.table import Table
from thatdam_pipelines.library.tables import Tables

LookUp = Literal["media_id", "path", "source_path", "name", "take_id"]
"""Columns that locations are looked up by."""


def locations_by(tables: Tables, column: LookUp, values: Collection[str]) -> pl.DataFrame:
    """The rows of ``locations``, of all batches, that have one of these values in ``column``.

    Raises:
        TableError: The list of the merged copies is damaged.
    """
    return rows_by(tables, LOCATIONS, column, values)


def rows_by(tables: Tables, table: Table, column: str, values: Collection[str]) -> pl.DataFrame:
    """The rows of a table, of all batches, that have one of these values in ``column``, which holds text.

    Merged copies are read where compaction made some: it takes as long in a library of many batches as in one of few.

    Args:
        table: Any but ``media`` and those with vectors.

    Raises:
        TableError: The list of the merged copies is damaged.
    """
    import duckdb

    projection = next(made for made in projections() if made.sources == (table,))
    stamps = {table.name: tables.stamps(table)}
    covered = coverage(projection, load_segments(tables.root, projection), stamps)
    rows = relation(projection, tables.root, covered, fresh_relation(projection, tables, covered))
    schema = pl.Schema({one.name: one.dtype for one in plain_columns(table)})
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        found = con.sql(f"SELECT * FROM ({rows}) WHERE list_contains($values, {column})", params={"values": [*values]})
        return cast(pl.DataFrame, pl.from_arrow(found.to_arrow_table())).cast(schema)


def media_id_of(library: Library, subject: str) -> str | None:
    """The media that a media id, a path it came from, the path where it is kept, or its name means, if any.

    Raises:
        QueryError: Several files have that name.
    """
    if library.ledger.content_batch(escape_name(subject)):
        return subject
    absolute = str(Path(subject).absolute())
    places: tuple[tuple[LookUp, str], ...] = (
        ("source_path", absolute),
        ("path", subject),
        ("path", absolute),
        ("name", subject),
    )
    for column, value in places:
        found = locations_by(library.tables, column, _spellings(value))
        ids = found["media_id"].unique().to_list()
        if len(ids) > 1:
            paths = ", ".join(repr(path) for path in found["source_path"].head(5))
            raise QueryError(subject, f"{len(ids)} different files have that name ({paths})", "Give one path.")
        if ids:
            return str(ids[0])
    return None


def _spellings(name: str) -> set[str]:
    """A name as tables hold it, with bytes that are not UTF-8 escaped, whether it is given so or as it is."""
    spellings = {escape_name(name)}
    with contextlib.suppress(UnicodeEncodeError):
        name.encode()
        spellings.add(name)
    return spellings
