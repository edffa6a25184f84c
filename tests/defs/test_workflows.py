"""Workflows in Dagster: files dropped into the folder, schedules of the settings, the job that runs them."""

import errno
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from thatdam_pipelines.definitions import defs
from thatdam_pipelines.defs.workflows.schedules import workflow_schedules
from thatdam_pipelines.defs.workflows.sensors import workflow_sensor
from thatdam_pipelines.errors import SettingsError, WorkflowError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.workflows import WORKFLOW_TAG
from thatdam_pipelines.settings import Settings, get_settings

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
STEPS = '{"workflow": [{"action": "rate", "media": ["none.mov"], "rating": 1}, {"action": "retry"}]}'
Tick = Callable[[], dg.SensorResult]


@pytest.fixture
def tick(instance: dg.DagsterInstance) -> Tick:
    def tick() -> dg.SensorResult:
        result = workflow_sensor(dg.build_sensor_context(instance=instance))
        assert isinstance(result, dg.SensorResult)
        return result

    return tick


def run(instance: dg.DagsterInstance, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
    return (
        defs()
        .resolve_job_def("workflow")
        .execute_in_process(instance=instance, tags=dict(request.tags), run_config=QUIET, raise_on_error=False)
    )


def dropped(settings: Settings, text: str, name: str = "nightly.json") -> Path:
    settings.workflows_dir.mkdir(parents=True, exist_ok=True)
    path = settings.workflows_dir / name
    path.write_text(text)
    return path


def test_a_file_is_run_once_as_it_is_and_its_results_stand_beside_it(
    tick: Tick, home_settings: Settings, instance: dg.DagsterInstance
) -> None:
    assert "no new workflow" in str(tick().skip_reason)
    path = dropped(home_settings, STEPS)
    (request,) = tick().run_requests or []
    (again,) = tick().run_requests or []
    assert request.run_key == again.run_key == request.tags[WORKFLOW_TAG]
    result = run(instance, request)
    assert not result.success
    assert [event.step_key for event in result.all_events if event.is_step_success] == [
        "workflow_steps",
        "workflow_step[002_retry]",
    ]
    told = json.loads(path.with_name("nightly.result.json").read_text())
    assert [step["state"] for step in told] == ["failed", "done"] and "none.mov" in told[0]["error"]
    assert not tick().run_requests
    path.write_text(STEPS + " ")
    os.utime(path, (1, 1))
    (changed,) = tick().run_requests or []
    assert changed.run_key != request.run_key


def test_a_file_that_is_set_back_to_what_it_was_is_run_again(
    tick: Tick, home_settings: Settings, instance: dg.DagsterInstance
) -> None:
    path = dropped(home_settings, STEPS)
    os.utime(path, (1, 1))
    (first,) = tick().run_requests or []
    run(instance, first)
    path.write_text('{"action": "serch"}')
    os.utime(path, (2, 2))
    assert "serch" in str(tick().skip_reason)
    path.write_text(STEPS)
    os.utime(path, (3, 3))
    (again,) = tick().run_requests or []
    run(instance, again)
    assert again.run_key != first.run_key and not tick().run_requests
    assert len(json.loads(path.with_name("nightly.result.json").read_text())) == 2


def test_a_file_that_is_still_being_written_waits(
    tick: Tick, home_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THATDAM_SETTLE_SECONDS", "3600")
    get_settings.cache_clear()
    path = dropped(home_settings, STEPS[:40])
    assert "nightly.json is still being written" in str(tick().skip_reason)
    assert not path.with_name("nightly.result.json").exists()
    path.write_text(STEPS)
    os.utime(path, (1, 1))
    assert len(tick().run_requests or []) == 1


def test_a_bad_file_is_told_of_once_beside_it_and_keeps_no_other_waiting(tick: Tick, home_settings: Settings) -> None:
    bad = dropped(home_settings, '{"workflow": [\n{"action": "serch"}]}', "bad.json")
    dropped(home_settings, "\0", ".hidden.json")
    (home_settings.workflows_dir / "folder.json").mkdir()
    (home_settings.workflows_dir / "link.json").symlink_to("/etc/passwd")
    said = str(tick().skip_reason)
    assert "bad.json: line 2, column 12: step 1 (serch)" in said and "link" not in said
    told = json.loads(bad.with_name("bad.result.json").read_text())
    assert told["problems"][0]["line"] == 2
    written = bad.with_name("bad.result.json").stat().st_mtime_ns
    dropped(home_settings, STEPS, "good.json")
    assert len(tick().run_requests or []) == 1
    assert bad.with_name("bad.result.json").stat().st_mtime_ns == written
    bad.write_text('{"action": "retry"}')
    assert len(tick().run_requests or []) == 2


UNRUNNABLE = {
    "deep": '{"action": "search", "query": ' + "[" * 500 + "]" * 500 + "}",
    "half": '{"action": "\\ud800"}',
    "nobody": '{"action": "ingest", "paths": ["~nosuchuser/x"]}',
    "vast": '{"variables": {"n": {"type": "number", "default": 1'
    + "0" * 400
    + '}}, "workflow": [{"action": "retry"}]}',
}


def test_no_bad_file_keeps_another_from_being_run(
    tick: Tick, home_settings: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in UNRUNNABLE.items():
        dropped(home_settings, text, f"{name}.json")
    unreadable = dropped(home_settings, STEPS, "closed.json")
    dropped(home_settings, STEPS, "good.json")
    dropped(home_settings, STEPS, os.fsdecode(b"l\xe4uft.json"))
    read_bytes = Path.read_bytes

    def refusing(path: Path) -> bytes:
        # As for a file that this user may not read: root may read every one.
        if path == unreadable:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", refusing)
    requests = tick().run_requests or []
    assert len(requests) == 2
    for name in UNRUNNABLE:
        assert json.loads((home_settings.workflows_dir / f"{name}.result.json").read_text())["error"]
    for request in requests:
        run(instance, request)
    for name in ("good", os.fsdecode(b"l\xe4uft")):
        assert len(json.loads((home_settings.workflows_dir / f"{name}.result.json").read_text())) == 2


@pytest.fixture
def scheduled(home_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dg.ScheduleDefinition]:
    def made(**more: object) -> dg.ScheduleDefinition:
        wanted = {"name": "nightly", "file": "scheduled/a.json", "cron": "30 1 * * *", "timezone": "Europe/Berlin"}
        monkeypatch.setenv("THATDAM_WORKFLOW_SCHEDULES", json.dumps([wanted | more]))
        get_settings.cache_clear()
        (schedule,) = workflow_schedules().schedules or []
        assert isinstance(schedule, dg.ScheduleDefinition)
        return schedule

    return made


def test_a_schedule_of_the_settings_is_one_in_dagster_that_can_be_switched(
    scheduled: Callable[..., dg.ScheduleDefinition],
) -> None:
    schedule = scheduled()
    assert (schedule.name, schedule.cron_schedule) == ("workflow_nightly", "30 1 * * *")
    assert (schedule.execution_timezone, schedule.default_status) == ("Europe/Berlin", dg.DefaultScheduleStatus.RUNNING)
    found = defs().get_repository_def().get_schedule_def("workflow_nightly")
    assert found.job_name == "workflow"
    assert scheduled(running=False).default_status == dg.DefaultScheduleStatus.STOPPED


def test_a_schedule_asks_for_its_file_once_for_each_time_it_is_due(
    scheduled: Callable[..., dg.ScheduleDefinition], home_settings: Settings, instance: dg.DagsterInstance
) -> None:
    schedule = scheduled(variables={"who": "none.mov"})
    file = home_settings.home / "scheduled/a.json"
    file.parent.mkdir(parents=True)

    def due(hour: int) -> dg.RunRequest:
        when = datetime(2026, 11, 21, hour, 30, tzinfo=UTC)
        context = dg.build_schedule_context(instance=instance, scheduled_execution_time=when)
        (request,) = schedule.evaluate_tick(context).run_requests or []
        return request

    with pytest.raises(Exception) as missing:
        due(1)
    assert isinstance(missing.value.__cause__, SettingsError)
    file.write_text('{"variables": {"who": "x"}, "workflow": [{"action": "rate", "media": ["${who}"], "rating": 1}]}')
    assert due(1).run_key == due(1).run_key != due(2).run_key
    run(instance, due(1))
    with Library(home_settings) as library:
        rows = library.ledger.workflows.latest(9)
        assert {(row.name, row.source, row.requested_by) for row in rows} == {
            ("nightly", "schedule", "schedule nightly")
        }
        (step,) = library.ledger.workflows.steps(str(due(1).run_key))
        assert step.state == "failed" and "none.mov" in str(step.error)
    file.write_text('{"action": "nothing"}')
    with pytest.raises(Exception) as wrong:
        due(3)
    assert isinstance(wrong.value.__cause__, WorkflowError)


@pytest.mark.parametrize(
    "wrong", [{"cron": "daily"}, {"timezone": "Nowhere/Land"}, {"name": "a b"}, {"name": "x" * 61}, {"extra": 1}]
)
def test_a_schedule_that_cannot_be_is_refused_with_its_setting(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Settings.model_validate({"workflow_schedules": [{"name": "a", "file": "a", "cron": "0 1 * * *"} | wrong]})
