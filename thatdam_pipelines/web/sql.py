"""SQL over the API: one question about the whole library, read-only."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from thatdam_pipelines.library import catalog
from thatdam_pipelines.web.context import Shared
from thatdam_pipelines.web.problems import problems

router = APIRouter(prefix="/api/v1", tags=["sql"])


class Question(BaseModel):
    """What is asked."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"query": "SELECT video_codec, count(*) AS clips FROM media GROUP BY ALL"}},
    )

    query: str = Field(max_length=20_000, description="A SELECT over the views, or the name of a ready-made query.")
    most_rows: int = Field(1000, ge=1, le=10_000)


class Answer(BaseModel):
    """Rows as lists, in the order of the columns."""

    columns: list[str]
    types: list[str]
    rows: list[list[Any]]
    complete: bool = Field(description="False when there are more rows.")


class Views(BaseModel):
    """What can be asked."""

    views: list[dict[str, Any]]
    queries: list[dict[str, Any]]


@router.post("/sql", responses=problems(400, 413, 422, 503))
def ask(shared: Shared, body: Question) -> Answer:
    """Answer one SELECT over the catalogue's views. Limited in time, memory and rows; reads nothing but the tables."""
    ready = {query.name: query.sql for query in catalog.list_queries()}
    frame = shared.sql.answer(ready.get(body.query, body.query), body.most_rows + 1)
    rows = catalog.as_rows(frame.head(body.most_rows))
    return Answer(
        columns=frame.columns,
        types=[str(kind) for kind in frame.dtypes],
        rows=[list(row.values()) for row in rows],
        complete=frame.height <= body.most_rows,
    )


@router.get("/sql", responses=problems(503))
def list_views() -> Views:
    """The views with their columns, and the ready-made queries."""
    return Views(
        views=[vars(view) for view in catalog.list_views()], queries=[vars(query) for query in catalog.list_queries()]
    )
