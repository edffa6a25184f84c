"""The library in numbers."""

from typing import Any

from thatdam_pipelines.library import catalog
from thatdam_pipelines.settings import Settings


def stats(settings: Settings) -> dict[str, Any]:
    """Files and bytes, as they were last published.

    Returns:
        ``{"total_files", "total_size_bytes", "by_mime", "by_batch"}``; of each type ``{"mime", "count", "size"}``, the
        size in bytes, and of each batch ``{"batch", "count"}``.

    Raises:
        OfflineError: The disk with the tables cannot be reached.
    """
    if not settings.catalog_path.exists():
        return {"total_files": 0, "total_size_bytes": 0, "by_mime": [], "by_batch": []}
    mimes = catalog.run_sql(
        settings,
        "SELECT coalesce(p.mime, 'application/octet-stream') AS mime, count(*) AS count, "
        "sum(m.size_bytes)::BIGINT AS size FROM media m LEFT JOIN probes p USING (media_id) "
        "GROUP BY ALL ORDER BY count DESC, mime",
    ).to_dicts()
    batches = catalog.run_sql(
        settings, "SELECT batch_id AS batch, count(*) AS count FROM media GROUP BY ALL ORDER BY batch DESC"
    ).to_dicts()
    return {
        "total_files": sum(row["count"] for row in mimes),
        "total_size_bytes": sum(row["size"] for row in mimes),
        "by_mime": mimes,
        "by_batch": batches,
    }
