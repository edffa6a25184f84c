"""The catalogue: one row a content with its state, documented, only read, published whole, honest when offline."""

import re
import shutil
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from thatdam_pipelines.errors import OfflineError, QueryError
from thatdam_pipelines.library import catalog
from thatdam_pipelines.library.compaction import compact
from thatdam_pipelines.library.curation import change_of
from thatdam_pipelines.library.exports import EXPORT_FOLDER, EXPORTS
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.ledger import Content
from thatdam_pipelines.library.ledger_metadata import METADATA
from thatdam_pipelines.library.schemas import (
    EMBEDDINGS_L2,
    FAILURE_TABLES,
    LOCATIONS,
    MEDIA,
    PROBES,
    PROBES_FAILURES,
    PROXIES,
    PROXIES_FAILURES,
    RAW_MEDIA_FAILURES,
    SCENES,
    TABLES,
)
from thatdam_pipelines.library.table import Table
from thatdam_pipelines.samples.library_rows import made_up_batch, write_batch
from thatdam_pipelines.settings import Settings, project_file

QUERIES = catalog.list_queries()
VIEWS = catalog.list_views()
NOW = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
def library(settings: Settings) -> Iterator[Library]:
    with Library(settings) as library:
        yield library


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Three batches, one file of each kind of trouble, published half merged and half not."""
    settings = Settings(home=tmp_path_factory.mktemp("filled"))
    with Library(settings) as library:
        for number in range(3):
            made = made_up_batch(f"b{number}", 4, first=4 * number)
            write_batch(library.tables, f"b{number}", made)
        trouble(library)
        compact(library, quiet_s=0)
        write_batch(library.tables, "b9", made_up_batch("b9", 3, first=90))
        again = library.tables.read(LOCATIONS, "b0").head(1)
        again = again.with_columns(
            batch_id=pl.lit("b9"),
            duplicate=pl.lit(True),
            source_path=pl.lit("/backup/copy.mp4"),
            name=pl.lit("copy.mp4"),
        )
        library.tables.write(LOCATIONS, "b9", pl.concat([library.tables.read(LOCATIONS, "b9"), again]))
        curate(library)
        catalog.publish(library)
    yield settings


def curate(library: Library) -> None:
    """The files of b9 are approved picks of an album with rights that expire."""
    clips = library.tables.read(MEDIA, "b9")["media_id"].to_list()
    library.ledger.claim_contents("b9", [Content(clip, "b9", 1, None) for clip in clips])
    change = change_of(
        rating=5, pick="pick", state="approved", people=["Ada"], rights_expire=date.today(), tags=["place/Paris"],
        albums=["Best of"],
    )  # fmt: skip
    library.ledger.curation.change(clips, change, "ada")


def trouble(library: Library) -> None:
    """In b2: one file failed its probe, one its proxy, one is probed, and a sidecar came with them."""
    tables = library.tables
    media = tables.read(MEDIA, "b2")
    failed, no_proxy, probed, _ = media["media_id"]
    sidecar = media.head(1).with_columns(media_id=pl.lit("f" * 32), kind=pl.lit("sidecar"), name=pl.lit("C1.XML"))
    tables.write(MEDIA, "b2", pl.concat([media, sidecar]))

    def only(table: Table, *without: str) -> None:
        tables.write(table, "b2", tables.read(table, "b2").filter(~pl.col("media_id").is_in(list(without))))

    only(PROBES, failed)
    only(PROXIES, failed, no_proxy, probed)
    only(SCENES, failed, no_proxy, probed)
    only(EMBEDDINGS_L2, failed, no_proxy, probed)
    for table, media_id in ((PROBES_FAILURES, failed), (PROXIES_FAILURES, no_proxy)):
        row = {
            "subject": media_id,
            "batch_id": "b2",
            "media_id": media_id,
            "stage": table.owner,
            "recipe": "r",
            "path": "/in/bad.mp4",
            "reason": f"{table.owner} cannot",
            "next_step": "Look.",
            "failed_utc": NOW,
        }
        tables.write(table, "b2", table.frame([row]))  # fmt: skip


def test_media_has_one_row_a_content_with_its_state_and_why(filled: Settings) -> None:
    rows = catalog.run_sql(filled, "SELECT batch_id, status, failed_stage, failed_reason, scenes FROM media").to_dicts()
    assert len(rows) == 3 * 4 + 1 + 3
    states = {row["status"]: row for row in rows if row["batch_id"] == "b2"}
    assert set(states) == {"failed", "probed", "ready", "sidecar"}
    failed = {row["failed_stage"]: row["failed_reason"] for row in rows if row["status"] == "failed"}
    assert failed == {"probes": "probes cannot", "proxies": "proxies cannot"}
    assert states["ready"]["scenes"] == 2 and states["probed"]["scenes"] == 0


def test_a_second_place_of_a_content_is_a_location_and_not_another_media_row(filled: Settings) -> None:
    twice = catalog.run_sql(
        filled, "SELECT m.source_path, l.source_path AS place FROM media m JOIN locations l USING (media_id) "
        "WHERE media_id IN (SELECT media_id FROM locations WHERE duplicate) ORDER BY place",
    )  # fmt: skip
    assert twice["place"].to_list() == ["/backup/copy.mp4", "/cards/b0/DCIM/GX000000.MP4"]
    assert set(twice["source_path"]) == {"/cards/b0/DCIM/GX000000.MP4"}
    (wasted,) = catalog.run_sql(filled, next(query.sql for query in QUERIES if query.name == "duplicates")).to_dicts()
    assert wasted["copies"] == 2


def test_views_have_the_columns_types_and_values_of_the_tables(filled: Settings) -> None:
    with Library(filled) as library:
        for name in ("locations", "probes", "streams", "proxies", "frames", "scenes", "tags"):
            table = TABLES[name]
            written = pl.concat(library.tables.read(table, batch) for batch in library.tables.batches(table))
            read = catalog.run_sql(filled, f"FROM {name}")
            assert read.schema == table.schema
            assert read.sort(table.key).equals(written.sort(table.key))


def test_embeddings_list_every_level_and_vectors_hold_the_numbers(filled: Settings) -> None:
    levels = catalog.run_sql(
        filled, "SELECT level, count(*), min(dimensions) FROM embeddings GROUP BY level ORDER BY 1"
    )
    assert levels.rows() == [("l0", 15, 8), ("l1", 45, 8), ("l2", 24, 8)]
    lengths = catalog.run_sql(
        filled, "SELECT list_inner_product(vector, vector) AS l FROM vectors v JOIN embeddings e USING (item_id, level)"
    )
    assert lengths.height == 84 and (lengths["l"] - 1).abs().max() < 1e-5


def test_the_ledger_is_part_of_the_catalogue(library: Library) -> None:
    for table in EXPORTS:
        columns = METADATA.tables[table.name].columns
        assert [column.name for column in columns] == list(table.schema), "exports.py declares what the ledger has"
    catalog.publish(library)
    for table in EXPORTS:
        copy = pl.read_parquet(library.settings.tables_dir / EXPORT_FOLDER / f"{table.name}.parquet")
        assert copy.schema == table.schema
        assert catalog.run_sql(library.settings, f"FROM ledger.{table.name}").schema == table.schema


def test_a_batch_shows_how_long_it_took(library: Library) -> None:
    catalog.publish(library)
    (table,) = (table for table in EXPORTS if table.name == "batches")
    row = {"batch_id": "b1", "root": "/in", "mode": "copy", "state": "done", "files": 3, "bytes": 5_000_000}
    times = {"created_utc": NOW, "finished_utc": NOW + timedelta(seconds=2.5)}
    table.frame([row | times]).write_parquet(library.settings.tables_dir / EXPORT_FOLDER / "batches.parquet")
    ready = next(query.sql for query in QUERIES if query.name == "recent_batches")
    (shown,) = catalog.run_sql(library.settings, ready).to_dicts()
    assert (shown["seconds"], shown["megabytes_per_second"], shown["failed"]) == (2.5, 2.0, 0)


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_every_ready_made_query_runs_on_an_empty_library_and_on_a_filled_one(
    query: catalog.ReadyQuery, filled: Settings, library: Library
) -> None:
    catalog.publish(library)
    assert catalog.run_sql(library.settings, query.sql).height == 0
    filled_answer = catalog.run_sql(filled, query.sql)
    with_rows = {"takes", "by_reference", "without_sound", "not_safe_yet", "recent_batches", "recordings_with_gaps"}
    with_rows |= {"backup_cost", "backup_growth", "cards_not_safe", "faulty_sound", "idle", "not_as_listed"}
    with_rows |= {"most_said", "subjects"}
    with_rows.add("worst_quality")
    assert filled_answer.height or query.name in with_rows
    assert query.title.endswith(("?", ".")) and len(query.title) < 110


def test_there_are_ready_made_queries_for_what_people_ask_first() -> None:
    names = {query.name for query in QUERIES}
    assert {"hours_by_camera", "codec_census", "longest_unindexed", "duplicates", "brightest_scenes",
            "darkest_scenes", "scenes_per_minute", "hours_per_day",
            "failures_by_reason", "storage_by_album", "takes"} <= names  # fmt: skip


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_every_view_and_column_is_described_in_the_catalogue_itself(view: catalog.ViewInfo, filled: Settings) -> None:
    assert view.title and all(column["description"] for column in view.columns)
    told = catalog.run_sql(
        filled, "SELECT column_name AS name, data_type AS type, comment AS description FROM duckdb_columns() "
        "WHERE schema_name = 'main' AND table_name = ? ORDER BY column_index", [view.name],
    ).to_dicts()  # fmt: skip
    assert told == view.columns, "an empty library has the same columns and types as a filled one"
    comment = catalog.run_sql(
        filled, "SELECT comment FROM duckdb_views() WHERE schema_name = 'main' AND view_name = ?", [view.name]
    )
    assert comment.item() == view.description and view.description.startswith(view.title)


def test_no_failure_is_left_out_of_failures_and_media() -> None:
    views = {path.stem: path.read_text() for path in (project_file("sql") / "views").glob("*.sql")}
    for table in FAILURE_TABLES:
        assert f"facts.{table.name}\n" in views["failures"]
        assert table is RAW_MEDIA_FAILURES or f"facts.{table.name}\n" in views["media"].replace(" UNION", "\n")


def test_every_column_that_a_view_describes_is_one_it_has() -> None:
    for path in (project_file("sql") / "views").glob("*.sql"):
        columns = {column["name"] for view in VIEWS if view.name == path.stem for column in view.columns}
        described = re.findall(r"^-- ([a-z0-9_]+): ", path.read_text(), flags=re.MULTILINE)
        assert set(described) <= columns, path.name


def serialised_copy(settings: Settings) -> str:
    """A write as a text that DuckDB would run."""
    copy = f"WITH x AS (COPY (SELECT 1) TO '{settings.tables_dir}/out.csv') SELECT * FROM x"
    with duckdb.connect() as con:
        (tree,) = con.execute("SELECT json_serialize_sql(?)", [copy]).fetchall()[0]
    return "'" + tree.replace("'", "''") + "'"


def outside(settings: Settings) -> list[str]:
    tables = settings.tables_dir
    return [
        "CREATE TABLE x (a INT)", "CREATE TEMP TABLE x (a INT)", "INSERT INTO media VALUES (1)", "DELETE FROM media",
        "UPDATE media SET name = 'x'", "DROP VIEW media", "ALTER VIEW media RENAME TO m", "CREATE VIEW v AS SELECT 1",
        "COPY media TO '/tmp/thatdam-out.csv'", f"COPY (SELECT 1) TO '{tables}/out.csv'",
        f"EXPLAIN ANALYZE COPY (SELECT 1) TO '{tables}/out.csv'",
        f"EXPLAIN (ANALYZE) COPY (SELECT 1) TO '{tables}/out.csv'",
        f"EXPLAIN /* a */ ANALYZE COPY (SELECT 1) TO '{tables}/out.csv'",
        f"SELECT 1; COPY (SELECT 1) TO '{tables}/out.csv'", f"EXPORT DATABASE '{tables}/out.csv'",
        f"SELECT * FROM query('COPY (SELECT 1) TO ''{tables}/out.csv''')",
        f"WITH x AS (COPY (SELECT 1) TO '{tables}/out.csv') SELECT 1",
        f"PREPARE p AS COPY (SELECT 1) TO '{tables}/out.csv'",
        "ATTACH '/tmp/thatdam-other.duckdb'", "ATTACH ':memory:' AS m", "DETACH catalog", "USE memory",
        "INSTALL httpfs", "LOAD httpfs", "SET threads = 1", "SET enable_external_access = true",
        "RESET lock_configuration", "PRAGMA version", "CALL pragma_version()", "CHECKPOINT", "VACUUM",
        "BEGIN", "SET VARIABLE x = 1", "PREPARE p AS SELECT 1", "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_text('/etc/passwd')", "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_blob('/etc/pass*')", "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM sniff_csv('/etc/passwd')", "SELECT * FROM checkpoint()", "SELECT * FROM truncate_duckdb_logs()",
        f"SELECT * FROM read_text('{tables}/../library.db')", f"SELECT * FROM read_text('{tables}-old/x')",
        f"WITH x AS MATERIALIZED (COPY (SELECT 1) TO '{tables}/out.csv') SELECT * FROM x",
        f"EXPLAIN ANALYZE WITH x AS (COPY (SELECT 1) TO '{tables}/out.csv') SELECT * FROM x",
        f"SELECT * FROM query('WITH x AS (COPY (SELECT 1) TO ''{tables}/out.csv'') SELECT * FROM x')",
        f"SELECT * FROM json_execute_serialized_sql({serialised_copy(settings)})",
        f"FROM media, LATERAL (FROM json_execute_serialized_sql({serialised_copy(settings)}))",
        f"SELECT (SELECT a FROM JSON_EXECUTE_SERIALIZED_SQL({serialised_copy(settings)}) t(a))",
        "WITH x AS (INSERT INTO media VALUES (1) RETURNING *) FROM x",
        "SELECT * FROM 'https://example.com/x.parquet'", "SELECT * FROM read_parquet('s3://bucket/x.parquet')",
        "SELECT getenv('HOME')", "SELECT * FROM duckdb_secrets()", "SELECT * FROM settings", "SELECT * FROM query",
        "SELECT 1; SELECT 2", "", "   ", "-- nothing",
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(len(outside(Settings()))))
def test_nothing_but_a_question_over_the_views_is_answered(filled: Settings, number: int) -> None:
    statement = outside(filled)[number]
    before = sorted(filled.home.rglob("*"))
    with pytest.raises(QueryError):
        catalog.run_sql(filled, statement)
    assert sorted(filled.home.rglob("*")) == before
    assert not Path("/tmp/thatdam-out.csv").exists() and not Path("/tmp/thatdam-other.duckdb").exists()


@pytest.mark.parametrize(
    "question",
    ["SELECT 1", "SELECT 1;", "FROM media LIMIT 1", "WITH a AS (SELECT 1) FROM a", "VALUES (1)", "TABLE folders",
     "DESCRIBE media", "SUMMARIZE scenes", "SHOW TABLES", "EXPLAIN FROM media", "EXPLAIN ANALYZE FROM media",
     "PIVOT media ON kind IN ('video') USING count(*) GROUP BY album", "-- why\nSELECT 1 -- so"],
)  # fmt: skip
def test_every_form_of_a_question_is_answered(filled: Settings, question: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        catalog.run_sql(filled, question)


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("SELEC 1", 'syntax error at or near "SELEC"'),
        ("SELECT nme FROM media", 'Candidate bindings: "name"'),
        ("SELECT * FROM meda", 'Did you mean "media"'),
        ("DELETE FROM media", "this is DELETE, and the catalogue is only read"),
        ("SELECT * FROM read_text('/etc/passwd')", "read_text() may not be called"),
        ("SELECT * FROM 'https://example.com/x.parquet'", "outside the tables"),
    ],
)
def test_a_refusal_says_what_is_wrong_and_what_to_do(filled: Settings, question: str, told: str) -> None:
    with pytest.raises(QueryError) as refused:
        catalog.run_sql(filled, question)
    assert told in refused.value.cause and "\n" not in str(refused.value)
    assert "thatdam sql --list" in refused.value.next_step or "SELECT" in refused.value.next_step


def test_answers_have_plain_types_and_every_column_once(filled: Settings) -> None:
    answer = catalog.run_sql(
        filled,
        "SELECT sum(size_bytes) AS whole, 1.5::DECIMAL(9,2) AS part, max(created_utc) AS at, "
        "max(created_utc) - min(created_utc) AS span, 1 AS a, 2 AS a, 170141183460469231731687303715884105727 AS big "
        "FROM media WHERE batch_id = $batch", {"batch": "b0"},
    )  # fmt: skip
    assert answer.columns == ["whole", "part", "at", "span", "a", "a_1", "big"]
    row: dict[str, Any] = answer.to_dicts()[0]
    assert isinstance(row["whole"], int) and row["part"] == 1.5 and row["span"] == timedelta(minutes=30)
    assert answer.schema["at"] == pl.Datetime("us", "UTC") and row["big"] == pytest.approx(1.7e38, rel=0.01)


def test_a_library_that_published_nothing_says_so(settings: Settings) -> None:
    with pytest.raises(QueryError, match="nothing published yet"):
        catalog.run_sql(settings, "SELECT 1")


def test_a_library_with_nothing_in_it_has_every_view_empty(library: Library) -> None:
    report = catalog.publish(library)
    assert (report.batches, report.files, report.views) == (0, 0, len(VIEWS))
    for view in VIEWS:
        assert catalog.run_sql(library.settings, f"FROM {view.name}").height == 0


def test_an_unmounted_disk_is_offline_and_what_was_published_stays(library: Library) -> None:
    write_batch(library.tables, "b1", made_up_batch("b1", 2))
    catalog.publish(library)
    tables = library.settings.tables_dir
    away = tables.rename(tables.with_name("away"))
    for empty_mount_point in (False, True):
        if empty_mount_point:
            tables.mkdir()
        with pytest.raises(OfflineError, match="cannot be reached"):
            catalog.publish(library)
        with pytest.raises(OfflineError, match="Mount its disk"):
            catalog.run_sql(library.settings, "FROM media")
    shutil.rmtree(tables)
    away.rename(tables)
    assert catalog.run_sql(library.settings, "FROM media").height == 2


def test_a_file_that_vanished_from_the_tables_is_named(library: Library) -> None:
    write_batch(library.tables, "b1", made_up_batch("b1", 2))
    catalog.publish(library)
    library.tables.path(SCENES, "b1").unlink()
    with pytest.raises(QueryError, match=r"scenes/b1\.parquet.*thatdam index rebuild catalog"):
        catalog.run_sql(library.settings, "FROM scenes")
    assert catalog.run_sql(library.settings, "FROM probes").height == 2


def test_questions_of_several_threads_are_answered_at_once(filled: Settings) -> None:
    together = threading.Barrier(8)

    def ask(_number: int) -> int:
        together.wait(60)
        return sum(catalog.run_sql(filled, "FROM media").height for _ in range(5))

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1
    with pytest.raises(QueryError), catalog.open_catalog(filled) as con, catalog.open_catalog(filled):
        assert con.sql("SELECT current_setting('TimeZone')").fetchall() == [("UTC",)]
        catalog.run_sql(filled, "FROM read_text('/etc/hostname')")


def test_publishing_replaces_the_whole_while_queries_run(library: Library) -> None:
    write_batch(library.tables, "b0", made_up_batch("b0", 1))
    catalog.publish(library)
    stop = threading.Event()
    seen: list[int] = []
    errors: list[Exception] = []

    def ask() -> None:
        try:
            while not stop.is_set():
                seen.append(catalog.run_sql(library.settings, "SELECT count(*) FROM media").item())
        except Exception as error:
            errors.append(error)

    reader = threading.Thread(target=ask)
    reader.start()
    for number in range(1, 6):
        write_batch(library.tables, f"b{number}", made_up_batch(f"b{number}", 1, first=number))
        catalog.publish(library)
    stop.set()
    reader.join()
    assert not errors and seen == sorted(seen) and set(seen) <= set(range(1, 7))
    leftovers = {path.name for path in library.settings.home.glob("*catalog*")}
    assert leftovers == {"catalog.duckdb", ".catalog.duckdb.lock"}


def test_leftovers_of_a_killed_publish_are_removed(library: Library) -> None:
    catalog.publish(library)
    for name in (".catalog.duckdb.99999.part", ".catalog.duckdb.99999.part.wal"):
        (library.settings.home / name).write_bytes(b"half")
    catalog.publish(library)
    assert not list(library.settings.home.glob("*.part*")) and not list(library.settings.home.glob(".*.part*"))


def test_a_slow_ledger_is_not_copied_at_every_publish(library: Library) -> None:
    assert catalog.publish(library).exported
    seconds = library.settings.tables_dir / EXPORT_FOLDER / "seconds"
    seconds.write_text("0.01")
    assert catalog.publish(library).exported, "a quick copy is always made"
    seconds.write_text("30.0")
    assert not catalog.publish(library).exported


def test_an_open_catalogue_holds_no_lock_that_stops_publishing(library: Library) -> None:
    catalog.publish(library)
    with catalog.open_catalog(library.settings) as con:
        write_batch(library.tables, "b1", made_up_batch("b1", 2))
        catalog.publish(library)
        assert con.execute("SELECT count(*) FROM media").fetchall() == [(0,)], "it goes on with what it opened"
        with pytest.raises(duckdb.Error):
            con.execute("CREATE TABLE x (a INT)")
    assert catalog.run_sql(library.settings, "SELECT count(*) FROM media").item() == 2
