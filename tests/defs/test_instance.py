"""The shipped dagster.yaml, loaded as a real instance."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.instance.config import PoolGranularity
from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator
from dagster._core.scheduler.instigation import TickStatus

from thatdam_pipelines.instance import POOL_LIMITS, prepare_instance
from thatdam_pipelines.settings import Settings, project_file


def test_the_instance_keeps_everything_below_the_home(instance: dg.DagsterInstance, home_settings: Settings) -> None:
    assert instance.root_directory == str(home_settings.dagster_dir)
    assert (home_settings.dagster_dir / "history" / "runs" / "index.db").exists()


def test_nothing_is_sent_anywhere(instance: dg.DagsterInstance) -> None:
    assert not instance.telemetry_enabled
    assert not instance.nux_enabled


def test_heavy_runs_are_limited_apart_from_ingest_runs(instance: dg.DagsterInstance) -> None:
    assert isinstance(instance.run_coordinator, QueuedRunCoordinator)
    queue = instance.get_concurrency_config().run_queue_config
    assert queue is not None and queue.tag_concurrency_limits is not None
    limits = {limit["value"]: limit["limit"] for limit in queue.tag_concurrency_limits}
    assert limits["heavy"] + limits["light"] < queue.max_concurrent_runs


def test_pools_limit_steps_across_runs(instance: dg.DagsterInstance) -> None:
    assert instance.event_log_storage.get_pool_config().pool_granularity == PoolGranularity.OP
    assert limits_of(instance) == POOL_LIMITS


def test_a_limit_set_by_hand_stays_at_the_next_start(instance: dg.DagsterInstance, home_settings: Settings) -> None:
    instance.event_log_storage.set_concurrency_slots("ffmpeg", 3)
    prepare_instance(home_settings)
    assert limits_of(instance) == {**POOL_LIMITS, "ffmpeg": 3}


def test_several_that_begin_on_a_new_home_at_once_all_find_it_prepared(settings: Settings) -> None:
    with ThreadPoolExecutor(4) as pool:
        folders = list(pool.map(prepare_instance, [settings] * 4))
    assert folders == [settings.dagster_dir] * 4


def test_crashed_runs_are_repeated_and_failed_assets_are_not(instance: dg.DagsterInstance) -> None:
    assert instance.run_retries_enabled and instance.run_retries_max_retries == 2
    assert not instance.run_retries_retry_on_asset_or_op_failure
    assert instance.run_monitoring_enabled
    assert instance.run_monitoring_settings["free_slots_after_run_end_seconds"] == 60


@pytest.mark.parametrize("kind", [InstigatorType.SENSOR, InstigatorType.SCHEDULE, InstigatorType.AUTO_MATERIALIZE])
def test_ticks_are_not_kept_for_ever(instance: dg.DagsterInstance, kind: InstigatorType) -> None:
    days = instance.get_tick_retention_settings(kind)
    assert all(days[status] > 0 for status in (TickStatus.SKIPPED, TickStatus.SUCCESS, TickStatus.FAILURE))


def test_a_changed_dagster_yaml_reaches_the_home_at_the_next_start(
    instance: dg.DagsterInstance, home_settings: Settings
) -> None:
    copied = home_settings.dagster_dir / "dagster.yaml"
    copied.write_text("telemetry:\n  enabled: true\n")
    prepare_instance(home_settings)
    assert copied.read_bytes() == project_file("dagster.yaml").read_bytes()


def test_a_step_waits_in_process_for_a_place_that_another_run_holds(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    pool = instance.event_log_storage
    assert pool.claim_concurrency_slot("vector_writer", "another-run", "another-step").is_claimed
    program, told = tmp_path / "in_a_pool.py", tmp_path / "told.txt"
    program.write_text(IN_A_POOL)
    with subprocess.Popen([sys.executable, str(program), str(told)], stderr=subprocess.DEVNULL) as process:
        while not pool.get_concurrency_info("vector_writer").pending_step_count:
            assert process.poll() is None
            time.sleep(0.05)
        assert not told.exists()
        pool.free_concurrency_slots_for_run("another-run")
        assert process.wait() == 0
    assert told.exists()
    assert not pool.get_concurrency_info("vector_writer").active_run_ids


def limits_of(instance: dg.DagsterInstance) -> dict[str, int]:
    return {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()}


IN_A_POOL = """
import pathlib, sys
import dagster as dg
from thatdam_pipelines.instance import open_instance
from thatdam_pipelines.settings import get_settings

@dg.asset(pool="vector_writer")
def writes():
    pathlib.Path(sys.argv[1]).touch()

with open_instance(get_settings(), capture_output=False) as instance:
    job = dg.Definitions(assets=[writes], jobs=[dg.define_asset_job("j")], executor=dg.in_process_executor)
    assert job.resolve_job_def("j").execute_in_process(instance=instance).success
"""


def test_importing_the_definitions_loads_no_model_decoder_or_index() -> None:
    code = (
        "import sys\n"
        "from thatdam_pipelines.definitions import defs\n"
        "defs()\n"
        "heavy = {'torch', 'open_clip', 'chromadb', 'cv2', 'av', 'PIL', 'transformers'} & set(sys.modules)\n"
        "print(sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"
