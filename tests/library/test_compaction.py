"""Compaction changes nothing that is asked: not after reruns, deletions or kills, and it leaves old merges alone."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from thatdam_pipelines.errors import TableError
from thatdam_pipelines.library import catalog
from thatdam_pipelines.library.compaction import compact, fresh_batches, remove_retired, to_rewrite
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.projections import COMPACT_FOLDER, Coverage, Live, Segment, load_segments, projections
from thatdam_pipelines.library.schemas import LOCATIONS, PROBES, PROXIES, SCENES, TABLES, TAGS
from thatdam_pipelines.library.table import Table
from thatdam_pipelines.samples.library_rows import made_up_batch, write_batch
from thatdam_pipelines.settings import Settings

ASKED = ("media", "locations", "probes", "streams", "proxies", "frames", "scenes", "tags", "embeddings", "failures")


@pytest.fixture
def library(settings: Settings) -> Iterator[Library]:
    with Library(settings) as library:
        yield library


def add(library: Library, *numbers: int, files: int = 2) -> None:
    for number in numbers:
        batch = f"b{number:04d}"
        write_batch(library.tables, batch, made_up_batch(batch, files, first=100 * number))


def answers(library: Library, views: tuple[str, ...] = ASKED) -> dict[str, list[tuple[object, ...]]]:
    """Every row of the views, as the catalogue published now gives them."""
    catalog.publish(library)
    return {view: sorted(catalog.run_sql(library.settings, f"FROM {view}").rows(), key=repr) for view in views}


def segments(library: Library, name: str = "media") -> list[int]:
    """Batches in each segment, oldest first."""
    projection = next(projection for projection in projections() if projection.name == name)
    return [len(segment.marks) for segment in load_segments(library.tables.root, projection)]


def test_compaction_changes_no_answer_and_leaves_the_batches_files_alone(library: Library) -> None:
    add(library, *range(6))
    stamps = {table.name: library.tables.stamps(table) for table in TABLES.values()}
    before = answers(library)
    report = compact(library, quiet_s=0)
    assert report.merged["media"] == 6 and report.damaged == [] and fresh_batches(library) == 0
    assert answers(library) == before
    assert {table.name: library.tables.stamps(table) for table in TABLES.values()} == stamps


def test_merged_rows_are_read_from_segments_and_not_from_the_batches_files(library: Library) -> None:
    add(library, 1, 2)
    before = answers(library, ("media", "scenes"))
    compact(library, quiet_s=0)
    catalog.publish(library)
    for table in TABLES.values():
        for batch in library.tables.batches(table):
            library.tables.path(table, batch).write_bytes(b"would fail if it were read")
    after = {view: sorted(catalog.run_sql(library.settings, f"FROM {view}").rows(), key=repr) for view in before}
    assert after == before


@pytest.mark.parametrize("table", [LOCATIONS, PROXIES, SCENES], ids=lambda table: table.name)
def test_a_batch_rewritten_after_the_merge_is_read_from_its_own_file(library: Library, table: Table) -> None:
    add(library, *range(4))
    compact(library, quiet_s=0)
    catalog.publish(library)
    rows = library.tables.read(table, "b0003")
    library.tables.write(table, "b0003", rows.head(1))
    merged = answers(library)
    shutil.rmtree(library.settings.tables_dir / COMPACT_FOLDER)
    assert answers(library) == merged, "the same as without any merged copy"
    assert fresh_batches(library) == 4


def test_a_rerun_a_new_batch_and_a_removed_one_are_all_right_after_the_next_merge(library: Library) -> None:
    add(library, *range(8))
    compact(library, quiet_s=0)
    library.tables.write(PROBES, "b0001", library.tables.read(PROBES, "b0001").with_columns(video_codec=pl.lit("vp9")))
    for table in TABLES.values():
        library.tables.path(table, "b0002").unlink(missing_ok=True)
    add(library, 99)
    for again in range(3):
        merged = answers(library)
        batches = {row[1] for row in merged["media"]}
        assert "b0099" in batches and "b0002" not in batches and len(batches) == 8
        assert {row[0] for row in catalog.run_sql(
            library.settings, "SELECT video_codec FROM media WHERE batch_id = 'b0001'").rows()} == {"vp9"}  # fmt: skip
        report = compact(library, quiet_s=0)
        assert ("media" in report.merged) == (again == 0), "the second time there is nothing to do"
    shutil.rmtree(library.settings.tables_dir / COMPACT_FOLDER)
    assert answers(library) == merged


def test_ten_new_batches_do_not_rewrite_what_was_merged(library: Library) -> None:
    add(library, *range(20), files=1)
    compact(library, quiet_s=0)
    (old,) = (library.settings.tables_dir / COMPACT_FOLDER / "media").glob("*.parquet")
    stamp = old.stat()
    add(library, *range(100, 110), files=1)
    report = compact(library, quiet_s=0)
    assert report.rewritten_rows == 0 and segments(library) == [20, 10]
    assert old.stat() == stamp


def test_segments_stay_few_and_a_batch_is_rewritten_seldom() -> None:
    sizes: list[int] = []
    rewritten = 0
    for number in range(1, 501):
        new = 1 + 7 * number % 20
        held = [Live(Segment("", size, dict.fromkeys(map(str, range(size)), "")), frozenset(map(str, range(size))))
                for size in sizes]  # fmt: skip
        again = to_rewrite(Coverage(held), new)
        rewritten += sum(len(live.batches) for live in again)
        sizes = [len(live.batches) for live in held if live not in again]
        sizes.append(new + sum(len(live.batches) for live in again))
        assert len(sizes) <= 13 and sizes == sorted(sizes, reverse=True)
    assert sum(sizes) > 5_000 and rewritten < 12 * sum(sizes), "about log2(batches)"


def test_a_batch_whose_stages_are_still_at_work_is_not_merged_yet(library: Library) -> None:
    add(library, 1, 2)
    long_ago = time.time() - 3600
    for table in TABLES.values():
        if (path := library.tables.path(table, "b0001")).exists():
            os.utime(path, (long_ago, long_ago))
    report = compact(library)
    assert report.merged["media"] == 1 and segments(library) == [1]
    assert len(answers(library, ("media",))["media"]) == 4


def test_a_new_version_of_a_view_or_schema_does_not_read_what_was_merged_for_the_old_one(library: Library) -> None:
    add(library, 1, 2)
    compact(library, quiet_s=0)
    before = answers(library)
    manifest = library.settings.tables_dir / COMPACT_FOLDER / "media" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": "of another time"}))
    assert segments(library) == [] and answers(library) == before
    assert compact(library, quiet_s=0).merged == {"media": 2}


def test_a_damaged_manifest_says_which_folder_to_remove(library: Library) -> None:
    add(library, 1)
    compact(library, quiet_s=0)
    (library.settings.tables_dir / COMPACT_FOLDER / "scenes" / "manifest.json").write_text("{")
    with pytest.raises(TableError, match=r"Remove the folder .*compact/scenes"):
        compact(library)


def test_a_damaged_batch_file_is_named_and_the_others_are_merged(library: Library) -> None:
    add(library, *range(4))
    path = library.tables.path(SCENES, "b0002")
    path.write_bytes(path.read_bytes()[:100])
    report = compact(library, quiet_s=0)
    assert str(path) in report.damaged
    assert segments(library, "scenes") == [3] and segments(library, "probes") == [4]


def test_old_segments_serve_queries_that_began_before_and_are_removed_later(library: Library) -> None:
    add(library, 1, 2)
    compact(library, quiet_s=0)
    catalog.publish(library)
    with catalog.open_catalog(library.settings) as reader:
        add(library, 3, 4)
        compact(library, quiet_s=0)
        catalog.publish(library)
        assert reader.execute("SELECT count(*) FROM media").fetchall() == [(4,)]
    folder = library.settings.tables_dir / COMPACT_FOLDER / "media"
    (folder / ".x.parquet.1.part").write_bytes(b"left by a killed compaction")
    files = {path.name for path in folder.glob("*.parquet")}
    assert len(files) == 2 and remove_retired(library.tables.root) == 0
    assert remove_retired(library.tables.root, older_than_s=-1) > 0
    assert len(list(folder.iterdir())) == 2, "one segment and its manifest"
    assert len(answers(library, ("media",))["media"]) == 8


def test_publishing_merges_by_itself_when_many_batches_are_loose(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "COMPACT_ABOVE", 3)
    add(library, *range(5))
    long_ago = time.time() - 3600
    for path in library.settings.tables_dir.glob("*/*.parquet"):
        os.utime(path, (long_ago, long_ago))
    report = catalog.publish(library)
    assert report.fresh_batches == 0 and segments(library) == [5]


_COMPACTER = """
import sys
from pathlib import Path
from thatdam_pipelines.library.catalog import publish
from thatdam_pipelines.library.compaction import compact
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.settings import Settings
with Library(Settings(home=Path(sys.argv[1]))) as library:
    print("ready", flush=True)
    compact(library, quiet_s=0)
    publish(library)
"""


def test_killed_at_any_point_it_loses_and_doubles_nothing(library: Library, settings: Settings) -> None:
    add(library, *range(4))
    expected = answers(library)
    for turn in range(3):
        add(library, 10 + turn)
        library.tables.write(TAGS, "b0001", library.tables.read(TAGS, "b0001").head(4 - turn % 2))
        child = subprocess.Popen(
            [sys.executable, "-c", _COMPACTER, str(settings.home)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.3 * turn)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        expected = answers(library)
        assert len(expected["media"]) == 2 * (5 + turn)
    compact(library, quiet_s=0)
    remove_retired(library.tables.root, older_than_s=-1)
    assert answers(library) == expected
    shutil.rmtree(settings.tables_dir / COMPACT_FOLDER)
    assert answers(library) == expected
    assert not list(settings.home.glob("**/*.part*"))


def test_readers_are_never_broken_while_batches_are_rewritten_and_merged(library: Library, settings: Settings) -> None:
    add(library, *range(6))
    catalog.publish(library)
    script = _COMPACTER.replace("    compact(library, quiet_s=0)\n    publish(library)\n", """
    from thatdam_pipelines.library.schemas import TAGS
    for turn in range(4):
        rows = library.tables.read(TAGS, "b0001")
        library.tables.write(TAGS, "b0001", rows.with_columns(score=rows["score"] / 2))
        compact(library, quiet_s=0)
        publish(library)
""")  # fmt: skip
    child = subprocess.Popen([sys.executable, "-c", script, str(settings.home)], stdout=subprocess.PIPE, text=True)
    asked = 0
    while child.poll() is None:
        counts = catalog.run_sql(settings, "SELECT (SELECT count(*) FROM media) m, (SELECT count(*) FROM tags) t")
        assert counts.rows() == [(12, 24)]
        asked += 1
    assert child.stdout is not None
    child.stdout.close()
    assert child.returncode == 0 and asked > 2


def test_home_folders_with_strange_names_work(tmp_path: Path) -> None:
    home = tmp_path / "it's [my] *home* é $x"
    with Library(Settings(home=home)) as library:
        add(library, 1, 2)
        before = answers(library)
        compact(library, quiet_s=0)
        assert answers(library) == before
        vectors = catalog.run_sql(library.settings, "SELECT count(*) FROM vectors WHERE batch_id = 'b0001'")
        assert vectors.item() == 2 + 6 + 4
