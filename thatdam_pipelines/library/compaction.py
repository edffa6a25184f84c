"""Compaction: many small files a table merged into few large ones, as a projection that can be thrown away.

The files of the batches stay the truth and stay where they are. A segment lists which version of which batch's file
its rows were read from; a batch whose file has changed since, or is gone, is not read from it any more.
"""

import contextlib
import fcntl
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb

from thatdam_pipelines.library.files import PART_SUFFIX, replacing
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.projections import (
    COMPACT_FOLDER,
    Coverage,
    Live,
    Projection,
    Segment,
    Stamps,
    cover,
    coverage,
    load_segments,
    manifest_path,
    most_fresh,
    projections,
    scan,
    segment_folder,
)
from thatdam_pipelines.library.relations import list_literal, text_literal
from thatdam_pipelines.library.tables import Tables

QUIET_S = 60.0
"""A batch is merged when its files have not changed for this long: its next stage would make that work useless."""

RETIRED_S = 600.0
"""Segments that nothing names any more are kept this long, for queries that began before."""

_ROWS_IN_GROUP = 20_480
"""Small, so that the few rows that a list of the longest or newest shows are found without reading much around them;
smaller ones make counting over all rows slower (benchmarks/catalog.py)."""

_FORMAT = "FORMAT parquet, PARQUET_VERSION v2"
"""The second version's encodings make text that is looked up here and there a fifth quicker to read."""

_FILES_AT_ONCE = 200
_MEMORY = "1GB"


@dataclass(frozen=True)
class CompactionReport:
    """What a compaction did.

    Args:
        merged: By projection, batches that were read from their own files and are now in a segment.
        rewritten_rows: Rows of older segments that were written again.
        segments: Segments there are now, of all projections.
        damaged: Files that could not be read and were left as they are.
    """

    merged: dict[str, int]
    rewritten_rows: int
    segments: int
    damaged: list[str]
    elapsed_s: float


def compact(library: Library, *, quiet_s: float = QUIET_S) -> CompactionReport:
    """Merge what is new of every table. What was merged before is left alone unless new rows are as many.

    A segment is merged with what is new when it holds fewer than twice as many batches, or when a quarter of what it
    holds is stale. So there are about log2(batches) segments, and a row is written again about that often in its life.

    Args:
        quiet_s: Batches whose files changed less than this many seconds ago wait for the next time.
    """
    started = time.monotonic()
    tables = library.tables
    merged, rewritten, count, damaged = {}, 0, 0, []
    with _only_one(tables.root), _scratch(tables.root) as con:
        stamps = scan(tables)
        for projection in projections():
            segments = load_segments(tables.root, projection)
            covered = coverage(projection, segments, stamps)
            quiet = _quiet(projection, covered.fresh, stamps, quiet_s)
            again = to_rewrite(covered, len(quiet))
            if quiet or again:
                kept = [live.segment for live in covered.live if live not in again]
                made, unread = _merge(con, tables, projection, quiet, again, stamps)
                write_manifest(tables.root, projection, [*kept, *made])
                rewritten += sum(live.segment.rows for live in again)
                merged[projection.name] = len(set(quiet) - set(unread))
                damaged += [str(tables.path(projection.sources[0], batch_id)) for batch_id in unread]
                segments = [*kept, *made]
            count += len(segments)
    return CompactionReport(merged, rewritten, count, damaged, time.monotonic() - started)


def fresh_batches(library: Library) -> int:
    """The most batches that any projection still reads from their own files."""
    return most_fresh(cover(library.tables, scan(library.tables)))


def remove_retired(root: Path, older_than_s: float = RETIRED_S) -> int:
    """Remove segments, and leftovers of killed compactions, that no manifest names; those used lately stay.

    Does nothing while a compaction runs. Returns the number of files removed.
    """
    removed = 0
    limit = time.time() - older_than_s
    with contextlib.suppress(BlockingIOError), _only_one(root, wait=False):
        for projection in projections():
            named = {segment.file for segment in load_segments(root, projection)}
            named.add(manifest_path(root, projection).name)
            for path in segment_folder(root, projection).glob("*"):
                if path.name in named or path.stat().st_mtime >= limit:
                    continue
                path.unlink()
                removed += 1
    return removed


def to_rewrite(covered: Coverage, new: int) -> list[Live]:
    """Segments to merge with ``new`` batches: then each that stays holds at least twice as many as the next smaller.

    Those a quarter of which is stale are merged as well.
    """
    stale = [live for live in covered.live if 4 * len(live.stale) >= len(live.segment.marks)]
    chosen = list(stale)
    size = new + sum(len(live.batches) for live in stale)
    for live in sorted((live for live in covered.live if live not in stale), key=lambda live: len(live.batches)):
        if not size or len(live.batches) >= 2 * size:
            break
        chosen.append(live)
        size += len(live.batches)
    return chosen


def _quiet(projection: Projection, batches: Sequence[str], stamps: Stamps, quiet_s: float) -> list[str]:
    if not quiet_s:
        return list(batches)
    limit = time.time_ns() - int(quiet_s * 1e9)
    sources = [stamps[table.name] for table in projection.sources]
    return [
        batch_id
        for batch_id in batches
        if all(source[batch_id][1] <= limit for source in sources if batch_id in source)
    ]


def _merge(
    con: duckdb.DuckDBPyConnection,
    tables: Tables,
    projection: Projection,
    fresh: Sequence[str],
    again: Sequence[Live],
    stamps: Stamps,
) -> tuple[list[Segment], list[str]]:
    """One new segment (none when it would name no batch) and the batches whose files could not be read."""
    folder = segment_folder(tables.root, projection)
    marks = projection.marks(stamps)
    unread: list[str] = []
    _show(con, projection, tables, [], stamps)
    con.execute(f"CREATE OR REPLACE TABLE merged AS {projection.sql}")
    for at in range(0, len(fresh), _FILES_AT_ONCE):
        unread += _read(con, projection, tables, fresh[at : at + _FILES_AT_ONCE], stamps)
    for live in again:
        if live.batches:
            source = f"SELECT * FROM read_parquet({text_literal(folder / live.segment.file)})"
            stale = f" WHERE batch_id NOT IN ({list_literal(live.stale)[1:-1]})" if live.stale else ""
            con.execute(f"INSERT INTO merged {source}{stale}")
    held = {batch_id: marks[batch_id] for live in again for batch_id in live.batches}
    held |= {batch_id: marks[batch_id] for batch_id in fresh if batch_id not in unread}
    return [_write_segment(con, projection, folder, held)] if held else [], unread


def _read(
    con: duckdb.DuckDBPyConnection, projection: Projection, tables: Tables, batches: Sequence[str], stamps: Stamps
) -> list[str]:
    """Add the rows of these batches; returns those that could not be read."""
    try:
        _show(con, projection, tables, batches, stamps)
        con.execute(f"INSERT INTO merged {projection.sql}")
    except (duckdb.IOException, duckdb.InvalidInputException):
        if len(batches) == 1:
            return list(batches)
        return [unread for batch in batches for unread in _read(con, projection, tables, [batch], stamps)]
    return []


def _show(
    con: duckdb.DuckDBPyConnection, projection: Projection, tables: Tables, batches: Sequence[str], stamps: Stamps
) -> None:
    for statement in projection.fresh_views("facts", tables, batches, stamps):
        con.execute(statement)


def _write_segment(
    con: duckdb.DuckDBPyConnection, projection: Projection, folder: Path, held: dict[str, str]
) -> Segment:
    name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.parquet"
    options = f"{_FORMAT}, COMPRESSION {projection.compression}, ROW_GROUP_SIZE {_ROWS_IN_GROUP}"
    with replacing(folder / name) as part:
        rows = con.execute(
            f"COPY (SELECT * FROM merged ORDER BY {', '.join(projection.order)}) TO {text_literal(part)} ({options})"
        ).fetchall()[0][0]
    return Segment(name, int(rows), held)


def write_manifest(root: Path, projection: Projection, segments: Sequence[Segment]) -> None:
    """Name these segments from now on. Segments that were named before are kept a while, counted from now."""
    before = load_segments(root, projection)
    manifest = {"version": projection.version, "segments": [asdict(segment) for segment in segments]}
    with replacing(manifest_path(root, projection)) as part:
        part.write_text(json.dumps(manifest), encoding="utf-8")
    for segment in before:
        path = segment_folder(root, projection) / segment.file
        if segment not in segments and path.exists():
            os.utime(path)


@contextlib.contextmanager
def _scratch(root: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database to merge in, of limited memory; what does not fit is spilled beside the segments."""
    spill = root / COMPACT_FOLDER / f".spill.{os.getpid()}{PART_SUFFIX}"
    for leftover in spill.parent.glob(f".spill.*{PART_SUFFIX}"):
        shutil.rmtree(leftover)
    try:
        with duckdb.connect(config={"memory_limit": _MEMORY, "temp_directory": str(spill)}) as con:
            con.execute("CREATE SCHEMA facts")
            yield con
    finally:
        shutil.rmtree(spill, ignore_errors=True)


@contextlib.contextmanager
def _only_one(root: Path, *, wait: bool = True) -> Iterator[None]:
    """Be the only compaction of these tables."""
    folder = root / COMPACT_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
