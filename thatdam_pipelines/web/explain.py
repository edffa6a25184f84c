"""Why a file is not found: what became of it, whatever it is called by."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query

from thatdam_pipelines.search.explain import explain
from thatdam_pipelines.web.context import VECTORS_WAIT_S, Shared
from thatdam_pipelines.web.models import Explained
from thatdam_pipelines.web.problems import problems

router = APIRouter(prefix="/api/v1", tags=["library"])

Subject = Annotated[
    str,
    Query(
        min_length=1,
        max_length=4096,
        pattern=r"^[^\x00]+$",
        description="A media id, the path it came from, where it is kept, or its name. Nothing is opened by it.",
        examples=["GX010042.MP4"],
    ),
]


@router.get("/explain", responses=problems(400, 422, 503))
def explain_file(shared: Shared, subject: Subject) -> Explained:
    """Every stage of one file: what ran, what failed, what is missing and why; also of one that never got in."""
    with shared.vectors():
        explained = explain(shared.library, subject, shared.last_run, vectors_wait_s=VECTORS_WAIT_S)
    return Explained.model_validate(asdict(explained))
