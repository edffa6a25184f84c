"""What `thatdam offload` does: the offload under a progress bar, the verdict in words, the ingest that may follow."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bar
from sqlalchemy.exc import SQLAlchemyError

from thatdam_pipelines.backup.offload import OffloadResult, Progress, offload
from thatdam_pipelines.backup.offload_account import record_offload
from thatdam_pipelines.backup.report import write_reports
from thatdam_pipelines.errors import ThatdamError
from thatdam_pipelines.ingest_command import IngestResult, ingest_paths
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.settings import IngestMode, Settings


@dataclass(frozen=True)
class OffloadOutcome:
    """An offload and what followed.

    Args:
        ingested: None when it was not asked for, or the first destination has no whole copy.
        offload_id: Of its rows in the ledger; None without a home, and where it could not be written down.
        report_problems: Reports that could not be written, and why the ledger could not.
        ingest_problem: Why the ingest that was asked for could not be begun.
    """

    offload: OffloadResult
    offload_id: str | None
    ingested: IngestResult | None
    report_problems: list[str]
    ingest_problem: str | None = None

    @property
    def is_done(self) -> bool:
        """Whether the card is safe to format and the ingest, if any was asked for, is done."""
        ingested = self.ingested is None or self.ingested.finished
        return self.offload.is_safe and ingested and self.ingest_problem is None

    def as_dict(self) -> dict[str, Any]:
        ingest = self.ingested.as_dict() if self.ingested else None
        told = {"offload_id": self.offload_id, "report_problems": self.report_problems, "ingest": ingest}
        return {**self.offload.as_dict(), **told, "ingest_problem": self.ingest_problem}

    def lines(self) -> Iterator[str]:
        """The verdict, why, and where everything is; paths as they are."""
        result = self.offload
        size = f"{len(result.card.files)} files, {result.card.size_bytes / 1e9:.2f} GB"
        yield f"{result.verdict}: {result.card.root} ({size}) in {result.seconds:.1f} s"
        for reason in result.reasons:
            yield f"  {reason}"
        for warning in result.warnings:
            yield f"  {warning}"
        for copy in result.copies:
            if copy.failure is None:
                earlier = f", {len(copy.earlier)} of them by an earlier run" if copy.earlier else ""
                yield f"  {copy.folder}: {len(copy.records)} files verified{earlier}"
        for path in result.card.left:
            yield f"  left, made by the operating system: {path}"
        for path in sorted({path for copy in result.copies for path in copy.unsayable}):
            yield f"  verified, but no ASC MHL can name it: {path}"
        for problem in self.report_problems:
            yield f"  {problem}"
        if self.ingest_problem is not None:
            yield f"  not ingested: {self.ingest_problem}"
        if self.ingested is not None:
            yield f"  ingested: {len(self.ingested.media)} files, {len(self.ingested.failed)} failed"


def run_offload(
    settings: Settings,
    card: Path,
    destinations: list[Path],
    console: Console,
    *,
    reverify: bool = False,
    ingest: bool = False,
    mode: IngestMode = "copy",
) -> OffloadOutcome:
    """Offload a card; with ``ingest`` then ingest what is at the first destination, if that has a whole copy.

    Raises:
        SettingsError: See ``offload``.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("offload", total=None)

        def show(progress: Progress) -> None:
            bar.update(task, completed=progress.done_bytes, total=progress.total_bytes)

        result = offload(card, destinations, reverify=reverify, on_progress=show)
    with console.status("Writing the report ..."):
        problems = write_reports(result, settings)
    offload_id = _written_down(settings, result, problems, begin=ingest)
    first = result.copies[0]
    ingested = problem = None
    if ingest and first.is_whole and first.folder is not None:
        try:
            ingested = ingest_paths(settings, [first.folder], mode, wait=False, console=console)
        except (ThatdamError, SQLAlchemyError, OSError) as error:
            problem = str(error)
    return OffloadOutcome(result, offload_id, ingested, problems, problem)


def _written_down(settings: Settings, result: OffloadResult, problems: list[str], *, begin: bool) -> str | None:
    """Record the offload in the ledger where there is a home, or with ``begin`` will be one. No verdict hangs on it."""
    with Library(settings) as library:
        if not (begin or library.has_begun):
            return None
        try:
            return record_offload(library, result)
        except (ThatdamError, SQLAlchemyError, OSError) as error:
            problems.append(f"the library's ledger cannot be written: {error}")
            return None
