"""What the API answers. Times are UTC, `_s` are seconds, `_bytes` are bytes."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from thatdam_capture.manifest import Manifest
from thatdam_capture.sessions import Session, State


class View(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class ModeView(View):
    pixel_format: str
    width: int
    height: int
    rates: list[str]


class StatsView(View):
    """Counters of the recording that runs, or of the last one."""

    frames: int
    dropped: int = Field(description="Frames that the source's timestamps say are missing.")
    duplicated: int
    fps: float
    bytes: int
    elapsed_s: float
    restarts: int = Field(description="Breaks since record was pressed.")
    last_error: str | None


class CameraView(View):
    """A camera and what it does now."""

    id: str
    name: str
    kind: str
    serial: str | None
    online: bool
    path: str | None = Field(description="Where it is now, without credentials.")
    modes: list[ModeView]
    state: State
    stats: StatsView
    session: Session | None = Field(description="The recording that is wanted of it now.")


class DiskView(View):
    free_bytes: int
    total_bytes: int
    ok: bool = Field(description="Whether recordings may begin.")
    reason: str
    seconds_left: float | None = Field(description="At the present rate; none when nothing records.")


class ViewersView(BaseModel):
    mjpeg: int
    frames: int
    whep: int
    hls: int
    limit: int


class PeerView(View):
    name: str
    url: str
    mode: str
    version: str
    seen_utc: datetime


class StatusView(BaseModel):
    """Everything that the viewer page shows, in one answer."""

    host: str
    version: str
    mode: Literal["recorder", "proxy"]
    time_utc: datetime
    ok: bool
    problems: list[str]
    cameras: list[CameraView]
    disk: DiskView
    viewers: ViewersView
    webrtc: bool = Field(description="Whether POST whep can answer.")
    event_seq: int
    peers: list[PeerView]


class Health(BaseModel):
    status: Literal["ok", "degraded", "stopping"]
    service: Literal["thatdam-capture"] = "thatdam-capture"
    version: str


class Ready(BaseModel):
    ready: bool
    recording: int
    wanted: int


class Started(BaseModel):
    group_id: str = Field(description="The take: stops all of its cameras with one request.")
    sessions: list[Session]


class Stopped(BaseModel):
    session_id: str
    manifests: list[Manifest] = Field(description="Every committed segment, oldest first.")


class SignRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    paths: list[Annotated[str, StringConstraints(min_length=1, max_length=300)]] = Field(
        min_length=1,
        max_length=256,
        description="stream, snapshot.jpg, frames, hls.m3u8 of a device; events.",
    )


class Signed(BaseModel):
    urls: dict[str, str] = Field(description="Each path with the address that works without a token.")
    lifetime_s: int
