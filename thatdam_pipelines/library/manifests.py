"""What the recorder writes beside each segment, as the pipelines read it: the only thing the two have in common.

The recorder is the writer and has its own declaration of it; this one takes what it needs and leaves the rest.
"""

import os
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from blake3 import blake3
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.library.checksum import open_regular, unreadable

MEDIA_SUFFIX = ".mkv"
MANIFEST_SUFFIX = ".json"
_MOST_BYTES = 2**20
_NEXT_STEP = "Copy it from the recording machine again, or remove it to take its segment as any other file."

Text = Annotated[str, Field(max_length=1000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class RecordedCamera(_Part):
    id: Name
    name: Name
    kind: Text
    serial: Text | None = None


class RecordedVideo(_Part):
    codec: Text
    width: int | None = None
    height: int | None = None
    pixel_format: Text | None = None


class RecordedAudio(_Part):
    codec: Text
    sample_rate: int | None = None
    channels: int | None = None


class Manifest(_Part):
    """One committed segment of a recording. Times are UTC.

    Args:
        session_id: One unbroken run of one camera.
        group_id: What was recorded together, runs after a break included.
        file: Name of the segment, beside the manifest.
        gap_before_s: Seconds missing since the segment before; None where there is none.
        frame_rate: Frames a second, as a fraction.
    """

    schema_name: Literal["thatdam.capture/1"] = Field(alias="schema")
    camera: RecordedCamera
    host: Text = ""
    session_id: Name
    group_id: Name
    role: Text | None = None
    segment_index: int = Field(ge=0, lt=2**31 - 1)
    is_last: bool
    file: Name
    bytes: int = Field(ge=0)
    blake3: str = Field(pattern=r"^[0-9a-f]{64}$")
    start_utc: AwareDatetime
    end_utc: AwareDatetime
    clock_error_s: float | None = Field(None, allow_inf_nan=False)
    ntp_synced: bool | None = None
    start_timecode: Text | None = None
    frame_rate: Text | None = None
    frames: int = Field(ge=0)
    dropped: int = Field(0, ge=0)
    duplicated: int = Field(0, ge=0)
    duration_s: float = Field(ge=0, allow_inf_nan=False)
    video: RecordedVideo
    audio: RecordedAudio | None = None
    complete: bool = True
    gap_before_s: float | None = Field(None, allow_inf_nan=False)
    reason_end: Text = ""
    encoder: list[str] = Field(default_factory=list)
    versions: dict[str, str] = Field(default_factory=dict)

    @field_validator("frame_rate")
    @classmethod
    def _is_a_rate(cls, value: str | None) -> str | None:
        try:
            positive = value is None or Fraction(value) > 0
        except (ValueError, ZeroDivisionError):
            positive = False
        if not positive:
            raise ValueError("is no frame rate")
        return value

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> "Manifest":
        if self.end_utc < self.start_utc:
            raise ValueError("end_utc is before start_utc")
        return self

    @property
    def take_id(self) -> str:
        """The recording that its segments are the chapters of: one session of one camera."""
        return blake3(f"take\0{self.session_id}\0{self.camera.id}".encode()).hexdigest()[:16]

    @property
    def chapter(self) -> int:
        """Its place in the take, from 1."""
        return self.segment_index + 1


def manifest_name(media: str) -> str | None:
    """Path of the manifest of a segment, beside it; None for what the recorder does not write."""
    path = PurePosixPath(media)
    return str(path.with_suffix(MANIFEST_SUFFIX)) if path.suffix == MEDIA_SUFFIX else None


def read_manifest(text: bytes, path: Path) -> Manifest:
    """A manifest from its text.

    Args:
        path: Where it stands; its segment must be beside it and named alike.

    Raises:
        MediaError: It is damaged, of a version that is not known, or about another file.
    """
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MediaError(path, f"the manifest is damaged ({where or 'JSON'}: {first['msg']})", _NEXT_STEP) from error
    if manifest.file != path.with_suffix(MEDIA_SUFFIX).name:
        raise MediaError(path, f"the manifest is about another file ({manifest.file!r})", _NEXT_STEP)
    return manifest


def load_manifest(path: Path) -> Manifest:
    """A manifest from the disk.

    Raises:
        MediaError: It cannot be read, or as ``read_manifest``.
    """
    return read_manifest(manifest_bytes(path), path)


def manifest_bytes(path: Path) -> bytes:
    """The text of a manifest on the disk.

    Raises:
        MediaError: It cannot be read, or is too large for one.
    """
    descriptor = open_regular(path)
    try:
        with os.fdopen(descriptor, "rb") as file:
            text = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise unreadable(path, error) from error
    if len(text) > _MOST_BYTES:
        raise MediaError(path, "the manifest is damaged (it is too large for one)", _NEXT_STEP)
    return text
