"""Record, stop, and what was recorded."""

import asyncio
import re
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BeforeValidator

from thatdam_capture.api.context import InContext
from thatdam_capture.api.models import Started, Stopped
from thatdam_capture.api.problems import Refused, refusals
from thatdam_capture.errors import NotAllowed
from thatdam_capture.manifest import Manifest
from thatdam_capture.sessions import RecordRequest, Session
from thatdam_capture.settings import CameraId

router = APIRouter(tags=["recordings"])


def _written_out(value: Any) -> Any:
    if not re.match(r"\d{4}-\d\d-\d\dT", str(value)):
        raise ValueError("write the time as 2026-05-04T09:30:00Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_written_out)]
"""A time with its zone, written out: a bare number is as likely seconds as milliseconds."""


@router.post(
    "/record",
    status_code=201,
    summary="Record cameras, all or none of them",
    responses=refusals(404, 409, 413, 503, 507),
)
async def record(request: RecordRequest, context: InContext) -> Started:
    if context.closing.is_set():
        raise Refused(503, "stopping", "The recorder is stopping", "Start it again.")
    if context.service.settings.peers.mode == "proxy":
        raise NotAllowed("This peer shows its cameras and does not record", "Record on another peer, or set peers.mode")
    begun = await context.service.record(request)
    return Started(group_id=begun[0].group_id, sessions=begun)


@router.get("/sessions", summary="Recordings that are wanted now", responses=refusals())
async def sessions(context: InContext) -> list[Session]:
    return context.service.sessions()


@router.post(
    "/record/{session}/stop",
    summary="Stop a recording, or a whole take by its group; answers once everything is committed",
    responses=refusals(404),
)
async def stop(session: Annotated[str, Path(min_length=1, max_length=100)], context: InContext) -> Stopped:
    return Stopped(session_id=session, manifests=await context.service.stop_session(session))


@router.get("/recordings", summary="Committed segments, newest first", responses=refusals())
async def recordings(
    context: InContext,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[Moment | None, Query(description="Only segments that began before this.")] = None,
    camera: Annotated[CameraId | None, Query(description="Only this camera's.")] = None,
) -> list[Manifest]:
    return await asyncio.to_thread(context.service.recordings, limit, before, camera)
