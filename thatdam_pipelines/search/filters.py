"""Filters: what people narrow the library down by, as conditions over the view ``clips``."""

from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["video", "audio", "image", "sidecar", "unknown"]
Resolution = Literal["8k", "4k", "1080p", "720p", "sd"]
Length = Literal["under 10 s", "10 s to 1 min", "1 to 10 min", "over 10 min"]

CHOICES = {
    "kind": "kind",
    "camera": "camera",
    "day": "shot_on",
    "length": "length",
    "resolution": "resolution",
    "codec": "codec",
    "hdr": "hdr",
    "album": "album",
    "category": "category",
    "batch": "batch_id",
    "status": "status",
}
"""Filters that take several values, any of which will do, and the column each goes by."""

FLAGS = {"has_audio": "has_audio", "offline": "offline", "not_backed_up": "NOT backed_up"}
"""Filters that are true or false, and the condition each means."""

_RANGES = {
    "shot_from": "shot_on >= $shot_from::VARCHAR",
    "shot_to": "shot_on <= $shot_to::VARCHAR",
    "min_duration_s": "duration_s >= $min_duration_s",
    "max_duration_s": "duration_s <= $max_duration_s",
    "name": "contains(lower(name), lower($name))",
    "folder": "(folder = $folder OR starts_with(folder, $folder || '/'))",
    "take": "take_id = $take",
}
_TAGGED = "media_id IN (SELECT media_id FROM tags WHERE tag IN $tag GROUP BY media_id HAVING count(DISTINCT tag) = {})"


class Filters(BaseModel):
    """What clips must be. Values of one filter are alternatives, filters add up, and of tags all must be there."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    kind: list[Kind] = Field([], description="Kinds of file.", examples=[["video"]])
    camera: list[str] = Field([], max_length=100, description="Camera, as maker and model.")
    day: list[str] = Field([], max_length=400, description="Days it was shot on, yyyy-mm-dd.")
    shot_from: date | None = Field(None, description="First day it may be shot on.")
    shot_to: date | None = Field(None, description="Last day it may be shot on.")
    length: list[Length] = Field([], description="Duration in words.")
    min_duration_s: float | None = Field(None, ge=0, description="Least duration in seconds.")
    max_duration_s: float | None = Field(None, ge=0, description="Greatest duration in seconds.")
    resolution: list[Resolution] = Field([], description="Resolution, by the longer edge.")
    codec: list[str] = Field([], max_length=100, description="Codec of the picture, else of the sound.")
    hdr: list[str] = Field([], max_length=20, description="sdr, hlg, pq, hdr10, hdr10plus or dolby_vision.")
    album: list[str] = Field([], max_length=100, description="Albums.")
    category: list[str] = Field([], max_length=100, description="Categories.")
    batch: list[str] = Field([], max_length=100, description="Batches it came in.")
    status: list[str] = Field([], max_length=20, description="stored, probed, proxied, ready, failed or sidecar.")
    tag: list[str] = Field([], max_length=20, description="Tags it must have, all of them.")
    folder: str | None = Field(None, description="Folder it came in, with everything below.")
    take: str | None = Field(None, description="Recording that it is a chapter of.")
    name: str | None = Field(None, max_length=255, description="Part of its name.")
    has_audio: bool | None = Field(None, description="Whether it has sound.")
    offline: bool | None = Field(None, description="Whether it lies where nothing can be reached now.")
    not_backed_up: bool | None = Field(None, description="True: no backup target holds a good copy of it.")

    def conditions(self) -> dict[str, str]:
        """An SQL condition over ``clips`` for each filter that is set, by the filter's name."""
        made = {name: f"coalesce({column} IN ${name}, false)" for name, column in CHOICES.items() if self._value(name)}
        made |= {name: condition for name, condition in _RANGES.items() if self._value(name) is not None}
        made |= {name: f"({condition}) = ${name}" for name, condition in FLAGS.items() if self._value(name) is not None}
        if self.tag:
            made["tag"] = _TAGGED.format(len(set(self.tag)))
        return made

    def parameters(self) -> dict[str, Any]:
        """What the conditions' ``$name`` stand for."""
        values = {name: self._value(name) for name in self.conditions()}
        return {name: str(value) if isinstance(value, date) else value for name, value in values.items()}

    def _value(self, name: str) -> Any:
        return getattr(self, name)
