"""Rows of a table by the value of a column, whichever batch has them; and every place of a content."""

from collections.abc import Collection
from typing import Literal, cast

import polars as pl

from thatdam_pipelines.library.projections import coverage, fresh_relation, load_segments, projections, relation
from thatdam_pipelines.library.relations import plain_columns
from thatdam_pipelines.library.schemas import LOCATIONS, Table
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
