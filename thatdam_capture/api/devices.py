"""Cameras and what they do."""

from fastapi import APIRouter

from thatdam_capture.api.context import Context, InContext
from thatdam_capture.api.models import CameraView, ModeView, Signed, SignRequest, StatsView
from thatdam_capture.api.problems import refusals
from thatdam_capture.api.signing import LIFETIME_S
from thatdam_capture.camera import Camera
from thatdam_capture.errors import BadRequest
from thatdam_capture.sessions import Session

router = APIRouter()


def camera_view(camera: Camera, session: Session | None) -> CameraView:
    device = camera.device
    return CameraView(
        id=device.id,
        name=device.name,
        kind=device.kind,
        serial=device.serial,
        online=device.online,
        path=device.path,
        modes=[ModeView.model_validate(mode) for mode in device.modes],
        state=camera.state,
        stats=StatsView.model_validate(camera.stats),
        session=session,
    )


def camera_views(context: Context) -> list[CameraView]:
    sessions = {session.camera_id: session for session in context.service.sessions()}
    return [
        camera_view(context.service.camera(device.id), sessions.get(device.id)) for device in context.service.devices()
    ]


@router.get("/devices", tags=["cameras"], summary="Every camera", responses=refusals())
async def devices(context: InContext) -> list[CameraView]:
    return camera_views(context)


@router.get("/devices/{camera_id}", tags=["cameras"], summary="One camera", responses=refusals(404))
async def device(camera_id: str, context: InContext) -> CameraView:
    camera = context.service.camera(camera_id)
    sessions = {session.camera_id: session for session in context.service.sessions()}
    return camera_view(camera, sessions.get(camera_id))


@router.post("/sign", tags=["live"], summary="Addresses of live views that work without a token", responses=refusals())
async def sign(request: SignRequest, context: InContext) -> Signed:
    try:
        return Signed(urls={path: context.signed.sign(path) for path in request.paths}, lifetime_s=LIFETIME_S)
    except ValueError as error:
        raise BadRequest(str(error), "Ask for a live view of a device, or for events") from None
