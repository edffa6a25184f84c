"""Words that follow from what moves, and from a picture in which there is nothing: shaky, pan, black, flash."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from thatdam_pipelines.embed.l2 import scene_id
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.recipes import Recipe
from thatdam_pipelines.library.schemas_motion import MOTION, MOTION_SCENES, PICTURE_RANGES
from thatdam_pipelines.media.idle import BLACK, FLASH, FROZEN
from thatdam_pipelines.media.motion import motion_recipe
from thatdam_pipelines.media.moves import PAN, SHAKY, TILT, ZOOM
from thatdam_pipelines.settings import Settings

MOTION_METHOD = "motion"
"""Method of a tag that follows from motion."""

MOSTLY = 0.5
"""Share of a stretch in which the camera must do something, or the picture show nothing, for it to be tagged so."""

TRIPOD = "tripod"
"""The camera stays, and something moves before it."""

_CAMERA = (PAN, TILT, ZOOM, SHAKY)


def moving_recipe(settings: Settings) -> Recipe:
    """Tags by motion."""
    return Recipe("tags_moving", "1", {"motion": motion_recipe(settings).id, "mostly": MOSTLY})


def moving_tags(library: Library, batch_id: str) -> Iterator[dict[str, Any]]:
    """Rows of ``tags``, but for batch and recipe, of every clip of the batch whose motion is known, and its scenes."""
    ranges: dict[str, list[tuple[str, float, float]]] = {}
    for row in library.tables.read(PICTURE_RANGES, batch_id).iter_rows(named=True):
        ranges.setdefault(row["media_id"], []).append((row["kind"], row["start_s"], row["end_s"]))
    wholes = library.tables.read(MOTION, batch_id).with_columns(start_s=pl.lit(0.0), end_s=pl.col("duration_s"))
    for row in wholes.iter_rows(named=True):
        yield from _rows(row["media_id"], row["media_id"], row, ranges)
    for row in library.tables.read(MOTION_SCENES, batch_id).iter_rows(named=True):
        yield from _rows(row["media_id"], scene_id(row["media_id"], row["start_s"]), row, ranges)


def stretch_tags(
    moving: Mapping[str, Any], ranges: Sequence[tuple[str, float, float]], start_s: float, end_s: float
) -> dict[str, float]:
    """Words for a stretch, each with how sure it is, 0 to 1.

    Args:
        moving: Columns of ``motion`` that say what moves.
        ranges: Kind, start and end of stretches that show nothing, and of flashes.
    """
    tags: dict[str, float] = {}
    if moving["share"] >= MOSTLY:
        if moving["camera"] in _CAMERA:
            tags[moving["camera"]] = moving["share"]
        elif moving["camera"] is not None and moving["subject_moves"]:
            tags[TRIPOD] = moving["share"]
    length_s = max(end_s - start_s, 1e-9)
    for kind in (BLACK, FROZEN, FLASH):
        parts = [min(last_s, end_s) - max(first_s, start_s) for name, first_s, last_s in ranges if name == kind]
        filled_s = sum(part_s for part_s in parts if part_s > 0)
        if kind == FLASH and filled_s > 0:
            tags[kind] = 1.0
        elif filled_s >= MOSTLY * length_s:
            tags[kind] = min(1.0, filled_s / length_s)
    return tags


def _rows(
    media_id: str, item_id: str, row: Mapping[str, Any], ranges: Mapping[str, Sequence[tuple[str, float, float]]]
) -> Iterator[dict[str, Any]]:
    tags = stretch_tags(row, ranges.get(media_id, ()), row["start_s"], row["end_s"])
    for tag, score in tags.items():
        yield {"media_id": media_id, "item_id": item_id, "tag": tag, "score": score, "method": MOTION_METHOD}
