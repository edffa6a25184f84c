"""What `thatdam ingest` and `thatdam retry` do: batches, real runs, and what became of each file."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from thatdam_pipelines.errors import SettingsError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import FAILURE_TABLES, LOCATIONS
from thatdam_pipelines.settings import IngestMode, Settings


@dataclass(frozen=True)
class IngestResult:
    """What became of the files of some batches.

    Args:
        media: ``{"media_id", "path", "status"}`` a file; status is ``stored``, ``referenced`` or ``duplicate``, or
            ``failed`` when a later stage could not read it (its bytes are kept).
        failed: ``{"path", "reason"}`` a file that could not be read or understood, by some stage.
        finished: False when a run itself failed; its files are safe and the batch can be run again.
    """

    batches: list[str]
    media: list[dict[str, Any]]
    failed: list[dict[str, Any]]
    finished: bool

    def as_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "finished"}


def ingest_paths(
    settings: Settings, paths: list[Path], mode: IngestMode, *, wait: bool, console: Console
) -> IngestResult:
    """Claim the files below ``paths`` and run the ingest job on them; with ``wait`` the heavy assets too.

    Raises:
        SettingsError: A path does not exist.
    """
    from thatdam_pipelines.media.ingest import claim_paths

    for path in paths:
        if not path.exists():
            raise SettingsError(path, "there is no such file or folder", "Check the name.")
    with Library(settings) as library:
        batches = claim_paths(library, [path.absolute() for path in paths], mode)
    return _run(settings, batches, understand=wait, retry=False, console=console)


def retry_failed(settings: Settings, batch_id: str | None, *, console: Console) -> IngestResult:
    """Run the batches that have failed files, or the one named, with those files tried again.

    Raises:
        SettingsError: There is no such batch.
    """
    with Library(settings) as library:
        if batch_id is None:
            batches = sorted(
                {
                    batch
                    for table in FAILURE_TABLES
                    for batch in library.tables.batches(table)
                    if library.tables.read(table, batch).height
                }
                | {batch.batch_id for batch in library.ledger.batches(state="failed")}
            )
        elif library.ledger.batch(batch_id) is None:
            raise SettingsError(batch_id, "there is no such batch", "See `thatdam sql recent_batches`.")
        else:
            batches = [batch_id]
    return _run(settings, batches, understand=True, retry=True, console=console)


def run_every_batch(settings: Settings, *, console: Console) -> IngestResult:
    """Run the whole chain on every batch: what is done is found done, and what the settings' embedder lacks is made."""
    with Library(settings) as library:
        batches = sorted(batch.batch_id for batch in library.ledger.batches(limit=None))
    return _run(settings, batches, understand=True, retry=False, console=console)


def _run(settings: Settings, batches: list[str], *, understand: bool, retry: bool, console: Console) -> IngestResult:
    from thatdam_pipelines.runs import run_batches

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    finished = True
    if batches:
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("starting", total=None)

            def show(description: str, done: int, total: int) -> None:
                progress.update(task, description=description, completed=done, total=total)

            report = run_batches(settings, batches, understand=understand, retry=retry, on_progress=show)
        finished = report.success
        for failure in report.failed:
            console.print(f"run failed: {failure}", style="red", markup=False, highlight=False)
    with Library(settings) as library:
        failed = _failed_rows(library, batches)
        media = _media_rows(library, batches, {row["path"] for row in failed})
        return IngestResult(batches, media, failed, finished)


def _media_rows(library: Library, batches: list[str], failed: set[str]) -> list[dict[str, Any]]:
    status = (
        pl.when(pl.col("source_path").is_in(sorted(failed)))
        .then(pl.lit("failed"))
        .when("duplicate")
        .then(pl.lit("duplicate"))
        .when("in_store")
        .then(pl.lit("stored"))
        .otherwise(pl.lit("referenced"))
    )
    return [
        row
        for batch in batches
        for row in library.tables.read(LOCATIONS, batch)
        .select("media_id", pl.col("source_path").alias("path"), status.alias("status"))
        .to_dicts()
    ]


def _failed_rows(library: Library, batches: list[str]) -> list[dict[str, Any]]:
    return [
        row
        for batch in batches
        for table in FAILURE_TABLES
        for row in library.tables.read(table, batch).select("path", "reason").to_dicts()
    ]
