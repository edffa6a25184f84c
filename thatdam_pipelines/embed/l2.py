"""Level 2: scenes of each clip, their hero frames, and a vector of each from the vectors of its frames."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from thatdam_pipelines.embed.embedder import Embedder
from thatdam_pipelines.embed.l1 import frames_recipe, l1_recipe
from thatdam_pipelines.embed.vector_rows import mean_vector, stacked, vector_row
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.names import names_of
from thatdam_pipelines.library.recipes import Recipe
from thatdam_pipelines.library.schemas import EMBEDDINGS_L1, EMBEDDINGS_L2, FRAMES, PROXIES, SCENES
from thatdam_pipelines.library.stage import Progress, Rows, StageReport, run_stage
from thatdam_pipelines.library.store import Store
from thatdam_pipelines.library.workers import Job
from thatdam_pipelines.media.scenes import SCENES_RECIPE, detect_scenes
from thatdam_pipelines.settings import Settings

SHARP, LIT, TYPICAL = 0.5, 0.25, 0.25
"""What a hero frame's sharpness, light and place in the middle of its scene count."""


def scenes_recipe(settings: Settings) -> Recipe:
    """Where scenes begin and end, and their hero frames; no embedder changes it."""
    return Recipe(
        "scenes",
        "1",
        {
            "detector": SCENES_RECIPE.id,
            "frames": frames_recipe(settings).id,
            "hero": [SHARP, LIT, TYPICAL],
        },
    )


def l2_recipe(settings: Settings, embedder: Embedder) -> Recipe:
    """The vectors of those scenes in the embedder's space."""
    frames, scenes = l1_recipe(settings, embedder).id, scenes_recipe(settings).id
    return Recipe("embeddings_l2", "1", {"scenes": scenes, "embeddings_l1": frames})


def embed_l2_batch(
    library: Library, batch_id: str, embedder: Embedder, *, retry: bool = False, progress: Progress | None = None
) -> StageReport:
    """Fill ``scenes`` and ``embeddings_l2`` for every file of the batch that has frame vectors in the embedder's space.

    Nothing is decoded and the model is not asked. A scene without a frame of its own has the vector of the frame
    kept before it, which its frames were near-duplicates of.
    """
    settings, space = library.settings, embedder.space
    vectors = library.tables.read(EMBEDDINGS_L1, batch_id).filter(pl.col("space") == space)
    frames = _frames(library.tables.read(FRAMES, batch_id), vectors)
    scenes = library.tables.read(SCENES, batch_id).filter(pl.col("recipe") == scenes_recipe(settings).id)
    known = _rows_by_media(scenes)
    names = names_of(library, batch_id)
    jobs = [
        Job(
            row["media_id"],
            names.get(row["media_id"], row["media_id"]),
            _Clip(settings, row["measures_path"], row["duration_s"] or 0.0, known.get(row["media_id"])),
            settings.decode_timeout_s,
        )
        for row in library.tables.read(PROXIES, batch_id).iter_rows(named=True)
        if row["media_id"] in frames
    ]

    def finish(job: Job, found: list[dict[str, Any]]) -> Rows:
        of_clip = frames[job.media_id]
        rows: Rows = {EMBEDDINGS_L2.name: []}
        spans = [of_clip.within(scene["start_s"], scene["end_s"]) for scene in found]
        for scene, span in zip(found, spans, strict=True):
            vector = mean_vector(of_clip.vectors[span])
            row = {"scene_id": scene_id(job.media_id, scene["start_s"])}
            row |= {"start_s": scene["start_s"], "end_s": scene["end_s"]}
            rows[EMBEDDINGS_L2.name].append(row | vector_row(space, vector))
        if job.media_id not in known:
            rows[SCENES.name] = [
                scene
                | {"scene_id": scene_id(job.media_id, scene["start_s"]), "scene_index": index}
                | {"hero_s": of_clip.hero_s(span, scene["start_s"], scene["end_s"])}
                | ({} if scene["brightness"] is not None else {"brightness": float(of_clip.brightness[span].mean())})
                for index, (scene, span) in enumerate(zip(found, spans, strict=True))
            ]
        return rows

    return run_stage(
        library,
        "embeddings_l2",
        batch_id,
        recipes={SCENES: scenes_recipe(settings), EMBEDDINGS_L2: l2_recipe(settings, embedder)},
        done_by=(EMBEDDINGS_L2, SCENES),
        jobs=jobs,
        work=_scenes_of,
        finish=finish,
        space=space,
        retry=retry,
        progress=progress,
    )


def scene_id(media_id: str, start_s: float) -> str:
    """``<media_id>:s<start in ms, 9 digits>``."""
    return f"{media_id}:s{round(start_s * 1000):09d}"


@dataclass(frozen=True)
class _Clip:
    """A clip whose scenes are wanted; ``known`` are its rows of ``scenes`` by the same recipe."""

    settings: Settings
    measures_path: str | None
    duration_s: float
    known: list[dict[str, Any]] | None


@dataclass(frozen=True)
class _Frames:
    """Kept frames of a clip in order: arrays ``[n]``, vectors ``[n, dimensions]``."""

    times_s: npt.NDArray[np.float64]
    sharpness: npt.NDArray[np.float64]
    brightness: npt.NDArray[np.float64]
    vectors: npt.NDArray[np.float32]

    def within(self, start_s: float, end_s: float) -> slice:
        """Frames of the stretch; where there are none the one before it, or else the first of all."""
        first, after = np.searchsorted(self.times_s, [start_s - _TICK_S, max(end_s - _TICK_S, start_s + _TICK_S)])
        if first == after:
            first = max(0, first - 1)
            after = first + 1
        return slice(int(first), int(after))

    def hero_s(self, span: slice, start_s: float, end_s: float) -> float:
        """Time of the frame that stands for the scene; its start where the frame is from before it."""
        times_s = self.times_s[span]
        half_s = max((end_s - start_s) / 2, _TICK_S)
        sharp = self.sharpness[span] / max(float(self.sharpness[span].max()), 1e-9)
        lit = 1 - np.abs(self.brightness[span] - 0.45) / 0.55
        typical = 1 - np.abs(times_s - (start_s + end_s) / 2) / half_s
        best = times_s[int(np.argmax(SHARP * sharp + LIT * lit + TYPICAL * typical))]
        return max(start_s, float(best))


_TICK_S = 0.005


def _frames(frames: pl.DataFrame, vectors: pl.DataFrame) -> dict[str, _Frames]:
    """Frames with their vectors by media; those of one clip are parted from the next where the media_id changes."""
    joined = vectors.select("media_id", "frame_id", "vector").join(
        frames.select("media_id", "frame_id", "time_s", "sharpness", "brightness"), on=["media_id", "frame_id"]
    )
    return {
        media_id: _Frames(
            rows["time_s"].to_numpy(),
            rows["sharpness"].to_numpy(),
            rows["brightness"].to_numpy(),
            stacked(rows["vector"]),
        )
        for (media_id,), rows in joined.sort("media_id", "time_s").group_by("media_id", maintain_order=True)
    }


def _rows_by_media(scenes: pl.DataFrame) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {}
    for scene in scenes.sort("media_id", "start_s").iter_rows(named=True):
        rows.setdefault(scene["media_id"], []).append(scene)
    return rows


def _scenes_of(clip: _Clip) -> list[dict[str, Any]]:
    """Columns of ``scenes`` that measures decide, in order."""
    if clip.known is not None:
        return clip.known
    if clip.measures_path is None:
        whole = {"start_s": 0.0, "end_s": clip.duration_s, "transition_in": "start", "transition_score": None}
        return [whole | {"brightness": None, "motion": None}]
    with Store(clip.settings.media_url, clip.settings).local(clip.measures_path) as path:
        measures = pl.read_parquet(path)
    return [
        {
            "start_s": scene.start_s,
            "end_s": scene.end_s,
            "transition_in": scene.transition_in,
            "transition_score": scene.transition_score,
        }
        | _light_and_motion(measures, scene.start_s, scene.end_s)
        for scene in detect_scenes(measures, clip.duration_s)
    ]


def _light_and_motion(measures: pl.DataFrame, start_s: float, end_s: float) -> dict[str, float | None]:
    """Mean luma of the scene's frames, and their mean luma change a second after the first, which follows the cut."""
    rows = measures.filter((pl.col("time_s") >= start_s - _TICK_S) & (pl.col("time_s") < end_s - _TICK_S))
    if not rows.height:
        return {"brightness": None, "motion": None}
    elapsed_s = float(rows["time_s"][-1] - rows["time_s"][0])
    change = float(rows["diff_luma"][1:].cast(pl.Float64).sum())
    return {
        "brightness": float(rows["luma_mean"].cast(pl.Float64).mean()),  # type: ignore[arg-type]
        "motion": min(1.0, change / elapsed_s) if elapsed_s > 0 else None,
    }
