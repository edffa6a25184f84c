"""Vectors of files, frames and scenes, and the words machines give them."""

from collections.abc import Sequence
from typing import Any, Protocol

import dagster as dg

from thatdam_pipelines.defs.automation import after_new_data
from thatdam_pipelines.defs.checks import EVERY_FILE_DONE, VECTORS_SOUND, every_file_done, vectors_sound
from thatdam_pipelines.defs.report import materialized
from thatdam_pipelines.defs.resources import Announce, RunEmbedder
from thatdam_pipelines.defs.stages import StageConfig, progress_log, stage, told_plainly, wants_retry
from thatdam_pipelines.embed.embedder import Embedder
from thatdam_pipelines.embed.l0 import embed_l0_batch
from thatdam_pipelines.embed.l1 import embed_l1_batch, frames_recipe
from thatdam_pipelines.embed.l2 import embed_l2_batch, scenes_recipe
from thatdam_pipelines.embed.tags import measured_recipe, tag_batch
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import EMBEDDINGS_L0, EMBEDDINGS_L1, EMBEDDINGS_L2
from thatdam_pipelines.library.stage import Progress, StageReport
from thatdam_pipelines.library.table import Table
from thatdam_pipelines.settings import get_settings


class ModelStage(Protocol):
    """What a model makes of a batch."""

    def __call__(
        self, library: Library, batch_id: str, embedder: Embedder, *, retry: bool, progress: Progress | None
    ) -> StageReport: ...


def model_asset(
    name: str,
    made_by: ModelStage,
    *,
    deps: Sequence[str],
    recipe_id: str,
    description: str,
    vectors: Table | None = None,
    automation: dg.AutomationCondition[Any] | None = None,
) -> dg.AssetsDefinition:
    """The asset of a stage that asks the embedder of its run.

    Args:
        recipe_id: With the embedder as it is set, the code version: which one `auto` serves may take seconds to know.
        vectors: Table of the vectors it makes, which are checked.
    """

    @dg.asset(
        **stage(
            name,
            group="embeddings",
            deps=deps,
            kinds={"pytorch", "parquet"},
            checks=VECTORS_SOUND | EVERY_FILE_DONE if vectors else {},
            owner="embeddings",
            code_version=f"{recipe_id} {get_settings().embedder}",
            pool="model",
            automation=automation,
        ),
        description=description,
    )
    def made(
        context: dg.AssetExecutionContext,
        config: StageConfig,
        library: dg.ResourceParam[Library],
        embedder: dg.ResourceParam[RunEmbedder],
        announce: dg.ResourceParam[Announce],
    ) -> dg.MaterializeResult:
        batch_id = context.partition_key
        with told_plainly():
            retry = wants_retry(context, config)
            progress = progress_log(context, announce)
            report = made_by(library, batch_id, embedder.opened, retry=retry, progress=progress)
            checks = [vectors_sound(library, batch_id, vectors), every_file_done(report)] if vectors else []
            return materialized(context, library, report, checks, {"embedder": embedder.opened.note})

    return made


embeddings_l0 = model_asset(
    "embeddings_l0",
    embed_l0_batch,
    deps=["raw_media", "probes"],
    recipe_id="embeddings_l0-1",
    description="Level 0, the whole file: one vector from a few evenly spread frames, so that a clip is found at once.",
    vectors=EMBEDDINGS_L0,
)

embeddings_l1 = model_asset(
    "embeddings_l1",
    embed_l1_batch,
    deps=["proxies"],
    recipe_id=frames_recipe(get_settings()).id,
    description="Level 1, frames: about one a second from the proxy, near-duplicates dropped; "
    "a vector and measures of each.",
    vectors=EMBEDDINGS_L1,
    automation=after_new_data(),
)

embeddings_l2 = model_asset(
    "embeddings_l2",
    embed_l2_batch,
    deps=["proxies", "embeddings_l1"],
    recipe_id=scenes_recipe(get_settings()).id,
    description="Level 2, scenes: what lies between cuts and fades, its vector and the frame that stands for it.",
    vectors=EMBEDDINGS_L2,
    automation=after_new_data(),
)

tags = model_asset(
    "tags",
    tag_batch,
    deps=["probes", "audio", "motion", "embeddings_l1", "embeddings_l2"],
    recipe_id=measured_recipe(get_settings()).id,
    description="Words for scenes and files, by measure (dark, static, ...), by motion and sound, and by the "
    "model where it knows words; with a line that describes each and its technical quality.",
    automation=after_new_data(),
)
