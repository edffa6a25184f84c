"""A recording made while the platform is up is found, in SQL too, with its camera, session and true start."""

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import av
import pytest

from thatdam_capture.manifest import read_manifest
from thatdam_capture.synthetic import clock_difference, read_code

THATDAM = str(Path(sys.executable).parent / "thatdam")
SETTINGS = """
discover: false
segment_s: 2
limits: {min_segment_s: 0.5, min_free_bytes: 0, reserve_bytes: 0}
cameras:
  - {id: stage-left, name: Stage left, kind: synthetic, size: 320x180, rate: "25", role: hero}
  - {id: stage-right, name: Stage right, kind: synthetic, size: 320x180, rate: "25", role: witness}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: str, met: Callable[[], Any], limit_s: float = 180) -> Any:
    deadline = time.monotonic() + limit_s
    while not (found := met()):
        assert time.monotonic() < deadline, f"waited {limit_s:.0f} s for {what}"
        time.sleep(0.5)
    return found


@dataclass
class Platform:
    """A platform that is up, as a person or a program meets it."""

    process: subprocess.Popen[str]
    env: dict[str, str]
    home: Path
    recorder: str

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.recorder}{path}", data, {"Content-Type": "application/json"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return json.loads(answer.read())

    def thatdam(self, *arguments: str) -> Any:
        command = [THATDAM, *arguments, "--json"]
        said = subprocess.run(
            command, env=self.env, cwd=self.home.parent, capture_output=True, text=True, timeout=120, check=False
        )
        return json.loads(said.stdout) if said.returncode == 0 else []


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    home = tmp_path / "home"
    (tmp_path / "capture.yaml").write_text(SETTINGS)
    ports = {f"THATDAM_{name}_PORT": str(free_port()) for name in ("DAGSTER", "WEB", "CHROMA", "CAPTURE")}
    env = os.environ | ports | {"THATDAM_HOME": str(home), "THATDAM_EMBEDDER": "descriptor"}
    env |= {"THATDAM_DISK_RESERVE_BYTES": "0"}
    with (tmp_path / "up.log").open("w") as log:
        up = subprocess.Popen(
            [THATDAM, "up", "--json"], env=env, stdout=subprocess.PIPE, stderr=log, cwd=tmp_path, text=True
        )
    try:
        assert up.stdout is not None
        said = up.stdout.readline()
        assert said, (tmp_path / "up.log").read_text()
        yield Platform(up, env, home, json.loads(said)["addresses"]["capture"])
    finally:
        up.send_signal(signal.SIGINT)
        up.wait(timeout=60)


def clock_errors(media: Path, start: datetime) -> list[float]:
    """For every frame, seconds that its time by the library is after the clock burnt into it."""
    with av.open(str(media)) as file:
        frames = [(read_code(f.to_ndarray(format="gray")), float(f.pts * f.time_base)) for f in file.decode(video=0)]
    return [clock_difference(code, start.timestamp() + at - frames[0][1]) for code, at in frames]


def test_a_recording_is_found_by_words_and_by_sql_and_ctrl_c_commits_the_one_that_goes_on(platform: Platform) -> None:
    cameras = ["stage-left", "stage-right"]
    platform.ask("/v1/record", {"camera_ids": cameras, "group": "take-12", "max_s": 5})
    wait_for("the end of the recording", lambda: not platform.ask("/v1/sessions"))

    def whole() -> Any:
        rows = platform.thatdam("sql", "SELECT * FROM capture_sessions ORDER BY camera_id")
        return rows if len(rows) == 2 and all(row["finished"] for row in rows) else None

    rows = wait_for("both sessions in SQL", whole)
    assert [(row["camera_name"], row["role"], row["group_id"]) for row in rows] == [
        ("Stage left", "hero", "take-12"),
        ("Stage right", "witness", "take-12"),
    ]
    assert all(row["missing_s"] < 0.1 and row["missing_segments"] == 0 and row["segments"] >= 2 for row in rows)
    assert {row["reason_end"] for row in rows} == {"max_s"}

    moments = wait_for("the camera in a search", lambda: platform.thatdam("search", "stage left"))
    (take,) = {row["take_id"] for row in rows if row["camera_name"] == "Stage left"}
    assert {moment["take_id"] for moment in moments} == {take}
    assert moments[0]["take_start_s"] == 0 and moments[0]["take_end_s"] == pytest.approx(rows[0]["recorded_s"], abs=0.2)

    # The recorder goes on knowing what the library has taken away.
    recorded = platform.ask("/v1/record/take-12/stop", {})["manifests"]
    sessions = {one["camera"]["id"]: one["session_id"] for one in recorded}
    sql = "SELECT s.session_id, s.camera_id, s.start_utc, m.created_utc, m.camera_model, m.path, m.album "
    sql += "FROM capture_segments s JOIN media m USING (media_id) ORDER BY s.camera_id, s.segment_index"
    segments = platform.thatdam("sql", sql)
    assert {row["camera_model"] for row in segments} == {"Stage left", "Stage right"}
    assert {row["album"] for row in segments} == {"take-12"}
    assert len(segments) == len(recorded)
    for row in segments:
        assert row["session_id"] == sessions[row["camera_id"]] and row["start_utc"] == row["created_utc"]
        errors = clock_errors(platform.home / "media" / row["path"], datetime.fromisoformat(row["start_utc"]))
        assert abs(statistics.median(errors)) < 0.1
    assert not [*platform.home.glob("capture/stage-*/**/*.mkv")]

    platform.ask("/v1/record", {"camera_ids": ["stage-left"], "group": "take-13"})
    wait_for("its first second", lambda: platform.ask("/v1/devices/stage-left")["stats"]["frames"] > 25)
    platform.process.send_signal(signal.SIGINT)
    assert platform.process.wait(timeout=60) == 0
    committed = [read_manifest(path) for path in platform.home.glob("capture/stage-left/**/*.json")]
    (last,) = [one for one in committed if one.group_id == "take-13" and one.is_last]
    assert last.reason_end == "shutdown" and last.complete and last.frames > 25 * last.segment_index
    assert not [*platform.home.glob("capture/.part/*/*.mkv")]
