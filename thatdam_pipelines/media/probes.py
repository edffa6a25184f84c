"""The probes stage: the facts of every media file of a batch, read in worker processes."""

import dataclasses
from dataclasses import dataclass

import polars as pl

from thatdam_pipelines.library.curation_rows import Author
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.manifests import Manifest
from thatdam_pipelines.library.recipes import Recipe
from thatdam_pipelines.library.schemas import MEDIA, PROBES, STREAMS
from thatdam_pipelines.library.stage import Progress, Rows, StageReport, run_stage
from thatdam_pipelines.library.workers import Job
from thatdam_pipelines.media.facts import Probe, plain
from thatdam_pipelines.media.ffmpeg import ffmpeg_exe
from thatdam_pipelines.media.probe import Limits, probe_file
from thatdam_pipelines.media.recorded import recorded
from thatdam_pipelines.media.sidecars import read_sidecars
from thatdam_pipelines.media.whereabouts import Whereabouts, original, whereabouts
from thatdam_pipelines.settings import Settings

PROBE_RECIPE = Recipe("probe", "2")


@dataclass(frozen=True)
class _Order:
    """One original to probe: what a worker process is given."""

    found: Whereabouts
    settings: Settings
    limits: Limits


def probe_batch(
    library: Library, batch_id: str, *, retry: bool = False, progress: Progress | None = None
) -> StageReport:
    """Probe what is not yet probed of a batch; sidecars are left out.

    What XMP sidecars say of them is proposed to the ledger. Facts of the report: ``hours`` of footage, ``kinds`` (files
    by kind), ``warnings`` (files with any), ``unread_sidecars`` (why).

    Raises:
        OfflineError: The media store cannot be reached.
        SettingsError: There is no ffmpeg.
    """
    manifests = recorded(library, batch_id)
    report = run_stage(
        library,
        "probes",
        batch_id,
        recipes={PROBES: PROBE_RECIPE, STREAMS: PROBE_RECIPE},
        done_by=PROBES,
        jobs=_jobs(library, batch_id),
        work=_probe,
        finish=lambda job, probe: _rows(library, job, probe, manifests.get(job.media_id)),
        retry=retry,
        progress=progress,
    )
    unread = read_sidecars(library, batch_id)
    probes = library.tables.read(PROBES, batch_id)
    facts = {
        "hours": float(probes["duration_s"].sum() or 0) / 3600,
        "kinds": dict(probes.group_by("kind").len().sort("kind").iter_rows()),
        "warnings": probes.filter(pl.col("warnings").list.len() > 0).height,
        "unread_sidecars": unread,
    }
    return dataclasses.replace(report, facts=facts)


def _jobs(library: Library, batch_id: str) -> list[Job]:
    settings = library.settings
    limits = Limits.of(settings, ffmpeg_exe(settings))
    places = whereabouts(library, batch_id)
    media = library.tables.read(MEDIA, batch_id).filter(pl.col("kind") != "sidecar")
    return [
        Job(
            media_id,
            places[media_id].source_path,
            _Order(places[media_id], settings, limits),
            settings.probe_timeout_s + places[media_id].download_s(library.store),
        )
        for media_id in media.sort("media_id")["media_id"]
    ]


def _probe(order: _Order) -> Probe:
    """Runs in a worker."""
    with Library(order.settings) as library, original(library, order.found) as path:
        return probe_file(path, order.found.name, order.limits)


def _rows(library: Library, job: Job, probe: Probe, manifest: Manifest | None) -> Rows:
    if probe.said is not None:
        # Before the row: a file that has one is not read again.
        by = Author.now(job.name, "embedded")
        library.ledger.curation.propose({job.media_id: probe.said}, by, free_tags=library.settings.free_tags)
    if manifest is not None:
        _add_what_was_recorded(probe, manifest)
    return {PROBES.name: [probe.row()], STREAMS.name: probe.stream_rows()}


def _add_what_was_recorded(probe: Probe, manifest: Manifest) -> None:
    """The recorder knows when a segment began, which its file does not say, and what of the camera no file says."""
    probe.created_utc, probe.created_source = manifest.start_utc, "manifest"
    probe.camera_model = probe.camera_model or plain(manifest.camera.name)
    probe.camera_serial = probe.camera_serial or plain(manifest.camera.serial)
    if probe.timecode is None and manifest.start_timecode:
        probe.timecode = plain(manifest.start_timecode)
        probe.drop_frame = ";" in manifest.start_timecode
