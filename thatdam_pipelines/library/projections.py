"""What compaction keeps merged copies of, and which batches a merged copy still speaks for."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from blake3 import blake3

from thatdam_pipelines.errors import TableError
from thatdam_pipelines.library.relations import (
    empty_relation,
    files_relation,
    list_literal,
    plain_columns,
    statements,
)
from thatdam_pipelines.library.schemas import MEDIA, TABLES
from thatdam_pipelines.library.table import Table
from thatdam_pipelines.library.tables import Stamp, Tables

COMPACT_FOLDER = "compact"
"""Folder below the tables that holds the merged copies: ``compact/<projection>/<segment>.parquet``."""

Stamps = Mapping[str, Mapping[str, Stamp]]
"""By table name and batch id, the stamp of every file there is."""


@dataclass(frozen=True)
class Projection:
    """A SELECT over the tables of one batch, whose rows of many batches are kept together in segments.

    Args:
        name: Name of its folder and of the relation it gives.
        sources: Tables it reads; a batch takes part when it has a file of the first.
        sql: The SELECT over ``facts.<table>``. Every row it gives has its ``batch_id``.
        order: Columns that segments are sorted by.
        compression: Of its segments. What is asked most is not compressed: that is as quick as a native table.
    """

    name: str
    sources: tuple[Table, ...]
    sql: str
    order: tuple[str, ...]
    compression: str

    @property
    def version(self) -> str:
        """Changes with everything that decides what a segment holds; segments of another version are not used."""
        schemas = [[table.name, str(table.schema)] for table in self.sources]
        return blake3(json.dumps([self.sql, schemas, self.order]).encode()).hexdigest()[:16]

    def marks(self, stamps: Stamps) -> dict[str, str]:
        """For each batch, the versions of its files, as text that is compared with what a segment was made of."""
        sources = [stamps[table.name] for table in self.sources]
        return {
            batch_id: " ".join(
                ":".join(map(str, source[batch_id])) if batch_id in source else "-" for source in sources
            )
            for batch_id in sources[0]
        }

    def fresh_views(self, schema: str, tables: Tables, batches: Sequence[str], stamps: Stamps) -> list[str]:
        """Statements that make ``<schema>.<table>`` the rows of these batches, read from their own files."""
        made = []
        for table in self.sources:
            files = [tables.path(table, batch_id) for batch_id in batches if batch_id in stamps[table.name]]
            relation = files_relation(plain_columns(table), files)
            made.append(f"CREATE OR REPLACE VIEW {schema}.{table.name} AS {relation}")
        return made


@dataclass(frozen=True)
class Segment:
    """One merged file: the rows of many batches.

    Args:
        file: Name of the file.
        rows: Rows in it.
        marks: For every batch with rows in it, the versions of the files they were read from.
    """

    file: str
    rows: int
    marks: dict[str, str]


@dataclass(frozen=True)
class Live:
    """A segment and the batches it still speaks for; the rows of its other batches must not be read."""

    segment: Segment
    batches: frozenset[str]

    @property
    def stale(self) -> list[str]:
        return sorted(self.segment.marks.keys() - self.batches)


@dataclass(frozen=True)
class Coverage:
    """Where the rows of every batch are to be read: from one segment, or (``fresh``) from the batch's own files."""

    live: list[Live] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)


def projections() -> tuple[Projection, ...]:
    """Every table without its vectors, and the rows of the view ``media``, which are joined from eleven tables."""
    return _projections()


@cache
def _projections() -> tuple[Projection, ...]:
    media = next(statement for statement in statements("views") if statement.name == MEDIA.name)
    read = [table for table in TABLES.values() if f"facts.{table.name} " in f"{media.sql} ".replace("\n", " ")]
    read.sort(key=lambda table: table is not MEDIA)
    wide = Projection(MEDIA.name, tuple(read), media.sql, ("media_id",), "uncompressed")
    return wide, *(_of_table(table) for table in TABLES.values() if table is not MEDIA)


def _of_table(table: Table) -> Projection:
    columns = [column.name for column in plain_columns(table)]
    order = tuple(dict.fromkeys([name for name in ("media_id", *table.key) if name in columns]))
    return Projection(table.name, (table,), f"SELECT {', '.join(columns)} FROM facts.{table.name}", order, "lz4_raw")


def scan(tables: Tables) -> dict[str, dict[str, Stamp]]:
    """The stamps of every file of every table: one directory listing a table."""
    return {name: tables.stamps(table) for name, table in TABLES.items()}


def coverage(projection: Projection, segments: Sequence[Segment], stamps: Stamps) -> Coverage:
    """Which of these segments, newest last, speak for which batches as they are now."""
    marks = projection.marks(stamps)
    left = dict(marks)
    live = []
    for segment in reversed(segments):
        batches = frozenset(batch_id for batch_id, mark in segment.marks.items() if left.get(batch_id) == mark)
        for batch_id in batches:
            del left[batch_id]
        live.append(Live(segment, batches))
    return Coverage(live[::-1], sorted(left))


def cover(tables: Tables, stamps: Stamps) -> dict[str, Coverage]:
    """By projection, where the rows of every batch are to be read as the manifests are now."""
    return {made.name: coverage(made, load_segments(tables.root, made), stamps) for made in projections()}


def most_fresh(covered: Mapping[str, Coverage]) -> int:
    """The most batches that any projection reads from their own files."""
    return max(len(one.fresh) for one in covered.values())


def relation(projection: Projection, root: Path, covered: Coverage, fresh_sql: str) -> str:
    """A SELECT of every row of a projection: segments, less what is stale in them, and ``fresh_sql`` for the rest."""
    folder = segment_folder(root, projection)
    whole = [folder / live.segment.file for live in covered.live if not live.stale]
    parts = [f"SELECT * FROM read_parquet({list_literal(whole)})"] if whole else []
    for live in covered.live:
        if live.stale and live.batches:
            scan_one = f"SELECT * FROM read_parquet({list_literal([folder / live.segment.file])})"
            parts.append(f"{scan_one} WHERE batch_id NOT IN ({list_literal(live.stale)[1:-1]})")
    if covered.fresh or not parts:
        parts.append(fresh_sql)
    return " UNION ALL ".join(f"({part})" for part in parts)


def fresh_relation(projection: Projection, tables: Tables, covered: Coverage) -> str:
    """A SELECT of the fresh rows of a projection of one table."""
    table = projection.sources[0]
    return files_relation(plain_columns(table), [tables.path(table, batch_id) for batch_id in covered.fresh])


def vectors_relation(table: Table, root: Path, stamps: Stamps) -> str:
    """A SELECT of every row of an embedding table with its vector, from the batches' own files."""
    if not stamps[table.name]:
        return empty_relation(table.columns)
    pattern = f"{without_wildcards(root / table.name)}/*.parquet"
    columns = ", ".join(
        "parse_filename(filename, true) AS batch_id" if column.name == "batch_id" else column.name
        for column in table.columns
    )
    return f"SELECT {columns} FROM read_parquet({list_literal([pattern])[1:-1]}, filename = true)"


def segment_folder(root: Path, projection: Projection) -> Path:
    return root / COMPACT_FOLDER / projection.name


def load_segments(root: Path, projection: Projection) -> list[Segment]:
    """The segments of the manifest, oldest first; none when they were made by another version of the projection.

    Raises:
        TableError: The manifest is damaged.
    """
    path = manifest_path(root, projection)
    try:
        manifest: dict[str, Any] = json.loads(path.read_bytes())
        if manifest["version"] != projection.version:
            return []
        return [Segment(**segment) for segment in manifest["segments"]]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        next_step = f"Remove the folder {path.parent}: it is made again from the tables."
        raise TableError(path, f"the manifest is damaged ({error})", next_step) from error


def manifest_path(root: Path, projection: Projection) -> Path:
    return segment_folder(root, projection) / "manifest.json"


def _mark(stamp: Stamp | None) -> str:
    return ":".join(map(str, stamp)) if stamp else "-"


def without_wildcards(path: Path) -> str:
    """The path as a pattern that only it fits."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in str(path))
