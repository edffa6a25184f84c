"""What was made from a clip, as files: proxy, poster, thumbnail, sprite; and the original to save."""

from io import BytesIO
from typing import TYPE_CHECKING, Annotated, Any, Literal

import polars as pl
from fastapi import APIRouter, Query, Request, Response

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import AUDIO, PROXIES, TRANSCRIPTS
from thatdam_pipelines.library.schemas_motion import MOTION
from thatdam_pipelines.library.table import Table
from thatdam_pipelines.media.whereabouts import LeftFiles, Place, at_first_place, whereabouts
from thatdam_pipelines.web.context import Shared
from thatdam_pipelines.web.media import batch_of
from thatdam_pipelines.web.models import MediaId
from thatdam_pipelines.web.problems import Refusal, not_found, problems
from thatdam_pipelines.web.stored_files import stored_file

if TYPE_CHECKING:
    from PIL.Image import Image

THUMBNAIL_EDGE = 240
FRAME_EDGE = 480
"""Longer edge of small pictures, in pixels; a frame is sharp in a grid on a screen of two pixels a point."""
SOURCE_OF = {
    "poster.jpg": (PROXIES, "poster_path"),
    "thumbnail.jpg": (PROXIES, "poster_path"),
    "sprite.jpg": (PROXIES, "sprite_path"),
    "sprite.vtt": (PROXIES, "sprite_vtt_path"),
    "proxy": (PROXIES, "proxy_path"),
    "audio.wav": (PROXIES, "audio_path"),
    "waveform.json": (AUDIO, "waveform_path"),
    "motion.json": (MOTION, "strip_path"),
    "transcript.srt": (TRANSCRIPTS, "srt_path"),
    "transcript.vtt": (TRANSCRIPTS, "vtt_path"),
    "transcript.txt": (TRANSCRIPTS, "txt_path"),
}
"""The table and the column that tell where a file is kept."""
MEDIA_TYPES = {
    "jpg": "image/jpeg",
    "vtt": "text/vtt; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "mp4": "video/mp4",
    "m4a": "audio/mp4",
    "wav": "audio/wav",
    "json": "application/json",
}
"""By the end of the names that recipes give; no client and no camera chooses these."""
Name = Literal[
    "poster.jpg", "thumbnail.jpg", "sprite.jpg", "sprite.vtt", "proxy", "audio.wav", "waveform.json", "motion.json",
    "transcript.srt", "transcript.vtt", "transcript.txt",
]  # fmt: skip

CACHED = {"Cache-Control": "private, max-age=3600", "Cross-Origin-Resource-Policy": "same-site"}

router = APIRouter(tags=["files"])


@router.get("/api/v1/media/{media_id}/frame.jpg", response_class=Response, responses=problems(404, 422, 503))
def get_frame(
    shared: Shared,
    media_id: MediaId,
    t: Annotated[float | None, Query(ge=0, le=1e7, description="Time in seconds; without it, the poster.")] = None,
) -> Response:
    """A small picture of the clip: the proxy's keyframe at a time, or the poster where nothing moves."""
    import PIL.Image

    from thatdam_pipelines.media.frames import frame_in

    store = shared.library.store
    proxy = _row(shared.library, PROXIES, media_id)
    if t is not None and proxy["kind"] == "video":
        with store.opened(proxy["proxy_path"]) as file:
            _, rgb = frame_in(file, proxy["proxy_path"], t, short_edge=FRAME_EDGE)
        return Response(_jpeg(PIL.Image.fromarray(rgb), FRAME_EDGE), media_type="image/jpeg", headers=CACHED)
    with PIL.Image.open(BytesIO(store.read_bytes(proxy["poster_path"]))) as poster:
        return Response(_jpeg(poster, FRAME_EDGE), media_type="image/jpeg", headers=CACHED)


@router.head("/api/v1/media/{media_id}/original", include_in_schema=False)
@router.get(
    "/api/v1/media/{media_id}/original",
    response_class=Response,
    responses={206: {"description": "The range that was asked for."}, **problems(404, 409, 416, 422, 503)},
)
def get_original(shared: Shared, request: Request, media_id: MediaId) -> Response:
    """The original, to be saved under its name: from the store, or from its source where it was left there."""
    library = shared.library
    found = whereabouts(library, batch_of(library, media_id)).get(media_id)
    if found is None:
        raise _not_made(media_id, "place")

    def answer(place: Place) -> Response:
        files = library.store if place.in_store else LeftFiles(found.size_bytes)
        return stored_file(request, files, place.path, "application/octet-stream", name=found.name)

    return at_first_place(library, found, answer)


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
    import PIL.Image

    store = shared.library.store
    key = _key(shared.library, media_id, name)
    media_type = MEDIA_TYPES[key.rpartition(".")[2]]
    if name != "thumbnail.jpg":
        return stored_file(request, store, key, media_type)
    with PIL.Image.open(BytesIO(store.read_bytes(key))) as poster:
        return Response(_jpeg(poster, THUMBNAIL_EDGE), media_type=media_type, headers=CACHED)


def _key(library: Library, media_id: str, name: str) -> str:
    table, column = SOURCE_OF[name]
    key: str | None = _row(library, table, media_id)[column]
    if key is None:
        raise _not_made(media_id, name)
    return key


def _row(library: Library, table: Table, media_id: str) -> dict[str, Any]:
    rows = library.tables.read(table, batch_of(library, media_id)).filter(pl.col("media_id") == media_id)
    if not rows.height:
        raise _not_made(media_id, f"row in the table {table.name}")
    return rows.row(0, named=True)


def _not_made(media_id: str, what: str) -> Refusal:
    return not_found(f"there is no {what} of {media_id}", f"GET /api/v1/media/{media_id}/stages says why.")


def _jpeg(picture: "Image", edge: int) -> bytes:
    picture.thumbnail((edge, edge))
    out = BytesIO()
    picture.save(out, "JPEG", quality=80)
    return out.getvalue()
