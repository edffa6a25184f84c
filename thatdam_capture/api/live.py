"""WebRTC and HLS: live views that the server keeps between requests."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import RedirectResponse

from thatdam_capture.api.context import InContext
from thatdam_capture.api.problems import Refused, refusals

SDP = "application/sdp"
PLAYLIST = "application/vnd.apple.mpegurl"
SEGMENT = "video/mp2t"

ViewId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$", description="Given when the view was opened.")]

router = APIRouter(tags=["live"])


@router.post(
    "/devices/{camera_id}/whep",
    status_code=201,
    response_class=Response,
    summary="Open a WebRTC view (WHEP): send an SDP offer, get the answer",
    responses={201: {"content": {SDP: {"schema": {"type": "string"}}}}, **refusals(404, 413, 415, 501, 503)},
    openapi_extra={"requestBody": {"required": True, "content": {SDP: {"schema": {"type": "string"}}}}},
)
async def whep(camera_id: str, request: Request, context: InContext) -> Response:
    camera = context.service.camera(camera_id)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != SDP:
        raise Refused(415, "not-sdp", "WHEP takes an SDP offer", f"Send it as Content-Type: {SDP}.")
    offer = (await request.body()).decode("utf-8", "replace")
    view, answer = await context.whep.play(camera, offer)
    prefix = request.url.path.partition("/devices/")[0]
    return Response(answer, 201, {"Location": f"{prefix}/whep/{view}"}, media_type=SDP)


@router.delete("/whep/{view}", status_code=204, summary="End a WebRTC view", responses=refusals(404))
async def end_whep(view: ViewId, context: InContext) -> None:
    await context.whep.end(view)


@router.get(
    "/devices/{camera_id}/hls.m3u8",
    status_code=307,
    response_class=RedirectResponse,
    summary="Open an HLS view; redirects to its playlist, which works for whoever knows its address",
    responses=refusals(404, 503),
)
async def hls(camera_id: str, request: Request, context: InContext) -> Response:
    view = context.hls.open(context.service.camera(camera_id))
    prefix = request.url.path.partition("/devices/")[0]
    return RedirectResponse(f"{prefix}/hls/{view.id}/index.m3u8", 307)


@router.get(
    "/hls/{view}/index.m3u8",
    response_class=Response,
    summary="Playlist of an HLS view",
    responses={200: {"content": {PLAYLIST: {"schema": {"type": "string"}}}}, **refusals(404, 503)},
)
async def playlist(view: ViewId, context: InContext) -> Response:
    return Response(await context.hls.get(view).playlist(), media_type=PLAYLIST)


@router.get(
    "/hls/{view}/{number}.ts",
    response_class=Response,
    summary="Segment of an HLS view",
    responses={200: {"content": {SEGMENT: {"schema": {"type": "string", "format": "binary"}}}}, **refusals(404)},
)
async def segment(view: ViewId, number: Annotated[int, Path(ge=0)], context: InContext) -> Response:
    return Response(context.hls.get(view).segment(number), media_type=SEGMENT)
