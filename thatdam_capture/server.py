"""The recorder as a process: listens, records until it is told to end, and leaves nothing half done."""

import asyncio
import contextlib
import resource
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn

from thatdam_capture.addresses import address
from thatdam_capture.api.app import create_app
from thatdam_capture.api.context import Context
from thatdam_capture.errors import SettingsError
from thatdam_capture.peers import Peers
from thatdam_capture.service import CaptureService
from thatdam_capture.settings import Settings

READER_LIMIT_MS = 20_000
UNSENT_BYTES = 64 * 1024
LAST_ANSWERS_S = 0.3


class Server(uvicorn.Server):
    """uvicorn, without its own handling of signals: recordings are committed first."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def drop_connections(self) -> None:
        """Cut what still hangs on: a viewer that reads no more would hold the end up."""
        for connection in list(self.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()


def listener(settings: Settings) -> socket.socket:
    """A socket that listens where the settings say, taken before any camera is.

    Raises:
        SettingsError: the address is taken or not ours.
    """
    host, port = settings.listen.host, settings.listen.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # A viewer that takes nothing for so long is cut off by the kernel; and little waits for one that is slow,
        # so that it sees the present when it catches up.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, READER_LIMIT_MS)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        made.bind(address)
        made.listen(256)
    except OSError as error:
        raise SettingsError(
            f"{host}:{port}: cannot listen there ({error.strerror})", "Free the port, or set listen.port"
        ) from None
    return made


async def serve(settings: Settings, started: Callable[[str], None] = lambda _url: None) -> None:
    """Run the recorder until SIGTERM, SIGINT or SIGHUP.

    Args:
        started: Called with the address once requests are answered.

    Raises:
        SettingsError: the address cannot be listened on.
        StoreGone: the store cannot be used.
    """
    open_many_files()
    listening = listener(settings)
    port = listening.getsockname()[1]
    service = CaptureService(settings)
    app = create_app(service)
    context: Context = app.state.context
    server = Server(
        uvicorn.Config(
            app,
            lifespan="off",
            log_level="warning",  # Lines of uvicorn at `info` hold signed addresses.
            access_log=False,
            server_header=False,
            ws_max_size=64 * 1024,
            ws_per_message_deflate=False,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=1,
        )
    )
    stopping = _signals()
    await service.start()
    peers = Peers(settings, port, events=service.events)
    service.peers = peers
    try:
        await peers.start()
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        started(address(settings.listen.host, port))
        await asyncio.wait([serving, asyncio.create_task(stopping.wait())], return_when=asyncio.FIRST_COMPLETED)
    finally:
        await asyncio.gather(context.close_views(), service.stop(), peers.stop())
    server.should_exit = True
    await asyncio.sleep(LAST_ANSWERS_S)
    server.drop_connections()
    await serving


def open_many_files() -> None:
    """Take all the open files that the system allows, so that idle connections leave some for recording."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _signals() -> asyncio.Event:
    """Set by the first signal that asks to end; further ones change nothing."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stopping.set)
    return stopping
