"""The motion stage: what the camera and the subject do in each clip of a batch, by second and by scene."""

import dataclasses
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.names import names_of
from thatdam_pipelines.library.recipes import Recipe
from thatdam_pipelines.library.schemas import PROXIES
from thatdam_pipelines.library.schemas_motion import MOTION, MOTION_SCENES, MOTION_SECONDS, PICTURE_RANGES
from thatdam_pipelines.library.stage import Progress, Rows, StageReport, run_stage
from thatdam_pipelines.library.store import Store
from thatdam_pipelines.library.workers import Job
from thatdam_pipelines.media import camera_path, idle, moves
from thatdam_pipelines.media.camera_path import steps_of
from thatdam_pipelines.media.idle import picture_ranges
from thatdam_pipelines.media.moves import Move, seconds_of, stretch_of
from thatdam_pipelines.media.proxies import proxy_recipe
from thatdam_pipelines.media.scenes import SCENES_RECIPE, Scene, detect_scenes
from thatdam_pipelines.settings import Settings

STRIP_NAME = "motion.json"


def motion_recipe(settings: Settings) -> Recipe:
    """What moves in a proxy, and in which scenes."""
    return Recipe(
        "motion",
        "2",
        {
            "proxy": proxy_recipe(settings).id,
            "scenes": SCENES_RECIPE.id,
            "path": camera_path.PARAMETERS,
            "moves": moves.PARAMETERS,
            "ranges": idle.PARAMETERS,
        },
    )


@dataclass(frozen=True)
class _Order:
    """A proxy to measure the motion of: what a worker process is given."""

    settings: Settings
    proxy_path: str
    measures_path: str
    duration_s: float
    key: str
    folder: Path
    name: str


def motion_batch(
    library: Library, batch_id: str, *, retry: bool = False, progress: Progress | None = None
) -> StageReport:
    """Fill the tables of motion and ``picture_ranges`` for every clip of the batch that has a picture.

    Facts of the report: ``cpu_s_a_minute`` of footage, of all that the batch has.

    Raises:
        OfflineError: The media store cannot be reached.
        StoreError: The media store cannot be written.
    """
    settings, recipe = library.settings, motion_recipe(library.settings)
    work = settings.work_dir / f"motion-{batch_id}"
    shutil.rmtree(work, ignore_errors=True)
    names = names_of(library, batch_id)
    jobs = []
    for row in library.tables.read(PROXIES, batch_id).iter_rows(named=True):
        media_id, measures_path, duration_s = row["media_id"], row["measures_path"], row["duration_s"] or 0.0
        if measures_path is not None:
            name, key = names.get(media_id, media_id), Store.derived_key(media_id, recipe.id)
            order = _Order(settings, row["proxy_path"], measures_path, duration_s, key, work / media_id, name)
            longest_s = max(settings.decode_timeout_s, duration_s * settings.proxy_timeout_factor)
            jobs.append(Job(media_id, name, order, longest_s))
    try:
        report = run_stage(
            library,
            "motion",
            batch_id,
            recipes=dict.fromkeys((MOTION, MOTION_SECONDS, MOTION_SCENES, PICTURE_RANGES), recipe),
            done_by=MOTION,
            jobs=jobs,
            work=_measure,
            finish=lambda job, rows: rows,
            retry=retry,
            progress=progress,
        )
    finally:
        shutil.rmtree(work, ignore_errors=True)
    made = library.tables.read(MOTION, batch_id)
    minutes = float(made["duration_s"].sum()) / 60
    cost = float(made["cpu_s"].sum()) / minutes if minutes else None
    return dataclasses.replace(report, facts={"cpu_s_a_minute": cost})


def _measure(order: _Order) -> Rows:
    """Runs in a worker."""
    started = time.process_time()
    store = Store(order.settings.media_url, order.settings)
    with store.local(order.measures_path) as path:
        measures = pl.read_parquet(path)
    scenes = detect_scenes(measures, order.duration_s)
    with store.local(order.proxy_path) as path:
        steps = list(steps_of(path, order.name, [scene.start_s for scene in scenes[1:]]))
    seconds = seconds_of(steps, order.duration_s)
    order.folder.mkdir(parents=True, exist_ok=True)
    (order.folder / STRIP_NAME).write_text(json.dumps(strip(seconds, order.duration_s)), encoding="utf-8")
    store.publish_dir(order.folder, order.key)
    whole = stretch_of(seconds, 0.0, order.duration_s)
    row = _moving(whole) | {
        "idle_s": sum(one.length_s for one in seconds if one.camera == moves.STATIC and not one.subject_moves),
        "strip_path": f"{order.key}/{STRIP_NAME}",
        "duration_s": order.duration_s,
        "cpu_s": time.process_time() - started,
    }
    return {
        MOTION.name: [row],
        MOTION_SECONDS.name: [_stretch(one) | {"heat": one.heat} for one in seconds],
        MOTION_SCENES.name: [_of_scene(seconds, number, scene) for number, scene in enumerate(scenes)],
        PICTURE_RANGES.name: [vars(one) for one in picture_ranges(measures, seconds, order.duration_s)],
    }


def strip(seconds: Sequence[Move], duration_s: float) -> dict[str, Any]:
    """The heat strip of a clip, for a timeline: per second the heat of 0 to 100, and what the camera does."""
    heat: list[int] = [0] * int(duration_s + 1)
    cameras: list[str | None] = [None] * len(heat)
    for one in seconds:
        place = min(int(one.start_s), len(heat) - 1)
        heat[place], cameras[place] = round(100 * one.heat), one.camera
    return {"version": 1, "seconds": 1.0, "duration_s": duration_s, "heat": heat, "camera": cameras}


def _of_scene(seconds: Sequence[Move], number: int, scene: Scene) -> dict[str, Any]:
    return {"scene_index": number} | _stretch(stretch_of(seconds, scene.start_s, scene.end_s))


def _stretch(move: Move) -> dict[str, Any]:
    return {"start_s": move.start_s, "end_s": move.end_s} | _moving(move)


def _moving(move: Move) -> dict[str, Any]:
    return {
        "camera": move.camera,
        "direction": move.direction,
        "share": move.share,
        "pan_a_s": move.pan_a_s,
        "tilt_a_s": move.tilt_a_s,
        "zoom_a_s": move.zoom_a_s,
        "roll_deg_a_s": move.roll_deg_a_s,
        "speed_a_s": move.speed_a_s,
        "shake": move.shake,
        "subject": move.subject,
        "subject_moves": move.subject_moves,
    }
