"""Clients that dribble, or read nothing: they are cut off in the end, and keep nobody waiting meanwhile."""

import base64
import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from tests.web.serving import serving
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import LOCATIONS
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.settings import Settings

MANY = 60
"""More than the threads that answer."""
LIMIT_S = 120
"""For a machine that has much else to do."""


@pytest.fixture
def url(settings: Settings) -> Iterator[str]:
    with serving(settings) as made:
        yield made


@contextlib.contextmanager
def connections(url: str, count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as opened:
        address = (urlsplit(url).hostname, urlsplit(url).port)
        yield [opened.enter_context(socket.create_connection(address, timeout=LIMIT_S)) for _ in range(count)]


def dribble_until_answered(connection: socket.socket) -> bytes:
    """Sends a byte now and then, until the server answers or hangs up; what it said."""
    connection.settimeout(0.05)
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(TimeoutError):
            try:
                connection.sendall(b"x")
                return connection.recv(65536)
            except (BrokenPipeError, ConnectionResetError):
                return b""
    return pytest.fail("the server waits for ever")


def others_are_answered(url: str) -> None:
    for path in ("/health", "/api/v1/media", "/api/v1/albums"):
        assert httpx.get(f"{url}{path}", timeout=LIMIT_S).status_code == 200


def test_headers_that_never_end_are_hung_up_on(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thatdam_pipelines.web.server.HEADERS_S", 5.0)
    with connections(url, MANY) as opened:
        for connection in opened:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        others_are_answered(url)
        assert {dribble_until_answered(connection) for connection in opened} == {b""}


def test_a_second_request_that_never_ends_is_hung_up_on(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thatdam_pipelines.web.server.HEADERS_S", 5.0)
    with connections(url, 1) as (connection,):
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /health HTTP/1.1\r\nX-Slow: ")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        while dribble_until_answered(connection):
            pass


def test_headers_without_end_do_not_fill_the_memory(url: str) -> None:
    with connections(url, 1) as (connection,):
        connection.sendall(b"GET /health HTTP/1.1\r\n")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(1000):
                connection.sendall(b"X-Long: " + b"x" * 8000 + b"\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 400")


PICTURE = '--b\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
BODIES = [
    ("POST", "/api/v1/ingest", "application/json", ""),
    ("POST", "/api/v1/search", "multipart/form-data; boundary=b", PICTURE),
    ("PATCH", "/api/v1/media", "application/json", ""),
    ("POST", "/login", "application/x-www-form-urlencoded", ""),
]


@pytest.mark.parametrize(("method", "path", "kind", "begun"), BODIES)
def test_a_body_that_dribbles_is_refused_with_a_reason(
    url: str, monkeypatch: pytest.MonkeyPatch, method: str, path: str, kind: str, begun: str
) -> None:
    monkeypatch.setattr("thatdam_pipelines.web.bodies.SILENCE_S", 1.0)
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: 60000\r\n\r\n{begun}"
    )
    with connections(url, MANY) as opened:
        for connection in opened:
            connection.sendall(head.encode())
        others_are_answered(url)
        answer = dribble_until_answered(opened[0])
        assert answer.startswith(b"HTTP/1.1 408") and b"urn:thatdam:too-slow" in answer
        assert b"content-security-policy" in answer.lower()


def test_an_upload_that_dribbles_is_cut_off_and_goes_on_where_it_was(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tus = {"Tus-Resumable": "1.0.0"}
    named = {"Upload-Length": "1000", "Upload-Metadata": f"filename {base64.b64encode(b'a.mov').decode()}"}
    upload = httpx.post(f"{url}/api/v1/uploads", headers=tus | named, timeout=LIMIT_S).headers["location"]
    monkeypatch.setattr("thatdam_pipelines.web.bodies.SILENCE_S", 1.0)
    part = tus | {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0", "Content-Length": "1000"}
    lines = [f"PATCH {upload} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in part.items())]
    with connections(url, 1) as (connection,):
        # Some of it has come in any case, however slow this machine is.
        connection.sendall(("\r\n".join(lines) + "\r\n\r\nx").encode())
        assert dribble_until_answered(connection).startswith(b"HTTP/1.1 408")
    offset = int(httpx.head(f"{url}{upload}", headers=tus, timeout=LIMIT_S).headers["upload-offset"])
    assert 0 < offset < 1000
    rest = part | {"Upload-Offset": str(offset), "Content-Length": str(1000 - offset)}
    ended = httpx.patch(f"{url}{upload}", headers=rest, content=b"x" * (1000 - offset), timeout=LIMIT_S)
    assert ended.status_code == 204 and ended.headers["upload-batches"]


@pytest.fixture
def large(settings: Settings) -> Callable[[], str]:
    """Ingests a file that fills every buffer on the way; gives the address of the original."""

    def ingest() -> str:
        settings.incoming_dir.mkdir(parents=True)
        (settings.incoming_dir / "large.mov").write_bytes(os.urandom(1024) * 32 * 1024)
        with Library(settings) as library:
            (batch,) = claim_paths(library, [settings.incoming_dir], "reference")
            ingest_batch(library, batch)
            (media_id,) = library.tables.read(LOCATIONS, batch)["media_id"]
        return f"/api/v1/media/{media_id}/original"

    return ingest


def test_who_asks_for_much_and_reads_nothing_keeps_nobody_waiting(url: str, large: Callable[[], str]) -> None:
    path = large()
    with connections(url, MANY) as opened:
        for connection in opened:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert opened[-1].recv(15) == b"HTTP/1.1 200 OK"
        others_are_answered(url)
