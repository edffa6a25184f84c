"""Runs of batches in this process: what the command line waits for. Each is a real run of the home's instance."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import dagster as dg
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.storage.tags import PARTITION_NAME_TAG

from thatdam_pipelines.definitions import defs
from thatdam_pipelines.defs.dead_runs import fail_dead_runs, worker_tag
from thatdam_pipelines.defs.ingest.outcomes import settle_batches
from thatdam_pipelines.defs.partitions import INGEST_BATCH
from thatdam_pipelines.defs.resources import announcing, embedder_of
from thatdam_pipelines.defs.stages import RETRY_TAG
from thatdam_pipelines.instance import open_instance
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.settings import Settings

OnProgress = Callable[[str, int, int], None]
"""Called with (what is being done, files done, files to do)."""

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_WAITING = [DagsterRunStatus.QUEUED, DagsterRunStatus.NOT_STARTED]
_WORKING = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]


@dataclass(frozen=True)
class RunsReport:
    """The runs that were made.

    Args:
        run_ids: In the order they ran; their pages are ``/runs/<id>`` of the Dagster UI.
        success: Every run came to its end. Files that failed do not make a run fail.
        failed: What ended badly, as ``<job> of <batch>: <why>``.
    """

    run_ids: list[str]
    success: bool
    failed: list[str]


def run_batches(
    settings: Settings,
    batch_ids: Sequence[str],
    *,
    understand: bool,
    retry: bool = False,
    on_progress: OnProgress | None = None,
) -> RunsReport:
    """Run the ingest job on each batch, then with ``understand`` the heavy one, then publish the catalogue.

    A run of the same batch that is queued elsewhere is cancelled, one that goes on is waited for: nothing is done
    twice at once. The library, its worker processes and the model are opened once for all runs. May be called again
    after anything, a kill included: what is done is found done.

    Args:
        batch_ids: Batches the ledger knows.
        retry: Try files again that failed before.
    """
    progress = on_progress or (lambda doing, done, total: None)
    platform = defs()
    run_ids: list[str] = []
    failed: list[str] = []

    def run(job: str, batch_id: str | None, doing: str) -> bool:
        def announce(stage: str, done: int, total: int, name: str) -> None:
            progress(f"{doing}: {stage}", done, total)

        progress(doing, 0, 0)
        result = platform.resolve_job_def(job).execute_in_process(
            instance=instance,
            partition_key=batch_id,
            run_config=QUIET,
            # From its very first event on: a run that dies before its resources are there must be known as dead too.
            tags=worker_tag() | ({RETRY_TAG: "true"} if retry else {}),
            resources={
                "library": library,
                "embedder": embedder_of(settings),
                "announce": announcing(announce),
            },
            raise_on_error=False,
        )
        run_ids.append(result.run_id)
        if not result.success:
            failed.append(f"{job} of {batch_id or 'all'}: {_why(result)}")
        return result.success

    with open_instance(settings, capture_output=False) as instance, Library(settings) as library:
        settle_batches(library.ledger, instance)
        instance.add_dynamic_partitions(INGEST_BATCH.name or "", list(batch_ids))
        ingested = []
        for number, batch_id in enumerate(batch_ids, start=1):
            _alone(instance, batch_id, progress, "ingest")
            if run("ingest", batch_id, f"ingesting {number}/{len(batch_ids)}"):
                ingested.append(batch_id)
            settle_batches(library.ledger, instance)
        for number, batch_id in enumerate(ingested if understand else [], start=1):
            _alone(instance, batch_id, progress, "understand")
            run("understand", batch_id, f"understanding {number}/{len(ingested)}")
        if batch_ids:
            run("publish_catalog", None, "publishing")
    return RunsReport(run_ids, not failed, failed)


def _alone(instance: DagsterInstance, batch_id: str, progress: OnProgress, job: str) -> None:
    """Return when no other run works on the batch, and none that would do what ``job`` does is queued.

    A queued heavy run is left to come after an ingest: it was asked for once and would not be asked for again.
    """
    tags = {PARTITION_NAME_TAG: batch_id}
    for run in instance.get_runs(RunsFilter(tags=tags, statuses=_WAITING)):
        if (run.job_name == "ingest") == (job == "ingest"):
            instance.report_run_canceled(run, "The command line runs this batch itself.")
    while instance.get_runs(RunsFilter(tags=tags, statuses=_WORKING), limit=1):
        fail_dead_runs(instance)
        progress(f"waiting for another run of {batch_id}", 0, 0)
        time.sleep(0.5)


def _why(result: dg.ExecuteInProcessResult) -> str:
    """The failed step's own words: of our errors subject, cause and next step, of others their message."""
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            if data.user_failure_data and data.user_failure_data.description:
                return data.user_failure_data.description
            error = data.error
            while error is not None and error.cause is not None:
                error = error.cause
            return error.message.strip() if error else "no reason given"
    return next((event.message or "" for event in result.all_events if event.is_run_failure), "no reason given")
