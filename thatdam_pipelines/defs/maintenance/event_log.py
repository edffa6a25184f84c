"""Trims Dagster's event log, which it never does itself, without making an old batch look missing.

Deleting old runs would erase the materializations they made. So runs stay, and of what is older than some days only
this is kept: of each asset and partition the latest event of each kind that says how it stands, of each check and
partition the latest result, and in the log of a run its start and end.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from dagster import DagsterEventType, DagsterInstance, RunsFilter
from dagster._core.events import EVENT_TYPE_TO_PIPELINE_RUN_STATUS
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite import SqliteEventLogStorage

STANDING_EVENTS = (
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.ASSET_OBSERVATION,
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    DagsterEventType.ASSET_FAILED_TO_MATERIALIZE,
)
DAY_S = 86_400
_SMALLEST_PAGE = 512


@dataclass(frozen=True)
class TrimReport:
    """What was removed.

    Args:
        events: Rows of the event log; in SQLite without those of the log files of single runs.
        check_results: Superseded results of asset checks.
        run_logs: Log files of single runs that were trimmed (SQLite only).
        freed_bytes: Bytes given back to the disk.
    """

    events: int
    check_results: int
    run_logs: int
    freed_bytes: int


def trim_event_log(instance: DagsterInstance, keep_days: float) -> TrimReport:
    """Remove what is older than ``keep_days`` days and says nothing of how things stand now.

    Safe to stop at any point and to run again; runs that go on are not touched.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return TrimReport(0, 0, 0, 0)
    before = datetime.fromtimestamp(time.time() - keep_days * DAY_S, UTC).replace(tzinfo=None)
    events = _trim_events(storage, before)
    results = _trim_check_results(storage, before)
    run_logs, freed = 0, 0
    if isinstance(storage, SqliteEventLogStorage):
        run_logs, freed = _trim_run_logs(instance, storage, before)
        freed += sum(vacuum(path) for path in _databases(storage))
    return TrimReport(events, results, run_logs, freed)


def _trim_events(storage: SqlEventLogStorage, before: datetime) -> int:
    log = SqlEventLogStorageTable.c
    standing = (
        sa.select(sa.func.max(log.id))
        .where(log.asset_key.is_not(None), log.dagster_event_type.in_([event.value for event in STANDING_EVENTS]))
        .group_by(log.asset_key, log.dagster_event_type, log.partition)
    )
    old = sa.and_(log.timestamp < before, log.id.not_in(standing))
    with storage.index_connection() as connection:
        deleted = connection.execute(sa.delete(SqlEventLogStorageTable).where(old)).rowcount
        connection.execute(
            sa.delete(AssetEventTagsTable).where(AssetEventTagsTable.c.event_id.not_in(sa.select(log.id)))
        )
    return int(deleted)


def _trim_check_results(storage: SqlEventLogStorage, before: datetime) -> int:
    results = AssetCheckExecutionsTable.c
    latest = sa.select(sa.func.max(results.id)).group_by(results.asset_key, results.check_name, results.partition)
    old = sa.and_(results.evaluation_event_timestamp < before, results.id.not_in(latest))
    with storage.index_connection() as connection:
        return int(connection.execute(sa.delete(AssetCheckExecutionsTable).where(old)).rowcount)


def _trim_run_logs(instance: DagsterInstance, storage: SqliteEventLogStorage, before: datetime) -> tuple[int, int]:
    """Trim the log files of runs that ended before to their start and end, and remove what they printed.

    The files stay and keep their tables: a web server that has read one would fail on a file that is new and empty.
    """
    logged = set(storage.get_all_run_ids())
    trimmed, freed = 0, 0
    finished = RunsFilter(statuses=list(FINISHED_STATUSES), updated_before=before.replace(tzinfo=UTC))
    for run in instance.get_runs(finished):
        log = Path(storage.path_for_shard(run.run_id))
        if run.run_id not in logged or _page_size(log) == _SMALLEST_PAGE:
            continue
        size = log.stat().st_size
        with _unlocked(log) as connection:
            kept = [event.value for event in EVENT_TYPE_TO_PIPELINE_RUN_STATUS]
            gone = SqlEventLogStorageTable.c.dagster_event_type.not_in(kept)
            connection.execute(
                sa.delete(SqlEventLogStorageTable).where(
                    sa.or_(gone, SqlEventLogStorageTable.c.dagster_event_type.is_(None))
                )
            )
            # Most of an empty log is the first page of each table and index. Pages cannot change size in WAL mode.
            connection.exec_driver_sql("PRAGMA journal_mode = DELETE")
            connection.exec_driver_sql(f"PRAGMA page_size = {_SMALLEST_PAGE}")
            connection.exec_driver_sql("VACUUM")
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            instance.compute_log_manager.delete_logs(prefix=[run.run_id])
            trimmed += 1
        freed += max(0, size - log.stat().st_size)
    return trimmed, freed


def _page_size(database: Path) -> int:
    """Page size in bytes, from the header of a SQLite file."""
    with database.open("rb") as file:
        return int.from_bytes(file.read(18)[16:18], "big")


@contextlib.contextmanager
def _unlocked(database: Path) -> Iterator[sa.Connection]:
    """A connection to a SQLite file; work on one that turns out to be busy is left for the next time."""
    engine = sa.create_engine(f"sqlite:///{database}", isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with contextlib.suppress(sa.exc.OperationalError), engine.connect() as connection:
        yield connection


def _databases(storage: SqliteEventLogStorage) -> list[Path]:
    """Dagster's shared SQLite files: the index of events, the runs, and the ticks of sensors and schedules."""
    index = Path(storage.path_for_shard("index"))
    home = index.parents[2]
    return [
        path for path in (index, home / "history" / "runs.db", home / "schedules" / "schedules.db") if path.exists()
    ]


def vacuum(database: Path) -> int:
    """Give back the pages a SQLite file no longer uses, when they are a quarter of it; bytes given back."""
    size = database.stat().st_size
    with _unlocked(database) as connection:
        free = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        if free * 4 >= pages:
            connection.exec_driver_sql("VACUUM")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    return max(0, size - database.stat().st_size)
