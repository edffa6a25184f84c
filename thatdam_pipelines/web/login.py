"""Logging in and out, and who is logged in."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field

from thatdam_pipelines.library.accounts import PASSWORD_CHARACTERS, Role
from thatdam_pipelines.web.access import COOKIE
from thatdam_pipelines.web.context import Asking, Shared
from thatdam_pipelines.web.pages import TEMPLATES
from thatdam_pipelines.web.problems import problems

router = APIRouter(tags=["session"])


class WhoAmI(BaseModel):
    """Who asks, and what they may."""

    name: str = Field(description="Name of the account; `local` where nobody logs in.", examples=["local"])
    role: Role
    csrf_token: str | None = Field(description="To be sent as X-CSRF-Token with every change; null: not needed.")


@router.get("/api/v1/session", responses=problems(401))
def get_session(caller: Asking) -> WhoAmI:
    """Who asks."""
    return WhoAmI(name=caller.name, role=caller.role, csrf_token=caller.csrf_token)


@router.get("/login", include_in_schema=False)
def login_page(request: Request, to: str = "/") -> Response:
    """The form."""
    return TEMPLATES.TemplateResponse(request, "login.html", {"to": to, "failed": False})


@router.post("/login", include_in_schema=False)
def log_in(
    shared: Shared,
    request: Request,
    name: Annotated[str, Form(max_length=64)],
    password: Annotated[str, Form(max_length=PASSWORD_CHARACTERS[1])],
    to: Annotated[str, Form()] = "/",
) -> Response:
    """Log in; the session's secret is a cookie that no script can read."""
    shared.access.count_login(request, name)
    lasts = timedelta(hours=shared.settings.session_hours)
    secret = shared.library.ledger.accounts.log_in(name, password, lasts)
    if secret is None:
        return TEMPLATES.TemplateResponse(request, "login.html", {"to": to, "failed": True}, status_code=401)
    response = RedirectResponse(_own_page(to), 303)
    response.set_cookie(
        COOKIE,
        secret,
        max_age=int(lasts.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


@router.post("/logout", include_in_schema=False)
def log_out(shared: Shared, request: Request) -> Response:
    """End the session."""
    shared.library.ledger.accounts.log_out(request.cookies.get(COOKIE, ""))
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE)
    return response


def _own_page(to: str) -> str:
    """Where to go after logging in: a page of ours, whatever was asked for."""
    plain = to.startswith("/") and not to.startswith("//") and to.isprintable() and "\\" not in to
    return to if plain else "/"
