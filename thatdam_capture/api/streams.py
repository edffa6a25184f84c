"""Live pictures: MJPEG for any player, one snapshot, and frames over a WebSocket for the viewer page.

All read the one-slot buffer of the camera: a viewer that reads slowly misses pictures, and holds up nobody.
"""

import asyncio
import struct
import time

from fastapi import APIRouter, Response, WebSocket
from starlette.types import Receive, Scope, Send

from thatdam_capture.api.context import Context, InContext
from thatdam_capture.api.problems import Refused, refusals, response_to
from thatdam_capture.camera import Camera
from thatdam_capture.errors import NotFound
from thatdam_capture.latest_frame import Frame

BOUNDARY = "thatdam-next-picture"
PART = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\n\r\n".encode()
SNAPSHOT_WAIT_S = 8.0
SNAPSHOT_AGE_S = 1.0
FRAME_HEADER = struct.Struct("!QQ")
"""Before each picture on a frames socket: its number, and when it came as microseconds of the Unix clock."""

router = APIRouter(tags=["live"])


class MjpegResponse(Response):
    """Endless ``multipart/x-mixed-replace``.

    The head of the next part follows each picture at once: browsers show a picture only when they read that. So no
    part can state its length, which none has to.
    """

    media_type = f"multipart/x-mixed-replace; boundary={BOUNDARY}"

    def __init__(self, context: Context, camera: Camera) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._context = context
        self._camera = camera

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._context.slots.one("mjpeg"):
            await self._context.while_watched(receive, self._send(send))
            if self._context.closing.is_set():
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": PART, "more_body": True})
        async with self._camera.preview():
            number = 0
            while True:
                frame = await self._camera.frame.next(number)
                number = frame.number
                await send({"type": "http.response.body", "body": frame.jpeg + b"\r\n" + PART, "more_body": True})


def unix_time(frame: Frame) -> float:
    return time.time() - (time.monotonic() - frame.monotonic_time)


@router.get(
    "/devices/{camera_id}/stream",
    response_class=Response,
    responses={200: {"content": {"multipart/x-mixed-replace": {}}}, **refusals(404, 503)},
    summary="Live pictures as MJPEG, until the connection is closed",
)
async def stream(camera_id: str, context: InContext) -> Response:
    return MjpegResponse(context, context.service.camera(camera_id))


@router.get(
    "/devices/{camera_id}/snapshot.jpg",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
        **refusals(404, 503),
    },
    summary="The newest picture",
)
async def snapshot(camera_id: str, context: InContext) -> Response:
    camera = context.service.camera(camera_id)
    frame = camera.frame.latest
    if frame is None or time.monotonic() - frame.monotonic_time > SNAPSHOT_AGE_S:
        with context.slots.one("mjpeg"):
            frame = await _fresh(camera, frame.number if frame else 0)
    return Response(
        frame.jpeg,
        media_type="image/jpeg",
        headers={"X-Frame": str(frame.number), "X-Time": f"{unix_time(frame):.6f}"},
    )


async def _fresh(camera: Camera, after: int) -> Frame:
    try:
        async with asyncio.timeout(SNAPSHOT_WAIT_S), camera.preview():
            return await camera.frame.next(after)
    except TimeoutError:
        raise Refused(
            503,
            "no-picture",
            f"{camera.device.name} gave no picture within {SNAPSHOT_WAIT_S:g} s",
            "Look whether it is plugged in and switched on.",
            {"Retry-After": "5"},
        ) from None


@router.websocket("/devices/{camera_id}/frames")
async def frames(websocket: WebSocket, camera_id: str, context: InContext) -> None:
    """Each message is ``FRAME_HEADER`` and a JPEG. Browsers open six HTTP connections a host, and many sockets."""
    try:
        camera = context.service.camera(camera_id)
    except NotFound as error:
        await websocket.send_denial_response(response_to(error))
        return
    await context.show(websocket, context.slots, "frames", _send_frames(websocket, camera))


async def _send_frames(websocket: WebSocket, camera: Camera) -> None:
    async with camera.preview():
        number = 0
        while True:
            frame = await camera.frame.next(number)
            number = frame.number
            await websocket.send_bytes(FRAME_HEADER.pack(number, int(unix_time(frame) * 1e6)) + frame.jpeg)
