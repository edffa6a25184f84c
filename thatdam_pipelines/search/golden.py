"""Golden queries: questions whose right answers people know, and the share of them that an embedder finds."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from thatdam_pipelines.embed.embedder import Embedder
from thatdam_pipelines.errors import QueryError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.locations import media_id_of
from thatdam_pipelines.search.moments import Moment
from thatdam_pipelines.search.search import Query, Searcher
from thatdam_pipelines.settings import Settings

DEPTH = 5
"""Moments looked at for each query."""

_SHAPE = "Each query has `query`, `path` or `media_id`, and perhaps `start_s` and `end_s`: see docs/models.md."


class Golden(BaseModel):
    """A query and where its answer is.

    Args:
        path: A path or name of the media, when ``media_id`` is not known.
        start_s: Seconds at which the stretch that answers begins; None when any moment of the media does.
        end_s: Seconds at which it ends; None when ``start_s`` alone is to be in the moment.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    query: str = Field(min_length=1)
    path: str | None = None
    media_id: str | None = None
    start_s: float | None = Field(None, ge=0)
    end_s: float | None = None

    @model_validator(mode="after")
    def _whole(self) -> "Golden":
        if (self.path is None) == (self.media_id is None):
            raise ValueError("give path or media_id")
        if self.end_s is not None and (self.start_s is None or self.end_s < self.start_s):
            raise ValueError("end_s needs a start_s before it")
        return self

    def answered_by(self, moment: Moment) -> bool:
        """Whether the moment is of the media and, given a stretch, one of the two holds the middle of the other."""
        if moment.media_id != self.media_id:
            return False
        if self.start_s is None:
            return True
        end_s = self.start_s if self.end_s is None else self.end_s
        middle, middle_found = (self.start_s + end_s) / 2, (moment.start_s + moment.end_s) / 2
        holds = moment.start_s <= middle <= moment.end_s or self.start_s <= middle_found <= end_s
        return holds and moment.level != "l0"


@dataclass(frozen=True)
class Recall:
    """Shares of golden queries, 0 to 1, whose answer is the first moment, and among the first five."""

    at_1: float
    at_5: float


def read_golden(library: Library, path: Path) -> list[Golden]:
    """The golden queries of a JSON list or a CSV file with a header, each with its ``media_id``.

    Raises:
        QueryError: The file cannot be read, a query in it is wrong, or the library has no such media.
    """
    try:
        text = path.read_text("utf-8-sig")
        rows = _csv_rows(text) if path.suffix.lower() == ".csv" else json.loads(text)
    except (OSError, ValueError) as error:
        raise QueryError(path, f"the golden queries cannot be read ({error})", "Give a JSON or CSV file.") from error
    if not isinstance(rows, list) or not rows:
        raise QueryError(path, "it holds no list of golden queries", _SHAPE)
    golden = []
    for number, row in enumerate(rows, start=1):
        try:
            query = Golden.model_validate(row)
        except ValidationError as error:
            raise QueryError(f"{path}, query {number}", error.errors()[0]["msg"], _SHAPE) from error
        wanted = query.media_id or query.path or ""
        media_id = media_id_of(library, wanted)
        if media_id is None:
            raise QueryError(f"{path}, query {number}", f"the library has no {wanted!r}", "Mend or remove the query.")
        golden.append(query.model_copy(update={"media_id": media_id, "path": None}))
    return golden


def found_by(settings: Settings, embedder: Embedder, golden: Sequence[Golden]) -> list[int | None]:
    """The place, from 1 to ``DEPTH``, at which a search with ``embedder`` has each query's answer; None for nowhere."""
    places: list[int | None] = []
    with Searcher(settings, embedder) as searcher:
        for query in golden:
            moments = searcher.search(Query(text=query.query, limit=DEPTH)).moments
            right = (place for place, moment in enumerate(moments, start=1) if query.answered_by(moment))
            places.append(next(right, None))
    return places


def recall_of(places: Sequence[int | None]) -> Recall:
    """The shares of queries that were answered, of the places that ``found_by`` gives."""
    first, among = sum(place == 1 for place in places), sum(place is not None for place in places)
    return Recall(first / len(places), among / len(places))


def _csv_rows(text: str) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if value} for row in csv.DictReader(text.splitlines())]
