"""Runs of the platform that is up: asked for over Dagster's own API, and told of from its storage."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import dagster as dg
import httpx
from dagster._core.storage.tags import PARTITION_NAME_TAG

from thatdam_pipelines.errors import OfflineError, QueryError, UnansweredError
from thatdam_pipelines.instance import open_instance
from thatdam_pipelines.settings import Settings

REQUEST_TAG = "thatdam/request"
"""Tag of a run with the key that its request was made with: the same request again is the same run."""
_LAUNCH = """
mutation ($job: String!, $tags: [ExecutionTag!]!) {
  launchRun(executionParams: {
    selector: {repositoryLocationName: "thatdam", repositoryName: "__repository__", jobName: $job}
    runConfigData: {}
    executionMetadata: {tags: $tags}
  }) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on PipelineNotFoundError { message }
  }
}
"""


@dataclass(frozen=True)
class JobRun:
    """A run.

    Args:
        state: queued, running, done, failed or cancelled.
        progress: Share of its steps that are done, 0 to 1.
    """

    job_id: str
    job: str
    state: str
    progress: float
    batch_id: str | None
    created_utc: datetime
    started_utc: datetime | None
    finished_utc: datetime | None
    run_url: str


class DagsterRuns:
    """The runs of a home's instance. Use as a context manager; safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._instance = self._open.enter_context(open_instance(self._settings))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def launch(
        self,
        job: str,
        *,
        batch_id: str | None = None,
        retry: bool = False,
        request: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Ask the Dagster that is up for a run; its id.

        Args:
            batch_id: Partition it is of.
            retry: Files that failed are tried again.
            request: Key of the request: a run that was made with it is named instead of made again.
            tags: Further tags of the run.

        Raises:
            OfflineError: Dagster is not up.
            UnansweredError: Dagster was asked and does not answer: the run may have been made.
            QueryError: Dagster refuses it.
        """
        from thatdam_pipelines.defs.stages import RETRY_TAG

        if request is not None:
            made = self._instance.get_runs(dg.RunsFilter(tags={REQUEST_TAG: request}), limit=1)
            if made:
                return made[0].run_id
        told = {RETRY_TAG: "true"} if retry else {}
        told |= {PARTITION_NAME_TAG: batch_id} if batch_id else {}
        told |= {REQUEST_TAG: request} if request else {}
        told |= tags or {}
        said = self._asked(_LAUNCH, job=job, tags=[{"key": key, "value": value} for key, value in told.items()])
        answer = said["launchRun"]
        if answer["__typename"] != "LaunchRunSuccess":
            raise QueryError(job, f"Dagster refuses it ({answer.get('message', answer['__typename'])})", "See its log.")
        return str(answer["run"]["runId"])

    def run(self, run_id: str) -> JobRun | None:
        """One run; None when there is none."""
        return next(iter(self._told(run_ids=[run_id])), None)

    def latest(self, limit: int, before: str | None = None) -> list[JobRun]:
        """The newest runs, newest first, behind the run ``before``."""
        return self._told(limit=limit, cursor=before)

    def _told(
        self, run_ids: list[str] | None = None, limit: int | None = None, cursor: str | None = None
    ) -> list[JobRun]:
        records = self._instance.get_run_records(dg.RunsFilter(run_ids=run_ids), limit=limit, cursor=cursor)
        return [self._job_run(record) for record in records]

    def _job_run(self, record: dg.RunRecord) -> JobRun:
        run = record.dagster_run
        return JobRun(
            job_id=run.run_id,
            job=run.job_name,
            state=_STATES.get(run.status, "queued"),
            progress=self._progress(run),
            batch_id=run.tags.get(PARTITION_NAME_TAG),
            created_utc=record.create_timestamp.replace(tzinfo=UTC),
            started_utc=_time(record.start_time),
            finished_utc=_time(record.end_time),
            run_url=self._settings.run_url(run.run_id),
        )

    def _progress(self, run: dg.DagsterRun) -> float:
        if run.is_finished:
            return 1.0
        steps = len(run.step_keys_to_execute or run.asset_selection or ()) or 1
        ended = self._instance.get_run_stats(run.run_id)
        return min(1.0, (getattr(ended, "steps_succeeded", 0) + getattr(ended, "steps_failed", 0)) / steps)

    def _asked(self, query: str, **variables: Any) -> Any:
        url = f"http://{self._settings.host}:{self._settings.dagster_port}/graphql"
        try:
            answer = httpx.post(url, json={"query": query, "variables": variables}, timeout=30, trust_env=False)
            answer.raise_for_status()
            said = answer.json()
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise OfflineError(url, f"Dagster does not answer ({error})", "Start `thatdam up`.") from error
        except (httpx.HTTPError, ValueError) as error:
            next_step = "See whether the run is there, and ask again if not."
            raise UnansweredError(url, f"Dagster was asked and does not answer ({error})", next_step) from error
        if said.get("errors"):
            raise QueryError(url, f"Dagster refuses it ({said['errors'][0]['message']})", "See its log.")
        return said["data"]


_STATES = {
    dg.DagsterRunStatus.STARTED: "running",
    dg.DagsterRunStatus.STARTING: "running",
    dg.DagsterRunStatus.CANCELING: "running",
    dg.DagsterRunStatus.SUCCESS: "done",
    dg.DagsterRunStatus.FAILURE: "failed",
    dg.DagsterRunStatus.CANCELED: "cancelled",
}


def _time(timestamp: float | None) -> datetime | None:
    return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC)
