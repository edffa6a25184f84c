"""What each media file is, and the proxies that stand for it."""

import dagster as dg

from thatdam_pipelines.defs.automation import after_new_data
from thatdam_pipelines.defs.checks import (
    CAMERAS_IN_SYNC,
    EVERY_FILE_DONE,
    MOTION_FOLLOWED,
    PROXIES_COMPLETE,
    SOUND_HEALTHY,
    cameras_in_sync,
    every_file_done,
    motion_followed,
    proxy_durations,
    sound_healthy,
)
from thatdam_pipelines.defs.report import materialized, thumbnails
from thatdam_pipelines.defs.resources import Announce
from thatdam_pipelines.defs.stages import StageConfig, progress_log, stage, told_plainly, wants_retry
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import MEDIA, PROXIES
from thatdam_pipelines.media.audio import audio_batch, audio_recipe
from thatdam_pipelines.media.motion import motion_batch, motion_recipe
from thatdam_pipelines.media.probes import PROBE_RECIPE, probe_batch
from thatdam_pipelines.media.proxies import proxy_batch, proxy_recipe
from thatdam_pipelines.media.sync import sync_batch, sync_recipe
from thatdam_pipelines.media.transcripts import transcribe_batch, transcripts_recipe
from thatdam_pipelines.settings import get_settings


@dg.asset(
    **stage(
        "probes",
        group="media",
        deps=["raw_media"],
        kinds={"ffmpeg", "parquet"},
        checks=EVERY_FILE_DONE,
        owner="media",
        code_version=PROBE_RECIPE.id,
    )
)
def probes(
    context: dg.AssetExecutionContext,
    config: StageConfig,
    library: dg.ResourceParam[Library],
    announce: dg.ResourceParam[Announce],
) -> dg.MaterializeResult:
    """Container, streams, duration, rotation, colour, timecode, camera and place of each media file.

    Read from the files themselves, streams chosen by type; what lies or does not decode is listed with a reason.
    """
    batch_id = context.partition_key
    with told_plainly():
        retry = wants_retry(context, config)
        report = probe_batch(library, batch_id, retry=retry, progress=progress_log(context, announce))
        return materialized(context, library, report, [every_file_done(report)])


@dg.asset(
    **stage(
        "proxies",
        group="media",
        deps=["raw_media", "probes"],
        kinds={"ffmpeg", "parquet"},
        checks=PROXIES_COMPLETE | EVERY_FILE_DONE,
        owner="media",
        code_version=proxy_recipe(get_settings()).id,
        pool="ffmpeg",
        automation=after_new_data(),
    )
)
def proxies(
    context: dg.AssetExecutionContext,
    config: StageConfig,
    library: dg.ResourceParam[Library],
    announce: dg.ResourceParam[Announce],
) -> dg.MaterializeResult:
    """Proxy, poster, hover sprite, sound and per-frame measures, from one reading of each original.

    Upright, tone-mapped where the original is HDR, with a keyframe every second. Nothing later reads the original.
    """
    batch_id = context.partition_key
    with told_plainly():
        retry = wants_retry(context, config)
        report = proxy_batch(library, batch_id, retry=retry, progress=progress_log(context, announce))
        checks = [proxy_durations(library, batch_id, report), every_file_done(report)]
        names = library.tables.read(MEDIA, batch_id).select("media_id", "name")
        made = library.tables.read(PROXIES, batch_id).select("media_id").join(names, on="media_id").sort("name")
        pictures = thumbnails(made, library.settings.web_port)
        return materialized(context, library, report, checks, {"posters": pictures} if pictures else None)


@dg.asset(
    **stage(
        "audio",
        group="media",
        deps=["probes", "proxies"],
        kinds={"ffmpeg", "parquet"},
        checks=SOUND_HEALTHY | EVERY_FILE_DONE,
        owner="media",
        code_version=audio_recipe(get_settings()).id,
        pool="ffmpeg",
        automation=after_new_data(),
    )
)
def audio(
    context: dg.AssetExecutionContext,
    config: StageConfig,
    library: dg.ResourceParam[Library],
    announce: dg.ResourceParam[Announce],
) -> dg.MaterializeResult:
    """Silence, speech and music of each clip, its waveform, and what is wrong with its channels.

    From the sound of the proxy; loudness and true peak are measured from the original when the proxy is made.
    """
    batch_id = context.partition_key
    with told_plainly():
        retry = wants_retry(context, config)
        report = audio_batch(library, batch_id, retry=retry, progress=progress_log(context, announce))
        return materialized(context, library, report, [sound_healthy(library, batch_id), every_file_done(report)])


@dg.asset(
    **stage(
        "transcripts",
        group="media",
        deps=["proxies", "audio"],
        kinds={"onnx", "parquet"},
        checks=EVERY_FILE_DONE,
        owner="media",
        code_version=transcripts_recipe(get_settings(), get_settings().transcriber).id,
        pool="model",
        automation=after_new_data(),
    )
)
def transcripts(
    context: dg.AssetExecutionContext,
    config: StageConfig,
    library: dg.ResourceParam[Library],
    announce: dg.ResourceParam[Announce],
) -> dg.MaterializeResult:
    """What is said in each clip: words with times, subtitles (SRT, WebVTT), text and sections by subject.

    Only where `audio` heard speech, so that silence and music are never taken for words.
    """
    batch_id = context.partition_key
    with told_plainly():
        retry = wants_retry(context, config)
        report = transcribe_batch(library, batch_id, retry=retry, progress=progress_log(context, announce))
        return materialized(context, library, report, [every_file_done(report)])


@dg.asset(
    **stage(
        "motion",
        group="media",
        deps=["proxies"],
        kinds={"ffmpeg", "parquet"},
        checks=MOTION_FOLLOWED | EVERY_FILE_DONE,
        owner="media",
        code_version=motion_recipe(get_settings()).id,
        pool="ffmpeg",
        automation=after_new_data(),
    )
)
def motion(
    context: dg.AssetExecutionContext,
    config: StageConfig,
    library: dg.ResourceParam[Library],
    announce: dg.ResourceParam[Announce],
) -> dg.MaterializeResult:
    """What the camera does (pan, tilt, zoom, shake, nothing) and whether a subject moves, by second and by scene.

    From small frames of the proxy; with a heat strip for timelines.
    """
    batch_id = context.partition_key
    with told_plainly():
        retry = wants_retry(context, config)
        report = motion_batch(library, batch_id, retry=retry, progress=progress_log(context, announce))
        return materialized(context, library, report, [motion_followed(library, batch_id), every_file_done(report)])


@dg.asset(
    **stage(
        "sync",
        group="media",
        deps=["capture_sessions", "proxies"],
        kinds={"parquet"},
        checks=CAMERAS_IN_SYNC | EVERY_FILE_DONE,
        owner="media",
        code_version=sync_recipe(get_settings()).id,
        automation=after_new_data(),
    )
)
def sync(
    context: dg.AssetExecutionContext,
    config: StageConfig,
    library: dg.ResourceParam[Library],
    announce: dg.ResourceParam[Announce],
) -> dg.MaterializeResult:
    """Cameras that recorded together, on one time line: by sound, flashes, timecode or the recorder's clock.

    What is not sure is refused. `thatdam sync` aligns any recordings.
    """
    batch_id = context.partition_key
    with told_plainly():
        retry = wants_retry(context, config)
        report = sync_batch(library, batch_id, retry=retry, progress=progress_log(context, announce))
        return materialized(context, library, report, [cameras_in_sync(library, batch_id), every_file_done(report)])
