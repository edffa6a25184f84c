"""What the catalogue may be asked: one statement that reads, and nothing that could write or look elsewhere."""

import json
import re
from collections.abc import Iterator
from typing import Any

import duckdb

from thatdam_pipelines.errors import QueryError

LIST = "See `thatdam sql --list` for the views and the ready-made queries."
ALLOWED = "The catalogue answers one SELECT (or FROM, WITH, VALUES, DESCRIBE, SUMMARIZE, SHOW, EXPLAIN) over its views."
_READING_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
_TABLE_FUNCTIONS = {
    *("range", "generate_series", "unnest", "repeat", "json_each", "json_tree", "histogram", "histogram_values"),
    *("duckdb_columns", "duckdb_views", "duckdb_tables", "duckdb_schemas", "duckdb_types", "duckdb_functions"),
}
_EXPLAIN = re.compile(r"^\s*explain\s+(analyze\s+)?(\([^)]*\)\s*)?", re.IGNORECASE)


def check_reads_only(con: duckdb.DuckDBPyConnection, query: str) -> None:
    """Let only one statement that reads through.

    Views are files, so the folder of the tables must be open to the connection, and DuckDB knows no difference between
    reading and writing there: COPY would be done, also inside WITH or by a function that runs SQL. So what is not known
    to only read is refused.

    Raises:
        QueryError: It is refused, or is no SQL.
    """
    asked = query
    try:
        found = duckdb.extract_statements(query)
        if len(found) == 1 and found[0].type == duckdb.StatementType.EXPLAIN:
            asked = _EXPLAIN.sub("", query)
            found = duckdb.extract_statements(asked)
    except duckdb.Error as error:
        raise QueryError(short(query), first_line(error), LIST) from error
    if len(found) != 1 or found[0].type != duckdb.StatementType.SELECT:
        kinds = " and ".join(statement.type.name for statement in found) or "nothing"
        cause = f"this is {kinds}, and the catalogue is only read" if found else "there is nothing to answer"
        raise QueryError(short(query), cause, ALLOWED)
    (serialised,) = con.execute("SELECT json_serialize_sql(?)", [asked]).fetchall()[0]
    tree = json.loads(serialised)
    if tree["error"]:
        raise QueryError(short(query), tree["error_message"], LIST)
    for part in _parts(tree):
        kind = part.get("type")
        if isinstance(kind, str) and kind.endswith("_NODE") and kind not in _READING_NODES:
            cause = f"{kind.removesuffix('_NODE').removesuffix('_QUERY')} inside a query is a write"
            raise QueryError(short(query), cause, ALLOWED)
        if kind == "TABLE_FUNCTION" and (name := part["function"]["function_name"]) not in _TABLE_FUNCTIONS:
            raise QueryError(short(query), f"{name}() may not be called here", ALLOWED)


def _parts(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object of a parsed JSON document."""
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def first_line(error: Exception) -> str:
    """What DuckDB says is wrong, with what it proposes instead."""
    lines = str(error).splitlines() or [type(error).__name__]
    advice = next((line for line in lines[1:] if line.startswith(("Did you mean", "Candidate bindings"))), "")
    return " ".join(filter(None, [lines[0].rstrip("."), advice.rstrip("?")]))


def short(query: str) -> str:
    """The query on one line of at most 80 characters, for messages."""
    line = " ".join(query.split())
    return line if len(line) <= 80 else line[:79] + "…"
