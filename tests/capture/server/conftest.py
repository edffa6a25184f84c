"""A recorder as its users meet it: a process that listens, and a real browser that looks at it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

TOKEN = "a-token-for-the-set"


@dataclass
class RunningRecorder:
    """A recorder's process and how to talk to it."""

    process: "subprocess.Popen[str]"
    url: str
    folder: Path
    config: Path
    token: str | None

    @property
    def port(self) -> int:
        return httpx.URL(self.url).port or 0

    @property
    def http(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def terminate(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def cli(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run `thatdam-capture` against this recorder, as it is found by its address."""
        command = [sys.executable, "-m", "thatdam_capture", *arguments, "--url", self.url]
        environment = os.environ | ({"THATDAM_CAPTURE_TOKEN": self.token} if self.token else {}) | {"COLUMNS": "80"}
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)


def settings_of(folder: Path, limits: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    camera = {"kind": "synthetic", "size": "320x180", "rate": "25", "profile": "h264"}
    return {
        "store": str(folder / "store"),
        "discover": False,
        "listen": {"port": 0},
        "segment_s": 2,
        "limits": {"min_segment_s": 0.5, "min_free_bytes": 0, "reserve_bytes": 0} | (limits or {}),
        "preview": {"height": 90, "fps": 10},
        "cameras": [{"id": "cam1", "name": "A cam", **camera}, {"id": "cam2", "name": "B cam", **camera}],
    } | changes


@contextmanager
def recorder_process(folder: Path, **changes: Any) -> Iterator[RunningRecorder]:
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "capture.yaml"
    config.write_text(yaml.safe_dump(settings_of(folder, **changes)))
    command = [sys.executable, "-m", "thatdam_capture", "serve", "--json", "--config", str(config)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, (folder / "log").read_text()
        yield RunningRecorder(process, json.loads(line)["url"], folder, config, changes.get("token"))
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRecorder]:
    """A recorder with two synthetic cameras and no token, for one module."""
    with recorder_process(tmp_path_factory.mktemp("recorder")) as running:
        yield running


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRecorder]:
    """A recorder with a token, and a camera whose address holds a password."""
    cameras = [
        {"id": "cam1", "kind": "synthetic", "size": "320x180", "rate": "25"},
        {"id": "door", "kind": "rtsp", "url": "rtsp://viewer:hunter2secret@127.0.0.1:9/stream"},
    ]
    with recorder_process(tmp_path_factory.mktemp("guarded"), token=TOKEN, cameras=cameras) as running:
        yield running


@pytest.fixture
def start_recorder(tmp_path: Path) -> Iterator[Callable[..., RunningRecorder]]:
    """Starts recorders with settings of the test's own; they end with it."""
    with ExitStack() as stack:

        def start(name: str = "recorder", **changes: Any) -> RunningRecorder:
            return stack.enter_context(recorder_process(tmp_path / name, **changes))

        yield start
