"""Searching as the toolbox does: words in, narrowed by media type."""

from typing import Any

from thatdam_pipelines.search.filters import mime_condition
from thatdam_pipelines.search.search import Query, Searcher
from thatdam_pipelines.settings import Settings


def search(settings: Settings, query: str, mime: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
    """Moments that fit words, best first, as ``Moment.as_dict`` gives them.

    Args:
        mime: Only media of this type: ``video``, ``video/*`` or ``video/mp4``.

    Raises:
        QueryError: There is nothing to look for, or ``mime`` is no media type.
        ModelError: The embedder that serves cannot be opened.
    """
    where = mime_condition(mime) if mime else None
    with Searcher(settings) as searcher:
        found = searcher.search(Query(text=query, where=where, limit=limit))
    return [moment.as_dict() for moment in found.moments]
