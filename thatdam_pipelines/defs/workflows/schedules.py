"""Workflows that run again and again: a schedule for each of the settings."""

import hashlib

import dagster as dg

from thatdam_pipelines.defs.workflows.jobs import workflow
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.workflows import WORKFLOW_TAG
from thatdam_pipelines.settings import Settings, WorkflowSchedule, get_settings
from thatdam_pipelines.workflows.document import read_workflow, text_of
from thatdam_pipelines.workflows.running import ask_for


@dg.definitions
def workflow_schedules() -> dg.Definitions:
    """The schedules of THATDAM_WORKFLOW_SCHEDULES as they are when the platform starts."""
    # Not those of get_settings: what is defined may be asked for before anybody has set this process up.
    return dg.Definitions(schedules=[_scheduled(one) for one in Settings().workflow_schedules])


def _scheduled(wanted: WorkflowSchedule) -> dg.ScheduleDefinition:
    status = dg.DefaultScheduleStatus

    @dg.schedule(
        name=f"workflow_{wanted.name}",
        job=workflow,
        cron_schedule=wanted.cron,
        execution_timezone=wanted.timezone,
        default_status=status.RUNNING if wanted.running else status.STOPPED,
        description=f"Runs the workflow {wanted.file} (THATDAM_WORKFLOW_SCHEDULES). A wrong file fails the tick.",
    )
    def scheduled(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        workflow_id = ask_on_schedule(get_settings(), wanted, context.scheduled_execution_time.isoformat())
        return dg.RunRequest(run_key=workflow_id, tags={WORKFLOW_TAG: workflow_id})

    return scheduled


def ask_on_schedule(settings: Settings, wanted: WorkflowSchedule, when: str) -> str:
    """Ask for the scheduled workflow, once for each time it is due; its id.

    Raises:
        SettingsError: There is no such file.
        WorkflowError: It is wrong.
    """
    path = settings.home / wanted.file.expanduser()
    asked = read_workflow(text_of(path), path, wanted.variables)
    with Library(settings) as library:
        return ask_for(
            library,
            asked,
            name=wanted.name,
            source="schedule",
            by=f"schedule {wanted.name}",
            base=path.parent,
            workflow_id=hashlib.sha256(f"{wanted.name}\0{when}".encode()).hexdigest()[:32],
        )
