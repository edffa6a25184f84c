"""Every refusal as problem details (RFC 9457): what is wrong and what to do next."""

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from thatdam_capture.errors import (
    AlreadyRecording,
    BadRequest,
    CaptureError,
    DiskLow,
    NotAllowed,
    NotFound,
    SourceError,
    StoreGone,
)

CONTENT_TYPE = "application/problem+json"

STATUS_OF: dict[type[CaptureError], int] = {
    BadRequest: 400,
    NotAllowed: 403,
    NotFound: 404,
    AlreadyRecording: 409,
    SourceError: 409,
    DiskLow: 507,
    StoreGone: 507,
}

log = logging.getLogger(__name__)


class Problem(BaseModel):
    """Why a request was refused."""

    type: str = Field(description="Kind of problem, as a URN; programs compare this.")
    title: str
    status: int
    detail: str = Field(description="What is wrong, with the thing it is about.")
    next_step: str = Field(description="What to do about it.")
    errors: list[str] = Field(default_factory=list, description="Each value that is wrong, where there are several.")


class Refused(HTTPException):
    """A request that the HTTP side refuses by itself.

    Args:
        status: HTTP status.
        kind: Last part of the problem's type.
        detail: What is wrong.
        next_step: What to do about it.
        headers: Headers that belong to the status, such as Retry-After.
    """

    def __init__(
        self, status: int, kind: str, detail: str, next_step: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status, detail, headers)
        self.kind, self.next_step = kind, next_step


def problem_response(
    status: int,
    kind: str,
    detail: str,
    next_step: str,
    *,
    headers: dict[str, str] | None = None,
    errors: Sequence[str] = (),
) -> JSONResponse:
    problem = Problem(
        type=f"urn:thatdam:problem:{kind}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        next_step=next_step,
        errors=list(errors),
    )
    return JSONResponse(problem.model_dump(), status, headers, media_type=CONTENT_TYPE)


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route that may be refused so; with what every route may be refused for."""
    schema = {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": schema}
        for status in sorted({400, 401, 403, 422, *statuses})
    }


def kind_of(error: CaptureError) -> str:
    """``AlreadyRecording`` as ``already-recording``."""
    name = type(error).__name__
    return "".join(f"-{one.lower()}" if one.isupper() else one for one in name).lstrip("-")


def response_to(error: Refused | CaptureError) -> JSONResponse:
    if isinstance(error, Refused):
        headers = dict(error.headers) if error.headers else None
        return problem_response(error.status_code, error.kind, error.detail, error.next_step, headers=headers)
    status = next((STATUS_OF[one] for one in type(error).__mro__ if one in STATUS_OF), 503)
    return problem_response(status, kind_of(error), error.message, error.next_step)


def answer_refusal(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refused | CaptureError)
    return response_to(error)


def answer_invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()]
    return problem_response(
        422, "invalid", "The request holds values that cannot work", "Correct what `errors` names.", errors=errors
    )


def answer_http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    step = "GET /openapi.json lists every path." if error.status_code in (404, 405) else "Correct the request."
    kind = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    headers = dict(error.headers) if error.headers else None
    return problem_response(error.status_code, kind, str(error.detail), step, headers=headers)


def answer_fault(request: Request, error: Exception) -> JSONResponse:
    # The text of the error may hold an address with a password: it goes to the log of this machine only.
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem_response(500, "fault", "The recorder failed to answer", "Read its log; recordings go on.")


def install_problems(app: FastAPI) -> None:
    app.add_exception_handler(CaptureError, answer_refusal)
    app.add_exception_handler(Refused, answer_refusal)
    app.add_exception_handler(RequestValidationError, answer_invalid)
    app.add_exception_handler(HTTPException, answer_http)
    app.add_exception_handler(Exception, answer_fault)
