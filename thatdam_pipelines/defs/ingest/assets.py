"""The asset everything starts from."""

import dagster as dg

from thatdam_pipelines.backup.store_history import begin_history
from thatdam_pipelines.defs.checks import (
    CARD_AS_LISTED,
    EVERY_FILE_DONE,
    ORIGINALS_VERIFIED,
    card_as_listed,
    every_file_done,
    originals_verified,
)
from thatdam_pipelines.defs.report import materialized
from thatdam_pipelines.defs.resources import Announce
from thatdam_pipelines.defs.stages import StageConfig, progress_log, stage, told_plainly, wants_retry
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.media.ingest import INGEST_RECIPE, ingest_batch


@dg.asset(
    **stage(
        "raw_media",
        group="ingest",
        deps=[],
        kinds={"file"},
        checks=ORIGINALS_VERIFIED | CARD_AS_LISTED | EVERY_FILE_DONE,
        owner="ingest",
        code_version=INGEST_RECIPE.id,
    )
)
def raw_media(
    context: dg.AssetExecutionContext,
    config: StageConfig,
    library: dg.ResourceParam[Library],
    announce: dg.ResourceParam[Announce],
) -> dg.MaterializeResult:
    """Originals, copied, moved or referenced, proven by reading them back, and where each was found.

    Nothing is overwritten, and nothing is removed before a verified copy exists. A content that is already in the
    library gains a location and is not stored twice.
    """
    batch_id = context.partition_key
    with told_plainly():
        library.ledger.start_batch(batch_id, context.run_id)
        retry = wants_retry(context, config)
        report = ingest_batch(library, batch_id, retry=retry, progress=progress_log(context, announce))
        listed = card_as_listed(library, batch_id)
        if not listed.passed:
            context.log.error(f"The card is not what its own hash list says: {listed.description}")
        checks = [originals_verified(library, batch_id), listed, every_file_done(report)]
        history = begin_history(library, batch_id)
        return materialized(context, library, report, checks, {"ASC MHL": history})
