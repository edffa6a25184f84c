"""One stage of a batch: what is done by the same recipe is kept, the rest is computed, the tables are written."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import polars as pl

from thatdam_pipelines.errors import AwayError, MediaError, OfflineError, StoreError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.quarantine import report_failures
from thatdam_pipelines.library.recipes import Recipe
from thatdam_pipelines.library.schemas import tables_of
from thatdam_pipelines.library.table import Table
from thatdam_pipelines.library.workers import Job

Rows = dict[str, list[dict[str, Any]]]
Progress = Callable[[int, int, str], None]
Outcome = tuple[Job, Any]


@dataclass(frozen=True)
class StageReport:
    """What a stage did to a batch, for logs, metadata and checks.

    Args:
        computed: Files worked on now.
        reused: Files already done by the same recipe.
        skipped: Files that failed by the same recipe before and were not tried again.
        failures: Every failure row of the batch, old and new.
    """

    stage: str
    batch_id: str
    recipe: str
    total: int
    computed: int
    reused: int
    skipped: int
    elapsed_s: float
    failures: list[dict[str, Any]]
    facts: dict[str, Any] = field(default_factory=dict)


def run_stage(
    library: Library,
    stage: str,
    batch_id: str,
    *,
    recipes: Mapping[Table, Recipe],
    done_by: Table | tuple[Table, ...],
    jobs: Sequence[Job],
    work: Callable[[Any], Any],
    finish: Callable[[Job, Any], Rows],
    prepare: Callable[[list[Any]], list[Any]] | None = None,
    together: int = 1,
    space: str | None = None,
    retry: bool = False,
    progress: Progress | None = None,
) -> StageReport:
    """Do ``work`` for every job not yet done and write the stage's tables for the batch.

    Args:
        recipes: Recipe of each table the stage writes (its failure table left out).
        done_by: A file is done when it has a row in each of these made with the table's recipe (in ``space``, where
            the table has one). Failures are kept by the recipe of the first.
        jobs: One or more a file; a file fails when any of its jobs does.
        work: Runs in a worker process on ``job.payload``; must be a module-level function.
        finish: Runs here on the worker's result; gives rows by table name, without ``media_id``, ``batch_id`` and
            ``recipe``, which are filled in. A table it leaves out keeps the file's rows of the same recipe. A
            ``MediaError`` it raises costs the file only.
        prepare: Runs here on the results of up to ``together`` jobs and gives what ``finish`` gets instead of each, so
            that a model is fed full batches. A ``MediaError`` in place of a result costs that file only.
        space: Vector space that is computed; rows of other spaces are kept as they are.
        retry: Try files again that failed by the same recipe; those whose disk was away are tried in any case.
        progress: Called with (files done, files to do, name of the file) as they finish.

    Raises:
        OfflineError: A disk or server went away. Files finished before are written and will not be done again.
        StoreError: The media store does not work; likewise.
    """
    started = time.monotonic()
    failure_table = next(table for table in tables_of(stage) if table.name.endswith("_failures"))
    before = {table: library.tables.read(table, batch_id) for table in (*recipes, failure_table)}
    done_tables = done_by if isinstance(done_by, tuple) else (done_by,)
    recipe = recipes[done_tables[0]]
    wanted = {job.media_id for job in jobs}
    done = set(wanted)
    for table in done_tables:
        rows_of = before[table].filter(pl.col("recipe") == recipes[table].id)
        done &= set((rows_of.filter(pl.col("space") == space) if "space" in table.schema else rows_of)["media_id"])
    failed_rows = before[failure_table].filter(
        (pl.col("recipe") == recipe.id) & pl.col("media_id").is_in(list(wanted - done))
    )
    final = failed_rows.filter(~pl.col("away").fill_null(False))
    failed_before = set() if retry else set(final["media_id"])

    rows: Rows = {table.name: [] for table in recipes}
    replaced: dict[str, set[str]] = {table.name: set() for table in recipes}
    failures: dict[str, dict[str, Any]] = {}
    todo = [job for job in jobs if job.media_id not in done and job.media_id not in failed_before]
    jobs_left = Counter(job.media_id for job in todo)
    outcomes = _prepared(library.workers.run(work, todo), prepare, together)
    outage: OfflineError | StoreError | None = None
    try:
        for count, (job, result) in enumerate(outcomes, start=1):
            try:
                if isinstance(result, MediaError):
                    raise result
                finished = finish(job, result)
            except MediaError as error:
                failures.setdefault(job.media_id, failure_row(stage, batch_id, recipe, job.name, error, job.media_id))
            else:
                for table, made in recipes.items():
                    common = {"media_id": job.media_id, "batch_id": batch_id, "recipe": made.id}
                    if table.name in finished:
                        replaced[table.name].add(job.media_id)
                        rows[table.name] += [common | row for row in finished[table.name]]
            jobs_left[job.media_id] -= 1
            if progress is not None:
                progress(count, len(todo), job.name)
    except (OfflineError, StoreError) as error:
        outage = error

    unfinished = set(+jobs_left)
    failures = {media_id: row for media_id, row in failures.items() if media_id not in unfinished}
    failed_rows = failed_rows.filter(pl.col("media_id").is_in(list(failed_before | unfinished)))
    dropped = failures.keys() | unfinished
    ready: dict[Table, pl.DataFrame] = {}
    for table, made in recipes.items():
        untouched = list(wanted - (replaced[table.name] - unfinished))
        kept = pl.col("media_id").is_in(untouched) & (pl.col("recipe") == made.id)
        if "space" in table.schema:
            kept = kept & (pl.col("space") == space)
            kept = kept | ((pl.col("space") != space) & pl.col("media_id").is_in(list(wanted)))
        # What an outage kept from being made anew stays as it was, by whatever recipe.
        kept = kept | pl.col("media_id").is_in(list(unfinished))
        new = table.frame([row for row in rows[table.name] if row["media_id"] not in dropped])
        ready[table] = pl.concat([before[table].filter(kept), new])
    # What tells that a file is done is written last: killed before that, all of it is made again.
    for table in sorted(ready, key=done_tables.__contains__):
        library.tables.write(table, batch_id, ready[table])
    all_failures = pl.concat([failed_rows, failure_table.frame(list(failures.values()))])
    library.tables.write(failure_table, batch_id, all_failures)
    report_failures(library, batch_id)
    if outage is not None:
        raise outage
    return StageReport(
        stage=stage,
        batch_id=batch_id,
        recipe=recipe.id,
        total=len(wanted),
        computed=len({job.media_id for job in todo}),
        reused=len(done),
        skipped=len(failed_before),
        elapsed_s=time.monotonic() - started,
        failures=all_failures.to_dicts(),
    )


def _prepared(
    outcomes: Iterable[Outcome], prepare: Callable[[list[Any]], list[Any]] | None, together: int
) -> Iterator[Outcome]:
    """The outcomes in their order, good results passed through ``prepare`` up to ``together`` at a time."""
    if prepare is None:
        yield from outcomes
        return
    waiting = iter(outcomes)
    while group := list(islice(waiting, together)):
        good = [result for _, result in group if not isinstance(result, MediaError)]
        results = iter(prepare(good) if good else [])
        for job, result in group:
            yield job, result if isinstance(result, MediaError) else next(results)


def failure_row(
    stage: str, batch_id: str, recipe: Recipe, name: str, error: MediaError, media_id: str | None
) -> dict[str, Any]:
    """A row of ``<stage>_failures``."""
    return {
        "subject": media_id or name,
        "batch_id": batch_id,
        "media_id": media_id,
        "stage": stage,
        "recipe": recipe.id,
        "path": name,
        "reason": error.cause,
        "next_step": error.next_step,
        "failed_utc": datetime.now(UTC),
        "away": isinstance(error, AwayError),
    }
