"""What `thatdam ingest` and `thatdam retry` do: batches, real runs, and what became of each file."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from thatdam_pipelines.errors import SettingsError
from thatdam_pipelines.library.files import escape_name, unescape_name
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import CARD_HASHES, FAILURE_TABLES, LOCATIONS, RAW_MEDIA_FAILURES, TAGS
from thatdam_pipelines.library.table import Table
from thatdam_pipelines.media.taking import unsettled
from thatdam_pipelines.settings import IngestMode, Settings


@dataclass(frozen=True)
class IngestResult:
    """What became of the files of some batches.

    Args:
        media: ``{"media_id", "path", "status"}`` a file; status is ``stored``, ``referenced`` or ``duplicate``, or
            ``failed`` when a later stage could not read it (its bytes are kept).
        failed: ``{"path", "reason"}`` a file that could not be read or understood, by some stage, or a given path
            with nothing that can be taken.
        not_as_listed: ``{"path", "reason"}`` a file that is not what the card's own hash list says (its bytes are kept
            as they came), that is listed and did not come, or a list that cannot be used.
        finished: False when a run itself failed; its files are safe and the batch can be run again.
    """

    batches: list[str]
    media: list[dict[str, Any]]
    failed: list[dict[str, Any]]
    not_as_listed: list[dict[str, Any]]
    finished: bool

    def as_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "finished"}


def ingest_paths(
    settings: Settings,
    paths: list[Path],
    mode: IngestMode,
    *,
    wait: bool,
    console: Console,
    album: str | None = None,
    category: str | None = None,
    again: bool = True,
) -> IngestResult:
    """Claim the files below ``paths`` and run the ingest job on them; with ``wait`` the heavy assets too.

    Only these files are told of, whatever else their batches hold. What is there already as a file of another batch is
    understood too. A batch from there that did not come to its end goes on, though its files were moved away already.

    Args:
        again: Also claim again what came with another album or category, and run batches again that came to their
            end: what they lack is made. False leaves those alone.

    Raises:
        SettingsError: A path does not exist.
    """
    from thatdam_pipelines.media.claim import claim_paths, given_path

    given = [given_path(path.absolute()) for path in paths]
    with Library(settings) as library:
        begun = {path: _unfinished(library, path, understand=wait) for path in given}
        for path, known in zip(paths, given, strict=True):
            if not path.exists() and not begun[known]:
                raise SettingsError(path, "there is no such file or folder", "Check the name.")
        claimed = claim_paths(
            library, [path.absolute() for path in paths if path.exists()], mode, album, category, again=again
        )
        batches = sorted({*claimed, *(batch_id for some in begun.values() for batch_id in some)})
        ended = set() if again else {batch for batch in batches if is_done(library, batch)}
    result = _run(settings, batches, understand=wait, retry=False, console=console, leave=ended)
    if wait and result.finished:
        with Library(settings) as library:
            first = _not_understood(library, batches)
        finished = _run(settings, first, understand=True, retry=False, console=console).finished
        with Library(settings) as library:
            result = _result(library, batches, finished)
    return _only_below(given, result)


def _unfinished(library: Library, given: Path, *, understand: bool) -> list[str]:
    """Batches with files of ``given`` whose run died or failed, or with ``understand`` was not run down to scenes."""
    ended = {batch.batch_id for batch in library.ledger.batches(limit=None, state="done")}
    if understand:
        ended &= set(library.tables.batches(TAGS))
    return [
        batch.batch_id
        for batch in library.ledger.batches(limit=None)
        if batch.batch_id not in ended
        and (given.is_relative_to(batch.root) or Path(batch.root).is_relative_to(given))
        and any(
            Path(batch.root, file.rel_path).is_relative_to(given) for file in library.ledger.batch_files(batch.batch_id)
        )
    ]


def is_done(library: Library, batch_id: str) -> bool:
    """Whether the run of a batch came to its end."""
    batch = library.ledger.batch(batch_id)
    return batch is not None and batch.state == "done"


def _not_understood(library: Library, batches: list[str]) -> list[str]:
    """Other batches that brought content of these first and were not run down to scenes."""
    found = {media_id for batch in batches for media_id in library.tables.read(LOCATIONS, batch)["media_id"]}
    owners = {content.batch_id for content in library.ledger.contents(found).values()}
    return sorted(owners - {*batches, *library.tables.batches(TAGS)})


def _only_below(given: list[Path], result: IngestResult) -> IngestResult:
    """What became of the files at or below the given paths; a path with none is told of with the reason."""
    wanted = set(given)

    def above(row: dict[str, Any]) -> set[Path]:
        path = Path(unescape_name(row["path"]))
        return wanted & {path, *path.parents}

    media, failed, unlike = (
        [row for row in rows if above(row)] for rows in (result.media, result.failed, result.not_as_listed)
    )
    if result.finished:
        told = {path for row in (*media, *failed) for path in above(row)}
        empty = [path for path in given if path not in told]
        failed += [{"path": escape_name(str(path)), "reason": _nothing_taken(path)} for path in empty]
    return IngestResult(result.batches, media, failed, unlike, result.finished)


def _nothing_taken(path: Path) -> str:
    passed_over = "hidden, partial and system files are not taken"
    return f"nothing in it can be taken: {passed_over}, nor are links" if path.is_dir() else passed_over


def retry_failed(settings: Settings, batch_id: str | None, *, console: Console) -> IngestResult:
    """Run the batches that have failed files, or the one named, with those files tried again.

    Raises:
        SettingsError: There is no such batch.
    """
    with Library(settings) as library:
        if batch_id is None:
            batches = batches_to_retry(library)
        elif library.ledger.batch(batch_id) is None:
            raise SettingsError(batch_id, "there is no such batch", "See `thatdam sql recent_batches`.")
        else:
            batches = [batch_id]
    return _run(settings, batches, understand=True, retry=True, console=console)


def batches_to_retry(library: Library) -> list[str]:
    """Batches with a file that failed and is not another batch's by now, and those whose run failed or died."""
    ended = {batch.batch_id for batch in library.ledger.batches(limit=None) if batch.state != "done"}
    failing = {
        batch_id
        for table in FAILURE_TABLES
        for batch_id in library.tables.batches(table)
        if _fails(library, table, batch_id)
    }
    return sorted(ended | failing)


def _fails(library: Library, table: Table, batch_id: str) -> bool:
    failures = library.tables.read(table, batch_id)
    batch = library.ledger.batch(batch_id) if table is RAW_MEDIA_FAILURES and failures.height else None
    return (unsettled(library, batch, failures) if batch else failures).height > 0


def run_claimed(settings: Settings, batches: list[str], *, console: Console) -> IngestResult:
    """Run the ingest job on batches that were claimed."""
    return _run(settings, batches, understand=False, retry=False, console=console)


def run_every_batch(settings: Settings, *, console: Console) -> IngestResult:
    """Run the whole chain on every batch: what is done is found done, and what the settings' embedder lacks is made."""
    with Library(settings) as library:
        batches = sorted(batch.batch_id for batch in library.ledger.batches(limit=None))
    return _run(settings, batches, understand=True, retry=False, console=console)


def _run(
    settings: Settings,
    batches: list[str],
    *,
    understand: bool,
    retry: bool,
    console: Console,
    leave: Collection[str] = (),
) -> IngestResult:
    """Run batches, but for those to ``leave``; what became of the files of all of them."""
    from thatdam_pipelines.runs import run_batches

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    finished = True
    if todo := [batch for batch in batches if batch not in leave]:
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("starting", total=None)

            def show(description: str, done: int, total: int) -> None:
                progress.update(task, description=description, completed=done, total=total)

            report = run_batches(settings, todo, understand=understand, retry=retry, on_progress=show)
        finished = report.success
        for failure in report.failed:
            console.print(f"run failed: {failure}", style="red", markup=False, highlight=False)
    with Library(settings) as library:
        return _result(library, batches, finished)


def _result(library: Library, batches: list[str], finished: bool) -> IngestResult:
    places = pl.concat([LOCATIONS.frame([]), *(library.tables.read(LOCATIONS, batch) for batch in batches)])
    # What could not be understood of a duplicate is written where its content first came.
    owners = {content.batch_id for content in library.ledger.contents(places["media_id"].unique()).values()}
    tables = [library.tables.read(table, batch) for batch in sorted({*batches, *owners}) for table in FAILURE_TABLES]
    failures = pl.concat([FAILURE_TABLES[0].frame([]), *tables]).select("batch_id", "media_id", "path", "reason")
    unread = failures.filter(pl.col("media_id").is_null() & pl.col("batch_id").is_in(batches))
    not_understood = failures.drop("path").join(
        places.select("media_id", path="source_path"), on="media_id", maintain_order="left_right"
    )
    status = (
        pl.when(pl.col("media_id").is_in(not_understood["media_id"].to_list()))
        .then(pl.lit("failed"))
        .when("duplicate")
        .then(pl.lit("duplicate"))
        .when("in_store")
        .then(pl.lit("stored"))
        .otherwise(pl.lit("referenced"))
    )
    return IngestResult(
        batches,
        places.select("media_id", path="source_path", status=status).to_dicts(),
        [row for rows in (unread, not_understood) for row in rows.select("path", "reason").to_dicts()],
        _not_as_listed(library, batches),
        finished,
    )


def _not_as_listed(library: Library, batches: list[str]) -> list[dict[str, Any]]:
    rows = pl.concat([CARD_HASHES.frame([]), *(library.tables.read(CARD_HASHES, batch) for batch in batches)])
    unlike = rows.filter(pl.col("verdict") != "verified").sort("source_path")
    return unlike.select("reason", path="source_path").select("path", "reason").to_dicts()
