"""Words that follow from what is heard: speech, music, silence, and what is wrong with the sound."""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.recipes import Recipe
from thatdam_pipelines.library.schemas import AUDIO, AUDIO_RANGES
from thatdam_pipelines.media.audio import audio_recipe
from thatdam_pipelines.settings import Settings

SOUND = "sound"
"""Method of a tag that follows from what is heard."""

SCENE_SHARE = 0.5
"""Share of a scene in which there must be speech or music for it to be tagged so."""

_HEARD = ("speech", "music")


def heard_recipe(settings: Settings) -> Recipe:
    """Tags by sound."""
    return Recipe("tags_heard", "1", {"audio": audio_recipe(settings).id, "scene_share": SCENE_SHARE})


def heard_tags(library: Library, batch_id: str, scenes: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows of ``tags``, but for batch and recipe, of every file of the batch with sound, and of its scenes."""
    ranges = library.tables.read(AUDIO_RANGES, batch_id).filter(pl.col("kind").is_in(_HEARD))
    spans: dict[str, list[tuple[str, float, float]]] = {}
    for media_id, kind, start_s, end_s in ranges.select("media_id", "kind", "start_s", "end_s").iter_rows():
        spans.setdefault(media_id, []).append((kind, start_s, end_s))
    for row in library.tables.read(AUDIO, batch_id).iter_rows(named=True):
        yield from _rows(row["media_id"], row["media_id"], file_sound_tags(row))
    for scene in scenes.iter_rows(named=True):
        found = scene_sound_tags(spans.get(scene["media_id"], []), scene["start_s"], scene["end_s"])
        yield from _rows(scene["media_id"], scene["scene_id"], found)


def file_sound_tags(audio: Mapping[str, Any]) -> dict[str, float]:
    """Words for the sound of a file, with scores.

    Args:
        audio: Its row of ``audio``.
    """
    loud_s = audio["duration_s"] - audio["silence_s"]
    tags = dict.fromkeys(audio["faults"], 1.0)
    if audio["kind"] == "silence":
        return tags | {"silent": 1.0}
    for kind in _HEARD:
        if kind in audio["kind"]:
            tags[kind] = min(1.0, 0.5 + audio[f"{kind}_s"] / loud_s / 2)
    return tags


def scene_sound_tags(spans: list[tuple[str, float, float]], start_s: float, end_s: float) -> dict[str, float]:
    """Words for the sound of a stretch: kinds of ``spans`` (kind, start, end) that fill enough of it."""
    filled = dict.fromkeys(_HEARD, 0.0)
    for kind, first_s, last_s in spans:
        filled[kind] += max(0.0, min(last_s, end_s) - max(first_s, start_s))
    length_s = max(end_s - start_s, 1e-9)
    return {kind: min(1.0, found / length_s) for kind, found in filled.items() if found >= SCENE_SHARE * length_s}


def _rows(media_id: str, item_id: str, tags: Mapping[str, float]) -> Iterator[dict[str, Any]]:
    for tag, score in tags.items():
        yield {"media_id": media_id, "item_id": item_id, "tag": tag, "score": score, "method": SOUND}
