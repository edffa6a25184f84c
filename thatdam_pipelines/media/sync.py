"""The sync stage: the cameras of each group that was recorded together, on one time line."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import polars as pl

from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.locations import rows_by
from thatdam_pipelines.library.names import names_of
from thatdam_pipelines.library.recipes import Recipe
from thatdam_pipelines.library.schemas import CAPTURE_SEGMENTS, PROBES, PROXIES, SYNCS
from thatdam_pipelines.library.stage import Progress, StageReport, run_stage
from thatdam_pipelines.library.store import Store
from thatdam_pipelines.library.workers import Job
from thatdam_pipelines.media import aligning, sound_sync
from thatdam_pipelines.media.aligning import Recording, align_pair, timecode_seconds
from thatdam_pipelines.media.proxies import proxy_recipe
from thatdam_pipelines.settings import Settings

_MEASURED = ("offset_s", "drift_ppm", "confidence", "method", "sure", "error_s", "overlap_s", "reason")


def sync_recipe(settings: Settings) -> Recipe:
    """How two recordings are aligned."""
    sound = [sound_sync.SURE_LOG10, sound_sync.RIVAL, sound_sync.WITHIN_S, sound_sync.MOST_DRIFT_PPM]
    others = [aligning.FRAME_S, aligning.CLOCK_MARGIN_S, aligning.LEAST_FLASHES, aligning.TIMECODE_AGREES_S]
    return Recipe("sync", "1", {"proxy": proxy_recipe(settings).id, "sound": sound, "others": others})


@dataclass(frozen=True)
class Known:
    """A recording whose proxy is in the store: what a worker process is given to open it."""

    recording: Recording
    sound_key: str | None
    measures_key: str | None


@dataclass(frozen=True)
class _Order:
    settings: Settings
    group_id: str
    other: Known
    references: tuple[Known, ...]


def sync_batch(
    library: Library, batch_id: str, *, retry: bool = False, progress: Progress | None = None
) -> StageReport:
    """Fill ``syncs``: each segment of a group against that of the group's first camera it overlaps most by the clock.

    Segments of other batches are looked up, so that whichever batch comes last aligns what waited for it.

    Facts of the report: ``cpu_s_a_minute`` of what was aligned, ``sure`` and ``refused``, in pairs.

    Raises:
        OfflineError: The media store cannot be reached.
    """
    settings, recipe = library.settings, sync_recipe(library.settings)
    jobs = [
        Job(order.other.recording.media_id, order.other.recording.name, order, settings.decode_timeout_s * 4)
        for order in _orders(library, batch_id)
    ]
    report = run_stage(
        library,
        "sync",
        batch_id,
        recipes={SYNCS: recipe},
        done_by=SYNCS,
        jobs=jobs,
        work=_align,
        finish=lambda job, rows: {SYNCS.name: rows},
        retry=retry,
        progress=progress,
    )
    made = library.tables.read(SYNCS, batch_id)
    minutes = float(made["overlap_s"].sum()) / 60
    cost = float(made["cpu_s"].sum()) / minutes if minutes else None
    facts = {"cpu_s_a_minute": cost, "sure": int(made["sure"].sum()), "refused": int((~made["sure"]).sum())}
    return dataclasses.replace(report, facts=facts)


def _orders(library: Library, batch_id: str) -> Iterator[_Order]:
    """What is to be aligned because the batch has one side of it."""
    own = library.tables.read(CAPTURE_SEGMENTS, batch_id)
    here = set(own["media_id"])
    groups = own["group_id"].unique().sort().to_list()
    segments = rows_by(library.tables, CAPTURE_SEGMENTS, "group_id", groups).unique("media_id") if groups else own
    for (group_id,), group in segments.sort("camera_id", "start_utc").group_by("group_id", maintain_order=True):
        pairs: dict[str, list[str]] = {}
        for reference_id, media_id in _pairs(group):
            if {reference_id, media_id} & here:
                pairs.setdefault(media_id, []).append(reference_id)
        clocks = {row["media_id"]: row for row in group.iter_rows(named=True)}
        known = recordings(library, {*pairs, *(one for ids in pairs.values() for one in ids)}, clocks)
        for media_id, reference_ids in pairs.items():
            references = tuple(known[one] for one in reference_ids if one in known)
            if media_id in known and references:
                yield _Order(library.settings, str(group_id), known[media_id], references)


def _pairs(group: pl.DataFrame) -> Iterator[tuple[str, str]]:
    """Reference and other: the hero camera's segments, else the first camera's, and what each other overlaps most."""
    heroes = group.filter(pl.col("role") == "hero")["camera_id"]
    camera = heroes[0] if heroes.len() else group["camera_id"][0]
    references = group.filter(pl.col("camera_id") == camera).to_dicts()
    for other in group.filter(pl.col("camera_id") != camera).iter_rows(named=True):
        overlaps = [
            (min(one["end_utc"], other["end_utc"]) - max(one["start_utc"], other["start_utc"])).total_seconds()
            for one in references
        ]
        if overlaps and max(overlaps) > 0:
            yield references[overlaps.index(max(overlaps))]["media_id"], other["media_id"]


def recordings(
    library: Library, media_ids: set[str], clocks: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Known]:
    """What is known of recordings, by media id; those without a proxy are left out.

    Args:
        clocks: Rows of ``capture_segments`` by media id.
    """
    batches: dict[str, list[str]] = {}
    for media_id in media_ids:
        if batch_id := library.ledger.content_batch(media_id):
            batches.setdefault(batch_id, []).append(media_id)
    found = {}
    for batch_id, ids in batches.items():
        names = names_of(library, batch_id)
        probes = {row["media_id"]: row for row in library.tables.read(PROBES, batch_id).iter_rows(named=True)}
        rows = library.tables.read(PROXIES, batch_id).filter(
            pl.col("media_id").is_in(ids) & (pl.col("kind") != "image")
        )
        for proxy in rows.iter_rows(named=True):
            media_id = proxy["media_id"]
            clock = (clocks or {}).get(media_id, {})
            probe = probes.get(media_id, {})
            recording = Recording(
                media_id,
                names.get(media_id, media_id),
                proxy["duration_s"] or 0.0,
                timecode_s=timecode_seconds(probe.get("timecode"), probe.get("frame_rate_fps")),
                created_utc=probe.get("created_utc"),
                clock_utc=clock.get("start_utc"),
                clock_error_s=clock.get("clock_error_s"),
                host=clock.get("host"),
            )
            found[media_id] = Known(recording, proxy["audio_path"], proxy["measures_path"])
    return found


@contextlib.contextmanager
def opened(store: Store, known: Known) -> Iterator[Recording]:
    """A recording whose sound and measures are on this machine.

    Raises:
        OfflineError: The store cannot be reached.
        StoreError: A file is not there.
    """
    with ExitStack() as stack:
        sound, measures = (
            stack.enter_context(store.local(key)) if key else None for key in (known.sound_key, known.measures_key)
        )
        yield dataclasses.replace(known.recording, sound=sound, measures=measures)


def _align(order: _Order) -> list[dict[str, Any]]:
    """Runs in a worker."""
    store = Store(order.settings.media_url, order.settings)
    rows = []
    with opened(store, order.other) as other:
        for known in order.references:
            started = time.process_time()
            with opened(store, known) as reference:
                found = align_pair(reference, other).as_dict()
            row = {name: found[name] for name in _MEASURED}
            row |= {"reference_id": found["reference_id"], "group_id": order.group_id}
            rows.append(row | {"cpu_s": time.process_time() - started})
    if not rows:
        raise MediaError(order.other.recording.name, "no camera of its group overlaps it", "Run `thatdam retry`.")
    return rows
