"""Around every request: who asks, the size of the body, and the headers that keep browsers careful."""

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thatdam_pipelines.web.access import Access
from thatdam_pipelines.web.bodies import Body, too_large
from thatdam_pipelines.web.problems import EXPECTED, Refusal, problem_response

BODY_BYTES = 1024 * 1024
"""Largest body of a request that uploads nothing."""
POLICY = "; ".join(
    [
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "connect", "font", "manifest", "worker")),
        *(f"{kind}-src 'self' blob:" for kind in ("img", "media")),
        *(f"{kind} 'none'" for kind in ("base-uri", "frame-ancestors", "object-src")),
        "form-action 'self'",
    ]
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """Middleware around the whole application.

    Args:
        upload_paths: Beginnings of the paths that take larger bodies, with their limit in bytes.
    """

    def __init__(self, app: ASGIApp, access: Access, upload_paths: dict[str, int]) -> None:
        self._app = app
        self._access = access
        self._upload_paths = upload_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._open_socket(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            limit = self._body_limit(request.url.path)
            length = request.headers.get("content-length", "0")
            if not (length.isascii() and length.isdigit()) or int(length[:20]) > limit:
                raise Refusal(413, *too_large(limit))
            request.state.caller = await run_in_threadpool(self._access.check, request)
        except EXPECTED as error:
            await problem_response(request, error)(scope, receive, _with_headers(send))
            return
        body = Body(scope, receive, _with_headers(send), limit)
        await self._app(scope, body.receive, body.send)

    async def _open_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A socket is opened for who may look, and for no other site's page: browsers send it their cookies too."""
        request = Request({**scope, "type": "http", "method": "GET"})
        try:
            request.state.caller = await run_in_threadpool(self._access.check, request)
            self._access.check_origin(request)
        except Refusal:
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        await self._app(scope, receive, send)

    def _body_limit(self, path: str) -> int:
        return next((limit for start, limit in self._upload_paths.items() if path.startswith(start)), BODY_BYTES)


def _with_headers(send: Send) -> Send:
    async def adding(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return adding
