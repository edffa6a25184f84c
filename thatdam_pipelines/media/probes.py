"""The probes stage: the facts of every media file of a batch, read in worker processes."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from thatdam_pipelines.errors import MediaError, OfflineError, StoreError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.recipes import Recipe
from thatdam_pipelines.library.schemas import LOCATIONS, MEDIA, PROBES, STREAMS
from thatdam_pipelines.library.stage import Progress, Rows, StageReport, run_stage
from thatdam_pipelines.library.workers import Job
from thatdam_pipelines.media.facts import Probe
from thatdam_pipelines.media.ffmpeg import ffmpeg_exe
from thatdam_pipelines.media.probe import Limits, probe_file
from thatdam_pipelines.settings import Settings

PROBE_RECIPE = Recipe("probe", "1")
_DOWNLOAD_BYTES_A_SECOND = 2_000_000
"""Slowest store a probe waits for."""


@dataclass(frozen=True)
class _Order:
    """One original to probe: what a worker process is given.

    Args:
        path: Where it is on this machine; None: the store is asked for it.
        location: Its row of ``locations``.
    """

    path: Path | None
    location: dict[str, Any]
    settings: Settings
    limits: Limits


def probe_batch(
    library: Library, batch_id: str, *, retry: bool = False, progress: Progress | None = None
) -> StageReport:
    """Probe what is not yet probed of a batch; sidecars are left out.

    Facts of the report: ``hours`` of footage, ``kinds`` (files by kind), ``warnings`` (files with any).

    Raises:
        OfflineError: The originals cannot be reached.
        SettingsError: There is no ffmpeg.
    """
    report = run_stage(
        library,
        "probes",
        batch_id,
        recipes={PROBES: PROBE_RECIPE, STREAMS: PROBE_RECIPE},
        done_by=PROBES,
        jobs=_jobs(library, batch_id),
        work=_probe,
        finish=_rows,
        retry=retry,
        progress=progress,
    )
    probes = library.tables.read(PROBES, batch_id)
    facts = {
        "hours": float(probes["duration_s"].sum() or 0) / 3600,
        "kinds": dict(probes.group_by("kind").len().sort("kind").iter_rows()),
        "warnings": probes.filter(pl.col("warnings").list.len() > 0).height,
    }
    return dataclasses.replace(report, facts=facts)


def _jobs(library: Library, batch_id: str) -> list[Job]:
    settings = library.settings
    limits = Limits.of(settings, ffmpeg_exe(settings))
    places = library.tables.read(LOCATIONS, batch_id).sort("source_path").unique("media_id", keep="first")
    locations = {row["media_id"]: row for row in places.iter_rows(named=True)}
    media = library.tables.read(MEDIA, batch_id).filter(pl.col("kind") != "sidecar")
    jobs = []
    for media_id in media.sort("media_id")["media_id"]:
        location = locations[media_id]
        direct = location["in_store"] and library.store.is_local
        path = Path(library.store.url(location["path"])) if direct else None
        timeout_s = settings.probe_timeout_s
        if location["in_store"] and not library.store.is_local:
            timeout_s += location["size_bytes"] / _DOWNLOAD_BYTES_A_SECOND
        jobs.append(Job(media_id, location["source_path"], _Order(path, location, settings, limits), timeout_s))
    return jobs


def _probe(order: _Order) -> Probe | OfflineError:
    """Runs in a worker. What keeps every file from being probed is given back, for the stage to fail with."""
    name = order.location["name"]
    if order.path is not None and order.path.exists():
        return probe_file(order.path, name, order.limits)
    from thatdam_pipelines.media.ingest import original

    with Library(order.settings) as library:
        try:
            with original(library, order.location) as path:
                return probe_file(path, name, order.limits)
        except StoreError as error:
            raise MediaError(name, error.cause, error.next_step) from error
        except OfflineError as error:
            return error


def _rows(_: Job, result: Probe | OfflineError) -> Rows:
    if isinstance(result, OfflineError):
        raise result
    return {PROBES.name: [result.row()], STREAMS.name: result.stream_rows()}
