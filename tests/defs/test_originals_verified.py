"""The check of originals fails on every way in which one is not proven to be what it was, without reading it again."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from thatdam_pipelines.defs.checks import originals_verified
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import LOCATIONS, MEDIA
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.settings import IngestMode, Settings


@pytest.fixture
def library(settings: Settings) -> Iterator[Library]:
    with Library(settings) as opened:
        yield opened


def ingested(library: Library, tmp_path: Path, mode: IngestMode = "copy") -> tuple[str, Path]:
    """A batch of a clip and a copy of it, and where the clip's bytes are kept."""
    drop = tmp_path / "drop"
    drop.mkdir()
    (drop / "a.mov").write_bytes(b"content")
    (drop / "b.mov").write_bytes(b"content")
    os.utime(drop / "b.mov", (1, 1))
    (batch,) = claim_paths(library, [drop], mode)
    ingest_batch(library, batch)
    return batch, drop / "a.mov" if mode == "reference" else Path(library.store.url(f"{raw(batch)}/a.mov"))


def raw(batch: str) -> str:
    return f"raw/{batch[:4]}/{batch[4:6]}/{batch[6:8]}/{batch}"


def said(library: Library, batch: str) -> str:
    result = originals_verified(library, batch)
    return "" if result.passed else str(result.metadata["what is wrong"].value)


def change(library: Library, batch: str, column: str, value: Any) -> None:
    rows = library.tables.read(LOCATIONS, batch)
    first = pl.col("name") == "a.mov"
    changed = pl.when(first).then(pl.lit(value, dtype=rows.schema[column])).otherwise(pl.col(column)).alias(column)
    library.tables.write(LOCATIONS, batch, rows.with_columns(changed))


@pytest.mark.parametrize("mode", ["copy", "move", "reference"])
def test_what_was_just_ingested_is_proven(library: Library, tmp_path: Path, mode: IngestMode) -> None:
    batch, _ = ingested(library, tmp_path, mode)
    assert said(library, batch) == ""
    places, media = library.tables.read(LOCATIONS, batch), library.tables.read(MEDIA, batch)
    assert places["verified_blake3"].to_list() == media["blake3"].to_list() * 2


def test_a_bucket_is_looked_at_too(s3_settings: Settings, tmp_path: Path) -> None:
    with Library(s3_settings) as library:
        batch, _ = ingested(library, tmp_path)
        assert said(library, batch) == ""


@pytest.mark.parametrize("mode", ["copy", "reference"])
def test_an_original_of_the_same_size_that_was_written_to_is_named(
    library: Library, tmp_path: Path, mode: IngestMode
) -> None:
    batch, kept = ingested(library, tmp_path, mode)
    kept.chmod(0o644)
    kept.write_bytes(b"CONTENT")
    os.utime(kept, (10**9, 10**9))
    assert "a.mov: written to since" in said(library, batch) and "b.mov" not in said(library, batch)


def test_an_original_of_another_size_or_gone_is_named(library: Library, tmp_path: Path) -> None:
    batch, kept = ingested(library, tmp_path, "reference")
    kept.write_bytes(b"con")
    assert "a.mov: 3 bytes instead of 7" in said(library, batch)
    kept.unlink()
    assert "a.mov: not found" in said(library, batch)


@pytest.mark.parametrize("mode", ["copy", "reference"])
def test_an_original_that_was_never_read_back_or_as_something_else_is_named(
    library: Library, tmp_path: Path, mode: IngestMode
) -> None:
    batch, _ = ingested(library, tmp_path, mode)
    change(library, batch, "verified_blake3", "0" * 64)
    assert "a.mov: what was read back is 0000" in said(library, batch) and "b.mov" not in said(library, batch)
    change(library, batch, "verified_blake3", None)
    assert "a.mov: no record of its being read back" in said(library, batch)


def test_a_duplicate_of_what_an_earlier_batch_brought_is_held_to_its_content(library: Library, tmp_path: Path) -> None:
    ingested(library, tmp_path)
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "a.mov").write_bytes(b"content")
    (again,) = claim_paths(library, [tmp_path / "again"], "copy")
    ingest_batch(library, again)
    assert library.tables.read(MEDIA, again).is_empty() and said(library, again) == ""
    change(library, again, "verified_blake3", "0" * 64)
    assert "a.mov: what was read back" in said(library, again)
