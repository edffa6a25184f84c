"""Real servers on loopback: the web application, and Dagster's."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from thatdam_pipelines.instance import prepare_instance
from thatdam_pipelines.settings import Settings, project_file
from thatdam_pipelines.web.server import make_server

START_LIMIT_S = 60
DAGSTER_LIMIT_S = 240


@contextlib.contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """Its address, for as long as it runs."""
    server = make_server(settings, port=0)
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


@contextlib.contextmanager
def dagster_serving(settings: Settings) -> Iterator[Settings]:
    """Settings by which Dagster's server of their home is reached: it takes runs, and nothing begins them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = {"DAGSTER_HOME": str(prepare_instance(settings)), "THATDAM_HOME": str(settings.home)}
    program = str(Path(sys.executable).parent / "dagster-webserver")
    command = [program, "-w", str(project_file("workspace.yaml")), "-h", "127.0.0.1", "-p", str(port)]
    log = settings.home / "dagster-webserver.log"
    with log.open("wb") as said, subprocess.Popen(command, env=os.environ | home, stdout=said, stderr=said) as server:
        try:
            deadline = time.monotonic() + DAGSTER_LIMIT_S
            while not _answers(f"http://127.0.0.1:{port}/server_info"):
                assert server.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
            yield settings.model_copy(update={"dagster_port": port})
        finally:
            server.terminate()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=10, trust_env=False).is_success
    except httpx.HTTPError:
        return False
