"""What the recorder commits: the sensor over its folder, and the facts of its sessions."""

from contextlib import closing
from datetime import UTC, datetime

import dagster as dg

from thatdam_pipelines.defs.checks import EVERY_SECOND_THERE, every_second_there
from thatdam_pipelines.defs.ingest.jobs import ingest
from thatdam_pipelines.defs.ingest.outcomes import recordings_to_offer
from thatdam_pipelines.defs.partitions import INGEST_BATCH
from thatdam_pipelines.defs.report import materialized
from thatdam_pipelines.defs.stages import stage, told_plainly
from thatdam_pipelines.library.files import escape_name
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.ledger import Ledger
from thatdam_pipelines.library.recordings import RecordingsReport, scan_recordings
from thatdam_pipelines.library.watch import plain_path
from thatdam_pipelines.media.capture import CAPTURE_RECIPE, capture_batch, missing_of_batch
from thatdam_pipelines.settings import get_settings

_SHOWN = 3


@dg.sensor(
    name="capture_sensor",
    job=ingest,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=5,
)
def capture_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Looks for manifests that the recorder committed, and asks for one run for each group of cameras.

    A segment is claimed by its session and its place in it, once, in the ledger. While a recording goes on its
    segments are taken as they come.
    """
    settings = get_settings()
    with closing(Ledger(settings.database_url)) as ledger:
        report = scan_recordings(ledger, settings, datetime.now(UTC))
        offered = recordings_to_offer(ledger, context.instance, plain_path(settings.capture_dir))
    if report.changed:
        state = "online" if report.online else "offline"
        context.log.info(f"{escape_name(str(report.folder))} is {state}. {report.message}")
    keys = [batch.batch_id for batch in offered]
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                run_key=batch.run_key,
                partition_key=batch.batch_id,
                tags={"thatdam/files": str(batch.files), **({"thatdam/take": batch.album} if batch.album else {})},
            )
            for batch in offered
        ],
        dynamic_partitions_requests=[INGEST_BATCH.build_add_request(keys)] if keys else [],
        skip_reason=None if keys else _why_nothing(report),
    )


@dg.asset(
    **stage(
        "capture_sessions",
        group="ingest",
        deps=["raw_media"],
        kinds={"parquet"},
        checks=EVERY_SECOND_THERE,
        owner="ingest",
        code_version=CAPTURE_RECIPE.id,
    )
)
def capture_sessions(context: dg.AssetExecutionContext, library: dg.ResourceParam[Library]) -> dg.MaterializeResult:
    """What the recorder's manifests say of the segments of the batch: camera, session, true start, gaps, drops.

    A batch that brought no recording has nothing here.
    """
    batch_id = context.partition_key
    with told_plainly():
        report = capture_batch(library, batch_id)
        check = every_second_there(missing_of_batch(library, batch_id), looked_at=int(report.facts["sessions"]))
        return materialized(context, library, report, [check])


def _why_nothing(report: RecordingsReport) -> str:
    where = escape_name(str(report.folder))
    if not report.online:
        return f"{where}: {report.message}"
    said = [f"{escape_name(path)}: {reason}" for path, reason in sorted(report.refused.items())[:_SHOWN]]
    if len(report.refused) > _SHOWN:
        said.append(f"and {len(report.refused) - _SHOWN} more")
    if not report.complete:
        said.append(f"{where} is large: the look goes on next time")
    return "; ".join(said) or f"nothing new was committed in {where}"
