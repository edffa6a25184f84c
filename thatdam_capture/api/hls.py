"""Live pictures as HLS, for players that know nothing else. Packed in memory, and only while somebody asks for it."""

import asyncio
import io
import itertools
import secrets
import time
from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from thatdam_capture.api.problems import Refused
from thatdam_capture.api.viewers import ViewerSlots
from thatdam_capture.camera import Camera
from thatdam_capture.errors import NotFound
from thatdam_capture.latest_frame import Frame

if TYPE_CHECKING:
    import av

SEGMENT_S = 2.0
KEPT = 8
LISTED = 5
IDLE_S = 15.0
FIRST_SEGMENT_S = 12.0
CLOCK = 90_000
PACE = 15
"""Frames a second that the encoder plans for; each picture keeps its own time."""


@dataclass(frozen=True)
class Segment:
    number: int
    duration_s: float
    data: bytes


class Packer:
    """Pictures in, MPEG-TS segments out, each with an encoder of its own and so a key frame at its start.

    Not for use from two threads at once.
    """

    def __init__(self) -> None:
        import av

        self._decoder = av.VideoCodecContext.create("mjpeg", "r")
        self._output: av.container.OutputContainer | None = None
        self._buffer = io.BytesIO()
        self._start: float | None = None
        self._segment_start = 0.0

    def add(self, frame: Frame) -> tuple[float, bytes] | None:
        """Take one picture; returns length in seconds and bytes of a segment that it completed."""
        import av

        finished = None
        for picture in self._decoder.decode(av.Packet(frame.jpeg)):
            if self._start is None:
                self._start = frame.monotonic_time
            at = frame.monotonic_time - self._start
            if self._output is not None and at - self._segment_start >= SEGMENT_S:
                finished = (at - self._segment_start, self._end_segment(self._output))
            if self._output is None:
                self._output = self._begin_segment(picture)
                self._segment_start = at
            picture = picture.reformat(self._stream.width, self._stream.height, "yuv420p")
            picture.pts, picture.time_base = int(at * CLOCK), Fraction(1, CLOCK)
            self._output.mux(self._stream.encode(picture))
        return finished

    def _begin_segment(self, picture: "av.VideoFrame") -> "av.container.OutputContainer":
        import av

        self._buffer = io.BytesIO()
        output = av.open(self._buffer, "w", format="mpegts")
        options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "26"}
        stream = output.add_stream("libx264", rate=PACE, options=options)
        stream.width, stream.height = picture.width // 2 * 2, picture.height // 2 * 2
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, CLOCK)
        self._stream: av.VideoStream = stream
        return output

    def _end_segment(self, output: "av.container.OutputContainer") -> bytes:
        output.mux(self._stream.encode(None))
        output.close()
        self._output = None
        return self._buffer.getvalue()


class HlsView:
    """The segments of one camera, as long as somebody asks for them."""

    def __init__(self, camera: Camera) -> None:
        self.id = secrets.token_hex(16)
        self.camera = camera
        self._segments: deque[Segment] = deque(maxlen=KEPT)
        self._grown = asyncio.Event()
        self.asked = time.monotonic()

    async def pack(self) -> None:
        """Pack until cancelled, or until nobody asked for ``IDLE_S``."""
        packer = Packer()
        numbers = itertools.count()
        seen = 0
        async with self.camera.preview():
            while time.monotonic() - self.asked < IDLE_S:
                try:
                    async with asyncio.timeout(1):
                        frame = await self.camera.frame.next(seen)
                except TimeoutError:
                    continue
                seen = frame.number
                finished = await asyncio.to_thread(packer.add, frame)
                if finished is not None:
                    self._segments.append(Segment(next(numbers), *finished))
                    self._grown.set()

    async def playlist(self) -> str:
        """Raises Refused (503) when the camera gives no picture."""
        self.asked = time.monotonic()
        try:
            async with asyncio.timeout(FIRST_SEGMENT_S):
                await self._grown.wait()
        except TimeoutError:
            raise Refused(
                503, "no-picture", f"{self.camera.device.name} gives no picture", "Look whether it is switched on."
            ) from None
        listed = list(self._segments)[-LISTED:]
        longest = max(one.duration_s for one in listed)
        lines = [
            "#EXTM3U",
            "#EXT-X-VERSION:3",
            f"#EXT-X-TARGETDURATION:{round(longest + 0.5)}",
            f"#EXT-X-MEDIA-SEQUENCE:{listed[0].number}",
        ]
        for one in listed:
            lines += [f"#EXTINF:{one.duration_s:.3f},", f"{one.number}.ts"]
        return "\n".join(lines) + "\n"

    def segment(self, number: int) -> bytes:
        """Raises NotFound."""
        self.asked = time.monotonic()
        for one in self._segments:
            if one.number == number:
                return one.data
        raise NotFound(f"No segment {number}", "Read the playlist again")


class HlsViews:
    """At most one packer a camera, shared by all who watch it."""

    def __init__(self, slots: ViewerSlots) -> None:
        self._slots = slots
        self._views: dict[str, tuple[HlsView, asyncio.Task[None]]] = {}

    def open(self, camera: Camera) -> HlsView:
        """The view of a camera, begun if there is none. Raises Refused (503) where every slot is taken."""
        for view, task in self._views.values():
            if view.camera is camera and not task.done():
                return view
        self._slots.take("hls")
        view = HlsView(camera)
        self._views[view.id] = (view, asyncio.create_task(self._run(view)))
        return view

    def get(self, view_id: str) -> HlsView:
        """Raises NotFound."""
        if view_id not in self._views:
            raise NotFound("No such HLS view", "It ended because nobody asked for it; open it again")
        return self._views[view_id][0]

    async def close(self) -> None:
        tasks = [task for _, task in self._views.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, view: HlsView) -> None:
        try:
            await view.pack()
        finally:
            del self._views[view.id]
            self._slots.release("hls")
