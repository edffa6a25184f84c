"""SQL over a million media in 5,000 batches: the merged catalogue against one native DuckDB table of the same rows.

    python benchmarks/catalog.py [--media 1000000] [--batches 5000] [--home FOLDER]

Target: each of five usual queries at most 2 times the native table's time, CPU and wall: on a busy machine wall time
alone says little. Prints as well what compaction and publishing take with that many batches.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
from _measure import compare, machine

from thatdam_pipelines.library.catalog import open_catalog, publish
from thatdam_pipelines.library.compaction import compact
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import FAILURE_TABLES, MEDIA
from thatdam_pipelines.samples.library_rows import made_up_batch
from thatdam_pipelines.settings import Settings

TARGET = 2.0
IN_A_ROW = 10
"""Runs of a query that are measured as one: a query takes a few milliseconds."""

QUERIES = {
    "hours by camera": "SELECT camera_make, camera_model, count(*), sum(duration_s) / 3600 AS hours FROM media "
    "GROUP BY ALL ORDER BY hours DESC",
    "codec census": "SELECT kind, container, video_codec, count(*) AS files, sum(size_bytes) FROM media "
    "GROUP BY ALL ORDER BY files DESC",
    "hours per day": "SELECT date_trunc('day', created_utc) AS day, sum(duration_s) FROM media "
    "GROUP BY day ORDER BY day",
    "longest HDR clips": "SELECT media_id, name, path, duration_s FROM media WHERE hdr <> 'sdr' "
    "ORDER BY duration_s DESC, media_id LIMIT 20",
    "one clip": "SELECT * FROM media WHERE media_id = '{media_id}'",
}
ALSO = {
    "newest 50": "SELECT media_id, name, poster_path FROM media ORDER BY created_utc DESC, media_id LIMIT 50",
    "part of a name": "SELECT media_id, name FROM media WHERE name LIKE '%99421%'",
    "clips of an album": "SELECT count(*), sum(duration_s) FROM media WHERE album = 'album 7' AND status = 'ready'",
}
"""Asked as well, outside the target."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=int, default=1_000_000)
    parser.add_argument("--batches", type=int, default=5_000)
    parser.add_argument(
        "--home", type=Path, help="Keep the library here, and measure the one that is there. Default: throwaway."
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=options.home or Path(folder) / "home")
        with Library(settings) as library:
            if not library.tables.batches(MEDIA):
                build(library, options.media // options.batches, options.batches)
            measure(library)


def build(library: Library, files: int, batches: int) -> None:
    """Write, merge and publish; prints what publishing takes when 10, 1,000 and all batches are merged."""
    print(machine())
    for number in range(batches):
        write(library, number, files)
        if number + 1 in (10, 1_000, batches):
            print(timed(f"compact up to batch {number + 1}", lambda: compact(library, quiet_s=0)))
            print(timed(f"publish {number + 1} batches", lambda: publish(library)))
    for number in range(batches, batches + 10):
        write(library, number, files)
    print(timed("compact 10 new batches", lambda: compact(library, quiet_s=0)))
    print(timed("publish them", lambda: publish(library)))


def write(library: Library, number: int, files: int) -> None:
    """One batch as its stages leave it, without the fsync of each file."""
    batch_id = f"b{number:06d}"
    made = made_up_batch(batch_id, files, scenes=2, frames=0, dimensions=1, first=number * files)
    made |= {table: table.frame([]) for table in FAILURE_TABLES}
    for table, frame in made.items():
        path = library.tables.path(table, batch_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.sort(table.key).write_parquet(path, compression="zstd")


def timed(what: str, run: Callable[[], object]) -> str:
    started = time.perf_counter()
    done = run()
    return f"{what}: {time.perf_counter() - started:.2f} s  {done}"


def measure(library: Library) -> None:
    native_path = library.settings.home / "native.duckdb"
    native_path.unlink(missing_ok=True)
    with open_catalog(library.settings) as con:
        rows = con.sql("SELECT * FROM media ORDER BY batch_id, media_id").to_arrow_table()
        media_id = con.execute("SELECT media_id FROM media LIMIT 1 OFFSET 4321").fetchall()[0][0]
    with duckdb.connect(str(native_path)) as con:
        con.register("rows", rows)
        con.execute("CREATE TABLE media AS SELECT * FROM rows")
    del rows
    ratios = {}
    with duckdb.connect(str(native_path), read_only=True) as native, open_catalog(library.settings) as catalogue:
        native.execute("SET TimeZone = 'UTC'")
        for name, query in {**QUERIES, **ALSO}.items():
            sql = query.format(media_id=media_id)
            if rounded(native.execute(sql).fetchall()) != rounded(catalogue.execute(sql).fetchall()):
                raise SystemExit(f"{name}: the answers differ")
            medians = compare(name, {"native table": asked(native, sql), "catalogue": asked(catalogue, sql)}, repeats=9)
            one, two = medians["native table"], medians["catalogue"]
            ratios[name] = two.cpu_s / one.cpu_s, two.wall_s / one.wall_s
    print("ratios            CPU   wall")
    for name, (cpu, wall) in ratios.items():
        verdict = "" if name in ALSO else "  ok" if max(cpu, wall) <= TARGET else "  OVER THE TARGET"
        print(f"{name:<18}{cpu:5.2f}  {wall:5.2f}{verdict}")


def rounded(rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Rows in any order, sums in whatever order they were added."""
    return sorted((tuple(round(v, 3) if isinstance(v, float) else v for v in row) for row in rows), key=repr)


def asked(con: duckdb.DuckDBPyConnection, sql: str) -> Callable[[], object]:
    return lambda: [con.execute(sql).fetchall() for _ in range(IN_A_ROW)]


if __name__ == "__main__":
    main()
