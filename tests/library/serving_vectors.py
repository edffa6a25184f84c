"""Chroma's own server on a folder of vectors."""

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from thatdam_pipelines.library.chroma import SERVER_NOTE, VectorServer

START_LIMIT_S = 120


@contextlib.contextmanager
def vector_server(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run it, noted as `thatdam up` notes it, until the context ends; it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).parent / "chroma"), "run", "--path", str(folder), "--host", "127.0.0.1"]
    with subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.DEVNULL) as process:
        note = {"host": "127.0.0.1", "port": port, "pid": process.pid}
        (folder / SERVER_NOTE).write_text(json.dumps(note))
        deadline = time.monotonic() + START_LIMIT_S
        while not VectorServer("127.0.0.1", port, process.pid).is_alive():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        yield process
        process.terminate()
