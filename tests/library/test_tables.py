"""Facts in Parquet: what is written is whole, of one batch and of the declared schema."""

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from thatdam_pipelines.errors import TableError
from thatdam_pipelines.library.schemas import MEDIA, TABLES, TAGS
from thatdam_pipelines.library.table import Column, Table
from thatdam_pipelines.library.tables import Tables


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Tables(tmp_path / "it's [a] home?*" / "tables")


def media(count: int = 2, batch_id: str = "b1") -> pl.DataFrame:
    return MEDIA.frame(
        [
            {"media_id": f"{number:032x}", "batch_id": batch_id, "name": f"{number}.mp4", "kind": "video",
             "size_bytes": number, "blake3": "0" * 64, "xxh128": "0" * 32, "first_seen_utc": datetime.now(UTC)}
            for number in range(count)
        ]
    )  # fmt: skip


def test_rows_are_read_as_written_sorted_by_the_key(tables: Tables) -> None:
    rows = media(5)
    assert tables.write(MEDIA, "b1", rows.reverse())
    assert tables.read(MEDIA, "b1").equals(rows)


def test_the_same_rows_again_leave_the_file_alone(tables: Tables) -> None:
    rows = media()
    tables.write(MEDIA, "b1", rows)
    before = tables.stamps(MEDIA)
    assert not tables.write(MEDIA, "b1", rows.reverse())
    assert tables.stamps(MEDIA) == before


def test_other_rows_give_the_file_another_stamp_even_with_the_same_size_and_time(tables: Tables) -> None:
    tables.write(MEDIA, "b1", media())
    before = tables.stamps(MEDIA)["b1"]
    path = tables.path(MEDIA, "b1")
    same_bytes = path.read_bytes()
    tables.write(MEDIA, "b1", media(3))
    path.write_bytes(same_bytes)
    os.utime(path, ns=(before[1], before[1]))
    after = tables.stamps(MEDIA)["b1"]
    assert before[:2] == after[:2] and before != after


def test_a_batch_that_wrote_nothing_has_no_rows_but_the_schema(tables: Tables) -> None:
    assert tables.read(MEDIA, "b1").schema == MEDIA.schema
    assert tables.batches(MEDIA) == [] and tables.stamps(MEDIA) == {}


def test_some_columns_of_many_batches_are_what_each_batch_says_also_where_one_is_of_an_older_thatdam(
    tables: Tables,
) -> None:
    columns = ("media_id", "name", "blake3")
    tables.write(MEDIA, "b1", media())
    tables.write(MEDIA, "b2", media(3, "b2"))
    both = pl.concat([tables.read(MEDIA, "b1"), tables.read(MEDIA, "b2")]).select(columns)
    assert tables.read_some(MEDIA, ["b1", "b2"], columns).equals(both)
    old = tables.read(MEDIA, "b2").with_columns(pl.col("name").cast(pl.Categorical))
    old.write_parquet(tables.path(MEDIA, "b2"))
    assert tables.read_some(MEDIA, ["b1", "b2", "none"], columns).equals(both)
    tables.path(MEDIA, "b2").write_bytes(b"PAR1")
    with pytest.raises(TableError, match=r"b2\.parquet: the file is damaged"):
        tables.read_some(MEDIA, ["b1", "b2"], columns)


def test_half_written_and_hidden_files_are_not_batches(tables: Tables) -> None:
    tables.write(MEDIA, "b2", media(batch_id="b2"))
    tables.write(MEDIA, "b1", media())
    for name in (".b3.parquet.77.part", ".b4.parquet", "note.txt"):
        (tables.root / "media" / name).write_bytes(b"half")
    assert tables.batches(MEDIA) == ["b1", "b2"]
    assert sorted(tables.stamps(MEDIA)) == ["b1", "b2"]


def test_rows_of_another_batch_are_refused(tables: Tables) -> None:
    with pytest.raises(TableError, match="not of batch b2"):
        tables.write(MEDIA, "b2", media())
    assert tables.batches(MEDIA) == []


def test_a_failed_write_leaves_the_rows_of_before(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    tables.write(MEDIA, "b1", media())

    def full_disk(self: pl.DataFrame, file: Path, **options: object) -> None:
        file.write_bytes(b"PAR1 half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full_disk)
    with pytest.raises(OSError, match="No space"):
        tables.write(MEDIA, "b1", media(9))
    assert tables.read(MEDIA, "b1").height == 2
    assert [path.name for path in (tables.root / "media").iterdir()] == ["b1.parquet"]


def test_a_damaged_file_is_named_and_can_be_written_over(tables: Tables) -> None:
    tables.write(MEDIA, "b1", media())
    path = tables.path(MEDIA, "b1")
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(TableError, match=r"b1\.parquet: the file is damaged"):
        tables.read(MEDIA, "b1")
    assert tables.write(MEDIA, "b1", media())
    assert tables.read(MEDIA, "b1").height == 2


def test_a_file_written_before_a_column_was_declared_is_read_with_nulls(tables: Tables) -> None:
    tables.write(MEDIA, "b1", media())
    grown = replace(MEDIA, columns=(*MEDIA.columns, Column("colour", pl.String, "Colour.")))
    read = tables.read(grown, "b1")
    assert read.schema == grown.schema and read["colour"].null_count() == 2
    assert tables.read(replace(MEDIA, columns=MEDIA.columns[:3]), "b1").columns == ["media_id", "batch_id", "name"]
    assert tables.write(grown, "b1", read), "the file is brought up to date by the next write"


def test_a_file_that_lacks_a_required_column_says_what_to_do(tables: Tables) -> None:
    tables.write(MEDIA, "b1", media())
    grown = replace(MEDIA, columns=(*MEDIA.columns, Column("colour", pl.String, "Colour.", required=True)))
    with pytest.raises(TableError, match="Remove the file and run the batch again"):
        tables.read(grown, "b1")


@pytest.mark.parametrize(
    ("rows", "cause"),
    [
        ([{"media_id": "m", "colour": "red"}], "unknown columns"),
        ([{"media_id": "m", "batch_id": "b1", "recipe": "r", "item_id": "i", "tag": "t", "score": "high"}], "not fit"),
        ([{"media_id": "m", "batch_id": "b1", "recipe": "r", "item_id": "i", "tag": "t", "method": "m"}], "has nulls"),
        ([{"media_id": "m", "batch_id": "b1", "recipe": "r", "item_id": "i", "tag": "t", "score": 1.0, "method": "m"}]
         * 2, "share the key"),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit_are_refused(rows: list[dict[str, object]], cause: str) -> None:
    with pytest.raises(TableError, match=cause):
        TAGS.frame(rows)


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_every_table_says_what_every_column_is(table: Table) -> None:
    names = [column.name for column in table.columns]
    assert len(set(names)) == len(names) and set(table.key) <= set(names)
    assert table.description.endswith(".") and all(column.description for column in table.columns)
    assert "batch_id" in names, "a merged copy tells batches apart by it"
