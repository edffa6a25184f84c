"""The Explorer's pages: templates rendered here, small scripts that call the API."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.templating import Jinja2Templates

from thatdam_pipelines.web.context import Shared

TEMPLATES = Jinja2Templates(directory=Path(__file__).parent / "templates")

router = APIRouter(include_in_schema=False)


@router.get("/")
def search_page(request: Request, shared: Shared) -> Response:
    """Search: words or a picture in, moments out."""
    return _page(request, "search.html", "Search", incoming=shared.settings.incoming_dir)


def _page(request: Request, template: str, page: str, **values: Any) -> Response:
    return TEMPLATES.TemplateResponse(request, template, {"page": page, **values})
