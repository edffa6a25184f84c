"""What a probe finds: the rows of ``probes`` and ``streams``, as typed objects."""

import dataclasses
import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from thatdam_pipelines.library.curation import Change


@dataclass
class StreamFacts:
    """One stream of a container; the columns of table ``streams``, where they are described."""

    stream_index: int
    type: str
    codec: str | None = None
    profile: str | None = None
    language: str | None = None
    title: str | None = None
    is_default: bool | None = None
    duration_s: float | None = None
    bit_rate_bps: int | None = None
    width: int | None = None
    height: int | None = None
    pixel_format: str | None = None
    frame_rate: str | None = None
    channels: int | None = None
    layout: str | None = None
    sample_rate_hz: int | None = None


@dataclass
class Probe:
    """What a media file is; the columns of table ``probes``, where they are described, and its streams.

    Args:
        said: What people and programs wrote into it, for the ledger.
    """

    kind: str
    container: str
    mime: str
    duration_s: float | None = None
    bit_rate_bps: int | None = None
    video_codec: str | None = None
    video_profile: str | None = None
    pixel_format: str | None = None
    bit_depth: int | None = None
    width: int | None = None
    height: int | None = None
    display_width: int | None = None
    display_height: int | None = None
    rotation_deg: int | None = None
    sample_aspect: str | None = None
    display_aspect: str | None = None
    frame_rate: str | None = None
    frame_rate_fps: float | None = None
    average_rate_fps: float | None = None
    is_vfr: bool | None = None
    frames: int | None = None
    color_primaries: str | None = None
    color_transfer: str | None = None
    color_space: str | None = None
    color_range: str | None = None
    hdr: str | None = None
    log_profile: str | None = None
    interlace: str | None = None
    timecode: str | None = None
    drop_frame: bool | None = None
    created_utc: datetime | None = None
    created_source: str | None = None
    camera_make: str | None = None
    camera_model: str | None = None
    camera_serial: str | None = None
    content_identifier: str | None = None
    latitude_deg: float | None = None
    longitude_deg: float | None = None
    altitude_m: float | None = None
    audio_codec: str | None = None
    audio_channels: int | None = None
    audio_layout: str | None = None
    audio_rate_hz: int | None = None
    has_audio: bool = False
    warnings: list[str] = field(default_factory=list)
    streams: list[StreamFacts] = field(default_factory=list)
    said: Change | None = None

    def row(self) -> dict[str, Any]:
        """The row of ``probes``, without the columns a stage fills in."""
        return {name: value for name, value in vars(self).items() if name not in ("streams", "said")}

    def stream_rows(self) -> list[dict[str, Any]]:
        """The rows of ``streams``, without the columns a stage fills in."""
        return [dataclasses.asdict(stream) for stream in self.streams]

    def set_display(self, aspect_num: int = 1, aspect_den: int = 1) -> None:
        """Fill the display columns from width, height, rotation and the sample aspect ratio."""
        if not self.width or not self.height:
            return
        if aspect_num <= 0 or aspect_den <= 0:
            aspect_num = aspect_den = 1
        shown = (max(1, round(self.width * aspect_num / aspect_den)), self.height)
        numerator, denominator = self.width * aspect_num, self.height * aspect_den
        if self.rotation_deg in (90, 270):
            shown = shown[::-1]
            numerator, denominator = denominator, numerator
        self.display_width, self.display_height = shown
        self.sample_aspect = _ratio(aspect_num, aspect_den)
        self.display_aspect = _ratio(numerator, denominator)


def _ratio(numerator: int, denominator: int) -> str:
    divisor = math.gcd(numerator, denominator) or 1
    return f"{numerator // divisor}:{denominator // divisor}"


def plain(text: str | None, longest: int = 200) -> str | None:
    """A tag as one line of printable text, cut to ``longest`` characters; None when nothing is left of it."""
    if text is None:
        return None
    if len(text) <= longest and text.isprintable() and "  " not in text:
        return text.strip() or None
    kept = "".join(letter if letter.isprintable() else " " for letter in text[: longest * 4])
    return " ".join(kept.split())[:longest] or None
