"""How the recorder does: for people, for probes, for Prometheus."""

import socket
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from thatdam_capture.api.context import Context, InContext
from thatdam_capture.api.devices import camera_views
from thatdam_capture.api.metrics import registry_of
from thatdam_capture.api.models import DiskView, Health, PeerView, Ready, StatusView, ViewersView
from thatdam_capture.api.problems import refusals
from thatdam_capture.api.whep import webrtc_installed

router = APIRouter(tags=["status"])


def recorder_version() -> str:
    try:
        return version("thatdam")
    except PackageNotFoundError:
        return "unknown"


def peer_views(context: Context) -> list[PeerView]:
    peers = context.service.peers
    return [PeerView.model_validate(peer) for peer in (peers.list() if peers else [])]


@router.get("/status", summary="Everything the viewer page shows", responses=refusals())
async def status(context: InContext) -> StatusView:
    service = context.service
    health = service.health()
    return StatusView(
        host=socket.gethostname(),
        version=recorder_version(),
        mode=service.settings.peers.mode,
        time_utc=datetime.now(UTC),
        ok=health.ok,
        problems=list(health.problems),
        cameras=camera_views(context),
        disk=DiskView.model_validate(service.disk()),
        viewers=ViewersView(
            **{kind: context.slots.count[kind] for kind in ("mjpeg", "frames", "whep", "hls")},
            limit=service.settings.limits.max_viewers,
        ),
        webrtc=webrtc_installed(),
        event_seq=service.events.seq,
        peers=peer_views(context),
    )


@router.get("/health", summary="Whether the service is alive; open to everybody, so it says little")
async def health(context: InContext) -> Health:
    if context.closing.is_set():
        return Health(status="stopping", version=recorder_version())
    return Health(status="ok" if context.service.health().ok else "degraded", version=recorder_version())


@router.get("/ready", summary="Whether a recording could begin", responses={503: {"model": Ready}})
async def ready(context: InContext, response: Response) -> Ready:
    can = context.service.disk().ok and not context.closing.is_set()
    if not can:
        response.status_code = 503
    health = context.service.health()
    return Ready(ready=can, recording=health.recording, wanted=health.wanted)


@router.get(
    "/metrics",
    summary="Counters for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **refusals()},
)
async def metrics(context: InContext) -> Response:
    return Response(generate_latest(registry_of(context)), headers={"Content-Type": CONTENT_TYPE_LATEST})


@router.get("/peers", summary="Other recorders on this network", responses=refusals())
async def peers(context: InContext) -> list[PeerView]:
    return peer_views(context)
