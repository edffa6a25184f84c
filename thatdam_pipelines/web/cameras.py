"""The recorder beside the library: what it sees and records, and its live pictures by way of this server."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, Path, Response
from fastapi.responses import StreamingResponse

from thatdam_pipelines.web.context import Context, Shared
from thatdam_pipelines.web.overview import recorder_status, recorder_url
from thatdam_pipelines.web.problems import Refusal, not_found, problems

CameraId = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", examples=["stage-left"])]
PICTURE_WAIT_S = 30.0
"""Longest wait for the next picture of a camera."""
_MJPEG = "multipart/x-mixed-replace"

router = APIRouter(prefix="/api/v1", tags=["cameras"])


@router.get("/cameras", responses=problems(503))
def list_cameras(shared: Shared) -> dict[str, Any]:
    """What the recorder says of itself, its disk and its cameras; docs/capture.md has the fields."""
    status = recorder_status(shared.settings)
    if status is None:
        raise _no_recorder(shared)
    return status


@router.get(
    "/cameras/{camera_id}/live",
    response_class=Response,
    responses={200: {"content": {_MJPEG: {}}}, **problems(404, 422, 503)},
)
async def live(shared: Shared, camera_id: CameraId) -> Response:
    """Live pictures of a camera (MJPEG), until the connection is closed."""
    shared.listeners.require_room()
    url = f"{recorder_url(shared.settings)}/v1/devices/{camera_id}/stream"
    async with AsyncExitStack() as opening:
        client = await opening.enter_async_context(httpx.AsyncClient(timeout=PICTURE_WAIT_S, trust_env=False))
        try:
            answer = await opening.enter_async_context(client.stream("GET", url))
        except httpx.HTTPError as error:
            raise _no_recorder(shared) from error
        if answer.status_code == 404:
            raise not_found(f"the recorder has no camera {camera_id}", "GET /api/v1/cameras lists them.")
        content_type = answer.headers.get("content-type", "")
        if answer.status_code != 200 or not content_type.startswith(_MJPEG):
            raise _no_recorder(shared)
        return StreamingResponse(_passed_on(shared, answer, opening.pop_all()), media_type=content_type)


async def _passed_on(shared: Context, answer: httpx.Response, connection: AsyncExitStack) -> AsyncIterator[bytes]:
    async with connection:
        with shared.listeners.one_more():
            try:
                async for piece in answer.aiter_raw():
                    yield piece
            except httpx.HTTPError:
                # The camera went away, or the recorder ended: so do the pictures.
                return


def _no_recorder(shared: Context) -> Refusal:
    detail = f"no recorder gives an answer at {recorder_url(shared.settings)}"
    return Refusal(503, "recorder", detail, "`thatdam up` starts it; docs/capture.md says what it needs.")
