"""The sensor over the workflows folder."""

from datetime import UTC, datetime

import dagster as dg

from thatdam_pipelines.defs.workflows.jobs import workflow
from thatdam_pipelines.library.files import escape_name
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.workflows import WORKFLOW_TAG
from thatdam_pipelines.settings import get_settings
from thatdam_pipelines.workflows.folder import FolderReport, look_for_workflows


@dg.sensor(
    name="workflow_sensor",
    job=workflow,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=10,
)
def workflow_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Looks at the workflows folder and asks for one run of each file that came to rest there.

    The results of its steps, or what is wrong with the file, are written beside it as NAME.result.json. A file that
    changes is run again. What was asked for is in the ledger: a tick may die anywhere.
    """
    with Library(get_settings()) as library:
        report = look_for_workflows(library, datetime.now(UTC))
    for problem in report.refused.values():
        context.log.error(problem)
    requests = [dg.RunRequest(run_key=one, tags={WORKFLOW_TAG: one}) for one in report.asked]
    return dg.SensorResult(run_requests=requests, skip_reason=None if requests else _why_nothing(report))


def _why_nothing(report: FolderReport) -> str:
    said = [*report.refused.values(), *(f"{escape_name(name)} is still being written" for name in report.waiting)]
    return "; ".join(said) or "no new workflow"
