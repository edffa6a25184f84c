"""The web application behind a real server on loopback."""

import contextlib
import threading
import time
from collections.abc import Iterator

import uvicorn

from thatdam_pipelines.settings import Settings
from thatdam_pipelines.web.app import create_app

START_LIMIT_S = 60


@contextlib.contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """Its address, for as long as it runs."""
    config = uvicorn.Config(
        create_app(settings), host="127.0.0.1", port=0, log_level="error", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + START_LIMIT_S
    while not server.started:
        assert thread.is_alive() and time.monotonic() < deadline
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
