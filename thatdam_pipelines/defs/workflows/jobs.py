"""The job that runs a workflow: one Dagster step for each of its steps."""

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg

from thatdam_pipelines.defs.automation import WORKFLOW_TAGS
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.workflows import WORKFLOW_TAG, StepRow
from thatdam_pipelines.workflows.running import run_step, workflow_of

_SHOWN = 5_000
"""Characters of a result in the event log; all of it is in the ledger."""


@dg.op(out=dg.DynamicOut(dg.Nothing))
def workflow_steps(
    context: dg.OpExecutionContext, library: dg.ResourceParam[Library]
) -> Iterator[dg.DynamicOutput[None]]:
    """Takes the workflow on that the run's tag names, and begins its steps in their order."""
    workflow = workflow_of(library, _workflow_id(context))
    library.ledger.workflows.begin_run(workflow.workflow_id, context.run_id)
    for step in library.ledger.workflows.steps(workflow.workflow_id):
        yield dg.DynamicOutput(None, mapping_key=f"{step.step:03d}_{step.action}")


@dg.op(ins={"begun": dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing))
def workflow_step(context: dg.OpExecutionContext, library: dg.ResourceParam[Library]) -> None:
    """Does one step. What came of it is in the ledger; one that failed is shown as failed, and the next goes on."""
    number = int(str(context.get_mapping_key()).partition("_")[0])
    step = run_step(library, _workflow_id(context), number)
    context.log.info(f"{step.action}: {step.state}{f', {step.error}' if step.error else ''}")
    if step.state == "failed":
        raise dg.Failure(str(step.error), metadata=_metadata(step), allow_retries=False)
    context.add_output_metadata(_metadata(step))


@dg.job(tags=WORKFLOW_TAGS, executor_def=dg.in_process_executor)
def workflow() -> None:
    """Runs the steps of a workflow one after the other. It is asked for by `thatdam workflow run`, over the REST API,
    by a file in the workflows folder or by a schedule of the settings."""
    workflow_steps().map(workflow_step)


def _workflow_id(context: dg.OpExecutionContext) -> str:
    return context.run.tags.get(WORKFLOW_TAG, "")


def _metadata(step: StepRow) -> dict[str, Any]:
    text = json.dumps(step.result, ensure_ascii=False, default=str, indent=1)
    whole = len(text) <= _SHOWN
    return {
        "action": step.action,
        "state": step.state,
        "result": dg.MetadataValue.json(step.result) if whole else dg.MetadataValue.text(f"{text[:_SHOWN]} ..."),
    }
