"""How the library is: health for programs that watch, and numbers."""

from fastapi import APIRouter

from thatdam_pipelines.search.figures import stats
from thatdam_pipelines.web.context import Shared
from thatdam_pipelines.web.models import Health, Stats
from thatdam_pipelines.web.problems import problems

router = APIRouter(tags=["status"])


@router.get("/health")
@router.get("/api/v1/health", include_in_schema=False)
def health() -> Health:
    """That this server answers."""
    return Health(status="ok", service="thatdam")


@router.get("/stats", responses=problems(503))
@router.get("/api/v1/stats", include_in_schema=False)
def get_stats(shared: Shared) -> Stats:
    """The library in numbers: files and bytes, by media type and by batch."""
    return Stats.model_validate(stats(shared.settings))
