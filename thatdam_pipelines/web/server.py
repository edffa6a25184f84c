"""The server that the web application answers from: patient with slow people, not with who holds connections open."""

import asyncio
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from thatdam_pipelines.settings import Settings
from thatdam_pipelines.web.app import create_app

HEADERS_S = 20.0
"""Longest time a client may take for the headers of a request."""


class HeadersInTime(H11Protocol):
    """A connection that is closed when the next request does not begin in time, whatever dribbles in.

    uvicorn waits for ever for the end of headers that have begun. Of its two parsers, h11 limits their size.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_request()

    def on_response_complete(self) -> None:
        self._expect_request()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _expect_request(self) -> None:
        self._forget()
        self._deadline = self.loop.call_later(HEADERS_S, self._close_unless_answering)

    def _close_unless_answering(self) -> None:
        # uvicorn declares that there is one from the beginning on; there is none before the first request.
        cycle = cast(Any, self.cycle)
        if cycle is None or cycle.response_complete:
            self.transport.close()

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()


def make_server(settings: Settings, port: int) -> uvicorn.Server:
    """The server of the application over the library of ``settings``.

    Raises:
        SettingsError: It would bind to an address that others reach, with nothing that tells them apart.
    """
    config = uvicorn.Config(
        create_app(settings),
        host=settings.web_address,
        port=port,
        http=HeadersInTime,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    return uvicorn.Server(config)
