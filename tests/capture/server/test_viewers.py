"""Viewers cost the recording nothing: those that stop reading, that come and go, that hang on at the end."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

RATE = 25


def stuck_reader(port: int, path: str) -> socket.socket:
    """A viewer that asks for a stream, takes the first bytes and never reads again."""
    made = socket.create_connection(("127.0.0.1", port))
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert made.recv(12) == b"HTTP/1.1 200"
    return made


def stuck_socket(port: int, path: str) -> socket.socket:
    """A WebSocket that never reads what is sent."""
    made = socket.create_connection(("127.0.0.1", port))
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    made.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{upgrade}{key}\r\n".encode())
    assert made.recv(12) == b"HTTP/1.1 101"
    return made


@contextlib.contextmanager
def stuck_viewers(port: int) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(stuck_reader(port, "/v1/devices/cam1/stream"))
            stack.enter_context(stuck_socket(port, "/v1/devices/cam1/frames"))
        stack.enter_context(stuck_socket(port, "/v1/events?since=0"))
        yield


def start(recorder: Any, **request: Any) -> str:
    answer = recorder.http.post("/v1/record", json={"camera_ids": ["cam1"], **request})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["sessions"][0]["id"])


def wait_for_frames(recorder: Any, count: int) -> None:
    deadline = time.monotonic() + 30
    while recorder.http.get("/v1/devices/cam1").json()["stats"]["frames"] < count:
        assert time.monotonic() < deadline, recorder.http.get("/v1/devices/cam1").text
        time.sleep(0.1)


def assert_no_frame_missing(bench: Any, session: str, at_least: int) -> None:
    manifests = [one for one in bench.manifests("cam1") if one.session_id == session]
    counters = [frame.code.counter for one in manifests for frame in bench.frames(one)]
    assert len(counters) >= at_least
    assert counters == list(range(counters[0], counters[0] + len(counters)))
    assert sum(one.dropped + one.duplicated for one in manifests) == 0
    assert all(one.complete for one in manifests)
    assert {one.gap_before_s for one in manifests[1:]} <= {0.0}


def test_viewers_that_stop_reading_change_nothing_in_the_recording(
    bench: Any, start_recorder: Callable[..., Any]
) -> None:
    # Pictures large enough that what waits for a stuck reader soon fills every buffer.
    recorder = start_recorder(".", preview={"height": 180, "fps": 25, "quality": 2})
    with stuck_viewers(recorder.port):
        session = start(recorder)
        wait_for_frames(recorder, 6 * RATE)
        assert recorder.http.get("/v1/devices/cam1").json()["stats"]["restarts"] == 0
        before = recorder.http.get("/v1/devices/cam1/snapshot.jpg").headers["X-Frame"]
        time.sleep(0.3)
        after = recorder.http.get("/v1/devices/cam1/snapshot.jpg").headers["X-Frame"]
        assert int(after) > int(before), "others still see new pictures"
        recorder.http.post(f"/v1/record/{session}/stop")
    assert_no_frame_missing(bench, session, 6 * RATE)


def test_fifty_viewers_that_come_and_go_change_nothing_in_the_recording(
    bench: Any, start_recorder: Callable[..., Any]
) -> None:
    recorder = start_recorder(".")

    def come_and_go(number: int) -> int:
        if number % 3 == 0:
            url = f"ws://127.0.0.1:{recorder.port}/v1/devices/cam1/frames"
            with connect(url, proxy=None) as frames:
                return len(frames.recv(timeout=10))
        if number % 3 == 1:
            return len(recorder.http.get("/v1/devices/cam1/snapshot.jpg").content)
        with httpx.stream("GET", f"{recorder.url}/stream/cam1", timeout=10, trust_env=False) as answer:
            return len(next(answer.iter_bytes()))

    session = start(recorder)
    with ThreadPoolExecutor(10) as crowd:
        assert all(crowd.map(come_and_go, range(50)))
    wait_for_frames(recorder, 3 * RATE)
    recorder.http.post(f"/v1/record/{session}/stop")
    assert_no_frame_missing(bench, session, 3 * RATE)
    viewers = recorder.http.get("/v1/status").json()["viewers"]
    assert viewers == {"mjpeg": 0, "frames": 0, "whep": 0, "hls": 0, "limit": 64}


def test_the_end_comes_within_15_s_and_commits_the_tail_while_viewers_hang_on(
    bench: Any, start_recorder: Callable[..., Any]
) -> None:
    recorder = start_recorder(".", preview={"height": 180, "fps": 25, "quality": 2})
    with stuck_viewers(recorder.port):
        session = start(recorder)
        wait_for_frames(recorder, 3 * RATE)
        asked = time.monotonic()
        assert recorder.terminate() == 0
        assert time.monotonic() - asked < 15
    assert_no_frame_missing(bench, session, 3 * RATE)
    assert bench.manifests("cam1")[-1].is_last
    bench.assert_whole()
    assert recorder.log == ""


def test_more_viewers_than_the_limit_are_told_to_wait(start_recorder: Callable[..., Any]) -> None:
    recorder = start_recorder(limits={"max_viewers": 2})
    with stuck_reader(recorder.port, "/v1/devices/cam1/stream"), stuck_reader(recorder.port, "/stream/cam2"):
        refused = recorder.http.get("/v1/devices/cam1/stream")
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        assert "max_viewers" in refused.json()["next_step"]
        with pytest.raises(Exception, match="503"):
            connect(f"ws://127.0.0.1:{recorder.port}/v1/devices/cam1/frames", proxy=None)
        assert recorder.http.get("/v1/devices").status_code == 200
    deadline = time.monotonic() + 10
    while recorder.http.get("/v1/devices/cam1/snapshot.jpg").status_code != 200:
        assert time.monotonic() < deadline


def test_pictures_come_without_a_recording_and_stop_when_nobody_looks(start_recorder: Callable[..., Any]) -> None:
    import psutil

    recorder = start_recorder()
    process = psutil.Process(recorder.process.pid)
    assert process.children(recursive=True) == []
    with httpx.stream("GET", f"{recorder.url}/v1/devices/cam1/stream", timeout=10, trust_env=False) as answer:
        parts = answer.iter_bytes()
        assert b"\xff\xd8" in next(parts) + next(parts)
        assert process.children(recursive=True)
    deadline = time.monotonic() + 20
    while process.children(recursive=True):
        assert time.monotonic() < deadline, "an ffmpeg runs for nobody"
        time.sleep(0.1)
