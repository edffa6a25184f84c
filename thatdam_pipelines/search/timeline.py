"""A clip's timeline: what is known of it over time, one track for each kind of thing."""

from dataclasses import dataclass

import polars as pl

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import AUDIO_RANGES, TRANSCRIPT_SECTIONS, TRANSCRIPT_SEGMENTS
from thatdam_pipelines.library.schemas_motion import MOTION_SCENES, MOTION_SECONDS, PICTURE_RANGES
from thatdam_pipelines.library.table import Table


@dataclass(frozen=True)
class Stretch:
    """Part of a track.

    Args:
        text: What is said of it; empty where the track's title says all.
        strength: 0 to 1, how much there is of it; None where it is there or not.
    """

    start_s: float
    end_s: float
    text: str = ""
    strength: float | None = None


@dataclass(frozen=True)
class Track:
    """What is drawn as one line below a clip.

    Args:
        name: What programs and styles know it by.
    """

    name: str
    title: str
    items: list[Stretch]


@dataclass(frozen=True)
class _Source:
    """Where a track comes from: rows of a table that has ``start_s`` and ``end_s``.

    Args:
        kind: Only rows of this kind.
        text: Column with what is said of it; rows that say nothing are left out.
        strength: Column with how much there is of it, 0 to 1.
    """

    name: str
    title: str
    table: Table
    kind: str | None = None
    text: str | None = None
    strength: str | None = None


SOURCES = (
    _Source("subjects", "Subjects", TRANSCRIPT_SECTIONS, text="title"),
    _Source("said", "Said", TRANSCRIPT_SEGMENTS, text="text"),
    _Source("speech", "Speech", AUDIO_RANGES, kind="speech"),
    _Source("music", "Music", AUDIO_RANGES, kind="music"),
    _Source("silence", "Silence", AUDIO_RANGES, kind="silence"),
    _Source("camera", "Camera", MOTION_SCENES, text="camera"),
    _Source("motion", "Motion", MOTION_SECONDS, strength="heat"),
    _Source("black", "Black", PICTURE_RANGES, kind="black"),
    _Source("frozen", "Frozen", PICTURE_RANGES, kind="frozen"),
)
"""Every track, from the top: one that is added here is drawn by the player and answered by the API."""


def timeline(library: Library, media_id: str, batch_id: str) -> list[Track]:
    """The tracks of a clip that have anything in them.

    Args:
        batch_id: Batch that the clip was first seen in.
    """
    tracks = [Track(one.name, one.title, _stretches(library, one, media_id, batch_id)) for one in SOURCES]
    return [track for track in tracks if track.items]


def _stretches(library: Library, source: _Source, media_id: str, batch_id: str) -> list[Stretch]:
    rows = library.tables.read(source.table, batch_id).filter(pl.col("media_id") == media_id)
    if source.kind is not None:
        rows = rows.filter(pl.col("kind") == source.kind)
    if source.text is not None:
        rows = rows.filter(pl.col(source.text).is_not_null())
    return [
        Stretch(
            row["start_s"],
            row["end_s"],
            row[source.text] if source.text else "",
            row[source.strength] if source.strength else None,
        )
        for row in rows.sort("start_s").iter_rows(named=True)
    ]
