"""Recordings for editors: made when somebody asks for them."""

import dagster as dg
from pydantic import Field

from thatdam_pipelines.defs.checks import EVERY_FILE_DONE, every_file_done
from thatdam_pipelines.defs.report import materialized
from thatdam_pipelines.defs.resources import Announce
from thatdam_pipelines.defs.stages import progress_log, stage, told_plainly
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.media.rewraps import rewrap_batch, rewrap_recipe


class RewrapConfig(dg.Config):
    """Configuration of a rewrap."""

    container: str = Field("mp4", description="mp4, mov or mkv.")


@dg.asset(
    **stage(
        "rewraps",
        group="media",
        deps=["raw_media", "capture_sessions", "probes"],
        kinds={"ffmpeg", "parquet"},
        checks=EVERY_FILE_DONE,
        owner="media",
        code_version=rewrap_recipe().id,
        pool="ffmpeg",
    )
)
def rewraps(
    context: dg.AssetExecutionContext,
    config: RewrapConfig,
    library: dg.ResourceParam[Library],
    announce: dg.ResourceParam[Announce],
) -> dg.MaterializeResult:
    """One file for editors of each recording that ended in the batch: its segments joined, not encoded again.

    It is as large as the recording, so it is made only on request. `thatdam rewrap` writes one anywhere.
    """
    batch_id = context.partition_key
    with told_plainly():
        wrap = config.container
        report = rewrap_batch(library, batch_id, wrap, progress=progress_log(context, announce))  # type: ignore[arg-type]
        return materialized(context, library, report, [every_file_done(report)])
