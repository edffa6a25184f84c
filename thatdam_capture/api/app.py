"""The HTTP application of one recorder."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from thatdam_capture.api import devices, events_socket, live, recordings, status, streams
from thatdam_capture.api.context import Context
from thatdam_capture.api.problems import Problem, install_problems
from thatdam_capture.api.security import Access, Guard
from thatdam_capture.api.signing import SignedUrls
from thatdam_capture.api.viewers import ViewerSlots
from thatdam_capture.service import CaptureService

VIEWER = Path(__file__).parents[1] / "viewer"


def create_app(service: CaptureService) -> FastAPI:
    """The application; whoever makes it starts and stops the service, and ends live views by ``close_views``."""
    app = FastAPI(
        title="thatdam capture",
        description="Records cameras and shows them live. Refusals are problem details (RFC 9457).",
        version=status.recorder_version(),
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
    )
    signed = SignedUrls()
    limit = service.settings.limits.max_viewers
    app.state.context = Context(service, signed, ViewerSlots(limit), ViewerSlots(limit))
    install_problems(app)
    routes = _routes()
    app.include_router(routes, prefix="/v1")
    # The names that users of the toolbox know.
    app.include_router(routes, include_in_schema=False)
    seed = APIRouter()
    seed.get("/api/devices")(devices.devices)
    seed.get("/stream/{camera_id}")(streams.stream)
    seed.websocket("/ws/status")(events_socket.events)
    app.include_router(seed, include_in_schema=False)
    app.mount("/viewer", StaticFiles(directory=VIEWER))
    app.get("/", include_in_schema=False)(viewer_page)
    app.add_middleware(Guard, access=Access(service.settings, signed))
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


async def viewer_page() -> FileResponse:
    return FileResponse(VIEWER / "index.html")


def _routes() -> APIRouter:
    routes = APIRouter()
    for part in (devices, recordings, streams, live, events_socket, status):
        routes.include_router(part.router)
    return routes


def _openapi(app: FastAPI) -> dict[str, Any]:
    if not app.openapi_schema:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        components = schema.setdefault("components", {})
        components.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{"token": []}, {}]
        app.openapi_schema = schema
    return app.openapi_schema
