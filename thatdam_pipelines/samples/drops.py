"""Drops of small files that are no media, and what ingest leaves of them, for tests of ingest."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import LOCATIONS, MEDIA, RAW_MEDIA_FAILURES
from thatdam_pipelines.library.table import Table
from thatdam_pipelines.library.watch import scan_folder
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.settings import IngestMode, Settings, WatchedFolder

MODES: tuple[IngestMode, ...] = ("copy", "move", "reference")
MODIFIED_NS = 1_700_000_000_123_456_789
"""Modification time of every file that is written here, in ns since 1970."""


def write(path: Path, content: bytes) -> Path:
    """A file, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, ns=(1_700_000_000_000_000_000, MODIFIED_NS))
    return path


def write_card(card: Path) -> Path:
    """Six files in the folders of two cameras."""
    for number, name in enumerate(
        (
            "DCIM/100GOPRO/GX010042.MP4",
            "DCIM/100GOPRO/GX020042.MP4",
            "DCIM/100GOPRO/GX010042.THM",
            "PRIVATE/M4ROOT/CLIP/C0001.MP4",
            "PRIVATE/M4ROOT/CLIP/C0001M01.XML",
            "notes.txt",
        )
    ):
        write(card / name, f"content {number}".encode() * 1000)
    return card


def ingest(library: Library, *paths: Path, mode: IngestMode = "copy") -> str:
    """Claim the paths as one batch and ingest it; gives its id."""
    (batch,) = claim_paths(library, list(paths), mode)
    ingest_batch(library, batch)
    return batch


def watching(settings: Settings, folder: Path, settle_seconds: float) -> Settings:
    """The settings with one watched folder more."""
    watched = WatchedFolder(path=folder, mode="copy", settle_seconds=settle_seconds)
    return settings.model_copy(update={"watched": [watched]})


def claim_by_watching(library: Library) -> str:
    """Look at the folder of ``watching`` until all in it is claimed for one batch; gives its id."""
    (folder,) = library.settings.watched
    now = datetime.now(UTC)
    for seconds in (0, 3600):
        report = scan_folder(library.ledger, library.settings, folder, now + timedelta(seconds=seconds))
    (batch,) = report.batches
    return batch


def rows(library: Library, table: Table, batch: str) -> list[dict[str, Any]]:
    """The rows of a batch."""
    return library.tables.read(table, batch).to_dicts()


def names_in(folder: Path) -> list[str]:
    """Everything below a folder, by its path from there."""
    return sorted(os.fsencode(path.relative_to(folder)).decode(errors="replace") for path in folder.rglob("*"))


def stored_files(library: Library) -> dict[str, bytes]:
    """The content of every file of a store on disk, by its key."""
    top = Path(library.store.url(""))
    files = (path for path in top.rglob("*") if path.is_file() and path.name != ".thatdam-store")
    return {str(path.relative_to(top)): path.read_bytes() for path in files}


def outcome(library: Library, batch: str, drop: Path) -> dict[str, Any]:
    """All that ingest leaves, without the batch's id and the times at which it was done."""
    found: dict[str, Any] = {}
    for table in (MEDIA, LOCATIONS, RAW_MEDIA_FAILURES):
        frame = library.tables.read(table, batch).drop(
            "batch_id", "verified_utc", "first_seen_utc", "failed_utc", strict=False
        )
        text = [column for column, dtype in frame.schema.items() if dtype == pl.String]
        for literal, instead in ((batch, "<batch>"), (str(drop), "<drop>")):
            frame = frame.with_columns(pl.col(text).str.replace_all(literal, instead, literal=True))
        for shared in {"card_id", "take_id"} & set(text):
            # Ids hang on the folder; who shares one does not.
            together = pl.col("name").sort().str.join("/").over(shared)
            frame = frame.with_columns(pl.when(pl.col(shared).is_not_null()).then(together).alias(shared))
        found[table.name] = frame.to_dicts()
    found["store"] = {path.replace(batch, "<batch>"): data for path, data in stored_files(library).items()}
    found["drop"] = names_in(drop)
    found["files"] = {file.rel_path: (file.state, file.reason) for file in library.ledger.batch_files(batch)}
    contents = library.ledger.contents([row["media_id"] for row in rows(library, MEDIA, batch)])
    found["contents"] = {media_id: content.batch_id == batch for media_id, content in contents.items()}
    return found
