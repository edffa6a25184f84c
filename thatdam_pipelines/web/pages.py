"""The Explorer's pages: templates rendered here, small scripts that call the API."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.templating import Jinja2Templates

from thatdam_pipelines.search.shelves import By, shelves
from thatdam_pipelines.web.clip_facts import duration, facts_of, headline, when
from thatdam_pipelines.web.context import Shared
from thatdam_pipelines.web.media import get_media
from thatdam_pipelines.web.models import MediaId
from thatdam_pipelines.web.overview import backups, overview, recorder_status, recorder_url
from thatdam_pipelines.web.problems import problems

TEMPLATES = Jinja2Templates(directory=Path(__file__).parent / "templates")
TEMPLATES.env.filters |= {"when": when, "duration": duration}

ShelvesName = Literal["days", "folders", "albums", "batches", "cameras"]
SHELVES: dict[ShelvesName, tuple[By, str]] = {
    "days": ("day", "Footage stands here by the day it was shot on."),
    "folders": ("folder", "Footage stands here by the folder it came in."),
    "albums": ("album", "Choose clips in the library and add them to an album."),
    "batches": ("batch", "Footage stands here by its arrival."),
    "cameras": ("camera", "Footage stands here by the camera it names."),
}
"""Of each page that shows shelves, what they go by, and what it says where there are none."""

MOST_LIVE = 4
"""Cameras whose live pictures a page shows: each takes one of the six connections that browsers open to a server."""

router = APIRouter(include_in_schema=False)


@router.get("/")
def search_page(request: Request, shared: Shared) -> Response:
    """Search: words or a picture in, moments out."""
    return _page(request, "search.html", "Search", incoming=shared.settings.incoming_dir)


@router.get("/clips/{media_id}", responses=problems(404, 422))
def clip_page(request: Request, shared: Shared, media_id: MediaId) -> Response:
    """Everything known of a clip."""
    clip = get_media(shared, media_id)
    return _page(request, "clip.html", "Library", clip=clip, headline=headline(clip), facts=facts_of(clip))


@router.get("/library")
def library_page(request: Request) -> Response:
    """Clips by filters, as a grid or a table."""
    return _page(request, "library.html", "Library", tab="Clips")


@router.get("/library/{shelf}", responses=problems(404, 422))
def shelves_page(request: Request, shared: Shared, shelf: ShelvesName) -> Response:
    """The library by day, folder, album, batch or camera."""
    by, hint = SHELVES[shelf]
    found = shelves(shared.settings, by)
    return _page(request, "shelves.html", "Library", tab=shelf.capitalize(), by=by, hint=hint, shelves=found)


@router.get("/status")
def status_page(request: Request, shared: Shared) -> Response:
    """Queue, runs, failures, embedder and disks."""
    settings = shared.settings
    dagster = f"http://{settings.host}:{settings.dagster_port}"
    now = overview(shared.library)
    return _page(request, "status.html", "Status", now=now, settings=settings, dagster=dagster)


@router.get("/backups")
def backups_page(request: Request, shared: Shared) -> Response:
    """What is kept where, how fresh it is, and whether it could be restored."""
    targets = backups(shared.library, datetime.now(UTC))
    return _page(request, "backups.html", "Backups", targets=targets, settings=shared.settings)


@router.get("/cameras")
def cameras_page(request: Request, shared: Shared) -> Response:
    """What the recorder sees and records."""
    settings = shared.settings
    found = recorder_status(settings)
    return _page(request, "cameras.html", "Cameras", recorder=found, viewer=recorder_url(settings), most_live=MOST_LIVE)


def _page(request: Request, template: str, page: str, **values: Any) -> Response:
    return TEMPLATES.TemplateResponse(request, template, {"page": page, **values})
