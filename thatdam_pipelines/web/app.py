"""The web application: the REST API, and the Explorer's pages on top of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response
from fastapi.staticfiles import StaticFiles

from thatdam_pipelines.settings import Settings
from thatdam_pipelines.web import (
    batches,
    cameras,
    curation,
    derivatives,
    downloads,
    events,
    explain,
    jobs,
    login,
    media,
    pages,
    plain,
    plain_work,
    search,
    sql,
    status,
    status_socket,
    uploads,
    workflows,
)
from thatdam_pipelines.web.context import Context
from thatdam_pipelines.web.guard import Guard
from thatdam_pipelines.web.once import Once
from thatdam_pipelines.web.openapi import openapi
from thatdam_pipelines.web.problems import install_problems

STATIC = Path(__file__).parent / "static"
SUBJECTS = (
    *(status, login, search, explain, media, curation, downloads, derivatives, batches, cameras, jobs, workflows),
    *(uploads, events, sql, pages, plain, plain_work, status_socket),
)
ROUTERS = tuple(subject.router for subject in SUBJECTS)
"""Curation before derivatives: the names of files come last."""


class _Assets(StaticFiles):
    """Scripts and styles. Browsers keep them and ask whether they changed: an upgrade gives them no other names."""

    def file_response(self, *args: Any, **options: Any) -> Response:
        response = super().file_response(*args, **options)
        response.headers["Cache-Control"] = "no-cache"
        return response


def create_app(settings: Settings) -> FastAPI:
    """The application over the library of ``settings``.

    Raises:
        SettingsError: It would bind to an address that others reach, with nothing that tells them apart.
    """
    context = Context(settings)

    @asynccontextmanager
    async def open_library(_app: FastAPI) -> AsyncIterator[None]:
        yield
        context.close()

    app = FastAPI(
        title="thatdam",
        description="Search, browse and run a media library. Refusals are problem details (RFC 9457).",
        version=version("thatdam"),
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
        lifespan=open_library,
    )
    app.state.context = context
    install_problems(app)
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", _Assets(directory=STATIC), name="static")
    larger = {
        "/api/v1/search": search.PICTURE_BYTES + 64 * 1024,
        f"{uploads.PREFIX}/": settings.upload_max_bytes,
        "/api/v1/upload": plain.FORM_BYTES,
    }
    app.add_middleware(Once, requests=lambda: context.library.ledger.requests)
    app.add_middleware(Guard, access=context.access, upload_paths=larger)
    app.openapi = lambda: openapi(app)  # type: ignore[method-assign]
    return app
