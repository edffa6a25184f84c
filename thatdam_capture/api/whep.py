"""Live pictures over WebRTC (WHEP), for the lowest delay. Needs the extra ``webrtc``."""

import asyncio
import importlib.util
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from thatdam_capture.api.problems import Refused
from thatdam_capture.api.viewers import ViewerSlots
from thatdam_capture.camera import Camera
from thatdam_capture.errors import BadRequest, NotFound

if TYPE_CHECKING:
    from aiortc import RTCPeerConnection

CONNECT_S = 15.0


def webrtc_installed() -> bool:
    return importlib.util.find_spec("aiortc") is not None


@dataclass
class WhepView:
    connection: "RTCPeerConnection"
    preview: asyncio.Task[None]


class WhepViews:
    """Peer connections that are open."""

    def __init__(self, slots: ViewerSlots) -> None:
        self._slots = slots
        self._open: dict[str, WhepView] = {}

    async def play(self, camera: Camera, offer: str) -> tuple[str, str]:
        """Answer an offer: id of the view and the SDP of the answer.

        Raises:
            Refused: aiortc is not installed, or every slot is taken.
            BadRequest: the offer is no SDP that asks for video.
        """
        if not webrtc_installed():
            raise Refused(501, "webrtc-missing", "WebRTC is not installed here", "pip install 'thatdam[webrtc]'")
        from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

        from thatdam_capture.api.webrtc_track import PreviewTrack

        self._slots.take("whep")
        # No STUN server: nothing outside this network is asked anything.
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        view = secrets.token_hex(16)
        self._open[view] = WhepView(connection, asyncio.create_task(self._hold(camera, view)))
        try:
            await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            if [one.kind for one in connection.getTransceivers()] != ["video"]:
                raise ValueError("it asks for something else than one video")
            connection.addTrack(PreviewTrack(camera.frame))
            await connection.setLocalDescription(await connection.createAnswer())
        except Exception as error:
            # aiortc's parser meets what it does not know with whatever exception comes first.
            await self.end(view)
            raise BadRequest(f"The offer cannot be answered ({error})", "Send SDP with one video line") from None

        @connection.on("connectionstatechange")
        async def changed() -> None:
            if connection.connectionState in ("failed", "closed", "disconnected") and view in self._open:
                await self.end(view)

        return view, connection.localDescription.sdp

    async def end(self, view: str) -> None:
        """Raises NotFound."""
        if view not in self._open:
            raise NotFound("No such WebRTC view", "It may have ended already")
        ended = self._open.pop(view)
        self._slots.release("whep")
        if ended.preview is not asyncio.current_task():
            ended.preview.cancel()
        await ended.connection.close()

    async def close(self) -> None:
        for view in list(self._open):
            await self.end(view)

    async def _hold(self, camera: Camera, view: str) -> None:
        """Hold the preview open as long as the view, which ends unless it is connected soon."""
        async with camera.preview():
            await asyncio.sleep(CONNECT_S)
            if self._open[view].connection.connectionState == "connected":
                await asyncio.Event().wait()
        await self.end(view)
