"""Browsing: the clips that fit some filters in a chosen order, page by page, and how many there are of each sort."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from thatdam_pipelines.library import catalog
from thatdam_pipelines.search.filters import CHOICES, FLAGS, Filters
from thatdam_pipelines.settings import Settings

Order = Literal[
    "shot", "-shot", "added", "-added", "name", "-name", "duration", "-duration", "size", "-size"
]  # fmt: skip

_SORTS = {
    "shot": ("shot_utc", "TIMESTAMPTZ"),
    "added": ("first_seen_utc", "TIMESTAMPTZ"),
    "name": ("lower(name)", "VARCHAR"),
    "duration": ("coalesce(duration_s, 0)", "DOUBLE"),
    "size": ("size_bytes", "BIGINT"),
}
FACET_VALUES = 100
"""Most values that are told of a facet; of days the latest DAYS."""
DAYS = 1000


@dataclass(frozen=True)
class After:
    """The last clip of a page: the next one begins behind it.

    Args:
        key: Its value of the order, as text.
    """

    key: str
    media_id: str


@dataclass(frozen=True)
class Page:
    """Some clips, as rows of the view ``clips``.

    Args:
        total: How many clips fit the filters.
        after: Where the next page begins; None when this is the last.
    """

    clips: list[dict[str, Any]]
    total: int
    after: After | None


def browse(
    settings: Settings, filters: Filters, order: Order = "-shot", limit: int = 60, after: After | None = None
) -> Page:
    """A page of the clips that fit ``filters``; of a library in which nothing was published yet, none.

    Raises:
        QueryError: ``after`` is of another order.
        OfflineError: The disk with the tables cannot be reached.
    """
    if not settings.catalog_path.exists():
        return Page([], 0, None)
    column, kind = _SORTS[order.removeprefix("-")]
    falling = order.startswith("-")
    parameters = filters.parameters()
    behind = "true"
    if after is not None:
        behind = f"(sort_key, media_id) {'<' if falling else '>'} ($after_key::{kind}, $after_id)"
        parameters |= {"after_key": after.key, "after_id": after.media_id}
    direction = "DESC" if falling else "ASC"
    rows = catalog.run_sql(
        settings,
        f"WITH fitting AS MATERIALIZED (SELECT *, {column} AS sort_key FROM clips WHERE {_all(filters.conditions())}) "
        f"SELECT *, sort_key::VARCHAR AS page_key, (SELECT count(*) FROM fitting) AS total FROM fitting "
        f"WHERE {behind} ORDER BY sort_key {direction}, media_id {direction} LIMIT {limit + 1}",
        parameters,
    ).drop("sort_key")
    clips = rows.drop("page_key", "total").head(limit).to_dicts()
    total = int(rows["total"][0]) if rows.height else 0
    if rows.height <= limit:
        return Page(clips, total, None)
    last = rows.row(limit - 1, named=True)
    return Page(clips, total, After(last["page_key"], last["media_id"]))


def clips_of(settings: Settings, media_ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """Rows of the view ``clips`` by media id; those that are not published yet are left out."""
    if not settings.catalog_path.exists() or not media_ids:
        return {}
    rows = catalog.run_sql(settings, "SELECT * FROM clips WHERE media_id IN $ids", {"ids": sorted(media_ids)})
    return {row["media_id"]: row for row in rows.to_dicts()}


def media_ids(settings: Settings, filters: Filters) -> set[str] | None:
    """The media that fit; None when no filter is set, so that all do."""
    conditions = filters.conditions()
    if not conditions:
        return None
    if not settings.catalog_path.exists():
        return set()
    query = f"SELECT media_id FROM clips WHERE {_all(conditions)}"
    return set(catalog.run_sql(settings, query, filters.parameters())["media_id"])


def facets(settings: Settings, filters: Filters) -> dict[str, dict[str, int]]:
    """For each filter, how many clips there are of each value, given all other filters: what choosing it would give.

    Values with most clips come first; days, latest first. Flags count what is true of them as ``true``.
    """
    names = [*CHOICES, *FLAGS, "tag"]
    counts: dict[str, dict[str, int]] = {name: {} for name in names}
    if not settings.catalog_path.exists():
        return counts
    conditions = filters.conditions()
    flags = "".join(f", ({condition}) AS fits_{name}" for name, condition in conditions.items())
    selects = [
        f"SELECT '{name}' AS facet, {column}::VARCHAR AS value, count(*) AS clips FROM every "
        f"WHERE {column} IS NOT NULL AND {_others(conditions, name)} GROUP BY ALL"
        for name, column in CHOICES.items()
    ]
    selects += [
        f"SELECT '{name}', 'true', count(*) FROM every WHERE {condition} AND {_others(conditions, name)}"
        for name, condition in FLAGS.items()
    ]
    selects.append(
        "SELECT 'tag', tag, count(DISTINCT media_id) FROM tags WHERE media_id IN "
        f"(SELECT media_id FROM every WHERE {_others(conditions, 'tag')}) GROUP BY ALL"
    )
    rows = catalog.run_sql(
        settings,
        f"WITH every AS MATERIALIZED (SELECT *{flags} FROM clips), told AS ({' UNION ALL '.join(selects)}) "
        "SELECT * FROM told QUALIFY row_number() OVER "
        f"(PARTITION BY facet ORDER BY CASE facet WHEN 'day' THEN value END DESC, clips DESC, value) "
        f"<= CASE facet WHEN 'day' THEN {DAYS} ELSE {FACET_VALUES} END "
        "ORDER BY facet, CASE facet WHEN 'day' THEN value END DESC, clips DESC, value",
        filters.parameters(),
    )
    for facet, value, clips in rows.iter_rows():
        counts[facet][value] = clips
    return counts


def _all(conditions: Mapping[str, str]) -> str:
    return " AND ".join(conditions.values()) or "true"


def _others(conditions: Mapping[str, str], name: str) -> str:
    return " AND ".join(f"fits_{other}" for other in conditions if other != name) or "true"
