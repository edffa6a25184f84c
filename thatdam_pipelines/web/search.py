"""Search: words, a picture, or an instant of the library in; moments with reasons out."""

import re
import tempfile
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, File, Query, UploadFile
from pydantic import Field

from thatdam_pipelines.errors import QueryError
from thatdam_pipelines.search.browse import clips_of, media_ids
from thatdam_pipelines.search.filters import Filters
from thatdam_pipelines.search.search import Instant, Level
from thatdam_pipelines.search.search import Query as Asked
from thatdam_pipelines.web.context import Context, Shared
from thatdam_pipelines.web.cursors import read_cursor, write_cursor
from thatdam_pipelines.web.models import Cursor, FoundMoment, FoundMoments, clip_of, links_of
from thatdam_pipelines.web.problems import Refusal, problems

PICTURE_BYTES = 32 * 1024 * 1024
"""Largest picture that may be searched by."""
DEPTH = 100
"""Moments that are ranked together: pages are parts of one ranking."""
_LIKE = re.compile(r"([0-9a-f]{32})@(\d{1,7}(?:\.\d{1,6})?)")

router = APIRouter(prefix="/api/v1", tags=["search"])


class SearchQuery(Filters):
    q: str = Field("", max_length=1000, description="Words.", examples=["red circle over a green field"])
    like: str | None = Field(
        None,
        pattern=rf"^{_LIKE.pattern}$",
        description="Instant that moments should look like: media id, `@`, seconds.",
        examples=["0f343b0931126a20f133d67c2b018a3b@12.5"],
    )
    level: Level = Field("any", description="Files (l0), frames (l1), scenes (l2), or all.")
    limit: int = Field(24, ge=1, le=DEPTH)
    cursor: Cursor = None


@router.get("/search", responses=problems(400, 422, 503))
def search(shared: Shared, asked: Annotated[SearchQuery, Query()]) -> FoundMoments:
    """Moments that fit the words, or look like an instant of the library, best first and each with its reasons."""
    return find(shared, asked)


@router.post("/search", responses=problems(400, 413, 422, 503))
def search_by_picture(
    shared: Shared,
    asked: Annotated[SearchQuery, Query()],
    image: Annotated[UploadFile, File(description="JPEG, PNG or HEIC.")],
) -> FoundMoments:
    """Moments that look like a picture, and fit the words if there are any."""
    with tempfile.TemporaryDirectory(prefix="thatdam-") as folder:
        # Our name: theirs is never a path.
        picture = Path(folder) / "picture"
        picture.write_bytes(image.file.read(PICTURE_BYTES))
        try:
            return find(shared, asked, picture)
        except QueryError as error:
            if error.subject != str(picture):
                raise
            raise Refusal(400, "picture", "the picture cannot be read", error.next_step) from error


def find(shared: Context, asked: SearchQuery, picture: Path | None = None, where: str | None = None) -> FoundMoments:
    """A page of the moments that answer.

    Args:
        where: SQL condition over the view ``media``, of ours: only media that it holds of.

    Raises:
        Refusal: There is nothing to look for, or the cursor is none that was given.
        ThatdamError: As ``Searcher.search``.
    """
    if not asked.q.strip() and not asked.like and picture is None:
        raise Refusal(422, "invalid", "there is nothing to look for", "Give q, like, or POST an image.")
    start = _start(asked.cursor)
    among = media_ids(shared.library, asked)
    result = shared.search(
        Asked(
            text=asked.q,
            image=picture,
            like=_instant(asked.like) if asked.like else None,
            level=asked.level,
            where=where,
            among=None if among is None else frozenset(among),
            limit=DEPTH,
        )
    )
    page = result.moments[start : start + asked.limit]
    clips = clips_of(shared.library, {moment.media_id for moment in page})
    items = [
        FoundMoment.model_validate(
            moment.as_dict()
            | {
                "clip": clip_of(row) if (row := clips.get(moment.media_id)) else None,
                "links": links_of(moment.media_id),
            }
        )
        for moment in page
    ]
    more = start + asked.limit < len(result.moments)
    return FoundMoments(
        items=items,
        next_cursor=write_cursor(str(start + asked.limit)) if more else None,
        embedder=result.embedder,
        knows_words=result.knows_words,
        notes=result.notes,
    )


def _start(cursor: str | None) -> int:
    if cursor is None:
        return 0
    (start,) = read_cursor(cursor, 1)
    if not (start.isascii() and start.isdigit() and int(start[:4]) <= DEPTH):
        raise Refusal(422, "cursor", "the cursor is none that was given", "Begin again without a cursor.")
    return int(start)


def _instant(like: str) -> Instant:
    found = _LIKE.fullmatch(like)
    if found is None:
        raise Refusal(422, "invalid", f"{like} is no instant", "Give a media id, @, and seconds.")
    return Instant(found[1], float(found[2]))
