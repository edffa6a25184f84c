"""The `thatdam-capture` command against a real recorder."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from typer.main import get_command

from thatdam_capture.cli import app, parse_time

COMMANDS = sorted(get_command(app).commands)  # type: ignore[attr-defined]


def test_record_for_a_time_waits_and_prints_what_was_committed(recorder: Any) -> None:
    run = recorder.cli(
        "record", "cam1", "cam2", "--for", "2s", "--group", "take-12", "--role", "hero=cam1", "--segment", "1", "--json"
    )
    assert run.returncode == 0, run.stderr
    manifests = json.loads(run.stdout)
    assert {one["camera"]["id"]: one["role"] for one in manifests} == {"cam1": "hero", "cam2": None}
    assert {one["group_id"] for one in manifests} == {"take-12"}
    for camera in ("cam1", "cam2"):
        length = sum(one["duration_s"] for one in manifests if one["camera"]["id"] == camera)
        assert 1.5 < length < 4


def test_record_stop_and_recordings(recorder: Any) -> None:
    assert "take-20" in recorder.cli("record", "cam2", "--group", "take-20").stdout
    assert recorder.cli("record", "cam2").returncode == 4
    time.sleep(1)
    stopped = recorder.cli("stop", "--json")
    assert stopped.returncode == 0, stopped.stderr
    files = [one["file"] for one in json.loads(stopped.stdout)]
    assert files
    listed = json.loads(recorder.cli("recordings", "--camera", "cam2", "--json").stdout)
    assert listed[0]["file"] == files[-1]
    assert files[-1] in recorder.cli("recordings", "-n", "1").stdout
    assert json.loads(recorder.cli("stop", "--json").stdout) == []


def test_devices_and_status_are_for_people_and_for_programs(recorder: Any) -> None:
    assert "A cam" in recorder.cli("devices").stdout
    assert [one["id"] for one in json.loads(recorder.cli("devices", "--json").stdout)] == ["cam1", "cam2"]
    assert "GB free" in recorder.cli("status").stdout
    assert json.loads(recorder.cli("status", "--json").stdout)["ok"] is True


def test_the_toolboxs_commands_record_one_camera_or_a_hero_and_its_witness(recorder: Any) -> None:
    assert [one["id"] for one in json.loads(recorder.cli("hw_list", "--json").stdout)] == ["cam1", "cam2"]
    one = recorder.cli("hw_record", "--device", "cam1", "--duration", "1", "--json")
    assert one.returncode == 0, one.stderr
    assert {manifest["camera"]["id"] for manifest in json.loads(one.stdout)} == {"cam1"}
    two = recorder.cli("witness_record", "--main", "cam2", "--witness", "cam1", "--duration", "1", "--json")
    assert two.returncode == 0, two.stderr
    manifests = json.loads(two.stdout)
    assert {manifest["camera"]["id"]: manifest["role"] for manifest in manifests} == {"cam1": "witness", "cam2": "hero"}
    assert len({manifest["group_id"] for manifest in manifests}) == 1
    assert recorder.cli("hw_record", "--duration", "1").returncode == 4


def test_ctrl_c_while_waiting_commits_what_was_recorded(recorder: Any) -> None:
    command = [
        sys.executable,
        "-m",
        "thatdam_capture",
        "record",
        "cam1",
        "--for",
        "1h",
        "--json",
        "--url",
        recorder.url,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as waiting:
        deadline = time.monotonic() + 20
        while recorder.http.get("/v1/devices/cam1").json()["stats"]["frames"] < 25 or not (
            recorder.http.get("/v1/sessions").json()
        ):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        waiting.send_signal(signal.SIGINT)
        printed, _ = waiting.communicate(timeout=20)
    assert waiting.returncode == 0
    manifests = json.loads(printed)
    assert manifests[-1]["is_last"] and manifests[-1]["reason_end"] == "stop"
    assert recorder.http.get("/v1/sessions").json() == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["record", "nobody"], 4),
        (["record", "../x"], 4),
        (["record"], 2),
        (["record", "cam1", "--for", "soon"], 2),
        (["record", "cam1", "--role", "hero"], 2),
        (["stop", "no-such-take"], 4),
        (["stop", "../../x"], 4),
        (["recordings", "--limit", "0"], 2),
    ],
)
def test_exit_codes_say_what_kind_of_failure_it_was(recorder: Any, arguments: list[str], code: int) -> None:
    run = recorder.cli(*arguments)
    assert run.returncode == code, run.stderr
    assert "Traceback" not in run.stderr


def test_no_recorder_is_exit_code_3(recorder: Any) -> None:
    command = [sys.executable, "-m", "thatdam_capture", "status", "--url", "http://127.0.0.1:9"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 3 and "thatdam-capture serve" in run.stderr


def test_a_full_disk_is_exit_code_5_and_a_problem_in_status(start_recorder: Callable[..., Any]) -> None:
    recorder = start_recorder(limits={"min_free_bytes": 2**60})
    assert recorder.cli("record", "cam1").returncode == 5
    status = recorder.cli("status")
    assert status.returncode == 1 and "problem" in status.stderr


def test_a_camera_of_which_nothing_was_recorded_is_named(start_recorder: Callable[..., Any]) -> None:
    recorder = start_recorder(
        cameras=[
            {"id": "cam1", "kind": "synthetic", "size": "320x180", "rate": "25"},
            {"id": "cam2", "kind": "rtsp", "url": "rtsp://127.0.0.1:1/nothing"},
        ]
    )
    assert recorder.cli("record", "cam1", "cam2", "--group", "take-30").returncode == 0
    deadline = time.monotonic() + 30
    while recorder.http.get("/v1/devices/cam1").json()["stats"]["frames"] < 25:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    stopped = recorder.cli("stop", "take-30")
    assert stopped.returncode == 6
    assert "cam2: nothing was recorded" in stopped.stderr and "cam1" not in stopped.stderr


def test_the_server_may_open_all_the_files_that_the_system_allows() -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 1024));"
    script = f"{limit} from thatdam_capture.server import open_many_files; open_many_files();"
    script += "print(resource.getrlimit(resource.RLIMIT_NOFILE))"
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "(1024, 1024)"


def test_the_token_comes_from_the_settings_or_the_environment(guarded: Any) -> None:
    assert guarded.cli("devices").returncode == 0
    command = [sys.executable, "-m", "thatdam_capture", "devices", "--url", guarded.url]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 4
    with_settings = subprocess.run([*command, "--config", str(guarded.config)], capture_output=True, check=False)
    assert with_settings.returncode == 0


def test_wrong_settings_are_exit_code_2_with_their_line(recorder: Any) -> None:
    config = recorder.folder / "wrong.yaml"
    config.write_text("listen:\n  host: 127.0.0.1\n  port: many\n")
    command = [sys.executable, "-m", "thatdam_capture", "serve", "--config", str(config)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 2 and "wrong.yaml:3" in run.stderr


def test_a_taken_port_is_said_before_any_camera_is_opened(recorder: Any) -> None:
    command = [sys.executable, "-m", "thatdam_capture", "serve", "--config", str(recorder.config)]
    run = subprocess.run([*command, "--port", str(recorder.port)], capture_output=True, text=True, check=False)
    assert run.returncode == 2 and "cannot listen" in run.stderr


def test_without_a_command_the_recorder_is_served(recorder: Any) -> None:
    command = [sys.executable, "-m", "thatdam_capture", "--config", str(recorder.folder / "bare.yaml")]
    (recorder.folder / "bare.yaml").write_text(f"store: {recorder.folder / 'bare'}\nlisten: {{port: 0}}\n")
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "COLUMNS": "300"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as served:
        assert served.stdout is not None
        line = served.stdout.readline()
        served.send_signal(signal.SIGINT)
        assert served.wait(20) == 0
    assert "http://127.0.0.1:" in line


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_has_an_example(command: str) -> None:
    found = get_command(app).commands[command]  # type: ignore[attr-defined]
    assert f"Example: `thatdam-capture {command}" in str(found.help)


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"serve"}))
def test_every_command_speaks_json(command: str) -> None:
    found = get_command(app).commands[command]  # type: ignore[attr-defined]
    assert any("--json" in one.opts for one in found.params)


@pytest.mark.parametrize(("text", "seconds"), [("30", 30), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("0.5s", 0.5)])
def test_times_are_written_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds
