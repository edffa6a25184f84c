"""A stage's report as what people see in the UI: figures, failed files, pictures, and the version of the data."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
import polars as pl
from blake3 import blake3

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import MEDIA, PROBES, tables_of
from thatdam_pipelines.library.stage import StageReport

# The UI shows Markdown inline only when it is shorter than this.
MARKDOWN_INLINE = 1_000
FAILED_SHOWN = 50


def materialized(
    context: dg.AssetExecutionContext,
    library: Library,
    report: StageReport,
    checks: Sequence[dg.AssetCheckResult],
    extra: dict[str, Any] | None = None,
) -> dg.MaterializeResult:
    """The materialization of a stage: its figures as metadata, its tables' content as data version."""
    said = summary(report)
    context.log.info(said)
    return dg.MaterializeResult(
        metadata={
            "summary": said,
            **_figures(report),
            **_amounts(library, report.batch_id),
            **_facts(report),
            **(extra or {}),
            **({"failed files": failed_table(report.failures)} if report.failures else {}),
            "dagster/partition_row_count": _rows(library, report),
            "run": dg.MetadataValue.dagster_run(context.run_id),
        },
        check_results=list(checks),
        data_version=data_version(library, context.asset_key.to_user_string(), report.batch_id),
    )


def summary(report: StageReport) -> str:
    """One sentence: what was done, or that there was nothing to do."""
    failed = f"{len(report.failures)} failed" if report.failures else "none failed"
    if report.total == 0:
        return f"nothing to do: no file of this batch is for {report.stage} ({failed})"
    if report.computed == 0:
        if report.skipped:
            again = f"{report.skipped} failed by it before (set `retry` to try again)"
            return f"nothing to do: {report.reused} files already done by recipe {report.recipe}, {again}"
        return f"nothing to do: all {report.reused} files already done by recipe {report.recipe}"
    done = f"{report.computed} of {report.total} files done in {report.elapsed_s:.1f} s"
    return f"{done}, {report.reused} reused, {failed}"


def _figures(report: StageReport) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "files": report.total,
        "computed": report.computed,
        "reused": report.reused,
        "failed": len(report.failures),
        "seconds": round(report.elapsed_s, 3),
        "recipe": report.recipe,
    }
    if report.computed and report.elapsed_s > 0:
        figures["files per second"] = round(report.computed / report.elapsed_s, 2)
    return figures


def _amounts(library: Library, batch_id: str) -> dict[str, float | int]:
    """Hours and bytes of what is new with the batch."""
    size = library.tables.read(MEDIA, batch_id)["size_bytes"].sum()
    seconds = library.tables.read(PROBES, batch_id)["duration_s"].sum()
    return {"bytes": int(size), "hours": round(float(seconds) / 3600, 4)}


def _facts(report: StageReport) -> dict[str, Any]:
    told = {name.replace("_", " "): fact for name, fact in report.facts.items() if fact not in (None, [], {})}
    return {name: round(fact, 4) if isinstance(fact, float) else fact for name, fact in told.items()}


def _rows(library: Library, report: StageReport) -> int:
    tables = tables_of(report.stage)
    main = next((table for table in tables if table.name == report.stage), tables[0])
    return library.tables.read(main, report.batch_id).height


def data_version(library: Library, owner: str, batch_id: str) -> dg.DataVersion:
    """Hash of the asset's Parquet files of the batch: a rerun that changes no row leaves them, and so this, alone.

    Tables of failures are left out: trying a bad file again is no reason to do anything downstream.
    """
    digest = blake3()
    for table in tables_of(owner):
        path = library.tables.path(table, batch_id)
        if not table.name.endswith("_failures") and path.exists():
            digest.update(path.read_bytes())
    return dg.DataVersion(digest.hexdigest()[:16])


def failed_table(failures: Sequence[dict[str, Any]]) -> dg.MarkdownMetadataValue:
    """Failed files as a Markdown table: name, reason, what to do."""
    lines = ["| file | reason | next step |", "|---|---|---|"]
    lines += [
        f"| {plain(row['path'])} | {plain(row['reason'])} | {plain(row['next_step'])} |"
        for row in failures[:FAILED_SHOWN]
    ]
    if len(failures) > FAILED_SHOWN:
        lines.append(f"| ... and {len(failures) - FAILED_SHOWN} more | see `thatdam sql` view `failures` | |")
    return dg.MetadataValue.md("\n".join(lines))


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> dg.MarkdownMetadataValue:
    """Rows as a Markdown table; what is in a cell cannot change it."""
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    lines += [f"| {' | '.join(plain(cell) for cell in row)} |" for row in rows]
    return dg.MetadataValue.md("\n".join(lines))


def thumbnails(rows: pl.DataFrame, port: int) -> dg.MarkdownMetadataValue | None:
    """As many posters as the UI shows inline, served on loopback.

    Args:
        rows: ``media_id`` and ``name`` of clips that have a poster.
        port: Port of the poster server.
    """
    pictures: list[str] = []
    for media_id, name in rows.select("media_id", "name").iter_rows():
        picture = f"![{plain(name[:24])}](http://127.0.0.1:{port}/media/{media_id}/thumbnail.jpg)"
        if sum(map(len, pictures)) + len(pictures) + len(picture) >= MARKDOWN_INLINE:
            break
        pictures.append(picture)
    return dg.MetadataValue.md(" ".join(pictures)) if pictures else None


def plain(text: object) -> str:
    """Text that cannot change the Markdown around it: names are data."""
    unprintable = "".join(letter if letter.isprintable() else " " for letter in str(text))
    return "".join(f"\\{letter}" if letter in _MARKDOWN else letter for letter in unprintable)


_MARKDOWN = frozenset("\\`*_{}[]()<>#|!~")
