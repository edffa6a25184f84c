"""What a client sends, held to a size and to a pace: nobody holds a request open by dribbling."""

import asyncio
import time

from starlette.types import Message, Receive, Scope, Send

from thatdam_pipelines.web.problems import Refusal

SILENCE_S = 60.0
"""Longest wait for the next bytes."""
LEAST_BYTES_A_SECOND = 256
"""Slowest sender that is waited for, once it had ``SILENCE_S``."""


class Body:
    """The body of one request, as the application reads it.

    Args:
        limit: Most bytes. A body sent in chunks states no length: it is counted as it comes.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._limit = limit
        self._seen = 0
        self._waited_s = 0.0
        self._whole = False
        self._started = False
        self._refusal: Refusal | None = None

    async def receive(self) -> Message:
        """The next part.

        Raises:
            Refusal: It is too large, or comes too slowly.
        """
        if self._whole:
            return await self._receive()
        began = time.monotonic()
        patience_s = min(SILENCE_S, SILENCE_S + self._seen / LEAST_BYTES_A_SECOND - self._waited_s)
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, patience_s))
        except TimeoutError:
            raise self._refused(408, "too-slow", "the body comes too slowly", "Send it again, faster.") from None
        self._waited_s += time.monotonic() - began
        self._seen += len(message.get("body", b""))
        if self._seen > self._limit:
            raise self._refused(413, *too_large(self._limit))
        self._whole = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Pass an answer on; what the application makes of a body that was refused gives way to the refusal."""
        if self._refusal is None or self._started:
            self._started = True
            await self._send(message)
        elif message["type"] == "http.response.start":
            await self._refusal.response()(self._scope, self._receive, self._send)

    def _refused(self, status: int, name: str, detail: str, next_step: str) -> Refusal:
        self._refusal = Refusal(status, name, detail, next_step, {"Connection": "close"})
        return self._refusal


def too_large(limit: int) -> tuple[str, str, str]:
    """Name, detail and next step of the refusal of a body over ``limit`` bytes."""
    return "too-large", f"a body may hold {limit} bytes here", "Send less, or upload it."
