"""Events: what changes while work goes on, as server-sent events."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from thatdam_pipelines.library.uploads import Uploads
from thatdam_pipelines.web.batches import batch_progress
from thatdam_pipelines.web.context import Context, Shared
from thatdam_pipelines.web.listeners import Snapshot
from thatdam_pipelines.web.problems import problems

router = APIRouter(prefix="/api/v1", tags=["events"])

EVERY_S = 1.0
_BATCHES = 20
_JOBS = 20


@router.get("/events", response_class=StreamingResponse, responses=problems(503))
async def listen(shared: Shared, request: Request) -> StreamingResponse:
    """Events `batch`, `upload` and `job`, with their state now and whenever it changes; `gone`: an upload ended."""
    shared.listeners.require_room()
    return StreamingResponse(_events(shared, request), media_type="text/event-stream")


async def _events(shared: Context, request: Request) -> AsyncIterator[str]:
    changes = Changes(shared)
    with shared.listeners.one_more():
        yield "retry: 2000\n\n"
        while not await request.is_disconnected():
            news = await asyncio.to_thread(changes.since_last)
            yield "".join(f"event: {kind}\ndata: {text}\n\n" for kind, text in news) or ": still here\n\n"
            await asyncio.sleep(EVERY_S)


class Changes:
    """What one listener was told, and what there is to tell it."""

    def __init__(self, shared: Context) -> None:
        self._shared = shared
        self._told: Snapshot = {}

    def since_last(self) -> list[tuple[str, str]]:
        """Events as (kind, JSON): all there is at first, then what changed; `gone` for uploads that ended."""
        now, told = self._shared.listeners.snapshot(lambda: _look(self._shared), EVERY_S / 2), self._told
        self._told = now
        changed = [(kind, text) for (kind, key), text in now.items() if told.get((kind, key)) != text]
        ended = [key for kind, key in told if kind == "upload" and (kind, key) not in now]
        return changed + [("gone", json.dumps({"upload_id": key})) for key in ended]


def _look(shared: Context) -> Snapshot:
    found: Snapshot = {}
    for batch in shared.library.ledger.batches(_BATCHES):
        found["batch", batch.batch_id] = _json(batch_progress(shared, batch))
    for upload in Uploads(shared.settings).all():
        found["upload", upload.upload_id] = _json(vars(upload))
    if shared.settings.dagster_dir.exists():
        for run in shared.runs.latest(_JOBS):
            found["job", run.job_id] = _json(vars(run))
    return found


def _json(value: Any) -> str:
    return json.dumps(value, default=str)
