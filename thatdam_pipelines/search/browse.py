"""Browsing: the clips that fit some filters in a chosen order, page by page, and how many there are of each sort."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from thatdam_pipelines.library import catalog
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.search.filters import CHOICES, FLAGS, Filters

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
EVERY = """
    SELECT
        c.*, s.rating, s.pick, s.title, coalesce(s.state, 'new') AS state, coalesce(s.tags, []) AS tags,
        CASE WHEN c.album IS NULL OR list_contains(s.albums, c.album) THEN coalesce(s.albums, [])
            ELSE list_append(coalesce(s.albums, []), c.album) END AS albums
    FROM clips c LEFT JOIN (
        SELECT media_id, rating, pick, title, state, tags, albums FROM curation WHERE NOT list_contains($news, media_id)
        UNION ALL
        SELECT unnest(from_json($said, '[{
            "media_id": "VARCHAR", "rating": "INTEGER", "pick": "VARCHAR", "title": "VARCHAR", "state": "VARCHAR",
            "tags": ["VARCHAR"], "albums": ["VARCHAR"]}]'), recursive := true)
    ) s USING (media_id)
"""
"""Every clip with what people say of it now: what was said since the catalogue was published comes with the query."""
_SAID = ("media_id", "rating", "pick", "title", "state", "tags", "albums")

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
    """Some clips, as rows of ``EVERY``.

    Args:
        total: How many clips fit the filters.
        after: Where the next page begins; None when this is the last.
    """

    clips: list[dict[str, Any]]
    total: int
    after: After | None


def browse(
    library: Library, filters: Filters, order: Order = "-shot", limit: int = 60, after: After | None = None
) -> Page:
    """A page of the clips that fit ``filters``; of a library in which nothing was published yet, none.

    Raises:
        QueryError: ``after`` is of another order.
        OfflineError: The disk with the tables cannot be reached.
    """
    if not library.settings.catalog_path.exists():
        return Page([], 0, None)
    column, kind = _SORTS[order.removeprefix("-")]
    falling = order.startswith("-")
    parameters = filters.parameters() | _said_since(library)
    behind = "true"
    if after is not None:
        behind = f"(sort_key, media_id) {'<' if falling else '>'} ($after_key::{kind}, $after_id)"
        parameters |= {"after_key": after.key, "after_id": after.media_id}
    direction = "DESC" if falling else "ASC"
    rows = catalog.run_sql(
        library.settings,
        f"WITH every AS ({EVERY}), fitting AS MATERIALIZED "
        f"(SELECT *, {column} AS sort_key FROM every WHERE {_all(filters.conditions())}) "
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


def clips_of(library: Library, media_ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """Rows of ``EVERY`` by media id; those that are not published yet are left out."""
    if not library.settings.catalog_path.exists() or not media_ids:
        return {}
    parameters = {"ids": sorted(media_ids)} | _said_since(library)
    rows = catalog.run_sql(
        library.settings, f"WITH every AS ({EVERY}) SELECT * FROM every WHERE media_id IN $ids", parameters
    )
    return {row["media_id"]: row for row in rows.to_dicts()}


def media_ids(library: Library, filters: Filters) -> set[str] | None:
    """The media that fit; None when no filter is set, so that all do."""
    conditions = filters.conditions()
    if not conditions:
        return None
    if not library.settings.catalog_path.exists():
        return set()
    query = f"WITH every AS ({EVERY}) SELECT media_id FROM every WHERE {_all(conditions)}"
    return set(catalog.run_sql(library.settings, query, filters.parameters() | _said_since(library))["media_id"])


def facets(library: Library, filters: Filters) -> dict[str, dict[str, int]]:
    """For each filter, how many clips there are of each value, given all other filters: what choosing it would give.

    Values with most clips come first; days, latest first. Flags count what is true of them as ``true``.
    """
    names = [*CHOICES, *FLAGS, "album", "tag"]
    counts: dict[str, dict[str, int]] = {name: {} for name in names}
    if not library.settings.catalog_path.exists():
        return counts
    conditions = filters.conditions()
    flags = "".join(f", ({condition}) AS fits_{name}" for name, condition in conditions.items())
    selects = [
        f"SELECT '{name}' AS facet, {column}::VARCHAR AS value, count(*) AS clips FROM marked "
        f"WHERE {column} IS NOT NULL AND {_others(conditions, name)} GROUP BY ALL"
        for name, column in CHOICES.items()
    ]
    selects += [
        f"SELECT '{name}', 'true', count(*) FROM marked WHERE {condition} AND {_others(conditions, name)}"
        for name, condition in FLAGS.items()
    ]
    selects += [
        "SELECT 'tag', tag, count(DISTINCT media_id) FROM (SELECT media_id, tag FROM tags UNION ALL "
        "SELECT media_id, unnest(tags) FROM marked) WHERE media_id IN "
        f"(SELECT media_id FROM marked WHERE {_others(conditions, 'tag')}) GROUP BY ALL",
        "SELECT 'album', album, count(*) FROM "
        f"(SELECT unnest(albums) AS album FROM marked WHERE {_others(conditions, 'album')}) GROUP BY ALL",
    ]
    rows = catalog.run_sql(
        library.settings,
        f"WITH every AS ({EVERY}), marked AS MATERIALIZED (SELECT *{flags} FROM every), "
        f"told AS ({' UNION ALL '.join(selects)}) "
        "SELECT * FROM told QUALIFY row_number() OVER "
        f"(PARTITION BY facet ORDER BY CASE facet WHEN 'day' THEN value END DESC, clips DESC, value) "
        f"<= CASE facet WHEN 'day' THEN {DAYS} ELSE {FACET_VALUES} END "
        "ORDER BY facet, CASE facet WHEN 'day' THEN value END DESC, clips DESC, value",
        filters.parameters() | _said_since(library),
    )
    for facet, value, clips in rows.iter_rows():
        counts[facet][value] = clips
    return counts


def _said_since(library: Library) -> dict[str, Any]:
    """Parameters of ``EVERY``: what was said of clips since the catalogue was published."""
    published = catalog.run_sql(library.settings, "SELECT coalesce(max(version), 0) AS version FROM curation")
    ledger = library.ledger.curation
    said = ledger.get_many(ledger.changed_since(int(published["version"][0])))
    rows = [{name: getattr(one, name) for name in _SAID} for one in said.values()]
    return {"news": list(said), "said": json.dumps(rows)}


def _all(conditions: Mapping[str, str]) -> str:
    return " AND ".join(conditions.values()) or "true"


def _others(conditions: Mapping[str, str], name: str) -> str:
    return " AND ".join(f"fits_{other}" for other in conditions if other != name) or "true"
