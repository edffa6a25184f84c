"""A clip's timeline: what is known of it over time, one track for each kind of thing."""

from dataclasses import dataclass

import polars as pl

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import AUDIO_RANGES, FRAMES
from thatdam_pipelines.library.table import Table


@dataclass(frozen=True)
class Stretch:
    """Part of a track.

    Args:
        text: What is said of it; empty where the track's title says all.
        strength: 0 to 1 of the greatest of the track; None where it is there or not.
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
    """Where a track comes from: rows of a table, in the order of their times.

    Args:
        kind: Only rows of this kind.
        start: Column with the begin, in seconds.
        end: Column with the end; None: it lasts until the next one begins.
        text: Column with what is said of it.
        strength: Column with a measure from 0 on; rows without one are left out.
    """

    name: str
    title: str
    table: Table
    kind: str | None = None
    start: str = "start_s"
    end: str | None = "end_s"
    text: str | None = None
    strength: str | None = None


SOURCES = (
    _Source("speech", "Speech", AUDIO_RANGES, kind="speech"),
    _Source("music", "Music", AUDIO_RANGES, kind="music"),
    _Source("silence", "Silence", AUDIO_RANGES, kind="silence"),
    _Source("motion", "Motion", FRAMES, start="time_s", end=None, strength="motion"),
)
"""Every track, from the top: one that is added here is drawn by the player and answered by the API."""

LAST_S = 1.0
"""How long the last row of a track without ends lasts: these are taken about once a second."""


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
    if source.strength is not None:
        rows = rows.filter(pl.col(source.strength).is_not_null())
    rows = rows.sort(source.start)
    starts = rows[source.start].to_list()
    ends = rows[source.end].to_list() if source.end else [*starts[1:], *(start + LAST_S for start in starts[-1:])]
    texts = rows[source.text].to_list() if source.text else [""] * len(starts)
    strengths = _of_greatest(rows[source.strength].to_list()) if source.strength else [None] * len(starts)
    return [Stretch(*row) for row in zip(starts, ends, texts, strengths, strict=True)]


def _of_greatest(values: list[float]) -> list[float]:
    greatest = max(values, default=0.0)
    return [value / greatest if greatest else 0.0 for value in values]
