"""Batches: what arrived, and how far it is."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from thatdam_pipelines.library.arrivals import Batch, BatchState
from thatdam_pipelines.library.files import escape_name
from thatdam_pipelines.library.schemas import TABLES
from thatdam_pipelines.web.context import Context, Shared
from thatdam_pipelines.web.cursors import read_cursor, write_cursor
from thatdam_pipelines.web.models import BatchDetail, BatchFacts, BatchFile, BatchPage
from thatdam_pipelines.web.problems import not_found, problems

STAGES = {
    "raw_media": "media",
    "probes": "probes",
    "embeddings_l0": "embeddings_l0",
    "proxies": "proxies",
    "embeddings_l1": "embeddings_l1",
    "embeddings_l2": "embeddings_l2",
    "tags": "tags",
}
"""Stages in the order of work, and the table that tells that one has run on a batch."""
BatchId = Annotated[str, Path(pattern=r"^\d{8}T\d{6}-[0-9a-f]{8}$", examples=["20261120T101500-1f2e3d4c"])]

router = APIRouter(prefix="/api/v1", tags=["batches"])


@router.get("/batches", responses=problems(422, 503))
def list_batches(
    shared: Shared,
    state: Annotated[BatchState | None, Query(description="Only those in this state.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 60,
    cursor: Annotated[str | None, Query(max_length=2000)] = None,
) -> BatchPage:
    """Batches, newest first."""
    before = read_cursor(cursor, 1)[0] if cursor else None
    found = shared.library.ledger.batches(limit + 1, state=state, before=before)
    more = len(found) > limit
    return BatchPage(
        items=[BatchFacts.model_validate(_facts(shared, batch)) for batch in found[:limit]],
        next_cursor=write_cursor(found[limit - 1].batch_id) if more else None,
    )


@router.get("/batches/{batch_id}", responses=problems(404, 422, 503))
def get_batch(shared: Shared, batch_id: BatchId) -> BatchDetail:
    """A batch, its files, and which stages have run on it."""
    batch = shared.library.ledger.batch(batch_id)
    if batch is None:
        raise not_found(f"there is no batch {batch_id}", "GET /api/v1/batches lists them.")
    return BatchDetail.model_validate(
        _facts(shared, batch)
        | {
            "items": [
                BatchFile(
                    rel_path=escape_name(file.rel_path),
                    size_bytes=file.size_bytes,
                    state=file.state,
                    reason=file.reason,
                )
                for file in shared.library.ledger.batch_files(batch_id)
            ],
            "stages": _stages(shared, batch_id),
        }
    )


def batch_progress(shared: Context, batch: Batch) -> dict[str, Any]:
    """A batch with the stages that have run on it."""
    return _facts(shared, batch) | {"stages": _stages(shared, batch.batch_id)}


def _stages(shared: Context, batch_id: str) -> dict[str, bool]:
    tables = shared.library.tables
    return {stage: tables.path(TABLES[table], batch_id).exists() for stage, table in STAGES.items()}


def _facts(shared: Context, batch: Batch) -> dict[str, Any]:
    return vars(batch) | {
        "root": escape_name(batch.root),
        "run_url": batch.run_id and shared.settings.run_url(batch.run_id),
    }
