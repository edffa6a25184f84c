"""Around what starts work: the same request with the same `Idempotency-Key` is answered again, and not done again."""

import hashlib
from collections.abc import Callable
from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thatdam_pipelines.library.requests import Answer, Requests
from thatdam_pipelines.web.access import PUBLIC, role_needed
from thatdam_pipelines.web.problems import EXPECTED, Refusal, problem_response

HEADER = "Idempotency-Key"
KEY_CHARACTERS = 200
BODY_BYTES = 1024 * 1024
"""Largest body of a request with a key: it is held in memory and compared."""


class Once:
    """Middleware inside of the guard, which says who asks.

    Args:
        requests: Called when a request with a key comes.
    """

    def __init__(self, app: ASGIApp, requests: Callable[[], Requests]) -> None:
        self._app = app
        self._requests = requests
        self._under_way: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive) if scope["type"] == "http" else None
        key = request.headers.get(HEADER) if request else None
        if request is None or key is None or not _starts_work(request):
            await self._app(scope, receive, send)
            return
        try:
            response = await self._answer(request, key)
        except EXPECTED as error:
            response = problem_response(request, error)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _answer(self, request: Request, key: str) -> Response:
        if not 0 < len(key) <= KEY_CHARACTERS:
            raise Refusal(422, "key", f"a key has 1 to {KEY_CHARACTERS} characters", f"Send another {HEADER}.")
        body = await _body(request)
        request_id = _digest(request.state.caller.name, key)
        asked = _digest(request.method, request.url.path, request.url.query, body)
        if request_id in self._under_way:
            raise Refusal(409, "under-way", "the request is being answered", "Wait for it.", {"Retry-After": "1"})
        self._under_way.add(request_id)
        try:
            kept = await run_in_threadpool(lambda: self._requests().answer(request_id))
            if kept is None:
                kept = await self._done(request, asked, body)
                if 200 <= kept.status < 300:
                    await run_in_threadpool(partial(self._requests().keep, request_id, kept))
            elif kept.asked != asked:
                raise Refusal(422, "key-used", "the key came with another request", f"Give each its own {HEADER}.")
        finally:
            self._under_way.discard(request_id)
        return Response(kept.body, kept.status, kept.headers)

    async def _done(self, request: Request, asked: str, body: bytes) -> Answer:
        """What the application answers, all of it."""
        parts: list[bytes] = []
        start: Message = {}
        unread = [body]

        async def receive() -> Message:
            if unread:
                return {"type": "http.request", "body": unread.pop(), "more_body": False}
            return await request.receive()

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            elif message["type"] == "http.response.body":
                parts.append(message.get("body", b""))

        await self._app(request.scope, receive, send)
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in start["headers"]}
        return Answer(asked, start["status"], headers, b"".join(parts))


def _starts_work(request: Request) -> bool:
    path = request.url.path
    return request.method == "POST" and not PUBLIC.fullmatch(path) and role_needed("POST", path) != "viewer"


async def _body(request: Request) -> bytes:
    parts = bytearray()
    async for block in request.stream():
        parts += block
        if len(parts) > BODY_BYTES:
            next_step = f"Send it without {HEADER}; uploads over tus go on where they broke off."
            raise Refusal(413, "too-large", f"a request with a key may hold {BODY_BYTES} bytes", next_step)
    return bytes(parts)


def _digest(*parts: str | bytes) -> str:
    hasher = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode()
        hasher.update(len(data).to_bytes(8, "big") + data)
    return hasher.hexdigest()
