"""What stands beside every committed segment: the only thing the recorder tells the rest of the platform."""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_serializer

SCHEMA: Literal["thatdam.capture/1"] = "thatdam.capture/1"

ReasonEnd = Literal[
    "segment", "stop", "max_s", "shutdown", "source_lost", "stalled", "unplugged", "disk_low", "store_gone", "killed"
]


class Fact(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CameraFacts(Fact):
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="Also the name of its folder.")
    name: str
    kind: str
    serial: str | None = None


class VideoFacts(Fact):
    codec: str
    width: int
    height: int
    pixel_format: str | None
    bit_rate: int | None = Field(description="Bits a second over the segment.")


class AudioFacts(Fact):
    codec: str
    sample_rate: int
    channels: int
    samples: int | None = Field(None, description="Samples a channel in the segment, where packets say so.")


class Manifest(Fact):
    """One committed segment, version 1. Times are UTC; a manifest is never changed once it stands."""

    schema_name: Literal["thatdam.capture/1"] = Field(SCHEMA, alias="schema")
    camera: CameraFacts
    host: str
    session_id: str = Field(description="One unbroken run of the camera: 32 hex digits.")
    group_id: str = Field(description="The take: shared by all cameras recorded together and by runs after a break.")
    role: str | None = Field(None, description="hero, witness, ...")
    segment_index: int = Field(ge=0)
    is_last: bool = Field(description="The session ended with this segment.")
    file: str = Field(pattern=r"^[^/\\]+\.mkv$", description="Name of the media file, beside the manifest.")
    bytes: int = Field(ge=0)
    blake3: str = Field(pattern=r"^[0-9a-f]{64}$")
    start_utc: AwareDatetime = Field(description="When the first frame was taken.")
    end_utc: AwareDatetime = Field(description="When the last frame ended.")
    clock_error_s: float = Field(description="Bound on the error of start_utc against this machine's clock.")
    ntp_synced: bool | None = Field(description="Whether the kernel held its clock for disciplined; none: unknown.")
    start_timecode: str = Field(description="Time of day in UTC as timecode; `;` before the frames is drop-frame.")
    frame_rate: str = Field(description="Fraction, frames a second.")
    frames: int = Field(ge=0)
    dropped: int = Field(ge=0, description="Frames that the timestamps of the source say are missing.")
    duplicated: int = Field(ge=0, description="Frames whose timestamp is not later than the one before.")
    duration_s: float
    video: VideoFacts
    audio: AudioFacts | None = None
    complete: bool = Field(description="False: what was saved of a segment that was cut off.")
    gap_before_s: float | None = Field(
        description="Seconds missing between the segment before of this camera and take and this one; none: the first."
    )
    reason_end: ReasonEnd
    encoder: list[str] = Field(description="Arguments of ffmpeg, without credentials.")
    versions: dict[str, str]

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @field_serializer("start_utc", "end_utc")
    def _utc(self, value: datetime) -> str:
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z")

    def to_json(self) -> str:
        return json.dumps(self.model_dump(mode="json", by_alias=True), indent=2, ensure_ascii=False) + "\n"

    @property
    def folder(self) -> Path:
        """Folder of the segment below the store."""
        return Path(self.camera.id) / f"{self.start_utc:%Y}" / f"{self.start_utc:%m}" / f"{self.start_utc:%d}"


NAME = re.compile(
    r"(?P<camera>[a-z0-9-]+)_(?P<utc>\d{8}T\d{9}Z)_(?P<session>[0-9a-f]{8})_(?P<index>\d{5,})\.(mkv|json)"
)


def segment_name(camera_id: str, start_utc: datetime, session_id: str, index: int) -> str:
    """Name of a segment without its ending: camera, UTC to the millisecond, session, index."""
    stamp = f"{start_utc:%Y%m%dT%H%M%S}{start_utc.microsecond // 1000:03d}Z"
    return f"{camera_id}_{stamp}_{session_id[:8]}_{index:05d}"


def read_manifest(path: Path) -> Manifest:
    """A manifest from disk.

    Raises:
        ValueError: it is no manifest of this version.
    """
    return Manifest.model_validate_json(path.read_bytes())
