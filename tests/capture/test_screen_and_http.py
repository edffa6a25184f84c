"""A screen that goes away and comes back larger, and a camera that speaks HTTP."""

import asyncio
import subprocess
import threading
from collections.abc import Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from thatdam_capture.ffmpeg import ffmpeg_exe
from thatdam_capture.sessions import RecordRequest, State
from thatdam_capture.settings import Settings
from thatdam_capture.synthetic import synthetic_graph

TIMING = {"backoff_max_s": 0.5, "stop_step_s": 2, "stall_timeout_s": 3}


class Screen:
    """An X server without a screen."""

    def __init__(self, size: str, number: int | None = None) -> None:
        display = [f":{number}"] if number is not None else []
        command = ["Xvfb", *display, "-displayfd", "1", "-screen", "0", f"{size}x24", "-nolisten", "tcp"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self.process.stdout is not None
        self.number = int(self.process.stdout.readline())

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(10)


def test_a_screen_that_comes_back_larger_and_odd_is_recorded_on(bench: Any, until: Any) -> None:
    screen = Screen("320x240")
    camera = {"id": "screen", "kind": "x11", "display": f":{screen.number}", "rate": "15"}

    async def story() -> None:
        nonlocal screen
        async with bench.running(bench.settings(cameras=[camera], timing=TIMING)) as service:
            (session,) = await service.record(RecordRequest(camera_ids=["screen"]))
            one = service.camera("screen")
            await until(lambda: one.stats.frames > 20)
            screen.end()
            await until(lambda: one.state is State.BACKOFF)
            screen = Screen("401x299", screen.number)
            frames = one.stats.frames
            await until(lambda: one.state is State.RECORDING and one.stats.frames > frames + 20)
            await service.stop_session(session.id)

    try:
        asyncio.run(story())
    finally:
        screen.end()
    bench.assert_whole()
    manifests = bench.manifests()
    assert [(one.video.width, one.video.height) for one in (manifests[0], manifests[-1])] == [(320, 240), (402, 300)]
    assert manifests[-1].gap_before_s is not None and "source_lost" in {one.reason_end for one in manifests}
    assert all(one.frames == len(list(bench.frames(one))) for one in manifests)


@pytest.fixture
def http_camera() -> Iterator[str]:
    """Address of a camera that sends MPEG-TS over HTTP."""

    class Stream(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "video/mp2t")
            self.end_headers()
            arguments = ["-loglevel", "error", "-f", "lavfi", "-i", synthetic_graph(320, 180, Fraction(25))]
            arguments += ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25"]
            arguments += ["-c:a", "aac", "-flush_packets", "1", "-f", "mpegts", "pipe:1"]
            process = subprocess.Popen([ffmpeg_exe(Settings()), *arguments], stdout=self.wfile.fileno())
            process.wait()

        def log_message(self, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Stream)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/stream.ts"
    server.shutdown()


def test_a_camera_over_http_is_copied(bench: Any, until: Any, http_camera: str) -> None:
    camera = {"id": "cam1", "kind": "http", "url": http_camera, "profile": "copy"}

    async def story() -> None:
        async with bench.running(bench.settings(cameras=[camera], timing=TIMING)) as service:
            (session,) = await service.record(RecordRequest(camera_ids=["cam1"]))
            await until(lambda: service.camera("cam1").stats.frames > 80)
            await service.stop_session(session.id)

    asyncio.run(story())
    bench.assert_whole()
    manifests = bench.manifests()
    counters = [frame.code.counter for one in manifests for frame in bench.frames(one)]
    assert counters == list(range(counters[0], counters[0] + len(counters)))
    assert {(one.video.codec, one.audio.codec) for one in manifests if one.audio} == {("h264", "aac")}
