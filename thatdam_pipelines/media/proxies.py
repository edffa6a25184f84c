"""The proxies stage: everything later stages need of an original, made in one pass and published as one folder."""

import contextlib
import dataclasses
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from thatdam_pipelines.errors import MediaError, OfflineError, StoreError, ThatdamError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.recipes import Recipe
from thatdam_pipelines.library.schemas import LOCATIONS, PROBES, PROXIES
from thatdam_pipelines.library.stage import Progress, Rows, StageReport, run_stage
from thatdam_pipelines.library.store import Store
from thatdam_pipelines.library.workers import Job
from thatdam_pipelines.media import command, measures, picture, proxy, sprite
from thatdam_pipelines.media.original import Original
from thatdam_pipelines.media.proxy import Pass, make_proxy
from thatdam_pipelines.settings import Settings

FACTS_NAME = "facts.json"
"""Beside what was made: its row, so that a finished folder is used again after a kill that lost the table."""

_POSTERS = 4
_CLEANING_S = 5.0
_DOWNLOAD_BYTES_A_SECOND = 1_000_000


def proxy_recipe(settings: Settings) -> Recipe:
    """What a proxy is. Not in it: threads, limits, the ffmpeg used, and the probe, whose facts are the file's own."""
    return Recipe(
        "proxy",
        "1",
        {
            "short_edge": picture.PROXY_SHORT_EDGE,
            "long_edge": picture.PROXY_LONG_EDGE,
            "tone_map": [picture.TONE_MAP, picture.REFERENCE_NITS, picture.PEAK],
            "video": ["libx264", command.PRESET, command.CRF, command.KEYFRAME_S, command.LEAST_KEYFRAME_FRAMES],
            "sound": ["aac", command.SOUND_BIT_RATE, command.SOUND_RATE_HZ],
            "speech_rate_hz": command.SPEECH_RATE_HZ,
            "still_edges": [proxy.STILL_EDGE, proxy.POSTER_EDGE],
            "tiles": [sprite.MAX_TILES, sprite.TILE_EDGE],
            "measures": [measures.SMALL_FILTER, measures.MEASURES_SCHEMA.names()],
        },
    )


@dataclass(frozen=True)
class _Order:
    """One original whose proxy is to be made: what a worker process is given."""

    settings: Settings
    media_id: str
    key: str
    location: dict[str, Any]
    original: Original
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
    places = library.tables.read(LOCATIONS, batch_id).sort("duplicate", "source_path").unique("media_id", keep="first")
    locations = {row["media_id"]: row for row in places.iter_rows(named=True)}
    for media_id, content in library.ledger.contents(locations).items():
        if content.kept_key is not None:
            locations[media_id] |= {"path": content.kept_key, "in_store": True}
    probes = library.tables.read(PROBES, batch_id)
    at_once = max(1, min(settings.workers or os.cpu_count() or 1, probes.height))
    threads = max(1, (os.cpu_count() or 1) // at_once)
    jobs = []
    for probe in probes.iter_rows(named=True):
        media_id, location = probe["media_id"], locations[probe["media_id"]]
        original = Original.of(probe, location["name"], location["size_bytes"])
        timeout_s = max(settings.proxy_timeout_min_s, original.plausible_s * settings.proxy_timeout_factor)
        order = _Order(
            settings,
            media_id,
            Store.derived_key(media_id, recipe.id),
            location,
            original,
            work / media_id,
            threads,
            timeout_s,
        )
        away = location["in_store"] and not library.store.is_local
        download_s = location["size_bytes"] / _DOWNLOAD_BYTES_A_SECOND if away else 0.0
        jobs.append(Job(media_id, location["source_path"], order, timeout_s + download_s + _CLEANING_S))
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
    from thatdam_pipelines.media.ingest import original

    started = time.monotonic()
    order.folder.mkdir(parents=True)
    try:
        with contextlib.ExitStack() as opened:
            try:
                path = opened.enter_context(original(library, order.location))
            except StoreError as error:
                raise MediaError(order.original.name, error.cause, error.next_step) from error
            made = make_proxy(path, order.original, Pass(order.settings, order.folder, order.threads, order.timeout_s))
        row = made.row()
        for column in [name for name, value in row.items() if name.endswith("_path") and value is not None]:
            row[column] = f"{order.key}/{row[column]}"
        row["size_bytes"] = sum(file.stat().st_size for file in order.folder.iterdir())
        row["elapsed_s"] = time.monotonic() - started
        (order.folder / FACTS_NAME).write_text(json.dumps(row), encoding="utf-8")
        library.store.publish_dir(order.folder, order.key)
        return row
    except OfflineError as error:
        # One disk that is not there costs the files on it; when the store is gone, nothing can be done.
        if order.location["in_store"] or not library.store.is_online():
            raise
        raise MediaError(order.original.name, error.cause, error.next_step) from error
    finally:
        shutil.rmtree(order.folder, ignore_errors=True)


def _row(job: Job, result: dict[str, Any] | ThatdamError) -> Rows:
    if isinstance(result, ThatdamError):
        raise result
    return {PROXIES.name: [result]}
