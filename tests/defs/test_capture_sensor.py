"""Ticks of the sensor over the recorder's folder, and what a run makes of a recording."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.tags import RUN_KEY_TAG

from thatdam_pipelines.definitions import defs
from thatdam_pipelines.defs.ingest import recordings
from thatdam_pipelines.defs.ingest.recordings import capture_sensor
from thatdam_pipelines.defs.ingest.sensors import incoming_sensor
from thatdam_pipelines.library.ledger import Ledger
from thatdam_pipelines.samples.recordings import START, commit, commit_take, write_segments
from thatdam_pipelines.settings import Settings

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def tick(instance: dg.DagsterInstance, home_settings: Settings) -> Callable[[], dg.SensorResult]:
    def tick() -> dg.SensorResult:
        result = capture_sensor(dg.build_sensor_context(instance=instance))
        assert isinstance(result, dg.SensorResult)
        for request in result.dynamic_partitions_requests or []:
            instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        return result

    return tick


def test_a_take_of_two_cameras_is_one_partition_and_one_run_asked_for_until_it_begins(
    tick: Callable[[], dg.SensorResult], home_settings: Settings, instance: dg.DagsterInstance
) -> None:
    commit(home_settings.capture_dir, b"1", camera__id="cam1", session_id="a" * 32)
    commit(home_settings.capture_dir, b"2", camera__id="cam2", session_id="b" * 32)
    (request,) = tick().run_requests or []
    assert request.tags == {"thatdam/files": "2", "thatdam/take": "take-12"}
    assert instance.get_dynamic_partitions("ingest_batch") == [request.partition_key]
    (again,) = tick().run_requests or []
    assert (again.run_key, again.partition_key) == (request.run_key, request.partition_key)
    with closing(Ledger(home_settings.database_url)) as ledger:
        ledger.start_batch(str(request.partition_key), "run")
    assert not tick().run_requests


def test_no_two_sensors_ask_for_the_same_batch(
    tick: Callable[[], dg.SensorResult],
    home_settings: Settings,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run key keeps runs apart within one sensor only."""
    monkeypatch.setattr("thatdam_pipelines.defs.ingest.outcomes.LEFT_TO_COMMANDS", -1 * recordings.datetime.resolution)
    commit(home_settings.capture_dir, b"1")
    assert len(tick().run_requests or []) == 1
    result = incoming_sensor(dg.build_sensor_context(instance=instance))
    assert isinstance(result, dg.SensorResult) and not result.run_requests
    (home_settings.incoming_dir / "a.mov").write_bytes(b"a")
    for _ in range(3):
        result = incoming_sensor(dg.build_sensor_context(instance=instance))
    assert isinstance(result, dg.SensorResult) and len(result.run_requests or []) == 1
    assert len(tick().run_requests or []) == 1


def test_what_cannot_be_taken_is_the_reason_of_a_tick_without_a_run(
    tick: Callable[[], dg.SensorResult], home_settings: Settings
) -> None:
    assert "nothing was recorded" in str(tick().skip_reason)
    path = commit(home_settings.capture_dir, b"media")
    path.with_suffix(".json").write_text("{")
    said = str(tick().skip_reason)
    assert path.with_suffix(".json").name in said and "damaged" in said


def test_a_run_tells_the_sessions_and_its_check_names_what_is_missing(
    tick: Callable[[], dg.SensorResult], home_settings: Settings, instance: dg.DagsterInstance, tmp_path: Any
) -> None:
    ends = (1.0, 2.0)
    segments = write_segments(tmp_path / "segments", ends)
    first, _ = commit_take(home_settings.capture_dir, segments, ends)
    commit(home_settings.capture_dir, segments[1].read_bytes() + b"0", session_id="b" * 32, gap_before_s=4.5)
    (request,) = tick().run_requests or []
    assert instance.get_runs(dg.RunsFilter(tags={RUN_KEY_TAG: str(request.run_key)})) == []
    result = (
        defs()
        .resolve_job_def("ingest")
        .execute_in_process(instance=instance, partition_key=request.partition_key, run_config=QUIET)
    )
    assert result.success and not first.exists()
    (made,) = result.asset_materializations_for_node("capture_sessions")
    told = {name: value.value for name, value in made.metadata.items()}
    assert (told["files"], told["sessions"], told["dagster/partition_row_count"]) == (3, 2, 3)
    (check,) = [each for each in result.get_asset_check_evaluations() if each.check_name == "every_second_there"]
    assert not check.passed and check.severity == dg.AssetCheckSeverity.WARN
    assert "4.50 s are missing in 1 places" in str(check.description)
    assert f"{START:%H:%M:%S}" in str(check.metadata["what is wrong"].value)
