"""A proxy in front of an S3 server that fails, throttles, cuts off, drops, trickles, stalls or kills whoever asks."""

import contextlib
import time
from collections.abc import Callable
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

EVERY = -1
"""Number of all requests in a plan."""


class FaultyServer(ThreadingHTTPServer):
    """Passes requests on to the server at ``behind``, but for those to which something happens.

    ``plan`` says what, by the number of the request from 1: ``500`` and ``503`` are answered so, ``drop`` takes the
    request and hangs up, ``cut`` hangs up amid the answer, ``trickle`` passes both in drops, ``stall`` never answers,
    ``kill`` calls ``kill`` when half of the request is there.
    """

    daemon_threads = True

    def __init__(self, behind: str) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        host, _, port = behind.removeprefix("http://").partition(":")
        self.behind = (host, int(port))
        self.lock = Lock()
        self.kill: Callable[[], None] = lambda: None
        self.begin({})
        Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def begin(self, plan: dict[int, str]) -> None:
        """Count from 1 again, by a new plan."""
        with self.lock:
            self.plan, self.seen, self.injected = plan, 0, 0

    def next_fault(self) -> str | None:
        with self.lock:
            self.seen += 1
            fault = self.plan.get(self.seen) or self.plan.get(EVERY)
            self.injected += fault is not None
        return fault


class _Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: FaultyServer

    def _pass(self) -> None:
        fault = self.server.next_fault()
        length = int(self.headers.get("Content-Length") or 0)
        if fault == "kill":
            self.rfile.read(length // 2)
            self.server.kill()
            self.close_connection = True
            return
        body = self._trickled(length) if fault == "trickle" else self.rfile.read(length)
        if fault == "stall":
            # Until the other side has waited long enough.
            with contextlib.suppress(OSError):
                self.connection.recv(1)
        if fault in ("drop", "stall"):
            self.close_connection = True
        elif fault in ("500", "503"):
            code = {"500": "InternalError", "503": "SlowDown"}[fault]
            self._answer(
                int(fault), {}, f"<Error><Code>{code}</Code><Message>injected</Message></Error>".encode(), None
            )
        else:
            onward = HTTPConnection(*self.server.behind)
            onward.request(self.command, self.path, body, dict(self.headers))
            answer = onward.getresponse()
            self._answer(answer.status, dict(answer.getheaders()), answer.read(), fault)
            onward.close()

    def _trickled(self, length: int) -> bytes:
        drop = max(1, length // 20)
        taken = []
        for start in range(0, length, drop):
            taken.append(self.rfile.read(min(drop, length - start)))
            time.sleep(0.01)
        return b"".join(taken)

    def _answer(self, status: int, headers: dict[str, str], content: bytes, fault: str | None) -> None:
        self.send_response_only(status)
        length = headers.get("Content-Length", str(len(content))) if self.command == "HEAD" else str(len(content))
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault == "trickle":
            drop = max(1, len(content) // 20)
            for start in range(0, len(content), drop):
                self.wfile.write(content[start : start + drop])
                time.sleep(0.01)
        elif fault == "cut" and self.command == "GET" and len(content) > 1:
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
        else:
            self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
