"""The ledger's account of workflows: each that was asked for, its steps, and what came of every one."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa

from thatdam_pipelines.library.ledger_metadata import METADATA, UtcTime

Source = Literal["command", "api", "folder", "schedule"]
"""Where a workflow was asked for: a command line, the REST API, the workflows folder, a schedule of the settings."""
StepState = Literal["waiting", "running", "done", "failed", "skipped"]
WorkflowState = Literal["waiting", "running", "done", "failed"]
WORKFLOW_TAG = "thatdam/workflow"
"""Tag of a run with the id of the workflow it runs."""
_ENDED = ("done", "failed", "skipped")

WORKFLOWS = sa.Table(
    "workflows",
    METADATA,
    sa.Column("workflow_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("requested_by", sa.Text, nullable=False),
    sa.Column("requested_utc", UtcTime, nullable=False, index=True),
    sa.Column("run_id", sa.Text),
    sa.Column("result_path", sa.Text),
    sa.Column("finished_utc", UtcTime),
)
STEPS = sa.Table(
    "workflow_steps",
    METADATA,
    sa.Column("workflow_id", sa.Text, primary_key=True),
    sa.Column("step", sa.Integer, primary_key=True),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("definition", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("started_utc", UtcTime),
    sa.Column("finished_utc", UtcTime),
    sa.Column("result", sa.Text, nullable=False, server_default="null"),
    sa.Column("error", sa.Text),
)


@dataclass(frozen=True)
class WorkflowRow:
    """A workflow that was asked for.

    Args:
        name: What it is called: its file's name, or that of its schedule.
        run_id: The Dagster run that runs it; None before one has begun.
        result_path: File that its results are written to as well.
        finished_utc: When its last step ended; None before.
    """

    workflow_id: str
    name: str
    source: Source
    requested_by: str
    requested_utc: datetime
    run_id: str | None = None
    result_path: str | None = None
    finished_utc: datetime | None = None


@dataclass(frozen=True)
class StepRow:
    """A step, and what came of it.

    Args:
        step: Place in the workflow, from 1.
        definition: The step as JSON, variables put in and paths absolute.
        result: What its action answers; None until it ended, and where it could not be done.
        error: Why it failed or was skipped, with the next step.
    """

    step: int
    action: str
    definition: str
    state: StepState = "waiting"
    started_utc: datetime | None = None
    finished_utc: datetime | None = None
    result: Any = None
    error: str | None = None

    @property
    def has_ended(self) -> bool:
        return self.state in _ENDED

    def as_dict(self) -> dict[str, Any]:
        """The step's result as programs are told it."""
        elapsed = (
            (self.finished_utc - self.started_utc).total_seconds() if self.finished_utc and self.started_utc else None
        )
        return {
            "step": self.step,
            "action": self.action,
            "state": self.state,
            "elapsed_s": elapsed,
            "result": self.result,
            "error": self.error,
        }


class Workflows:
    """Rows about workflows in an open ledger. A write is one transaction."""

    def __init__(self, engine: sa.Engine, writer: sa.Engine, insert: Callable[[sa.Table], Any]) -> None:
        self._engine = engine
        self._writer = writer
        self._insert = insert

    def add(self, workflow: WorkflowRow, steps: Sequence[StepRow]) -> bool:
        """Write down that a workflow was asked for; False when it was before: then nothing changes."""
        with self._writer.begin() as connection:
            made = connection.execute(self._insert(WORKFLOWS).values(**asdict(workflow)).on_conflict_do_nothing())
            if not made.rowcount:
                return False
            rows = [_step_values(step) | {"workflow_id": workflow.workflow_id} for step in steps]
            connection.execute(self._insert(STEPS), rows)
        return True

    def forget(self, workflow_id: str) -> None:
        """A workflow cannot be run after all: it was never asked for."""
        with self._writer.begin() as connection:
            for table in (STEPS, WORKFLOWS):
                connection.execute(sa.delete(table).where(table.c.workflow_id == workflow_id))

    def get(self, workflow_id: str) -> WorkflowRow | None:
        """One workflow; None when there is none of that id."""
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(WORKFLOWS).where(WORKFLOWS.c.workflow_id == workflow_id)).mappings()
            return next((WorkflowRow(**row) for row in found), None)

    def latest(self, limit: int) -> list[WorkflowRow]:
        """The workflows that were asked for last, newest first."""
        query = sa.select(WORKFLOWS).order_by(WORKFLOWS.c.requested_utc.desc(), WORKFLOWS.c.workflow_id).limit(limit)
        with self._engine.connect() as connection:
            return [WorkflowRow(**row) for row in connection.execute(query).mappings()]

    def steps(self, workflow_id: str) -> list[StepRow]:
        """The steps of a workflow, in order."""
        columns = [column for column in STEPS.c if column.name != "workflow_id"]
        query = sa.select(*columns).where(STEPS.c.workflow_id == workflow_id).order_by(STEPS.c.step)
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return [StepRow(**row | {"result": json.loads(row["result"])}) for row in map(dict, rows)]

    def state(self, workflow_id: str) -> WorkflowState:
        """How far a workflow is: failed when any of its steps did, once all have ended."""
        with self._engine.connect() as connection:
            states = set(connection.scalars(sa.select(STEPS.c.state).where(STEPS.c.workflow_id == workflow_id)))
        if states == {"waiting"}:
            return "waiting"
        if states & {"waiting", "running"}:
            return "running"
        return "failed" if "failed" in states else "done"

    def begin_run(self, workflow_id: str, run_id: str) -> None:
        """A run takes the workflow on."""
        with self._writer.begin() as connection:
            connection.execute(_of(WORKFLOWS, workflow_id).values(run_id=run_id))

    def begin_step(self, workflow_id: str, step: StepRow) -> StepRow:
        """The step is being done from now on."""
        return self._keep(workflow_id, replace(step, state="running", started_utc=datetime.now(UTC)))

    def end_step(
        self, workflow_id: str, step: StepRow, state: StepState, result: Any = None, error: str | None = None
    ) -> StepRow:
        """The step ended so; with the last one the workflow did."""
        ended = replace(step, state=state, finished_utc=datetime.now(UTC), result=result, error=error)
        return self._keep(workflow_id, ended)

    def _keep(self, workflow_id: str, step: StepRow) -> StepRow:
        with self._writer.begin() as connection:
            connection.execute(_of(STEPS, workflow_id).where(STEPS.c.step == step.step).values(**_step_values(step)))
            left = sa.select(sa.func.count()).where(STEPS.c.workflow_id == workflow_id, STEPS.c.state.not_in(_ENDED))
            finished = None if connection.scalar(left) else step.finished_utc
            connection.execute(_of(WORKFLOWS, workflow_id).values(finished_utc=finished))
        return step


def _of(table: sa.Table, workflow_id: str) -> sa.Update:
    return sa.update(table).where(table.c.workflow_id == workflow_id)


def _step_values(step: StepRow) -> dict[str, Any]:
    return vars(step) | {"result": json.dumps(step.result, ensure_ascii=False, default=str)}
