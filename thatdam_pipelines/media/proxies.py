"""The proxies stage: everything later stages need of an original, made in one pass and published as one folder."""

import dataclasses
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from thatdam_pipelines.errors import MediaError, ThatdamError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.recipes import Recipe
from thatdam_pipelines.library.schemas import PROBES, PROXIES
from thatdam_pipelines.library.stage import Progress, Rows, StageReport, run_stage
from thatdam_pipelines.library.store import Store
from thatdam_pipelines.library.workers import Job
from thatdam_pipelines.media import command, loudness, measures, picture, proxy, sprite
from thatdam_pipelines.media.original import Original
from thatdam_pipelines.media.proxy import Pass, make_proxy
from thatdam_pipelines.media.whereabouts import Whereabouts, original, whereabouts
from thatdam_pipelines.settings import Settings

FACTS_NAME = "facts.json"
"""Beside what was made: its row, so that a finished folder is used again after a kill that lost the table."""

_POSTERS = 4
_CLEANING_S = 5.0


def proxy_recipe(settings: Settings) -> Recipe:
    """What a proxy is. Not in it: threads, limits, the ffmpeg used, and the probe, whose facts are the file's own."""
    return Recipe(
        "proxy",
        "2",
        {
            "short_edge": picture.PROXY_SHORT_EDGE,
            "long_edge": picture.PROXY_LONG_EDGE,
            "tone_map": [picture.TONE_MAP, picture.REFERENCE_NITS, picture.PEAK],
            "video": ["libx264", command.PRESET, command.CRF, command.KEYFRAME_S, command.LEAST_KEYFRAME_FRAMES],
            "sound": ["aac", command.SOUND_BIT_RATE, command.SOUND_RATE_HZ],
            "speech_rate_hz": command.SPEECH_RATE_HZ,
            "levels": loudness.FILTERS,
            "still_edges": [proxy.STILL_EDGE, proxy.POSTER_EDGE],
            "tiles": [sprite.MAX_TILES, sprite.TILE_EDGE],
            "measures": [measures.SMALL_FILTER, measures.MEASURES_SCHEMA.names()],
        },
    )


@dataclass(frozen=True)
class _Order:
    """One original whose proxy is to be made: what a worker process is given."""

    settings: Settings
    found: Whereabouts
    key: str
    facts: Original
    folder: Path
    threads: int
    timeout_s: float


def proxy_batch(
    library: Library, batch_id: str, *, retry: bool = False, progress: Progress | None = None
) -> StageReport:
    """Make what is missing of the proxies of a batch.

    Facts of the report: ``hours`` of footage and ``bytes`` made in the batch, ``realtime`` (seconds of footage made a
    second, of what was made now), ``posters`` (store keys of up to four).

    Raises:
        OfflineError: The media store cannot be reached.
        StoreError: The media store cannot be written.
        SettingsError: There is no ffmpeg.
    """
    settings, recipe = library.settings, proxy_recipe(library.settings)
    work = settings.work_dir / f"proxies-{batch_id}"
    shutil.rmtree(work, ignore_errors=True)
    jobs = _jobs(library, batch_id, recipe, work)
    before = _lasting(library, batch_id, recipe)
    try:
        report = run_stage(
            library,
            "proxies",
            batch_id,
            recipes={PROXIES: recipe},
            done_by=PROXIES,
            jobs=jobs,
            work=_make,
            finish=_row,
            retry=retry,
            progress=progress,
        )
    finally:
        shutil.rmtree(work, ignore_errors=True)
    made = library.tables.read(PROXIES, batch_id)
    lasting = _lasting(library, batch_id, recipe)
    facts = {
        "hours": lasting / 3600,
        "bytes": int(made["size_bytes"].sum()),
        "realtime": (lasting - before) / report.elapsed_s if report.computed else None,
        "posters": made["poster_path"].head(_POSTERS).to_list(),
    }
    return dataclasses.replace(report, facts=facts)


def _jobs(library: Library, batch_id: str, recipe: Recipe, work: Path) -> list[Job]:
    settings = library.settings
    places = whereabouts(library, batch_id)
    probes = library.tables.read(PROBES, batch_id)
    at_once = max(1, min(settings.workers or os.cpu_count() or 1, probes.height))
    threads = max(1, (os.cpu_count() or 1) // at_once)
    jobs = []
    for probe in probes.iter_rows(named=True):
        media_id, found = probe["media_id"], places[probe["media_id"]]
        facts = Original.of(probe, found.name, found.size_bytes)
        timeout_s = max(settings.proxy_timeout_min_s, facts.plausible_s * settings.proxy_timeout_factor)
        key = Store.derived_key(media_id, recipe.id)
        order = _Order(settings, found, key, facts, work / media_id, threads, timeout_s)
        longest_s = timeout_s + found.download_s(library.store) + _CLEANING_S
        jobs.append(Job(media_id, found.source_path, order, longest_s))
    return jobs


def _lasting(library: Library, batch_id: str, recipe: Recipe) -> float:
    made = library.tables.read(PROXIES, batch_id).filter(pl.col("recipe") == recipe.id)
    return float(made["duration_s"].sum() or 0)


def _make(order: _Order) -> dict[str, Any] | ThatdamError:
    """Runs in a worker. What keeps every file from being done is given back, for the stage to fail with."""
    with Library(order.settings) as library:
        try:
            return _finished_before(library.store, order) or _make_and_publish(library, order)
        except MediaError:
            raise
        except ThatdamError as error:
            return error


def _finished_before(store: Store, order: _Order) -> dict[str, Any] | None:
    """The row of what a killed run published."""
    if not store.exists(order.key):
        return None
    row: dict[str, Any] = json.loads(store.read_bytes(f"{order.key}/{FACTS_NAME}"))
    return row


def _make_and_publish(library: Library, order: _Order) -> dict[str, Any]:
    started = time.monotonic()
    order.folder.mkdir(parents=True)
    try:
        with original(library, order.found) as path:
            made = make_proxy(path, order.facts, Pass(order.settings, order.folder, order.threads, order.timeout_s))
        row = made.row()
        for column in [name for name, value in row.items() if name.endswith("_path") and value is not None]:
            row[column] = f"{order.key}/{row[column]}"
        row["size_bytes"] = sum(file.stat().st_size for file in order.folder.iterdir())
        row["elapsed_s"] = time.monotonic() - started
        (order.folder / FACTS_NAME).write_text(json.dumps(row), encoding="utf-8")
        library.store.publish_dir(order.folder, order.key)
        return row
    finally:
        shutil.rmtree(order.folder, ignore_errors=True)


def _row(job: Job, result: dict[str, Any] | ThatdamError) -> Rows:
    if isinstance(result, ThatdamError):
        raise result
    return {PROXIES.name: [result]}
