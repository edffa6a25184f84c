"""`thatdam up` as a person uses it: start, drop a file, find it, Ctrl-C, nothing left."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import EMBEDDINGS_L2
from thatdam_pipelines.processes import MARK
from thatdam_pipelines.settings import Settings

THATDAM = str(Path(sys.executable).parent / "thatdam")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: str, met: Callable[[], object], limit_s: float = 240) -> None:
    deadline = time.monotonic() + limit_s
    while not met():
        assert time.monotonic() < deadline, f"waited {limit_s:.0f} s for {what}"
        time.sleep(0.5)


def marked_processes(home: Path) -> list[str]:
    """Command lines of processes that a supervisor of this home started."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
            ours = any(value.startswith(MARK.encode()) for value in environment)
            if ours and f"THATDAM_HOME={home}".encode() in environment:
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def fetch(url: str, host: str | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_a_drop_is_found_while_the_platform_is_up_and_ctrl_c_leaves_nothing(tmp_path: Path, footage: Any) -> None:
    home = tmp_path / "home"
    ports = {name: free_port() for name in ("DAGSTER", "WEB", "CHROMA", "CAPTURE")}
    env = os.environ | {f"THATDAM_{name}_PORT": str(port) for name, port in ports.items()}
    env |= {"THATDAM_HOME": str(home), "THATDAM_EMBEDDER": "descriptor", "THATDAM_SETTLE_SECONDS": "1"}
    env |= {"THATDAM_DISK_RESERVE_BYTES": "0"}
    log = tmp_path / "up.log"
    with log.open("wb") as output:
        up = subprocess.Popen([THATDAM, "up"], env=env, stdout=output, stderr=output, cwd=tmp_path)
    try:
        wait_for("the welcome", lambda: "thatdam is up" in log.read_text() or up.poll() is not None)
        assert up.poll() is None, log.read_text()
        second = subprocess.run([THATDAM, "up"], env=env, capture_output=True, text=True, timeout=120, check=False)
        assert second.returncode == 1 and "already runs on this home" in second.stderr

        source = footage.files[0].path
        shutil.copyfile(source, home / "incoming" / source.name)
        settings = Settings(home=home, embedder="descriptor")
        with Library(settings) as library:
            wait_for("scenes of the drop", lambda: scenes_of(library))
        assert not (home / "incoming" / source.name).exists()

        moments = thatdam_json(env, tmp_path, "search", source.stem)
        assert [Path(moment["path"]).name for moment in moments] == [source.name]
        web = f"http://127.0.0.1:{ports['WEB']}"
        status, poster = fetch(f"{web}/media/{moments[0]['media_id']}/poster.jpg")
        assert status == 200 and poster.startswith(b"\xff\xd8")
        status, thumbnail = fetch(f"{web}/media/{moments[0]['media_id']}/thumbnail.jpg")
        assert status == 200 and thumbnail.startswith(b"\xff\xd8") and len(thumbnail) < len(poster)
        assert fetch(f"{web}/media/{moments[0]['media_id']}/../../library.db")[0] == 404
        assert fetch(f"{web}/health", host="evil.example")[0] == 400
        assert fetch(f"{web}/health") == (200, b'{"status":"ok","service":"thatdam"}')
        assert fetch(f"http://127.0.0.1:{ports['DAGSTER']}/server_info")[0] == 200
        assert fetch(f"http://127.0.0.1:{ports['CAPTURE']}/health")[0] == 200
        assert f"http://127.0.0.1:{ports['CAPTURE']}" in log.read_text()
        assert len(marked_processes(home)) >= 5
    finally:
        up.send_signal(signal.SIGINT)
        up.wait(timeout=60)
    assert up.returncode == 0
    assert marked_processes(home) == []


def test_a_platform_that_was_killed_leaves_nothing_that_the_next_one_would_share_its_folders_with(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    home = tmp_path / "home"
    env = os.environ | {"THATDAM_HOME": str(home), "THATDAM_EMBEDDER": "descriptor"}
    started: list[subprocess.Popen[Any]] = []

    def start() -> tuple[subprocess.Popen[str], dict[str, Any]]:
        ports = {f"THATDAM_{name}_PORT": str(free_port()) for name in ("DAGSTER", "WEB", "CHROMA", "CAPTURE")}
        with (tmp_path / "up.log").open("w") as log:
            up = subprocess.Popen(
                [THATDAM, "up", "--json"], env=env | ports, stdout=subprocess.PIPE, stderr=log, cwd=tmp_path, text=True
            )
        started.append(up)
        assert up.stdout is not None
        said = up.stdout.readline()
        assert said, (tmp_path / "up.log").read_text()
        return up, json.loads(said)

    request.addfinalizer(lambda: [process.kill() for process in started])
    killed, said = start()
    assert fetch(f"{said['addresses']['web']}/health")[0] == 200
    assert said["pids"]["up"] == killed.pid and Path(said["incoming"]).is_dir()
    inherited = Path(f"/proc/{said['pids']['web']}/environ").read_bytes().rstrip(b"\0").split(b"\0")
    run_that_goes_on = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"],
        env=dict(value.split(b"=", 1) for value in inherited),
        start_new_session=True,
    )
    started.append(run_that_goes_on)
    killed.kill()
    killed.wait()
    wait_for("its servers to end", lambda: len(marked_processes(home)) == 1, 60)
    up, _ = start()
    assert run_that_goes_on.wait(timeout=10) == -signal.SIGTERM
    assert "ended 1 process" in (tmp_path / "up.log").read_text()
    up.send_signal(signal.SIGINT)
    assert up.wait(timeout=60) == 0
    assert marked_processes(home) == []


def scenes_of(library: Library) -> int:
    return sum(library.tables.read(EMBEDDINGS_L2, batch).height for batch in library.tables.batches(EMBEDDINGS_L2))


def thatdam_json(env: dict[str, str], cwd: Path, *arguments: str) -> Any:
    command = [THATDAM, *arguments, "--json"]
    said = subprocess.run(command, env=env, capture_output=True, text=True, timeout=180, check=True, cwd=cwd)
    return json.loads(said.stdout)


def test_a_port_in_use_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        env = os.environ | {"THATDAM_HOME": str(tmp_path / "home"), "THATDAM_DAGSTER_PORT": str(taken.getsockname()[1])}
        said = subprocess.run([THATDAM, "up"], env=env, capture_output=True, text=True, timeout=120, check=False)
    assert said.returncode == 2
    assert "THATDAM_DAGSTER_PORT" in said.stderr
    assert not (tmp_path / "home" / "dagster").exists()
