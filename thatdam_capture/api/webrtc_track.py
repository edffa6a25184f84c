"""A camera's preview as a WebRTC video track. Imported only where WebRTC is used."""

import asyncio
from fractions import Fraction

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from thatdam_capture.latest_frame import LatestFrame

CLOCK = 90_000


class PreviewTrack(MediaStreamTrack):
    """Decodes the newest picture when the connection asks for one; pictures it had no time for are skipped."""

    kind = "video"

    def __init__(self, latest: LatestFrame) -> None:
        super().__init__()
        self._latest = latest
        self._decoder = av.VideoCodecContext.create("mjpeg", "r")
        self._number = 0
        self._start: float | None = None

    async def recv(self) -> av.VideoFrame:
        if self.readyState != "live":
            raise MediaStreamError
        pictures: list[av.VideoFrame] = []
        while not pictures:
            frame = await self._latest.next(self._number)
            self._number = frame.number
            pictures = await asyncio.to_thread(self._decoder.decode, av.Packet(frame.jpeg))
        if self._start is None:
            self._start = frame.monotonic_time
        picture = pictures[0]
        picture.pts = int((frame.monotonic_time - self._start) * CLOCK)
        picture.time_base = Fraction(1, CLOCK)
        return picture
