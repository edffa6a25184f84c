"""Posters, hover sprites and proxies over HTTP, so that the Dagster UI and people can see clips."""

from io import BytesIO
from mimetypes import guess_type

import polars as pl
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import PROXIES
from thatdam_pipelines.settings import Settings

THUMBNAIL_WIDTH = 240
COLUMN_OF = {
    "poster.jpg": "poster_path",
    "thumbnail.jpg": "poster_path",
    "sprite.jpg": "sprite_path",
    "sprite.vtt": "sprite_vtt_path",
    "proxy": "proxy_path",
    "audio.wav": "audio_path",
}

CACHED = {"Cache-Control": "max-age=86400"}


def create_app(settings: Settings) -> Starlette:
    """The application. Answers only for loopback host names, so that no web page elsewhere can reach it."""
    library = Library(settings)

    def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok", "service": "thatdam"})

    def derivative(request: Request) -> Response:
        media_id, name = request.path_params["media_id"], request.path_params["name"]
        path = _derivative_path(library, media_id, name)
        if path is None:
            return JSONResponse({"error": f"no {name} of {media_id}"}, status_code=404)
        if name == "thumbnail.jpg":
            return Response(_thumbnail(library.store.read_bytes(path)), media_type="image/jpeg", headers=CACHED)
        if library.store.is_local:
            return FileResponse(library.store.url(path), headers=CACHED)
        return Response(library.store.read_bytes(path), media_type=guess_type(path)[0], headers=CACHED)

    return Starlette(
        routes=[Route("/health", health), Route("/media/{media_id}/{name}", derivative)],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1", "[::1]"])],
    )


def _derivative_path(library: Library, media_id: str, name: str) -> str | None:
    column, batch_id = COLUMN_OF.get(name), library.ledger.content_batch(media_id)
    if column is None or batch_id is None:
        return None
    rows = library.tables.read(PROXIES, batch_id).filter(pl.col("media_id") == media_id)
    return next(iter(rows[column].to_list()), None)


def _thumbnail(poster: bytes) -> bytes:
    from PIL import Image

    with Image.open(BytesIO(poster)) as picture:
        picture.thumbnail((THUMBNAIL_WIDTH, THUMBNAIL_WIDTH))
        out = BytesIO()
        picture.save(out, "JPEG", quality=80)
    return out.getvalue()
