"""Running a workflow: asked for once, then step by step, each with a result of its own in the ledger."""

import json
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from thatdam_pipelines.errors import CurationError, QueryError, ThatdamError
from thatdam_pipelines.library.files import escape_name, replacing, unescape_name
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.workflows import Source, StepRow, StepState, WorkflowRow
from thatdam_pipelines.workflows.action import Action, Desk
from thatdam_pipelines.workflows.actions import ACTIONS
from thatdam_pipelines.workflows.document import Workflow

STRANGERS: tuple[Source, ...] = ("api",)
"""Where those ask who may reach watched folders only."""


def ask_for(
    library: Library,
    workflow: Workflow,
    *,
    name: str,
    source: Source,
    by: str,
    base: Path,
    workflow_id: str | None = None,
    result_path: Path | None = None,
) -> str:
    """Write down that a workflow is to be run; its id.

    Args:
        base: Folder that relative paths in it are of.
        workflow_id: Its id, where the same must not be asked for twice: asked again, nothing happens.
        result_path: File that the results are written to as well, once the last step ended.

    Raises:
        ForeignPathError: It comes over the network and reaches further than that may.
    """
    steps = [step.grounded(library, base, stranger=source in STRANGERS) for step in workflow.steps]
    row = WorkflowRow(
        workflow_id=workflow_id or secrets.token_hex(16),
        name=workflow.name or name,
        source=source,
        requested_by=by,
        requested_utc=datetime.now(UTC),
        result_path=escape_name(str(result_path)) if result_path else None,
    )
    rows = [
        StepRow(number, step.action, step.model_dump_json(exclude_unset=True, by_alias=True))
        for number, step in enumerate(steps, start=1)
    ]
    library.ledger.workflows.add(row, rows)
    return row.workflow_id


def workflow_of(library: Library, workflow_id: str) -> WorkflowRow:
    """The workflow of an id.

    Raises:
        QueryError: There is none.
    """
    if (workflow := library.ledger.workflows.get(workflow_id)) is not None:
        return workflow
    raise QueryError(workflow_id, "there is no workflow of that id", "See `thatdam workflow list`.")


def run_step(library: Library, workflow_id: str, number: int) -> StepRow:
    """Do one step, unless it ended before or a step before it ended the workflow; what came of it.

    Whatever goes wrong is written down as the step's error. Only what is no error of ours is raised as well.
    """
    workflow = workflow_of(library, workflow_id)
    ledger = library.ledger.workflows
    before = ledger.steps(workflow_id)[:number]
    step = before.pop()
    if step.has_ended:
        return step
    if stopped := [one for one in before if one.state == "failed" and _step_of(one).on_error == "stop"]:
        return _end(library, workflow, step, "skipped", error=f"step {stopped[0].step} failed, and on_error is stop")
    step = ledger.begin_step(workflow_id, step)
    try:
        # Where a path leads may have changed since it was asked for.
        action = _step_of(step).grounded(library, library.settings.home, stranger=workflow.source in STRANGERS)
        outcome = action.run(Desk(library, workflow.requested_by))
    except ThatdamError as error:
        return _end(library, workflow, step, "failed", error=str(error))
    except Exception as error:
        _end(library, workflow, step, "failed", error=f"{type(error).__name__}: {error}. See the run's log.")
        raise
    return _end(library, workflow, step, "failed" if outcome.wrong else "done", outcome.result, outcome.wrong or None)


def rehearse(
    library: Library, workflow: Workflow, *, by: str, base: Path, stranger: bool = False
) -> list[dict[str, Any]]:
    """What each step would do: ``{"step", "action", "state", "would", "error"}``; state is planned or failed."""
    told = []
    for number, step in enumerate(workflow.steps, start=1):
        row: dict[str, Any] = {"step": number, "action": step.action, "state": "planned", "would": None, "error": None}
        try:
            row["would"] = step.grounded(library, base, stranger=stranger).would(Desk(library, by))
        except (CurationError, QueryError) as error:
            # What the library does not have yet, a step before may bring.
            brought = any(before.brings for before in workflow.steps[: number - 1])
            row |= {"would": f"do it, unless by then still: {error}"} if brought else _failed(error)
        except ThatdamError as error:
            row |= _failed(error)
        told.append(row)
    return told


def results(steps: Sequence[StepRow]) -> list[dict[str, Any]]:
    """The results of the steps, one each."""
    return [step.as_dict() for step in steps]


def write_results(path: Path, told: object) -> None:
    """Write results, or what is wrong, as JSON; readers see the whole of it or the one before."""
    with replacing(path) as part:
        part.write_text(json.dumps(told, indent=2, ensure_ascii=False, default=str) + "\n")


def _failed(error: ThatdamError) -> dict[str, Any]:
    return {"state": "failed", "error": str(error)}


def _step_of(row: StepRow) -> Action:
    return ACTIONS[row.action].model_validate_json(row.definition)


def _end(
    library: Library,
    workflow: WorkflowRow,
    step: StepRow,
    state: StepState,
    result: Any = None,
    error: str | None = None,
) -> StepRow:
    ledger = library.ledger.workflows
    ended = ledger.end_step(workflow.workflow_id, step, state, result, error)
    steps = ledger.steps(workflow.workflow_id)
    if workflow.result_path is not None and all(one.has_ended for one in steps):
        write_results(Path(unescape_name(workflow.result_path)), results(steps))
    return ended
