"""What copies are found by, and the relations of files to each other across the library."""

import dagster as dg
import polars as pl

from thatdam_pipelines.defs.automation import after_new_data
from thatdam_pipelines.defs.checks import EVERY_FILE_DONE, every_file_done, listed
from thatdam_pipelines.defs.report import materialized
from thatdam_pipelines.defs.resources import Announce
from thatdam_pipelines.defs.stages import StageConfig, progress_log, stage, told_plainly, wants_retry
from thatdam_pipelines.embed.l3 import relate_batch, relations_recipe
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import FINGERPRINTS, RELATIONS
from thatdam_pipelines.media.fingerprints import fingerprint_batch, fingerprints_recipe
from thatdam_pipelines.settings import get_settings

RELATIONS_SOUND = {
    "relations_sound": "Every relation is of two different files, one of them of the batch, and its score and its "
    "stretches of time are possible."
}


@dg.asset(
    **stage(
        "fingerprints",
        group="embeddings",
        deps=["capture_sessions", "probes", "proxies"],
        kinds={"parquet"},
        checks=EVERY_FILE_DONE,
        owner="embeddings",
        code_version=fingerprints_recipe(get_settings()).id,
        pool="ffmpeg",
        automation=after_new_data(),
    )
)
def fingerprints(
    context: dg.AssetExecutionContext,
    config: StageConfig,
    library: dg.ResourceParam[Library],
    announce: dg.ResourceParam[Announce],
) -> dg.MaterializeResult:
    """What copies of each file are found by: small pictures and landmarks of its sound, taken from its proxy.

    Needs no model. The original is not read.
    """
    batch_id = context.partition_key
    with told_plainly():
        retry = wants_retry(context, config)
        report = fingerprint_batch(library, batch_id, retry=retry, progress=progress_log(context, announce))
        return materialized(context, library, report, [every_file_done(report)])


@dg.asset(
    **stage(
        "embeddings_l3",
        group="embeddings",
        deps=["fingerprints"],
        kinds={"parquet"},
        checks=RELATIONS_SOUND,
        owner="embeddings",
        code_version=relations_recipe(get_settings()).id,
        automation=after_new_data(),
    )
)
def embeddings_l3(
    context: dg.AssetExecutionContext,
    config: StageConfig,
    library: dg.ResourceParam[Library],
    announce: dg.ResourceParam[Announce],
) -> dg.MaterializeResult:
    """Level 3, relations: copies, other takes, places and sessions of each file in the whole library.

    Rows are pairs. A pair is found by whichever of its files came second. A retry relates the batch again to all that
    has come since.
    """
    batch_id = context.partition_key
    with told_plainly():
        anew = wants_retry(context, config)
        report = relate_batch(library, batch_id, anew=anew, progress=progress_log(context, announce))
        return materialized(context, library, report, [relations_sound(library, batch_id)])


def relations_sound(library: Library, batch_id: str) -> dg.AssetCheckResult:
    """Holds each relation of the batch to what its columns promise."""
    rows = library.tables.read(RELATIONS, batch_id)
    own = library.tables.read(FINGERPRINTS, batch_id)["media_id"].to_list()
    is_sound = (
        (pl.col("media_id") != pl.col("other_id"))
        & (pl.col("media_id").is_in(own) | pl.col("other_id").is_in(own))
        & pl.col("score").is_between(0, 1)
        & (pl.col("start_s") <= pl.col("end_s")).fill_null(True)
        & (pl.col("other_start_s") <= pl.col("other_end_s")).fill_null(True)
    )
    wrong = ["/".join(map(str, key)) for key in rows.filter(~is_sound).select(RELATIONS.key).iter_rows()]
    return listed("relations_sound", wrong, looked_at=rows.height)
