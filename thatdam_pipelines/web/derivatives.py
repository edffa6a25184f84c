"""What was made from a clip, as files: proxy, poster, thumbnail, sprite; and the original to save."""

from io import BytesIO
from typing import Literal

import polars as pl
from fastapi import APIRouter, Request, Response

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import PROXIES
from thatdam_pipelines.web.context import Shared
from thatdam_pipelines.web.media import batch_of
from thatdam_pipelines.web.models import MediaId
from thatdam_pipelines.web.problems import not_found, problems
from thatdam_pipelines.web.stored_files import stored_file

THUMBNAIL_WIDTH = 240
COLUMN_OF = {
    "poster.jpg": "poster_path",
    "thumbnail.jpg": "poster_path",
    "sprite.jpg": "sprite_path",
    "sprite.vtt": "sprite_vtt_path",
    "proxy": "proxy_path",
    "audio.wav": "audio_path",
}
MEDIA_TYPES = {
    "jpg": "image/jpeg",
    "vtt": "text/vtt; charset=utf-8",
    "mp4": "video/mp4",
    "m4a": "audio/mp4",
    "wav": "audio/wav",
}
"""By the end of the names that recipes give; no client and no camera chooses these."""
Name = Literal["poster.jpg", "thumbnail.jpg", "sprite.jpg", "sprite.vtt", "proxy", "audio.wav"]

router = APIRouter(tags=["files"])


@router.api_route("/media/{media_id}/{name}", methods=["GET", "HEAD"], include_in_schema=False)
@router.head("/api/v1/media/{media_id}/{name}", include_in_schema=False)
@router.get(
    "/api/v1/media/{media_id}/{name}",
    response_class=Response,
    responses={206: {"description": "The range that was asked for."}, **problems(404, 416, 422, 503)},
    openapi_extra={"parameters": [{"name": "Range", "in": "header", "schema": {"type": "string"}}]},
)
def get_derivative(shared: Shared, request: Request, media_id: MediaId, name: Name) -> Response:
    """A file that was made from the clip. Answers byte ranges and conditional requests."""
    library = shared.library
    key = _key(library, media_id, name)
    media_type = MEDIA_TYPES[key.rpartition(".")[2]]
    if name != "thumbnail.jpg":
        return stored_file(request, library.store, key, media_type)
    headers = {"Cache-Control": "private, max-age=3600", "Cross-Origin-Resource-Policy": "same-site"}
    return Response(_thumbnail(library.store.read_bytes(key)), media_type=media_type, headers=headers)


def _key(library: Library, media_id: str, name: str) -> str:
    rows = library.tables.read(PROXIES, batch_of(library, media_id)).filter(pl.col("media_id") == media_id)
    key: str | None = next(iter(rows[COLUMN_OF[name]].to_list()), None)
    if key is None:
        raise not_found(f"there is no {name} of {media_id}", f"GET /api/v1/media/{media_id}/stages says why.")
    return key


def _thumbnail(poster: bytes) -> bytes:
    from PIL import Image

    with Image.open(BytesIO(poster)) as picture:
        picture.thumbnail((THUMBNAIL_WIDTH, THUMBNAIL_WIDTH))
        out = BytesIO()
        picture.save(out, "JPEG", quality=80)
    return out.getvalue()
