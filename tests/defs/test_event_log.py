"""The event log is trimmed, and nothing looks different for it."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable

from thatdam_pipelines.defs.maintenance.event_log import trim_event_log
from thatdam_pipelines.instance import open_instance
from thatdam_pipelines.settings import Settings

BATCHES = dg.DynamicPartitionsDefinition(name="event_log_batch")


@dg.asset(
    partitions_def=BATCHES,
    check_specs=[dg.AssetCheckSpec("even", asset="stored", partitions_def=BATCHES)],
)
def stored(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    for _ in range(40):
        context.log.info("a line of log")
    if context.partition_key == "c":
        raise ValueError("this batch always fails")
    return dg.MaterializeResult(
        check_results=[dg.AssetCheckResult(check_name="even", passed=context.partition_key == "a")],
        data_version=dg.DataVersion(context.partition_key),
    )


@dg.asset(deps=[stored])
def published() -> None: ...


DEFS = dg.Definitions(assets=[stored, published], jobs=[dg.define_asset_job("store", selection="stored")])


@pytest.fixture(scope="module")
def worked_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which two batches were stored twice and a third failed."""
    home = tmp_path_factory.mktemp("event_log") / "home"
    with open_instance(Settings(home=home)) as instance:
        work_in(instance)
    return home


def work_in(instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("event_log_batch", ["a", "b", "c"])
    job = DEFS.resolve_job_def("store")
    for batch in ("a", "b", "c", "a", "b"):
        job.execute_in_process(instance=instance, partition_key=batch, raise_on_error=False)
    dg.materialize([published, stored.to_source_asset()], instance=instance, selection="published")


@pytest.fixture
def instance(worked_in: Path, settings: Settings) -> Iterator[dg.DagsterInstance]:
    shutil.copytree(worked_in, settings.home)
    with open_instance(settings) as opened:
        yield opened


def standing(instance: dg.DagsterInstance) -> dict[str, object]:
    """All that the UI and automation conclude from the event log about the two assets."""
    check = dg.AssetCheckKey(dg.AssetKey("stored"), "even")
    keys = [dg.AssetKey("stored"), dg.AssetKey("published")]
    log = instance.event_log_storage
    return {
        "materialized": {key.to_user_string(): instance.get_materialized_partitions(key) for key in keys},
        "latest ids": log.get_latest_storage_id_by_partition(keys[0], dg.DagsterEventType.ASSET_MATERIALIZATION),
        "attempts": set(log.get_latest_asset_partition_materialization_attempts_without_materializations(keys[0])),
        "versions": log.get_latest_tags_by_partition(
            keys[0], dg.DagsterEventType.ASSET_MATERIALIZATION, ["dagster/data_version"]
        ),
        "latest": {
            key.to_user_string(): event.run_id
            for key in keys
            if (event := instance.get_latest_materialization_event(key)) is not None
        },
        "checks": {
            batch: [
                (record.status, record.run_id)
                for record in log.get_asset_check_execution_history(
                    check, limit=1, partition_filter=dg_partition_filter(batch)
                )
            ]
            for batch in "abc"
        },
        "runs": {run.run_id: run.status for run in instance.get_runs()},
        "partitions": instance.get_dynamic_partitions("event_log_batch"),
    }


def dg_partition_filter(batch: str) -> object:
    from dagster._core.storage.event_log.base import PartitionKeyFilter

    return PartitionKeyFilter(key=batch)


def rows(instance: dg.DagsterInstance) -> int:
    with instance.event_log_storage.index_connection() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(SqlEventLogStorageTable)).scalar_one()


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_trimming_changes_nothing_that_is_concluded_from_the_log(instance: dg.DagsterInstance) -> None:
    before, rows_before = standing(instance), rows(instance)
    assert before["materialized"]["stored"] == {"a", "b"} and before["attempts"] == {"c"}  # type: ignore[index]

    report = trim_event_log(instance, keep_days=0)

    assert standing(instance) == before
    assert rows(instance) < rows_before and report.events == rows_before - rows(instance)
    assert report.check_results == 2


def test_logs_of_old_runs_go_and_free_their_space(instance: dg.DagsterInstance, settings: Settings) -> None:
    before = size_of(settings.dagster_dir)
    report = trim_event_log(instance, keep_days=0)
    assert report.run_logs == 6
    assert size_of(settings.dagster_dir) < before / 2
    run_id = instance.get_runs(limit=1)[0].run_id
    left = [event.dagster_event_type for event in instance.all_logs(run_id)]
    assert left == [dg.DagsterEventType.RUN_START, dg.DagsterEventType.RUN_SUCCESS]


def test_what_is_younger_than_the_limit_is_kept(instance: dg.DagsterInstance) -> None:
    rows_before = rows(instance)
    report = trim_event_log(instance, keep_days=1)
    assert (report.events, report.check_results, report.run_logs) == (0, 0, 0)
    assert rows(instance) == rows_before


def test_trimming_again_removes_nothing_more(instance: dg.DagsterInstance) -> None:
    trim_event_log(instance, keep_days=0)
    again = trim_event_log(instance, keep_days=0)
    assert (again.events, again.check_results, again.run_logs) == (0, 0, 0)


def test_a_batch_can_be_run_again_after_trimming(instance: dg.DagsterInstance) -> None:
    trim_event_log(instance, keep_days=0)
    time.sleep(0.01)
    assert DEFS.resolve_job_def("store").execute_in_process(instance=instance, partition_key="a").success
    assert instance.get_materialized_partitions(dg.AssetKey("stored")) == {"a", "b"}


def test_a_log_in_postgres_is_trimmed_alike(tmp_path: Path, postgres_url: str) -> None:
    storage = {"postgres": {"postgres_url": postgres_url, "should_autocreate_tables": True}}
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path), overrides={"storage": storage})) as instance:
        work_in(instance)
        before, rows_before = standing(instance), rows(instance)
        report = trim_event_log(instance, keep_days=0)
        assert standing(instance) == before
        assert rows(instance) < rows_before / 10 and report.events == rows_before - rows(instance)
