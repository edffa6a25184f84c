"""A network camera to be ill-treated: a small RTSP server over TCP whose picture is the synthetic camera's.

Run as a program. It prints its port, then obeys lines on standard input:

    normal        serve
    close         drop every connection, serve new ones
    down / up     drop every connection and refuse new ones / listen again
    freeze        keep connections and answer requests, send no media
    half-open     keep connections, send nothing and answer nothing
    size WxH      picture size of the connections to come

Every connection has an encoder of its own, which begins when it asks for the description, with frame 0.
"""

import base64
import contextlib
import os
import re
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from fractions import Fraction
from typing import TextIO

import imageio_ffmpeg

from thatdam_capture.synthetic import synthetic_graph

RATE = Fraction(25)
USER, PASSWORD = "viewer", "s3cret-word"
MEDIA = ("video", "audio")


def udp_pair() -> list[socket.socket]:
    """Two sockets on neighbouring ports, for RTP and RTCP."""
    while True:
        pair = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for one in pair:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        pair[0].bind(("127.0.0.1", 0))
        port = pair[0].getsockname()[1]
        if port % 2 == 0:
            with contextlib.suppress(OSError):
                pair[1].bind(("127.0.0.1", port + 1))
                return pair
        for one in pair:
            one.close()


class Encoder:
    """ffmpeg that sends the synthetic camera as RTP to ports of this machine."""

    def __init__(self, size: str) -> None:
        self.sockets = [one for _ in MEDIA for one in udp_pair()]
        ports = [one.getsockname()[1] for one in self.sockets]
        width, height = (int(one) for one in size.split("x"))
        keep, leave = os.pipe()
        arguments = ["-loglevel", "error", "-f", "lavfi", "-i", synthetic_graph(width, height, RATE)]
        arguments += ["-map", "0:v", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25"]
        arguments += ["-flags", "+global_header", "-f", "rtp", f"rtp://127.0.0.1:{ports[0]}?pkt_size=1300"]
        arguments += ["-map", "0:a", "-c:a", "aac", "-flags", "+global_header"]
        arguments += ["-f", "rtp", f"rtp://127.0.0.1:{ports[2]}?pkt_size=1300", "-sdp_file", f"pipe:{leave}"]
        exe = imageio_ffmpeg.get_ffmpeg_exe()
        self.process = subprocess.Popen([exe, *arguments], pass_fds=[leave], stdin=subprocess.DEVNULL)
        os.close(leave)
        with os.fdopen(keep) as pipe:
            self.description = self._description(pipe)

    def _description(self, pipe: TextIO) -> str:
        lines: list[str] = []
        controls = 0
        for line in pipe:
            text = line.strip()
            if text.startswith("m="):
                text = re.sub(r"^(m=\w+) \d+", r"\1 0", text)
            lines.append(text)
            if text.startswith("a=fmtp"):
                lines.append(f"a=control:track{controls}")
                controls += 1
            if controls == len(MEDIA):
                break
        return "\r\n".join(one for one in lines if one != "SDP:") + "\r\n"

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for one in self.sockets:
            one.close()


class Camera:
    """The server, and how it behaves now."""

    def __init__(self) -> None:
        self.mode = "normal"
        self.size = "320x180"
        self.port = 0
        self.connections: set[socket.socket] = set()
        self.listener: socket.socket | None = None
        self.up()

    def up(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", self.port), reuse_port=True)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def down(self) -> None:
        if self.listener is not None:
            # Wakes the thread that waits in accept.
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        self.close()

    def close(self) -> None:
        for one in list(self.connections):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        self.connections.add(connection)
        encoder: Encoder | None = None
        channels: dict[int, int] = {}
        lock = threading.Lock()
        try:
            for method, url, headers in self._requests(connection):
                while self.mode == "half-open":
                    if not select.select([connection], [], [], 0.1)[0]:
                        continue
                    if not connection.recv(4096):
                        return
                answer = ["RTSP/1.0 200 OK", f"CSeq: {headers.get('cseq', '0')}"]
                body = ""
                wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
                if method != "OPTIONS" and headers.get("authorization") != wanted:
                    answer[0] = "RTSP/1.0 401 Unauthorized"
                    answer.append('WWW-Authenticate: Basic realm="camera"')
                elif method == "OPTIONS":
                    answer.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER")
                elif method == "DESCRIBE":
                    encoder = Encoder(self.size)
                    body = encoder.description
                    answer += ["Content-Type: application/sdp", f"Content-Base: {url}/"]
                elif method == "SETUP":
                    track = int(url[-1])
                    first = 2 * len(channels)
                    channels[track] = first
                    answer += [f"Transport: RTP/AVP/TCP;unicast;interleaved={first}-{first + 1}", "Session: 1"]
                elif method == "PLAY" and encoder is not None:
                    answer.append("Session: 1")
                answer.append(f"Content-Length: {len(body)}")
                with lock:
                    connection.sendall(("\r\n".join(answer) + "\r\n\r\n" + body).encode())
                if method == "PLAY" and encoder is not None:
                    play = threading.Thread(target=self._play, args=(connection, encoder, channels, lock), daemon=True)
                    play.start()
                if method == "TEARDOWN":
                    return
        except OSError:
            pass
        finally:
            self.connections.discard(connection)
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
            if encoder is not None:
                encoder.end()

    def _requests(self, connection: socket.socket) -> Iterator[tuple[str, str, dict[str, str]]]:
        """Requests as (method, url, headers); interleaved data from the client is skipped."""
        rest = b""
        while True:
            while rest[:1] == b"$" and len(rest) >= 4 and len(rest) >= 4 + int.from_bytes(rest[2:4], "big"):
                rest = rest[4 + int.from_bytes(rest[2:4], "big") :]
            if rest[:1] != b"$" and b"\r\n\r\n" in rest:
                head, _, rest = rest.partition(b"\r\n\r\n")
                first, *lines = head.decode().split("\r\n")
                method, url, _ = first.split(" ")
                yield method, url, {k.strip().lower(): v.strip() for k, _, v in (one.partition(":") for one in lines)}
                continue
            data = connection.recv(65536)
            if not data:
                return
            rest += data

    def _play(
        self, connection: socket.socket, encoder: Encoder, channels: dict[int, int], lock: threading.Lock
    ) -> None:
        by_socket = {one: number for number, one in enumerate(encoder.sockets)}
        with contextlib.suppress(OSError, ValueError):
            while encoder.process.poll() is None:
                for ready in select.select(list(by_socket), [], [], 0.2)[0]:
                    packet = ready.recv(65536)
                    track, rtcp = divmod(by_socket[ready], 2)
                    if self.mode == "normal" and track in channels:
                        head = bytes([0x24, channels[track] + rtcp]) + len(packet).to_bytes(2, "big")
                        with lock:
                            connection.sendall(head + packet)


def main() -> None:
    camera = Camera()
    sys.stdout.write(f"{camera.port}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        word, _, value = line.strip().partition(" ")
        match word:
            case "size":
                camera.size = value
            case "close":
                camera.close()
            case "down":
                camera.down()
            case "up":
                camera.mode = "normal"
                camera.up()
            case _:
                camera.mode = word
        sys.stdout.write(f"{word}\n")
        sys.stdout.flush()
    camera.down()


if __name__ == "__main__":
    main()
