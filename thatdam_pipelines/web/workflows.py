"""JSON workflows over the API: each is a run in Dagster, its results are in the ledger."""

from datetime import datetime
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field

from thatdam_pipelines.errors import ThatdamError, UnansweredError
from thatdam_pipelines.library.workflows import WORKFLOW_TAG, WorkflowRow
from thatdam_pipelines.web.context import Asking, Context, Shared
from thatdam_pipelines.web.jobs import RequestKey, request_of, start
from thatdam_pipelines.web.problems import Refusal, not_found, problems
from thatdam_pipelines.workflows.document import Workflow, decoded, read_workflow
from thatdam_pipelines.workflows.running import ask_for, rehearse, results
from thatdam_pipelines.workflows.schema import workflow_schema

router = APIRouter(prefix="/api/v1/workflows", tags=["workflows"])

_SUBJECT = "the request"
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "description": "A workflow, as GET /api/v1/workflows/schema describes it.",
                },
                "example": {"workflow": [{"action": "search", "query": "red circle"}, {"action": "backup"}]},
            }
        },
    }
}


class AskedFor(BaseModel):
    """The workflow, and the run that runs it."""

    workflow_id: str
    job_id: str


class Step(BaseModel):
    step: int
    action: str
    state: str = Field(description="waiting, running, done, failed or skipped.")
    elapsed_s: float | None
    result: Any = Field(description="What the action answers; null where it has not, or could not.")
    error: str | None


class Planned(BaseModel):
    step: int
    action: str
    state: str = Field(description="planned, or failed: it could not be done.")
    would: str | None = Field(description="What it would do.")
    error: str | None


class WorkflowFacts(BaseModel):
    workflow_id: str
    name: str
    source: str = Field(description="Where it was asked for: command, api, folder or schedule.")
    state: str = Field(description="waiting, running, done or failed; cancelled, when its run was.")
    requested_by: str
    requested_utc: datetime
    finished_utc: datetime | None
    job_id: str | None


class WorkflowDetail(WorkflowFacts):
    steps: list[Step]


async def _text(request: Request) -> str:
    return decoded(await request.body(), _SUBJECT)


def _asked(
    shared: Shared,
    caller: Asking,
    text: Annotated[str, Depends(_text)],
    given: Annotated[
        list[str] | None, Query(alias="set", max_length=100, description="Value of a variable: name=value.")
    ] = None,
) -> Workflow:
    """The workflow of the request.

    Raises:
        Refusal: It has a step that its caller may not do.
        WorkflowError: It is wrong.
    """
    workflow = read_workflow(text, _SUBJECT, dict(_pair(one) for one in given or []))
    for number, step in enumerate(workflow.steps, start=1):
        if not caller.may(step.needs):
            detail = f"step {number} ({step.action}) needs {step.needs}, and {caller.name} is {caller.role}"
            raise Refusal(403, "role", detail, "Ask an admin: `thatdam users` changes roles.")
    return workflow


Asked = Annotated[Workflow, Depends(_asked)]


@router.post("", status_code=202, responses=problems(400, 403, 413, 422, 503), openapi_extra=_BODY)
def run(shared: Shared, caller: Asking, workflow: Asked, key: RequestKey = None) -> AskedFor:
    """Run a workflow: the body, as it would stand in a file. Paths in it lie at or below watched folders."""
    ledger = shared.library.ledger.workflows
    known = request_of(caller, "workflow", key)[:32] if key else None
    is_new = known is None or ledger.get(known) is None
    workflow_id = ask_for(
        shared.library, workflow, name="request", source="api", by=caller.name, base=FilePath("/"), workflow_id=known
    )
    try:
        started = start(shared, caller, "workflow", key, tags={WORKFLOW_TAG: workflow_id})
    except ThatdamError as error:
        # One that Dagster heard of may be run.
        if is_new and not isinstance(error, UnansweredError):
            ledger.forget(workflow_id)
        raise
    ledger.begin_run(workflow_id, started.job_id)
    return AskedFor(workflow_id=workflow_id, job_id=started.job_id)


@router.post("/rehearse", responses=problems(400, 403, 413, 422, 503), openapi_extra=_BODY)
def rehearse_workflow(shared: Shared, caller: Asking, workflow: Asked) -> list[Planned]:
    """Say what each step of a workflow would do; do nothing."""
    told = rehearse(shared.library, workflow, by=caller.name, base=FilePath("/"), stranger=True)
    return [Planned.model_validate(step) for step in told]


@router.get("", responses=problems(422))
def list_workflows(shared: Shared, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> list[WorkflowFacts]:
    """Workflows that were asked for, wherever, newest first."""
    return [WorkflowFacts.model_validate(_facts(shared, row)) for row in shared.library.ledger.workflows.latest(limit)]


@router.get("/schema")
def get_schema() -> dict[str, Any]:
    """The JSON Schema of workflows, for editors."""
    return workflow_schema()


@router.get("/{workflow_id}", responses=problems(404, 422))
def get_workflow(shared: Shared, workflow_id: Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]) -> WorkflowDetail:
    """A workflow and the result of each step."""
    row = shared.library.ledger.workflows.get(workflow_id)
    if row is None:
        raise not_found(f"there is no workflow {workflow_id}", "GET /api/v1/workflows lists them.")
    steps = results(shared.library.ledger.workflows.steps(workflow_id))
    return WorkflowDetail.model_validate(_facts(shared, row) | {"steps": steps})


def _facts(shared: Context, row: WorkflowRow) -> dict[str, Any]:
    state: str = shared.library.ledger.workflows.state(row.workflow_id)
    if row.finished_utc is None and row.run_id is not None:
        # A run that was killed or cancelled leaves steps that nobody ends.
        run = shared.runs.run(row.run_id)
        state = run.state if run and run.state in ("failed", "cancelled") else state
    return vars(row) | {"state": state, "job_id": row.run_id}


def _pair(given: str) -> tuple[str, str]:
    name, _, value = given.partition("=")
    return name, value
