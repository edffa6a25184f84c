"""Keeps the ledger's batches and Dagster's runs of one mind, from what both say now: nothing hangs on a lost event."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.storage.tags import ROOT_RUN_ID_TAG, RUN_KEY_TAG, WILL_RETRY_TAG

from thatdam_pipelines.defs.dead_runs import fail_dead_runs
from thatdam_pipelines.library.arrivals import Batch
from thatdam_pipelines.library.ledger import Ledger

MAX_OFFERED = 25
LEFT_TO_COMMANDS = timedelta(minutes=2)

_FAILED = (DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)
_SUCCESS = DagsterRunStatus.SUCCESS


def settle_batches(ledger: Ledger, instance: DagsterInstance) -> None:
    """Close batches whose run has ended; give back those whose run died and will not be started again by Dagster."""
    fail_dead_runs(instance)
    for batch in ledger.batches(limit=None, state="running"):
        run = instance.get_run_by_id(batch.run_id) if batch.run_id else None
        # A retry may go on after the asset that writes down its id, be cancelled or die before it.
        run = _newest_retry(instance, run) if run else None
        if run is not None and run.status == _SUCCESS:
            ledger.finish_batch(batch.batch_id, "done", only=batch)
        elif run is None or run.status in _FAILED:
            _close_failed(ledger, batch, run)


def batches_to_offer(
    ledger: Ledger, instance: DagsterInstance, watched: Collection[str], recordings: str = ""
) -> list[Batch]:
    """The oldest claimed batches, to be offered until a run has begun on them: the run key keeps each to one run.

    A batch whose run failed before it began on the batch is closed as failed, for people to see and to repeat.
    A fresh batch of a folder that is not ``watched`` is left to the command that claimed it and is about to run it.

    Args:
        recordings: The recorder's folder: ``recordings_to_offer`` gives its batches. A run key is for one sensor.
    """
    fresh = datetime.now(UTC) - LEFT_TO_COMMANDS
    pending = [batch for batch in ledger.pending_batches() if batch.root != recordings]
    return _offer(ledger, instance, [one for one in pending if one.root in watched or one.created_utc < fresh])


def recordings_to_offer(ledger: Ledger, instance: DagsterInstance, recordings: str) -> list[Batch]:
    """The oldest claimed batches of the recorder's folder, likewise."""
    return _offer(ledger, instance, [batch for batch in ledger.pending_batches() if batch.root == recordings])


def _offer(ledger: Ledger, instance: DagsterInstance, pending: Sequence[Batch]) -> list[Batch]:
    offered = []
    for batch in pending[:MAX_OFFERED]:
        runs = instance.get_runs(RunsFilter(tags={RUN_KEY_TAG: batch.run_key}), limit=1)
        run = _newest_retry(instance, runs[0]) if runs else None
        if run and run.status == _SUCCESS:
            # The ledger knows nothing of that run, as after a restore: its key is used up.
            ledger.release_batch(batch)
        elif run and run.status in _FAILED and not _starts_again(run):
            ledger.finish_batch(batch.batch_id, "failed", only=batch)
        else:
            offered.append(batch)
    return offered


def _close_failed(ledger: Ledger, batch: Batch, run: DagsterRun | None) -> None:
    if run is None or not _starts_again(run):
        ledger.finish_batch(batch.batch_id, "failed", only=batch)
    elif run.remote_job_origin is None:
        # A command's own run that died: Dagster cannot start it again, the sensor can.
        ledger.release_batch(batch)


def _newest_retry(instance: DagsterInstance, run: DagsterRun) -> DagsterRun:
    """The last run that repeats ``run``, or the run that it repeats itself; ``run`` where nothing does."""
    repeated = instance.get_runs(RunsFilter(tags={ROOT_RUN_ID_TAG: run.root_run_id or run.run_id}), limit=1)
    return repeated[0] if repeated else run


def _starts_again(run: DagsterRun) -> bool:
    """Whether Dagster's run retries say that the run is to be repeated."""
    return run.status == DagsterRunStatus.FAILURE and run.tags.get(WILL_RETRY_TAG) == "true"
