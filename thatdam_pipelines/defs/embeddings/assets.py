"""Vectors of files, frames and scenes, and the words machines give them."""

import dagster as dg

from thatdam_pipelines.defs.automation import after_new_data
from thatdam_pipelines.defs.checks import EVERY_FILE_DONE, VECTORS_SOUND, every_file_done, vectors_sound
from thatdam_pipelines.defs.report import materialized
from thatdam_pipelines.defs.resources import Announce, RunEmbedder
from thatdam_pipelines.defs.stages import StageConfig, progress_log, stage, told_plainly, wants_retry
from thatdam_pipelines.embed.l0 import embed_l0_batch
from thatdam_pipelines.embed.l1 import embed_l1_batch, frames_recipe
from thatdam_pipelines.embed.l2 import embed_l2_batch, scenes_recipe
from thatdam_pipelines.embed.tags import measured_recipe, tag_batch
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import EMBEDDINGS_L0, EMBEDDINGS_L1, EMBEDDINGS_L2
from thatdam_pipelines.settings import get_settings


def _by_embedder(recipe_id: str) -> str:
    """Code version of what a model makes: as it is set, since asking which one `auto` serves may take seconds."""
    return f"{recipe_id} {get_settings().embedder}"


@dg.asset(
    **stage(
        "embeddings_l0",
        group="embeddings",
        deps=["raw_media", "probes"],
        kinds={"pytorch", "parquet"},
        checks=VECTORS_SOUND | EVERY_FILE_DONE,
        owner="embeddings",
        code_version=_by_embedder("embeddings_l0-1"),
        pool="model",
    )
)
def embeddings_l0(
    context: dg.AssetExecutionContext,
    config: StageConfig,
    library: dg.ResourceParam[Library],
    embedder: dg.ResourceParam[RunEmbedder],
    announce: dg.ResourceParam[Announce],
) -> dg.MaterializeResult:
    """Level 0, the whole file: one vector from a few evenly spread frames, so that a clip is found at once."""
    batch_id = context.partition_key
    with told_plainly():
        retry = wants_retry(context, config)
        progress = progress_log(context, announce)
        report = embed_l0_batch(library, batch_id, embedder.opened, retry=retry, progress=progress)
        checks = [vectors_sound(library, batch_id, EMBEDDINGS_L0), every_file_done(report)]
        return materialized(context, library, report, checks, {"embedder": embedder.opened.note})


@dg.asset(
    **stage(
        "embeddings_l1",
        group="embeddings",
        deps=["proxies"],
        kinds={"pytorch", "parquet"},
        checks=VECTORS_SOUND | EVERY_FILE_DONE,
        owner="embeddings",
        code_version=_by_embedder(frames_recipe(get_settings()).id),
        pool="model",
        automation=after_new_data(),
    )
)
def embeddings_l1(
    context: dg.AssetExecutionContext,
    config: StageConfig,
    library: dg.ResourceParam[Library],
    embedder: dg.ResourceParam[RunEmbedder],
    announce: dg.ResourceParam[Announce],
) -> dg.MaterializeResult:
    """Level 1, frames: about one a second from the proxy, near-duplicates dropped; a vector and measures of each."""
    batch_id = context.partition_key
    with told_plainly():
        retry = wants_retry(context, config)
        progress = progress_log(context, announce)
        report = embed_l1_batch(library, batch_id, embedder.opened, retry=retry, progress=progress)
        checks = [vectors_sound(library, batch_id, EMBEDDINGS_L1), every_file_done(report)]
        return materialized(context, library, report, checks, {"embedder": embedder.opened.note})


@dg.asset(
    **stage(
        "embeddings_l2",
        group="embeddings",
        deps=["proxies", "embeddings_l1"],
        kinds={"pytorch", "parquet"},
        checks=VECTORS_SOUND | EVERY_FILE_DONE,
        owner="embeddings",
        code_version=_by_embedder(scenes_recipe(get_settings()).id),
        pool="model",
        automation=after_new_data(),
    )
)
def embeddings_l2(
    context: dg.AssetExecutionContext,
    config: StageConfig,
    library: dg.ResourceParam[Library],
    embedder: dg.ResourceParam[RunEmbedder],
    announce: dg.ResourceParam[Announce],
) -> dg.MaterializeResult:
    """Level 2, scenes: what lies between cuts and fades, its vector and the frame that stands for it."""
    batch_id = context.partition_key
    with told_plainly():
        retry = wants_retry(context, config)
        progress = progress_log(context, announce)
        report = embed_l2_batch(library, batch_id, embedder.opened, retry=retry, progress=progress)
        checks = [vectors_sound(library, batch_id, EMBEDDINGS_L2), every_file_done(report)]
        return materialized(context, library, report, checks, {"embedder": embedder.opened.note})


@dg.asset(
    **stage(
        "tags",
        group="embeddings",
        deps=["probes", "embeddings_l1", "embeddings_l2"],
        kinds={"pytorch", "parquet"},
        checks={},
        owner="embeddings",
        code_version=_by_embedder(measured_recipe(get_settings()).id),
        pool="model",
        automation=after_new_data(),
    )
)
def tags(
    context: dg.AssetExecutionContext,
    config: StageConfig,
    library: dg.ResourceParam[Library],
    embedder: dg.ResourceParam[RunEmbedder],
    announce: dg.ResourceParam[Announce],
) -> dg.MaterializeResult:
    """Words for scenes and files, by measure (dark, static, ...) and by the model where it knows words."""
    batch_id = context.partition_key
    with told_plainly():
        retry = wants_retry(context, config)
        progress = progress_log(context, announce)
        report = tag_batch(library, batch_id, embedder.opened, retry=retry, progress=progress)
        return materialized(context, library, report, [], {"embedder": embedder.opened.note})
