"""The daily job that keeps Dagster's storage and the tables small."""

import dagster as dg

from thatdam_pipelines.defs.automation import MAINTENANCE_TAGS
from thatdam_pipelines.defs.dead_runs import fail_dead_runs
from thatdam_pipelines.defs.maintenance.event_log import trim_event_log
from thatdam_pipelines.library.home import Library


@dg.op
def trim_log(context: dg.OpExecutionContext, library: dg.ResourceParam[Library]) -> dg.Output[None]:
    """Trims Dagster's event log; each partition keeps its latest materialization and check results."""
    dead = fail_dead_runs(context.instance)
    report = trim_event_log(context.instance, library.settings.event_log_days)
    return dg.Output(
        None,
        metadata={
            "events removed": report.events,
            "check results removed": report.check_results,
            "run logs removed": report.run_logs,
            "bytes freed": report.freed_bytes,
            "dead runs": len(dead),
        },
    )


@dg.op
def compact_tables(context: dg.OpExecutionContext, library: dg.ResourceParam[Library]) -> None:
    """Compacts the small Parquet files of many batches, so that a query opens few files."""
    from thatdam_pipelines.library.compaction import compact

    context.log.info(f"compacted: {compact(library)}")


@dg.job(tags=MAINTENANCE_TAGS, executor_def=dg.in_process_executor)
def maintenance() -> None:
    """Trims Dagster's event log, vacuums its databases and compacts the tables. Safe to run at any time."""
    trim_log()
    compact_tables()


maintenance_daily = dg.ScheduleDefinition(
    name="maintenance_daily",
    job=maintenance,
    cron_schedule="30 3 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Runs `maintenance` every night at 03:30.",
)
