"""The fingerprints stage: of every file what its copies are found by, from what the proxy pass made."""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import polars as pl

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.names import names_of
from thatdam_pipelines.library.recipes import Recipe
from thatdam_pipelines.library.schemas import CAPTURE_SEGMENTS, FINGERPRINTS, MEDIA, PROBES, PROXIES
from thatdam_pipelines.library.stage import Progress, Rows, StageReport, run_stage
from thatdam_pipelines.library.store import Store
from thatdam_pipelines.library.workers import Job
from thatdam_pipelines.media.fingerprint import (
    FRAME_EVERY_S,
    FRAME_SIZE,
    LOOKS_A_SECOND,
    MOST_FRAMES,
    fingerprint_of,
)
from thatdam_pipelines.media.proxies import proxy_recipe
from thatdam_pipelines.settings import Settings


def fingerprints_recipe(settings: Settings) -> Recipe:
    """What is kept of a proxy to compare it by; fingerprints of two recipes are never compared."""
    kept = {"looks": LOOKS_A_SECOND, "frames": [*FRAME_SIZE, FRAME_EVERY_S, MOST_FRAMES]}
    return Recipe("fingerprints", "1", {"proxy": proxy_recipe(settings).id} | kept)


def fingerprint_batch(
    library: Library, batch_id: str, *, retry: bool = False, progress: Progress | None = None
) -> StageReport:
    """Fill ``fingerprints`` for every file of the batch that has a proxy.

    Raises:
        OfflineError: The media store cannot be reached.
    """
    settings, recipe = library.settings, fingerprints_recipe(library.settings)
    names = names_of(library, batch_id)
    facts = _facts(library, batch_id)
    jobs = [
        Job(
            row["media_id"],
            names.get(row["media_id"], row["media_id"]),
            _Order(settings, row["kind"], row["proxy_path"], row["measures_path"], row["audio_path"]),
            settings.decode_timeout_s,
        )
        for row in library.tables.read(PROXIES, batch_id).iter_rows(named=True)
    ]

    def finish(job: Job, found: dict[str, Any]) -> Rows:
        return {FINGERPRINTS.name: [facts[job.media_id] | found]}

    return run_stage(
        library,
        "fingerprints",
        batch_id,
        recipes={FINGERPRINTS: recipe},
        done_by=FINGERPRINTS,
        jobs=jobs,
        work=_fingerprint,
        finish=finish,
        retry=retry,
        progress=progress,
    )


@dataclass(frozen=True)
class _Order:
    """A proxy to take the fingerprint of: what a worker process is given."""

    settings: Settings
    kind: str
    proxy_path: str
    measures_path: str | None
    audio_path: str | None


def _fingerprint(order: _Order) -> dict[str, Any]:
    """Runs in a worker."""
    store = Store(order.settings.media_url, order.settings)
    with ExitStack() as opened:
        proxy, measures, wav = (
            opened.enter_context(store.local(path)) if path else None
            for path in (
                order.proxy_path if order.kind != "audio" else None,
                order.measures_path,
                order.audio_path,
            )
        )
        rows = pl.read_parquet(measures, columns=["time_s", "thumb"]) if measures else None
        return fingerprint_of(proxy, rows, wav, still=order.kind == "image").row()


def _facts(library: Library, batch_id: str) -> dict[str, dict[str, Any]]:
    """The columns that relate files by other things than what they show, by media_id."""
    sizes = dict(library.tables.read(MEDIA, batch_id).select("media_id", "size_bytes").iter_rows())
    recorded = {row["media_id"]: row for row in library.tables.read(CAPTURE_SEGMENTS, batch_id).iter_rows(named=True)}
    facts = {}
    for probe in library.tables.read(PROBES, batch_id).iter_rows(named=True):
        segment = recorded.get(probe["media_id"], {})
        camera = [probe[name] for name in ("camera_make", "camera_model", "camera_serial") if probe[name]]
        width, height = probe["display_width"], probe["display_height"]
        facts[probe["media_id"]] = {
            "kind": probe["kind"],
            "duration_s": probe["duration_s"],
            "pixels": width * height if width and height else None,
            "size_bytes": sizes[probe["media_id"]],
            "camera": " ".join(camera) or None,
            "shot_utc": segment.get("start_utc") or probe["created_utc"],
            "latitude_deg": probe["latitude_deg"],
            "longitude_deg": probe["longitude_deg"],
            "group_id": segment.get("group_id"),
            "group_camera": segment.get("camera_id"),
        }
    return facts
