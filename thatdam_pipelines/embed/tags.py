"""Tags: words for scenes and files, by measure, and by the model where it understands text."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from thatdam_pipelines.embed.descriptions import descriptions
from thatdam_pipelines.embed.embedder import Embedder
from thatdam_pipelines.embed.heard_tags import SOUND, heard_recipe, heard_tags
from thatdam_pipelines.embed.l2 import l2_recipe, scenes_recipe
from thatdam_pipelines.embed.measured_tags import Look, file_tags, look_tags
from thatdam_pipelines.embed.moving_tags import MOTION_METHOD, moving_recipe, moving_tags
from thatdam_pipelines.embed.named_tags import (
    BACKGROUND,
    CUT_OFF,
    MOST_WORDS,
    NEAR_BEST,
    SCALE,
    Namer,
    Vocabulary,
    file_words,
)
from thatdam_pipelines.embed.vector_rows import stacked
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.names import names_of
from thatdam_pipelines.library.recipes import Recipe
from thatdam_pipelines.library.schemas import EMBEDDINGS_L2, FRAMES, PROBES, SCENES, TAGS
from thatdam_pipelines.library.schemas_motion import DESCRIPTIONS
from thatdam_pipelines.library.stage import Progress, StageReport
from thatdam_pipelines.settings import Settings

MEASURE = "measure"
"""Method of a tag that follows from measures."""

_KEY = ["media_id", "item_id", "tag"]
_TICK_S = 0.005


def measured_recipe(settings: Settings) -> Recipe:
    """Tags by measure; no embedder changes it."""
    return Recipe("tags_measured", "2", {"scenes": scenes_recipe(settings).id})


def named_recipe(settings: Settings, embedder: Embedder, vocabulary: Vocabulary) -> Recipe:
    """Tags that the embedder names."""
    params = {"background": BACKGROUND, "cut_off": CUT_OFF, "near_best": NEAR_BEST, "most": MOST_WORDS, "scale": SCALE}
    scenes = l2_recipe(settings, embedder).id
    return Recipe("tags_named", "1", params | {"embeddings_l2": scenes, "vocabulary": vocabulary.digest})


def tag_batch(
    library: Library, batch_id: str, embedder: Embedder, *, retry: bool = False, progress: Progress | None = None
) -> StageReport:
    """Fill ``tags`` and ``descriptions`` for every file of the batch that has scenes or sound.

    Tags by sound and motion are read off their tables each time. Others made by the same recipe are kept; when only the
    model or the vocabulary changed, only named tags are made anew. An embedder without text leaves the named tags of
    another one as they are. Nothing can fail on one file alone, so ``retry`` changes nothing.

    Raises:
        SettingsError: The vocabulary cannot be read.
        ModelError: The embedder cannot be loaded.
    """
    started = time.monotonic()
    scenes = library.tables.read(SCENES, batch_id).sort("media_id", "start_s")
    before = library.tables.read(TAGS, batch_id).filter(pl.col("media_id").is_in(scenes["media_id"].unique().to_list()))
    wanted = set(scenes["media_id"])
    by_measure = pl.col("method") == MEASURE
    by_model = ~pl.col("method").is_in([MEASURE, SOUND, MOTION_METHOD])

    measured = measured_recipe(library.settings)
    known_measured = before.filter(by_measure & (pl.col("recipe") == measured.id))
    to_measure = wanted - set(known_measured["media_id"])
    rows = _measured_rows(library, batch_id, scenes.filter(pl.col("media_id").is_in(list(to_measure))))
    heard = _frame(heard_tags(library, batch_id, scenes), batch_id, heard_recipe(library.settings))
    moving = _frame(moving_tags(library, batch_id), batch_id, moving_recipe(library.settings))
    all_measured = pl.concat([known_measured, _frame(rows, batch_id, measured), heard, moving])

    recipe = measured
    to_name: set[str] = set()
    if embedder.has_text:
        vocabulary = Vocabulary.of(library.settings)
        recipe = named_recipe(library.settings, embedder, vocabulary)
        vectors = library.tables.read(EMBEDDINGS_L2, batch_id).filter(pl.col("space") == embedder.space)
        known_named = before.filter(by_model & (pl.col("recipe") == recipe.id))
        to_name = set(vectors["media_id"]) & wanted - set(known_named["media_id"])
        if to_name:
            vectors = vectors.filter(pl.col("media_id").is_in(list(to_name))).sort("media_id", "start_s")
            namer = Namer(embedder, vocabulary, library.settings.vocabulary_dir)
            rows = _named_rows(namer, vectors, embedder.space)
            known_named = pl.concat([known_named, _frame(rows, batch_id, recipe)])
    else:
        items = pl.concat([scenes["scene_id"], scenes["media_id"]])
        known_named = before.filter(by_model & pl.col("item_id").is_in(items.unique().to_list()))

    named = known_named.join(all_measured.select(_KEY), on=_KEY, how="anti")
    library.tables.write(TAGS, batch_id, pl.concat([all_measured, named]))
    library.tables.write(DESCRIPTIONS, batch_id, descriptions(all_measured, batch_id))
    computed = to_measure | to_name
    _report_progress(library, batch_id, computed, progress)
    return StageReport(
        stage="tags",
        batch_id=batch_id,
        recipe=recipe.id,
        total=len(wanted),
        computed=len(computed),
        reused=len(wanted - computed),
        skipped=0,
        elapsed_s=time.monotonic() - started,
        failures=[],
        facts={"measured": all_measured.height, "named": named.height},
    )


def _frame(rows: Iterator[dict[str, Any]], batch_id: str, recipe: Recipe) -> pl.DataFrame:
    return TAGS.frame([row | {"batch_id": batch_id, "recipe": recipe.id} for row in rows])


def _rows(media_id: str, item_id: str, tags: Mapping[str, float], method: str) -> Iterator[dict[str, Any]]:
    for tag, score in tags.items():
        yield {"media_id": media_id, "item_id": item_id, "tag": tag, "score": score, "method": method}


def _measured_rows(library: Library, batch_id: str, scenes: pl.DataFrame) -> Iterator[dict[str, Any]]:
    frames = dict(_by_media(library.tables.read(FRAMES, batch_id).sort("media_id", "time_s")))
    probes = {row["media_id"]: row for row in library.tables.read(PROBES, batch_id).iter_rows(named=True)}
    for media_id, of_file in _by_media(scenes):
        shown = frames[media_id]
        for scene in of_file.iter_rows(named=True):
            look = _look(_within(shown, scene["start_s"], scene["end_s"]), scene["motion"])
            yield from _rows(media_id, scene["scene_id"], look_tags(look), MEASURE)
        whole = look_tags(_look(shown, _mean_motion(of_file)))
        if media_id in probes:
            whole |= file_tags(probes[media_id])
        yield from _rows(media_id, media_id, whole, MEASURE)


def _named_rows(namer: Namer, vectors: pl.DataFrame, space: str) -> Iterator[dict[str, Any]]:
    for media_id, of_file in _by_media(vectors):
        words = namer.scene_words(stacked(of_file["vector"]))
        for scene_id, found in zip(of_file["scene_id"], words, strict=True):
            yield from _rows(media_id, scene_id, found, space)
        yield from _rows(media_id, media_id, file_words(words), space)


def _by_media(rows: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    for (media_id,), of_file in rows.group_by("media_id", maintain_order=True):
        yield str(media_id), of_file


def _within(frames: pl.DataFrame, start_s: float, end_s: float) -> pl.DataFrame:
    """Frames of a scene; where it has none of its own the one kept before it."""
    times = frames["time_s"]
    inside = frames.filter((times >= start_s - _TICK_S) & (times < max(end_s - _TICK_S, start_s + _TICK_S)))
    return inside if inside.height else frames.filter(times < start_s).tail(1).vstack(frames.head(1)).head(1)


def _look(frames: pl.DataFrame, motion: float | None) -> Look:
    columns = {name: frames[name].to_list() for name in ("sharpness", "brightness", "contrast", "saturation")}
    return Look(**columns, colors=frames["dominant_colors"].to_list(), motion=motion)


def _mean_motion(scenes: pl.DataFrame) -> float | None:
    """Motion of a file: that of its scenes by their length; None where none was measured."""
    known = scenes.filter(pl.col("motion").is_not_null() & (pl.col("end_s") > pl.col("start_s")))
    if not known.height:
        return None
    return float(np.average(known["motion"].to_numpy(), weights=(known["end_s"] - known["start_s"]).to_numpy()))


def _report_progress(library: Library, batch_id: str, computed: set[str], progress: Progress | None) -> None:
    if progress is None:
        return
    names = names_of(library, batch_id)
    for count, media_id in enumerate(sorted(computed), start=1):
        progress(count, len(computed), names.get(media_id, media_id))
