"""Filters: what people narrow the library down by, as conditions over the view ``clips`` and what is said of it."""

import re
from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from thatdam_pipelines.errors import QueryError
from thatdam_pipelines.library.curation import Pick, State

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
    "category": "category",
    "batch": "batch_id",
    "status": "status",
    "rating": "rating",
    "pick": "pick",
    "state": "state",
}
"""Filters that take several values, any of which will do, and the column each goes by."""

FLAGS = {"has_audio": "has_audio", "offline": "offline", "not_backed_up": "NOT backed_up"}
"""Filters that are true or false, and the condition each means."""

_RANGES = {
    "shot_from": "shot_on >= $shot_from::VARCHAR",
    "shot_to": "shot_on <= $shot_to::VARCHAR",
    "min_duration_s": "duration_s >= $min_duration_s",
    "max_duration_s": "duration_s <= $max_duration_s",
    "min_rating": "coalesce(rating >= $min_rating, false)",
    "name": "contains(lower(name), lower($name))",
    "folder": "(folder = $folder OR starts_with(folder, $folder || '/'))",
    "take": "take_id = $take",
}
_TAGGED = (
    "(len(list_filter(tags, lambda tag: starts_with(lower(tag) || '/', lower({0}) || '/'))) > 0 "
    "OR media_id IN (SELECT media_id FROM tags WHERE tag = {0}))"
)
"""People gave it the tag, or one below it; or a machine found it."""


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
    rating: list[int] = Field([], max_length=6, description="Stars that people gave it, 0 to 5.")
    min_rating: int | None = Field(None, ge=0, le=5, description="Least stars; what is unrated has none.")
    pick: list[Pick] = Field([], description="pick or reject.")
    state: list[State] = Field([], description="new, in_review, approved, rejected or archived.")
    status: list[str] = Field([], max_length=20, description="stored, probed, proxied, ready, failed or sidecar.")
    tag: list[str] = Field([], max_length=20, description="Tags it must have, all of them.")
    folder: str | None = Field(None, description="Folder it came in, with everything below.")
    take: str | None = Field(None, description="Recording that it is a chapter of.")
    name: str | None = Field(None, max_length=255, description="Part of its name.")
    has_audio: bool | None = Field(None, description="Whether it has sound.")
    offline: bool | None = Field(None, description="Whether it lies where nothing can be reached now.")
    not_backed_up: bool | None = Field(None, description="True: no backup target holds a good copy of it.")

    def conditions(self) -> dict[str, str]:
        """An SQL condition over ``browse.EVERY`` for each filter that is set, by the filter's name."""
        made = {name: f"coalesce({column} IN ${name}, false)" for name, column in CHOICES.items() if self._value(name)}
        made |= {name: condition for name, condition in _RANGES.items() if self._value(name) is not None}
        made |= {name: f"({condition}) = ${name}" for name, condition in FLAGS.items() if self._value(name) is not None}
        if self.album:
            made["album"] = "list_has_any(albums, $album)"
        if self.tag:
            made["tag"] = " AND ".join(_TAGGED.format(f"$tag[{number}]") for number in range(1, len(self.tag) + 1))
        return made

    def parameters(self) -> dict[str, Any]:
        """What the conditions' ``$name`` stand for."""
        values = {name: self._value(name) for name in self.conditions()}
        return {name: str(value) if isinstance(value, date) else value for name, value in values.items()}

    def _value(self, name: str) -> Any:
        return getattr(self, name)


def narrowed(where: str | None, mime: str | None) -> str | None:
    """A condition over the view ``media``, if there is one, that holds of one media type only, if one is given.

    Raises:
        QueryError: It is no media type.
    """
    return " AND ".join([*([f"(\n{where}\n)"] if where else []), *([mime_condition(mime)] if mime else [])]) or None


def mime_condition(mime: str) -> str:
    """An SQL condition over the view ``media``: only what is of a media type.

    Args:
        mime: ``video``, ``video/*`` or ``video/mp4``.

    Raises:
        QueryError: It is no media type.
    """
    found = re.fullmatch(r"([a-z]+)(?:/(\*|[a-z0-9.+-]+))?", mime.lower())
    if found is None:
        raise QueryError(mime, "it is no media type", "Write video, video/* or video/mp4.")
    kind, form = found[1], found[2] or "*"
    fits = f"starts_with(mime, '{kind}/')" if form == "*" else f"mime = '{kind}/{form}'"
    return f"media_id IN (SELECT media_id FROM probes WHERE {fits})"
