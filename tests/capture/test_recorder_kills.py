"""ffmpeg and the recorder are killed at random: what is committed is true, little is lost, and it goes on by itself."""

import contextlib
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import pytest
import yaml

CAMERAS = ("cam1", "cam2")


class Recorder:
    """The recorder as a process, begun again whenever it is gone, as a supervisor would."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        self.settings = bench.folder / "capture.yaml"
        values = bench.settings(segment_s=1.5).model_dump(mode="json", exclude={"token", "profiles"})
        self.settings.write_text(yaml.safe_dump(values))
        self.log = (bench.folder / "recorder.log").open("ab")
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        script = Path(__file__).with_name("record_forever.py")
        return subprocess.Popen([sys.executable, str(script), str(self.settings)], stdout=self.log, stderr=self.log)

    def ffmpegs(self) -> list[psutil.Process]:
        return [one for one in psutil.Process(self.process.pid).children() if "ffmpeg" in one.name()]

    def session_of(self, ffmpeg: psutil.Process) -> Path:
        """Folder of the session that an ffmpeg writes."""
        (folder,) = [Path(one[5:]).parent for one in ffmpeg.cmdline() if one.startswith("file:") and "%05d" in one]
        return folder

    def wait_for_recording(self) -> None:
        """Until both cameras write."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(psutil.Error, OSError, ValueError):
                folders = [self.session_of(one) for one in self.ffmpegs()]
                sizes = [sum(one.stat().st_size for one in folder.glob("*.mkv")) for folder in folders]
                if len(sizes) == len(CAMERAS) and min(sizes) > 20_000:
                    return
            assert self.process.poll() is None, (self.bench.folder / "recorder.log").read_text()
            time.sleep(0.05)
        raise AssertionError("the cameras did not begin again")

    def kill_service(self) -> None:
        children = self.ffmpegs()
        self.process.kill()
        self.process.wait()
        _, alive = psutil.wait_procs(children, timeout=5)
        assert not alive, "ffmpeg outlived its recorder"
        self.process = self._start()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)


@contextmanager
def recorder(bench: Any) -> Iterator[Recorder]:
    one = Recorder(bench)
    try:
        yield one
    finally:
        one.process.kill()
        one.process.wait()
        one.log.close()


def test_kills_at_random_leave_only_true_files(bench: Any) -> None:
    chance = random.Random(3)
    kills: list[tuple[float, str]] = []
    with recorder(bench) as running:
        for number in range(9):
            running.wait_for_recording()
            time.sleep(chance.uniform(0.1, 1.6))
            if number % 3 == 2:
                kills += [(time.time(), camera) for camera in CAMERAS]
                running.kill_service()
            else:
                victim = chance.choice(running.ffmpegs())
                record = json.loads((running.session_of(victim) / "session.json").read_text())
                kills.append((time.time(), record["camera"]["id"]))
                victim.kill()
                victim.wait(10)
        running.wait_for_recording()
        time.sleep(1)
        assert running.stop() == 0
    bench.assert_whole()
    for camera in CAMERAS:
        manifests = bench.manifests(camera)
        sessions = list(dict.fromkeys(one.session_id for one in manifests))
        died = [when for when, which in kills if which == camera]
        assert len(sessions) == len(died) + 1
        assert {one.group_id for one in manifests} == {"take"}
        frames = {one.file: bench.frames(one) for one in manifests}
        for session in sessions:
            own = [one for one in manifests if one.session_id == session]
            counters = [frame.code.counter for one in own for frame in frames[one.file]]
            assert counters == list(range(len(counters)))
            assert [one.is_last for one in own] == [False] * (len(own) - 1) + [True]
        for manifest in manifests:
            assert manifest.frames == len(frames[manifest.file])
            assert abs(median(bench.clock_errors(manifest))) < 0.1, manifest.file
        for when, (before, after) in zip(died, breaks(manifests), strict=True):
            assert when - before.end_utc.timestamp() < 2, "more than two seconds were lost"
            true_gap = began(frames[after.file]) - began(frames[before.file]) - before.duration_s
            assert after.gap_before_s == pytest.approx(true_gap, abs=0.1)
            assert before.reason_end in ("killed", "source_lost")


def began(frames: list[Any]) -> float:
    """When a segment began by the clock in its frames; a busy machine makes some of them late."""
    return median(frame.code.clock_s - frame.time_s for frame in frames) + frames[0].time_s


def breaks(manifests: list[Any]) -> list[tuple[Any, Any]]:
    return [(a, b) for a, b in pairwise(manifests) if a.session_id != b.session_id]
