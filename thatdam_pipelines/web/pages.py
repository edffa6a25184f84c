"""The Explorer's pages: templates rendered here, small scripts that call the API."""

from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.templating import Jinja2Templates

TEMPLATES = Jinja2Templates(directory=Path(__file__).parent / "templates")

router = APIRouter(include_in_schema=False)


@router.get("/")
def home(request: Request) -> Response:
    """The first page."""
    return TEMPLATES.TemplateResponse(request, "home.html")
