"""Events over a WebSocket: first those after ``since``, then each as it happens."""

from typing import Annotated

from fastapi import APIRouter, Query, WebSocket

from thatdam_capture.api.context import InContext
from thatdam_capture.events import EventLog

router = APIRouter()


@router.websocket("/events")
async def events(websocket: WebSocket, context: InContext, since: Annotated[int | None, Query(ge=0)] = None) -> None:
    """Numbers may skip where the recorder was started anew: read ``/v1/status`` then."""
    await context.show(websocket, context.listeners, "events", _send(websocket, context.service.events, since))


async def _send(websocket: WebSocket, log: EventLog, since: int | None) -> None:
    async for event in log.subscribe(since):
        await websocket.send_json(event.as_json())
