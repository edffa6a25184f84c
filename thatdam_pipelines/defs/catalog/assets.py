"""What searches and queries read: indexes and the catalogue, each made from the tables and rebuilt at will."""

import time
from dataclasses import asdict

import dagster as dg

from thatdam_pipelines.defs.automation import at_most_once_a_minute, with_new_data
from thatdam_pipelines.defs.checks import INDEX_COMPLETE, index_complete
from thatdam_pipelines.defs.resources import RunEmbedder
from thatdam_pipelines.defs.stages import RUN_PROBLEMS, stage, told_plainly
from thatdam_pipelines.embed.spaces import serve_first, served
from thatdam_pipelines.library.catalog import publish
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.text import TextIndex
from thatdam_pipelines.library.vectors import VectorIndex


@dg.asset(
    **stage(
        "vector_index",
        group="catalog",
        deps=["embeddings_l0", "embeddings_l1", "embeddings_l2"],
        kinds={"chroma"},
        checks=INDEX_COMPLETE,
        owner="catalog",
        code_version="1",
        pool="vector_writer",
        automation=with_new_data(),
    )
)
def vector_index(
    context: dg.AssetExecutionContext,
    library: dg.ResourceParam[Library],
    embedder: dg.ResourceParam[RunEmbedder],
) -> dg.MaterializeResult:
    """Chroma collections, one a space and level, holding exactly the vectors of the tables.

    Made twice for a batch: with files by the ingest job, with frames and scenes after the heavy assets. The space that
    is indexed first in a library answers its searches, until another is promoted.
    """
    started = time.monotonic()
    with told_plainly(), VectorIndex(library.settings) as index:
        report = index.index_batch(library, context.partition_key)
        if report.present and served(library.ledger) is None and embedder.opened.space in index.spaces():
            serve_first(library.ledger, embedder.opened)
    return dg.MaterializeResult(
        metadata={
            "summary": f"{report.added} vectors added, {report.unchanged} there already, {report.removed} removed",
            **asdict(report),
            "seconds": round(time.monotonic() - started, 3),
            "run": dg.MetadataValue.dagster_run(context.run_id),
        },
        check_results=[index_complete(report.expected, report.present)],
    )


@dg.asset(
    **stage(
        "text_index",
        group="catalog",
        deps=["raw_media", "probes", "tags", "transcripts"],
        kinds={"sqlite"},
        checks=INDEX_COMPLETE,
        owner="catalog",
        code_version="1",
        automation=with_new_data(),
    )
)
def text_index(context: dg.AssetExecutionContext, library: dg.ResourceParam[Library]) -> dg.MaterializeResult:
    """Full-text index of names, facts, tags and what is said."""
    started = time.monotonic()
    with told_plainly(), TextIndex(library.settings.text_path) as index:
        report = index.index_batch(library, context.partition_key)
    return dg.MaterializeResult(
        metadata={
            "summary": f"{report.added} documents added, {report.unchanged} there already, {report.removed} removed",
            **asdict(report),
            "seconds": round(time.monotonic() - started, 3),
            "run": dg.MetadataValue.dagster_run(context.run_id),
        },
        check_results=[index_complete(report.expected, report.present)],
    )


@dg.asset(
    group_name="catalog",
    deps=[
        *["raw_media", "capture_sessions", "probes", "embeddings_l0"],
        *["proxies", "audio", "transcripts", "motion", "sync"],
        *["embeddings_l1", "embeddings_l2", "tags", "rewraps"],
        *["fingerprints", "embeddings_l3"],
    ],
    kinds={"duckdb"},
    owners=["team:catalog"],
    code_version="1",
    retry_policy=RUN_PROBLEMS,
    automation_condition=at_most_once_a_minute(),
)
def catalog(context: dg.AssetExecutionContext, library: dg.ResourceParam[Library]) -> dg.MaterializeResult:
    """The DuckDB catalogue over the tables of every batch, put in the place of the last one as a whole."""
    with told_plainly():
        report = publish(library)
    return dg.MaterializeResult(
        metadata={
            **{name.replace("_", " "): value for name, value in asdict(report).items()},
            "path": dg.MetadataValue.path(report.path),
            "run": dg.MetadataValue.dagster_run(context.run_id),
        }
    )
