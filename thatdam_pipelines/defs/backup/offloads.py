"""Offloading a card from the Dagster UI: which card and where to is typed into the launchpad."""

import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from thatdam_pipelines.backup.offload import OffloadResult, Progress, offload
from thatdam_pipelines.backup.offload_account import reasons_of, record_offload
from thatdam_pipelines.backup.report import preview, write_reports
from thatdam_pipelines.defs.backup.checks import OF_OFFLOADS, specs, told
from thatdam_pipelines.defs.report import markdown_table
from thatdam_pipelines.defs.stages import LOG_EVERY_S, RUN_PROBLEMS, told_plainly
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.offloads import OffloadRow
from thatdam_pipelines.media.claim import claim_paths


class OffloadConfig(dg.Config):
    """What the launchpad asks for."""

    card: str = Field(description="Folder where the card is mounted, on the machine that runs this.")
    to: list[str] = Field(description="Folders on disks that are there; below each comes one for this card.")
    ingest: bool = Field(False, description="Then ingest from the first destination, if its copy is whole.")
    reverify: bool = Field(False, description="Read again at both ends what an earlier run verified.")


@dg.asset(
    group_name="backup",
    owners=["team:backup"],
    code_version="1",
    kinds={"file"},
    retry_policy=RUN_PROBLEMS,
    check_specs=specs("offloads", OF_OFFLOADS),
)
def offloads(
    context: dg.AssetExecutionContext, config: OffloadConfig, library: dg.ResourceParam[Library]
) -> dg.MaterializeResult:
    """A camera card copied to several disks at once, every copy proven by reading it back; and its verdict.

    Run again after an interruption, it goes on where it stopped. Nothing is ever removed from the card.
    """
    to = [Path(path) for path in config.to]
    with told_plainly():
        result = offload(Path(config.card), to, reverify=config.reverify, on_progress=_logged(context))
        problems = write_reports(result, library.settings)
        record_offload(library, result)
        batches = _claimed(library, result) if config.ingest else []
    say = context.log.info if result.is_safe else context.log.error
    say("\n".join([f"{result.verdict}: {result.card.root}", *reasons_of(result), *result.warnings, *problems]))
    unsafe = [_why(row) for row in library.ledger.offloads.unsafe()]
    return dg.MaterializeResult(
        metadata=_metadata(context, result, problems, batches), check_results=[told("safe_to_format", unsafe)]
    )


def _logged(context: dg.AssetExecutionContext) -> Callable[[Progress], None]:
    last = time.monotonic()

    def progress(now: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= LOG_EVERY_S:
            last = time.monotonic()
            context.log.info(f"{now.done_bytes / 1e9:.2f} of {now.total_bytes / 1e9:.2f} GB, at {now.file!r}")

    return progress


def _claimed(library: Library, result: OffloadResult) -> list[str]:
    """Batches with the files of the first whole copy, which the sensor starts."""
    first = result.copies[0]
    return claim_paths(library, [first.folder], "copy") if first.is_whole and first.folder is not None else []


def _why(row: OffloadRow) -> str:
    first, _, more = row.reasons.partition("\n")
    when = f"{row.started_utc:%Y-%m-%d %H:%M} UTC"
    return f"{row.card} to {row.destination}, {when}: {first}{' (and more)' if more else ''}"


def _metadata(
    context: dg.AssetExecutionContext, result: OffloadResult, problems: list[str], batches: list[str]
) -> dict[str, Any]:
    heads = ("destination", "verified files", "of them by an earlier run", "ASC MHL")
    rows = [
        (copy.folder or copy.root, len(copy.records), len(copy.earlier), copy.failure or copy.mhl)
        for copy in result.copies
    ]
    metadata: dict[str, Any] = {
        "verdict": result.verdict,
        "card": str(result.card.root),
        "destinations": markdown_table(heads, rows),
        "files": len(result.card.files),
        "bytes": result.card.size_bytes,
        "seconds": round(result.seconds, 3),
        "run": dg.MetadataValue.dagster_run(context.run_id),
    }
    folders = [copy.report_folder for copy in result.copies if copy.failure is None]
    for folder in [folder for folder in folders if folder is not None][:1]:
        found = [folder / name for name in ("report.html", "contact_sheet.png") if (folder / name).exists()]
        metadata |= {path.name: dg.MetadataValue.path(path) for path in found}
        if (sheet := folder / "contact_sheet.png") in found:
            picture = base64.b64encode(preview(sheet)).decode()
            metadata["clips"] = dg.MetadataValue.md(f"![contact sheet](data:image/jpeg;base64,{picture})")
    if lines := [*reasons_of(result), *result.warnings, *problems]:
        metadata["to know"] = markdown_table(("what",), [(line,) for line in lines])
    return metadata | ({"batches": ", ".join(batches)} if batches else {})
