"""How the library is: health for programs that watch, and numbers."""

from fastapi import APIRouter

from thatdam_pipelines.library import catalog
from thatdam_pipelines.settings import Settings
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
    return stats(shared.settings)


def stats(settings: Settings) -> Stats:
    """Numbers of the library as it was last published."""
    if not settings.catalog_path.exists():
        return Stats(total_files=0, total_size_bytes=0, by_mime=[], by_batch=[])
    mimes = catalog.run_sql(
        settings,
        "SELECT coalesce(p.mime, 'application/octet-stream') AS mime, count(*) AS count, "
        "sum(m.size_bytes)::BIGINT AS size FROM media m LEFT JOIN probes p USING (media_id) "
        "GROUP BY ALL ORDER BY count DESC, mime",
    ).to_dicts()
    batches = catalog.run_sql(
        settings, "SELECT batch_id AS batch, count(*) AS count FROM media GROUP BY ALL ORDER BY batch DESC"
    ).to_dicts()
    return Stats.model_validate(
        {
            "total_files": sum(row["count"] for row in mimes),
            "total_size_bytes": sum(row["size"] for row in mimes),
            "by_mime": mimes,
            "by_batch": batches,
        }
    )
