"""Shelves: a library's clips by day, folder, album, batch or camera, with what stands on each."""

from dataclasses import dataclass
from typing import Literal

from thatdam_pipelines.library import catalog
from thatdam_pipelines.settings import Settings

By = Literal["day", "folder", "album", "batch", "camera"]

COVERS = 4
"""Pictures that stand for a shelf."""
_MOST = 2000
_VALUES: dict[By, str] = {
    "day": "SELECT media_id, shot_on AS value FROM clips",
    "folder": "SELECT media_id, nullif(folder, '') AS value FROM clips",
    "album": "SELECT media_id, unnest(albums) AS value FROM curation UNION SELECT media_id, album FROM clips",
    "batch": "SELECT media_id, batch_id AS value FROM clips",
    "camera": "SELECT media_id, camera AS value FROM clips",
}
_LATEST_FIRST = ("day", "batch")


@dataclass(frozen=True)
class Shelf:
    """Clips that share a value.

    Args:
        seconds: How long they are together.
        first: Day the earliest was shot on, yyyy-mm-dd.
        last: Day the latest was shot on.
        failed: How many of them a stage failed on.
        covers: Media ids of some that have a picture.
    """

    value: str
    clips: int
    bytes: int
    seconds: float
    first: str
    last: str
    failed: int
    covers: list[str]


def shelves(settings: Settings, by: By) -> list[Shelf]:
    """The shelves of a library, days and batches latest first, others by name; none where nothing was published yet.

    Raises:
        OfflineError: The disk with the tables cannot be reached.
    """
    if not settings.catalog_path.exists():
        return []
    order = "value DESC" if by in _LATEST_FIRST else "lower(value), value"
    rows = catalog.run_sql(
        settings,
        f"SELECT value, count(*) AS clips, sum(size_bytes)::BIGINT AS bytes, coalesce(sum(duration_s), 0) AS seconds, "
        "min(shot_on) AS first, max(shot_on) AS last, count(failed_stage) AS failed, "
        f"coalesce(list(media_id ORDER BY shot_utc, media_id) FILTER (has_proxy), [])[1:{COVERS}] AS covers "
        f"FROM ({_VALUES[by]}) JOIN clips USING (media_id) WHERE value IS NOT NULL GROUP BY value "
        f"ORDER BY {order} LIMIT {_MOST}",
    )
    return [Shelf(**row) for row in rows.iter_rows(named=True)]
