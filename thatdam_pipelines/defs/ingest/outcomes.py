"""Keeps the ledger's batches and Dagster's runs of one mind, from what both say now: nothing hangs on a lost event."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.storage.tags import RUN_KEY_TAG, WILL_RETRY_TAG

from thatdam_pipelines.defs.dead_runs import fail_dead_runs
from thatdam_pipelines.library.arrivals import Batch
from thatdam_pipelines.library.ledger import Ledger

MAX_OFFERED = 25
LEFT_TO_COMMANDS = timedelta(minutes=2)

_FAILED = (DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)


def settle_batches(ledger: Ledger, instance: DagsterInstance) -> None:
    """Close batches whose run has ended; give back those whose run died and will not be started again by Dagster."""
    fail_dead_runs(instance)
    for batch in ledger.batches(limit=None, state="running"):
        run = instance.get_run_by_id(batch.run_id) if batch.run_id else None
        if run is not None and run.status == DagsterRunStatus.SUCCESS:
            ledger.finish_batch(batch.batch_id, "done")
        elif run is None or run.status in _FAILED:
            _close_failed(ledger, batch, run)


def batches_to_offer(ledger: Ledger, instance: DagsterInstance, watched: Collection[str]) -> list[Batch]:
    """The oldest claimed batches, to be offered until a run has begun on them: the run key keeps each to one run.

    A batch whose only run failed before it began on the batch is closed as failed, for people to see and to repeat.
    A fresh batch of a folder that is not ``watched`` is left to the command that claimed it and is about to run it.
    """
    fresh = datetime.now(UTC) - LEFT_TO_COMMANDS
    pending = [batch for batch in ledger.pending_batches() if batch.root in watched or batch.created_utc < fresh]
    offered = []
    for batch in pending[:MAX_OFFERED]:
        runs = instance.get_runs(RunsFilter(tags={RUN_KEY_TAG: batch.batch_id}), limit=1)
        if runs and runs[0].status in _FAILED and not _starts_again(runs[0]):
            ledger.finish_batch(batch.batch_id, "failed")
        else:
            offered.append(batch)
    return offered


def _close_failed(ledger: Ledger, batch: Batch, run: DagsterRun | None) -> None:
    if run is None or not _starts_again(run):
        ledger.finish_batch(batch.batch_id, "failed")
    elif run.remote_job_origin is None:
        # A command's own run that died: Dagster cannot start it again, the sensor can.
        ledger.release_batch(batch.batch_id)


def _starts_again(run: DagsterRun) -> bool:
    """Whether Dagster's run retries say that the run is to be repeated."""
    return run.status == DagsterRunStatus.FAILURE and run.tags.get(WILL_RETRY_TAG) == "true"
