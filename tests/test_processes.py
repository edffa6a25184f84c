"""Services end with everything they started."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

STARTS_AN_ESCAPING_CHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
open(sys.argv[1], "w").write(str(child.pid))
if sys.argv[2] == "deaf":
    import signal
    signal.signal(signal.SIGINT, signal.SIG_IGN)
time.sleep(600)
"""

SUPERVISOR = """
import sys, os, time
from pathlib import Path
from thatdam_pipelines.processes import Services
folder = Path(sys.argv[1])
services = Services(folder)
for manner in ("polite", "deaf"):
    command = [sys.executable, "-c", folder.joinpath("child.py").read_text(), str(folder / manner), manner]
    services.start(manner, command, folder / "log", os.environ)
while not all((folder / manner).exists() and (folder / manner).read_text() for manner in ("polite", "deaf")):
    time.sleep(0.05)
pids = [service.process.pid for service in services.running]
if sys.argv[2:] == ["killed"]:
    print(*pids, flush=True)
    os.kill(os.getpid(), 9)
services.stop(patience_s=1)
services.stop()
print(*pids)
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def all_end(pids: list[int]) -> bool:
    """Whether none is left soon: one that ended counts until its new parent has taken note."""
    deadline = time.monotonic() + 10
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(alive(pid) for pid in pids)


def test_stopping_ends_deaf_services_and_grandchildren_that_left_their_session(tmp_path: Path) -> None:
    (tmp_path / "child.py").write_text(STARTS_AN_ESCAPING_CHILD)
    command = [sys.executable, "-c", SUPERVISOR, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    pids = [int(pid) for pid in ended.stdout.split()]
    pids += [int((tmp_path / manner).read_text()) for manner in ("polite", "deaf")]
    assert len(pids) == 4
    assert all_end(pids)


def test_services_end_with_a_supervisor_that_is_killed_and_the_next_one_ends_what_escaped(tmp_path: Path) -> None:
    from thatdam_pipelines.processes import end_left_over

    (tmp_path / "child.py").write_text(STARTS_AN_ESCAPING_CHILD)
    command = [sys.executable, "-c", SUPERVISOR, str(tmp_path), "killed"]
    killed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    services = [int(pid) for pid in killed.stdout.split()]
    escaped = [int((tmp_path / manner).read_text()) for manner in ("polite", "deaf")]
    assert all_end(services)
    assert all(alive(pid) for pid in escaped)
    other_home = tmp_path / "other"
    assert end_left_over(other_home) == 0
    assert all(alive(pid) for pid in escaped)
    assert end_left_over(tmp_path) == len(escaped)
    assert all_end(escaped)


def test_what_does_not_end_when_asked_is_killed(tmp_path: Path) -> None:
    from thatdam_pipelines.processes import Services, end_left_over

    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    services = Services(tmp_path)
    service = services.start("deaf", [sys.executable, "-c", deaf], tmp_path / "log", os.environ)
    while not (tmp_path / "log").read_text():
        time.sleep(0.05)
    assert end_left_over(tmp_path, patience_s=0.5) == 1
    assert service.process.wait() == -signal.SIGKILL


def test_a_service_that_ends_by_itself_is_noticed(tmp_path: Path) -> None:
    from thatdam_pipelines.processes import Services

    services = Services(tmp_path)
    command = [sys.executable, "-c", "print('said this'); raise SystemExit(3)"]
    services.start("short", command, tmp_path / "log", os.environ)
    deadline = time.monotonic() + 30
    while services.ended() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    ended = services.ended()
    assert ended is not None and (ended.name, ended.process.returncode) == ("short", 3)
    assert "said this" in (tmp_path / "log").read_text()
    services.stop()


def test_the_platform_refuses_to_listen_beyond_loopback(settings, capsys) -> None:  # type: ignore[no-untyped-def]
    from rich.console import Console

    from thatdam_pipelines.errors import SettingsError
    from thatdam_pipelines.up import run_platform

    with pytest.raises(SettingsError, match="not loopback"):
        run_platform(settings.model_copy(update={"host": "0.0.0.0"}), Console(), sample_footage=False)
