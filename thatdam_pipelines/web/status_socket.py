"""The toolbox's live status: the same events as `/api/v1/events`, over a WebSocket."""

import asyncio

from fastapi import APIRouter, WebSocket, WebSocketDisconnect, status

from thatdam_pipelines.web.context import Context
from thatdam_pipelines.web.events import EVERY_S, Changes
from thatdam_pipelines.web.problems import Refusal

router = APIRouter()


@router.websocket("/ws/status")
async def status_socket(socket: WebSocket) -> None:
    """Sends ``{"event", "data"}`` for what there is, and whenever it changes; what comes in is passed over."""
    shared: Context = socket.app.state.context
    try:
        shared.listeners.require_room()
    except Refusal:
        await socket.close(status.WS_1013_TRY_AGAIN_LATER)
        return
    await socket.accept()
    gone = asyncio.create_task(_until_gone(socket))
    changes = Changes(shared)
    try:
        with shared.listeners.one_more():
            while not gone.done():
                for event, data in await asyncio.to_thread(changes.since_last):
                    await socket.send_text(f'{{"event": "{event}", "data": {data}}}')
                await asyncio.wait({gone}, timeout=EVERY_S)
    except WebSocketDisconnect:
        pass
    finally:
        gone.cancel()


async def _until_gone(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
