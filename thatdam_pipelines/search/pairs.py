"""What belongs to a file as a phone exports it: the other half of a Live Photo, its edit, its adjustments."""

from typing import Any

from thatdam_pipelines.library import catalog
from thatdam_pipelines.settings import Settings


def pairs_of(settings: Settings, media_id: str) -> list[dict[str, Any]]:
    """The rows of the view ``pairs`` that a medium is in, on either side; none where nothing was published yet.

    Raises:
        OfflineError: The disk with the tables cannot be reached.
    """
    if not settings.catalog_path.exists():
        return []
    query = "FROM pairs WHERE media_id = $id OR other_id = $id ORDER BY kind, name, other_name"
    return catalog.run_sql(settings, query, {"id": media_id}).to_dicts()
