"""The audio stage: what can be heard in each clip of a batch, and what is wrong with its channels."""

import dataclasses
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.names import names_of
from thatdam_pipelines.library.recipes import Recipe
from thatdam_pipelines.library.schemas import AUDIO, AUDIO_RANGES, PROBES, PROXIES
from thatdam_pipelines.library.stage import Progress, Rows, StageReport, run_stage
from thatdam_pipelines.library.store import Store
from thatdam_pipelines.library.workers import Job
from thatdam_pipelines.media import listening, sound
from thatdam_pipelines.media.proxies import proxy_recipe
from thatdam_pipelines.media.sound import Sound, listen, write_waveform_data
from thatdam_pipelines.settings import Settings

WAVEFORM_NAME = "waveform.json"

CLIPPED, DEAD, INVERTED, MONO, DC = "clipped", "dead channel", "inverted phase", "mono in stereo", "DC offset"
FAULTS = (CLIPPED, DEAD, INVERTED, MONO, DC)

CLIPPING_FLAT, CLIPPING_PEAK_DBFS = 3.0, -12.0
"""A channel that stays this much at peaks this high is clipped; a quieter one is a square wave or a bad recorder's."""

OVER_DBFS = 1.5
"""Sample peak of lossy sound from which it was clipped before: coding makes its flat peaks overshoot."""

DEAD_DBFS, LIVE_DBFS = -75.0, -55.0
"""RMS level below which one channel of two is dead, while the other is above the second."""

DC_LEVEL = 0.02
MONO_SIDE_DB = -30.0
INVERTED_CORRELATION = -0.9
MOSTLY = 0.2
"""Share of what is not silent from which speech or music is what a clip mostly is."""


def audio_recipe(settings: Settings) -> Recipe:
    """What is heard in a proxy's sound."""
    return Recipe(
        "audio",
        "1",
        {
            "proxy": proxy_recipe(settings).id,
            "silence": [sound.SILENCE_DBFS, sound.SHORTEST_SILENCE_S],
            "listening": listening.PARAMETERS,
            "waveform": [sound.WAVEFORM_RATE_HZ, sound.MOST_POINTS],
            "faults": [
                *[CLIPPING_FLAT, CLIPPING_PEAK_DBFS, OVER_DBFS, DEAD_DBFS, LIVE_DBFS],
                *[DC_LEVEL, MONO_SIDE_DB, INVERTED_CORRELATION, MOSTLY],
            ],
        },
    )


@dataclass(frozen=True)
class _Order:
    """A proxy to listen to: what a worker process is given."""

    settings: Settings
    proxy: dict[str, Any]
    channels: int
    key: str
    folder: Path
    name: str


def audio_batch(
    library: Library, batch_id: str, *, retry: bool = False, progress: Progress | None = None
) -> StageReport:
    """Fill ``audio`` and ``audio_ranges`` for every clip of the batch whose proxy has sound.

    Facts of the report: ``cpu_s_a_minute`` of sound, of all that the batch has.

    Raises:
        OfflineError: The media store cannot be reached.
        StoreError: The media store cannot be written.
    """
    settings, recipe = library.settings, audio_recipe(library.settings)
    work = settings.work_dir / f"audio-{batch_id}"
    shutil.rmtree(work, ignore_errors=True)
    names = names_of(library, batch_id)
    channels = dict(library.tables.read(PROBES, batch_id).select("media_id", "audio_channels").iter_rows())
    jobs = []
    for proxy in library.tables.read(PROXIES, batch_id).iter_rows(named=True):
        media_id = proxy["media_id"]
        if proxy["audio_path"] is not None:
            name, key = names.get(media_id, media_id), Store.derived_key(media_id, recipe.id)
            order = _Order(settings, proxy, channels.get(media_id) or 0, key, work / media_id, name)
            longest_s = max(settings.decode_timeout_s, proxy["duration_s"] * settings.proxy_timeout_factor)
            jobs.append(Job(media_id, name, order, longest_s))
    try:
        report = run_stage(
            library,
            "audio",
            batch_id,
            recipes={AUDIO: recipe, AUDIO_RANGES: recipe},
            done_by=AUDIO,
            jobs=jobs,
            work=_hear,
            finish=lambda job, rows: rows,
            retry=retry,
            progress=progress,
        )
    finally:
        shutil.rmtree(work, ignore_errors=True)
    made = library.tables.read(AUDIO, batch_id)
    minutes = float(made["duration_s"].sum()) / 60
    cost = float(made["cpu_s"].sum()) / minutes if minutes else None
    return dataclasses.replace(report, facts={"cpu_s_a_minute": cost})


def _hear(order: _Order) -> Rows:
    """Runs in a worker."""
    started = time.process_time()
    store = Store(order.settings.media_url, order.settings)
    with store.local(order.proxy["proxy_path"]) as path:
        heard = listen(path, order.name)
    order.folder.mkdir(parents=True, exist_ok=True)
    write_waveform_data(heard, order.folder / WAVEFORM_NAME)
    store.publish_dir(order.folder, order.key)
    row = {
        "kind": _kind(heard),
        "silence_s": heard.seconds_of("silence"),
        "speech_s": heard.seconds_of("speech"),
        "music_s": heard.seconds_of("music"),
        "correlation": heard.correlation,
        "side_db": heard.side_db,
        "faults": faults(order.proxy, heard, order.channels),
        "waveform_path": f"{order.key}/{WAVEFORM_NAME}",
        "duration_s": heard.duration_s,
        "cpu_s": time.process_time() - started,
    }
    return {AUDIO.name: [row], AUDIO_RANGES.name: [vars(one) for one in heard.ranges]}


def _kind(heard: Sound) -> str:
    loud_s = heard.duration_s - heard.seconds_of("silence")
    if loud_s < 0.05 * heard.duration_s:
        return "silence"
    found = [kind for kind in ("speech", "music") if heard.seconds_of(kind) >= MOSTLY * loud_s]
    return " and ".join(found) or "other"


def faults(levels: Mapping[str, Any], heard: Sound, channels: int) -> list[str]:
    """What is wrong with a sound, of ``FAULTS``.

    Args:
        levels: The columns of ``proxies`` with the levels of the original's channels.
        heard: What the proxy's sound is like.
        channels: Channels of the original; a fault of a pair is looked for only where there are two.
    """
    rms = levels["channel_rms_dbfs"] or []
    pair = channels == 2 and heard.side_db is not None
    dead = len(rms) == 2 and min(rms) < DEAD_DBFS and max(rms) > LIVE_DBFS
    peaks = levels["channel_peak_dbfs"] or []
    flat = zip(levels["channel_flat"] or [], peaks, strict=True)
    found = {
        CLIPPED: max(peaks, default=0.0) > OVER_DBFS
        or any(stays > CLIPPING_FLAT and peak > CLIPPING_PEAK_DBFS for stays, peak in flat),
        DEAD: dead,
        INVERTED: pair and not dead and (heard.correlation or 0.0) < INVERTED_CORRELATION,
        MONO: pair and not dead and (heard.side_db or 0.0) < MONO_SIDE_DB,
        DC: any(abs(offset) > DC_LEVEL for offset in levels["channel_dc"] or []),
    }
    return [fault for fault in FAULTS if found[fault]]
