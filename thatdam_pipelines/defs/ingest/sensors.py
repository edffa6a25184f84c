"""The sensor over every watched folder."""

import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime

import dagster as dg

from thatdam_pipelines.defs.ingest.jobs import ingest, publish_catalog
from thatdam_pipelines.defs.ingest.outcomes import batches_to_offer, settle_batches
from thatdam_pipelines.defs.partitions import INGEST_BATCH
from thatdam_pipelines.library.files import escape_name
from thatdam_pipelines.library.ledger import Ledger
from thatdam_pipelines.library.watch import MAX_SECONDS, ScanReport, plain_path, scan_folder
from thatdam_pipelines.library.watched import watched_folders
from thatdam_pipelines.settings import get_settings


@dg.sensor(
    name="incoming_sensor",
    jobs=[ingest, publish_catalog],
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=5,
)
def incoming_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Looks at every watched folder, makes batches of what has come to rest, and asks for a run of each.

    A folder that went away or came back is in the catalogue at once. What the sensor knows is in the ledger: a tick may
    die anywhere, the next one goes on. The cursor says only which folder comes first, so that a slow one does not
    starve the others.
    """
    settings = get_settings()
    if settings.incoming is None:
        settings.incoming_dir.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + MAX_SECONDS
    reports: list[ScanReport] = []
    with closing(Ledger(settings.database_url)) as ledger:
        folders = watched_folders(settings, ledger.watched)
        first = int(context.cursor or 0) % len(folders)
        settle_batches(ledger, context.instance)
        for folder in [*folders[first:], *folders[:first]]:
            if reports and time.monotonic() > deadline:
                break
            reports.append(scan_folder(ledger, settings, folder, datetime.now(UTC)))
        watched = {plain_path(folder.path) for folder in folders}
        offered = batches_to_offer(ledger, context.instance, watched, plain_path(settings.capture_dir))
    for report in reports:
        if report.changed or report.message:
            state = "online" if report.online else "offline"
            context.log.info(f"{escape_name(str(report.folder))} is {state}. {report.message}")
    keys = [batch.batch_id for batch in offered]
    requests = [
        dg.RunRequest(
            run_key=batch.run_key,
            job_name=ingest.name,
            partition_key=batch.batch_id,
            tags={"thatdam/files": str(batch.files)},
        )
        for batch in offered
    ]
    if any(report.changed for report in reports):
        requests.append(dg.RunRequest(job_name=publish_catalog.name))
    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=[INGEST_BATCH.build_add_request(keys)] if keys else [],
        skip_reason=None if requests else why_nothing(reports),
        cursor=str((first + len(reports)) % len(folders)),
    )


def why_nothing(reports: Sequence[ScanReport]) -> str:
    """What a tick without a run request says: what is awaited, where, and what cannot be reached."""
    waiting = [report for report in reports if report.waiting]
    offline = [report for report in reports if not report.online]
    said = [f"{report.waiting} files settling in {escape_name(str(report.folder))}" for report in waiting]
    said += [f"{escape_name(str(report.folder))} is offline: {report.message}" for report in offline]
    said += [
        f"{escape_name(str(report.folder))} is large: the scan goes on next time"
        for report in reports
        if not report.complete
    ]
    known = sum(report.files for report in reports)
    return "; ".join(said) or f"nothing new: {known} files known in {len(reports)} folders"
