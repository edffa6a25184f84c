"""Parquet files as SQL: relations of a declared schema over files that may be many, few or none."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from polars.datatypes import DataType, DataTypeClass

from thatdam_pipelines.library.table import Column, Table
from thatdam_pipelines.settings import project_file

_TYPES: dict[DataType | DataTypeClass, str] = {
    pl.String: "VARCHAR",
    pl.Boolean: "BOOLEAN",
    pl.Int32: "INTEGER",
    pl.Int64: "BIGINT",
    pl.Float32: "FLOAT",
    pl.Float64: "DOUBLE",
    pl.Date: "DATE",
    pl.Datetime("us", "UTC"): "TIMESTAMP WITH TIME ZONE",
}
_COLUMN_LINE = re.compile(r"^([a-z0-9_]+): (.+)$")


def sql_type(dtype: DataType | DataTypeClass) -> str:
    """DuckDB's name of a column type that tables declare."""
    if isinstance(dtype, pl.List):
        return sql_type(dtype.inner) + "[]"
    return _TYPES[dtype]


def text_literal(value: object) -> str:
    """``value`` as an SQL string."""
    return "'" + str(value).replace("'", "''") + "'"


def list_literal(values: Iterable[object]) -> str:
    """``values`` as an SQL list of strings."""
    return f"[{', '.join(text_literal(value) for value in values)}]"


def plain_columns(table: Table) -> tuple[Column, ...]:
    """The columns of ``table`` that analytics read: all but vectors and bytes, larger than all else together."""
    return tuple(column for column in table.columns if column.name != "vector" and column.dtype != pl.Binary)


def empty_relation(columns: Sequence[Column]) -> str:
    """A SELECT of no rows with these columns."""
    typed = ", ".join(f"NULL::{sql_type(column.dtype)} AS {column.name}" for column in columns)
    return f"SELECT {typed} WHERE false"


def files_relation(columns: Sequence[Column], files: Sequence[Path | str]) -> str:
    """A SELECT of these columns from Parquet files, whichever of the columns each of them has."""
    if not files:
        return empty_relation(columns)
    names = ", ".join(column.name for column in columns)
    scan = f"SELECT * FROM read_parquet({list_literal(files)}, union_by_name = true)"
    return f"SELECT {names} FROM ({empty_relation(columns)} UNION ALL BY NAME {scan})"


@dataclass(frozen=True)
class Statement:
    """An SQL file of the project.

    Args:
        name: The file's name without ``.sql``.
        title: The first line of its opening comment: what it holds or answers.
        description: Every line of the opening comment that does not describe a column.
        columns: Descriptions of columns, from the comment's lines ``-- <column>: <description>``.
        sql: The SELECT, without the opening comment.
    """

    name: str
    title: str
    description: str
    columns: dict[str, str]
    sql: str


def statements(kind: str) -> list[Statement]:
    """The SQL files of ``sql/<kind>``, by name. ``kind`` is ``views`` or ``queries``."""
    return [_statement(path) for path in sorted((project_file("sql") / kind).glob("*.sql"))]


def _statement(path: Path) -> Statement:
    lines = path.read_text(encoding="utf-8").splitlines()
    body = next(number for number, line in enumerate(lines) if not line.startswith("--"))
    comment = [line.removeprefix("--").strip() for line in lines[:body]]
    columns = {found[1]: found[2] for line in comment if (found := _COLUMN_LINE.match(line))}
    prose = [line for line in comment if line and not _COLUMN_LINE.match(line)]
    return Statement(path.stem, prose[0], " ".join(prose), columns, "\n".join(lines[body:]).strip().rstrip(";"))
