"""What the stage assets share: their decorator's arguments, their configuration, how they log and how they fail."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from thatdam_pipelines.defs.checks import check_specs
from thatdam_pipelines.defs.columns import table_metadata
from thatdam_pipelines.defs.partitions import INGEST_BATCH
from thatdam_pipelines.defs.resources import Announce
from thatdam_pipelines.errors import OfflineError, ThatdamError
from thatdam_pipelines.library.stage import Progress

RETRY_TAG = "thatdam/retry"
LOG_EVERY_S = 10.0

# For what a run may meet and the next minute mends: a disk that wakes up, a database that is busy. Bad files are rows.
RUN_PROBLEMS = dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL)


class StageConfig(dg.Config):
    """Configuration of a stage asset."""

    retry: bool = Field(False, description="Try files again that failed before by the same recipe.")


def stage(
    name: str,
    *,
    group: str,
    deps: Sequence[str],
    kinds: set[str],
    checks: dict[str, str],
    owner: str,
    code_version: str | None = None,
    pool: str | None = None,
    automation: dg.AutomationCondition[Any] | None = None,
) -> dict[str, Any]:
    """Arguments of ``@dg.asset`` for a stage: partitioned by batch, documented by its tables, retried when it may help.

    Args:
        checks: Name and description of each check its function gives a result for.
    """
    return {
        "name": name,
        "group_name": group,
        "deps": list(deps),
        "kinds": kinds,
        "owners": [f"team:{owner}"],
        "partitions_def": INGEST_BATCH,
        "code_version": code_version,
        "pool": pool,
        "automation_condition": automation,
        "retry_policy": RUN_PROBLEMS,
        "check_specs": check_specs(name, checks),
        "metadata": table_metadata(name),
    }


def wants_retry(context: dg.AssetExecutionContext, config: StageConfig) -> bool:
    """Whether files that failed before are to be tried again: by configuration, or by the run's ``thatdam/retry``."""
    return config.retry or context.run.tags.get(RETRY_TAG, "").lower() == "true"


def progress_log(context: dg.AssetExecutionContext, announce: Announce) -> Progress:
    """Progress as log lines at most every ten seconds (each is a row of the event log), and to who else listens."""
    name = context.asset_key.to_user_string()
    last = time.monotonic()

    def progress(done: int, total: int, file: str) -> None:
        nonlocal last
        announce(name, done, total, file)
        if done < total and time.monotonic() - last >= LOG_EVERY_S:
            last = time.monotonic()
            context.log.info(f"{done} of {total} files done, last: {file!r}")

    announce(name, 0, 0, "")
    return progress


@contextlib.contextmanager
def told_plainly() -> Iterator[None]:
    """Show an error of ours as subject, cause and next step; only what may mend itself is tried again."""
    try:
        yield
    except ThatdamError as error:
        raise dg.Failure(
            description=str(error),
            metadata={"subject": error.subject, "cause": error.cause, "next step": error.next_step},
            allow_retries=isinstance(error, OfflineError),
        ) from error
