"""Recordings that are wanted: what was asked for, and what survives a restart of the service."""

from datetime import datetime
from enum import StrEnum
from uuid import uuid4

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from thatdam_capture.settings import CameraId, Role


def new_id() -> str:
    return uuid4().hex


class State(StrEnum):
    """State of a camera."""

    IDLE = "idle"
    STARTING = "starting"
    RECORDING = "recording"
    STALLED = "stalled"
    BACKOFF = "backoff"
    DISK_LOW = "disk_low"
    UNPLUGGED = "unplugged"
    STOPPING = "stopping"
    FAILED = "failed"


class RecordRequest(BaseModel):
    """What a person asks for when pressing record."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    camera_ids: list[CameraId] = Field(min_length=1, max_length=1000)
    group: str | None = Field(
        None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="Name of the take. Default: a new one."
    )
    roles: dict[Role, CameraId] = Field(default_factory=dict, description="Role to camera: {hero: cam1}.")
    segment_s: float | None = Field(None, gt=0, le=600, description="Length of segments. Default: the settings'.")
    max_s: float | None = Field(None, gt=0, le=7 * 86400, description="Stop by itself after so many seconds.")
    profile: str | None = Field(None, max_length=100, description="Profile. Default: the camera's.")


class Wanted(BaseModel):
    """A recording that somebody wants: it goes on until it is stopped, over breaks and restarts."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str = Field(description="Id of the first session; stays the same over breaks.")
    group_id: str
    camera_id: str
    role: str | None
    profile: str
    segment_s: float
    max_s: float | None
    started_utc: AwareDatetime
    session_ids: list[str] = Field(default_factory=list, description="Every session it took so far, oldest first.")


class Session(BaseModel):
    """A recording as shown to people."""

    model_config = ConfigDict(frozen=True)

    id: str
    group_id: str
    camera_id: str
    role: str | None
    state: State
    started_utc: datetime
    segment_s: float
    max_s: float | None
    profile: str
    session_id: str | None = Field(description="The session being written now; another than id after a break.")
