"""Every refusal of the web application as problem details (RFC 9457): what is wrong, and the next step."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from thatdam_pipelines.errors import (
    AwayError,
    ConflictError,
    CurationError,
    DamagedIndexError,
    ForeignPathError,
    MediaError,
    ModelError,
    OfflineError,
    QueryError,
    SettingsError,
    StoreError,
    ThatdamError,
    TransitionError,
    UnknownMediaError,
    UnknownUploadError,
    UploadError,
    WorkflowError,
)

MEDIA_TYPE = "application/problem+json"
STATUS_OF: dict[type[ThatdamError], int] = {
    QueryError: 400,
    DamagedIndexError: 503,
    SettingsError: 400,
    StoreError: 404,
    MediaError: 409,
    AwayError: 503,
    CurationError: 422,
    UnknownMediaError: 404,
    TransitionError: 409,
    ConflictError: 409,
    UploadError: 409,
    UnknownUploadError: 404,
    ForeignPathError: 403,
    WorkflowError: 422,
    ModelError: 503,
    OfflineError: 503,
}
"""Status that tells of an error of ours; of any other it is 500."""

_AWAY = (sa.exc.OperationalError, sa.exc.InternalError, sa.exc.InterfaceError, sa.exc.TimeoutError)

log = logging.getLogger(__name__)


class ProblemDetails(BaseModel):
    """Why there is no answer (RFC 9457)."""

    type: str = Field(description="What programs compare.", examples=["urn:thatdam:not-found"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(description="What is wrong, with the thing it is about.")
    next_step: str = Field(description="What to do about it.")
    errors: list[str] = Field([], description="Each value that is wrong.")


class Refusal(Exception):
    """A request that is not answered.

    Args:
        status: HTTP status.
        name: Last part of the problem's type.
        detail: What is wrong.
        next_step: What to do about it.
        headers: Headers that belong to the status.
    """

    def __init__(
        self, status: int, name: str, detail: str, next_step: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.name, self.detail, self.next_step, self.headers = status, name, detail, next_step, headers

    def response(self, errors: list[str] | None = None) -> Response:
        problem = ProblemDetails(
            type=f"urn:thatdam:{self.name}",
            title=HTTPStatus(self.status).phrase,
            status=self.status,
            detail=self.detail,
            next_step=self.next_step,
            errors=errors or [],
        )
        return JSONResponse(problem.model_dump(), self.status, self.headers, media_type=MEDIA_TYPE)


def not_found(what: str, next_step: str = "Check the name.") -> Refusal:
    return Refusal(404, "not-found", what, next_step)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of routes that may answer with these statuses."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in sorted(statuses)}


def install_problems(app: FastAPI) -> None:
    """Answer every exception with problem details."""
    for kind in EXPECTED:
        app.add_exception_handler(kind, problem_response)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _fault)


EXPECTED: tuple[type[Exception], ...] = (Refusal, ThatdamError, sa.exc.SQLAlchemyError)
"""What ``problem_response`` answers."""


def problem_response(request: Request, error: Exception) -> Response:
    """The problem details of an exception that is ``EXPECTED``."""
    if isinstance(error, Refusal):
        return error.response()
    return _thatdam_error(request, error) if isinstance(error, ThatdamError) else _database_error(request, error)


def _thatdam_error(request: Request, error: ThatdamError) -> Response:
    status = next((STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF), 500)
    if status == 500:
        return _fault(request, error)
    name = type(error).__name__.removesuffix("Error").lower()
    refusal = Refusal(status, name, f"{error.subject}: {error.cause}", error.next_step)
    return refusal.response([str(one) for one in error.problems] if isinstance(error, WorkflowError) else None)


def _database_error(request: Request, error: Exception) -> Response:
    """The database of the library is gone, locked or broken; any other of its errors is a fault of ours."""
    if not isinstance(error, _AWAY) and type(error) is not sa.exc.DatabaseError:
        return _fault(request, error)
    log.error("%s %s: %s", request.method, request.url.path, error)
    # Its address may hold a password, the statement what people said: of the error only what the database says.
    cause = str(error.orig).partition("\n")[0] if isinstance(error, sa.exc.DBAPIError) else "it is busy"
    detail = f"the database of the library cannot be used ({cause})"
    next_step = "Try again; if it stays, start the database, or restore library.db from a backup."
    return Refusal(503, "database", detail, next_step, {"Retry-After": "5"}).response()


def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()]
    refusal = Refusal(422, "invalid", "the request holds values that cannot be", "Correct what `errors` names.")
    return refusal.response(errors)


def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    name = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    next_step = "GET /openapi.json lists every path." if error.status_code in (404, 405) else "Correct the request."
    return Refusal(error.status_code, name, str(error.detail), next_step, error.headers).response()


def _fault(request: Request, error: Exception) -> Response:
    # What failed may hold paths: it goes to the log only.
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return Refusal(500, "fault", "the request could not be answered", "Read the log of the web service.").response()
