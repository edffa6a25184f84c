"""What the routes share: the recorder, who may look, how many look."""

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import HTTPConnection
from starlette.types import Receive
from starlette.websockets import WebSocket, WebSocketDisconnect

from thatdam_capture.api.hls import HlsViews
from thatdam_capture.api.problems import Refused, response_to
from thatdam_capture.api.signing import SignedUrls
from thatdam_capture.api.viewers import ViewerSlots, ViewKind
from thatdam_capture.api.whep import WhepViews
from thatdam_capture.service import CaptureService


@dataclass
class Context:
    """One running server.

    Attributes:
        slots: Live views that are open.
        listeners: Sockets of events that are open.
        closing: Set when the server was asked to end: live views end, recordings are committed.
    """

    service: CaptureService
    signed: SignedUrls
    slots: ViewerSlots
    listeners: ViewerSlots
    whep: WhepViews = field(init=False)
    hls: HlsViews = field(init=False)
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.whep = WhepViews(self.slots)
        self.hls = HlsViews(self.slots)

    async def close_views(self) -> None:
        self.closing.set()
        await self.whep.close()
        await self.hls.close()

    async def while_watched(self, receive: Receive, view: Coroutine[Any, Any, None]) -> None:
        """Run a live view until it ends, the one who watches is gone, or the server closes."""

        async def gone() -> None:
            while not (await receive())["type"].endswith("disconnect"):
                pass

        tasks = [asyncio.create_task(one) for one in (view, gone(), self.closing.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        if isinstance(ends[0], Exception) and not isinstance(ends[0], WebSocketDisconnect):
            raise ends[0]

    async def show(
        self, websocket: WebSocket, slots: ViewerSlots, kind: ViewKind, view: Coroutine[Any, Any, None]
    ) -> None:
        """Accept a socket and run a live view on it, if there is a slot."""
        try:
            slots.take(kind)
        except Refused as error:
            view.close()
            await websocket.send_denial_response(response_to(error))
            return
        try:
            await websocket.accept()
            await self.while_watched(websocket.receive, view)
            if self.closing.is_set():
                with contextlib.suppress(WebSocketDisconnect):
                    await websocket.close(1001)
        finally:
            slots.release(kind)


def context_of(connection: HTTPConnection) -> Context:
    context: Context = connection.app.state.context
    return context


InContext = Annotated[Context, Depends(context_of)]
