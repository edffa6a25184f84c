"""Cameras are plugged in and out: each keeps its id, and a recording waits for the one it lost."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from thatdam_capture.devices import Mode, stable_id
from thatdam_capture.settings import CameraSettings
from thatdam_capture.sources import best_mode

HERE = Path(__file__).parent
SYSTEM_PYTHON = "/usr/bin/python3"


class Hardware:
    """Mock cameras, and a recorder that sees them."""

    def __init__(self, bench: Any, **changes: Any) -> None:
        script = HERE / "mock_video.py"
        self.bus = self._start(["umockdev-wrapper", SYSTEM_PYTHON, str(script)], None)
        folder = self._line(self.bus)
        values = bench.settings(cameras=[], discover=True, **changes).model_dump(
            mode="json", exclude={"token", "profiles"}, exclude_none=True
        )
        path = bench.folder / "capture.yaml"
        path.write_text(yaml.safe_dump(values))
        self._command = ["umockdev-wrapper", sys.executable, str(HERE / "hotplug_recorder.py"), str(path)]
        self._folder = folder
        self.recorder = self._start(self._command, folder)

    def kill_recorder(self) -> None:
        """Kill it and start another, as a supervisor does."""
        self.recorder.kill()
        self.recorder.wait()
        self.recorder = self._start(self._command, self._folder)

    def _start(self, command: list[str], testbed: str | None) -> subprocess.Popen[str]:
        environment = os.environ | ({"UMOCKDEV_DIR": testbed} if testbed else {})
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=environment
        )

    def _line(self, process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return process.stdout.readline().strip()

    def plug(self, node: str, port: int, serial: str, index: int = 0, kind: str = "capture") -> None:
        self._tell(self.bus, f"plug {node} {port} {serial} {index} {kind}")

    def unplug(self, node: str) -> None:
        self._tell(self.bus, f"unplug {node}")

    def ask(self, line: str) -> Any:
        return json.loads(self._tell(self.recorder, line))

    def _tell(self, process: subprocess.Popen[str], line: str) -> str:
        assert process.stdin is not None
        process.stdin.write(f"{line}\n")
        answer = self._line(process)
        assert answer, f"no answer to {line}"
        return answer

    def wait(self, line: str, happened: Any) -> Any:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            answer = self.ask(line)
            if happened(answer):
                return answer
            time.sleep(0.1)
        raise AssertionError(f"{line}: {answer}")

    def end(self) -> None:
        for process in (self.recorder, self.bus):
            assert process.stdin is not None
            process.stdin.close()
            process.wait(20)


@pytest.fixture
def hardware(bench: Any) -> Iterator[Hardware]:
    one = Hardware(bench)
    yield one
    one.end()


def test_a_camera_plugged_in_under_another_number_is_the_same_camera(hardware: Hardware) -> None:
    hardware.plug("video0", 2, "AB12")
    hardware.plug("video1", 2, "AB12", 1, "metadata")
    (found,) = hardware.wait("devices", lambda all: len(all) == 1)
    assert found == {"id": "hd-pro-webcam-c920-ab12", "online": True, "path": "/dev/video0", "modes": 4}
    hardware.unplug("video1")
    hardware.unplug("video0")
    hardware.wait("devices", lambda all: not all[0]["online"])
    hardware.plug("video2", 3, "AB12")
    (again,) = hardware.wait("devices", lambda all: all[0]["online"])
    assert again == found | {"path": "/dev/video2"}


def test_two_cameras_of_one_serial_are_told_apart_by_their_ports(hardware: Hardware) -> None:
    hardware.plug("video0", 2, "SN0001")
    (first,) = hardware.wait("devices", lambda all: len(all) == 1)
    hardware.plug("video1", 3, "SN0001")
    both = hardware.wait("devices", lambda all: len(all) == 2)
    assert first in both
    assert len({one["id"] for one in both}) == 2


def test_a_recording_waits_for_its_camera_and_goes_on(bench: Any, hardware: Hardware) -> None:
    hardware.plug("video0", 2, "AB12")
    hardware.wait("devices", lambda all: len(all) == 1)
    camera = "hd-pro-webcam-c920-ab12"
    (session,) = hardware.ask(f"record {camera}")
    hardware.wait(f"camera {camera}", lambda one: one["frames"] > 50)
    hardware.unplug("video0")
    hardware.ask("pull")
    hardware.wait(f"camera {camera}", lambda one: one["state"] == "unplugged")
    hardware.plug("video4", 2, "AB12")
    before = hardware.ask(f"camera {camera}")["frames"]
    hardware.wait(f"camera {camera}", lambda one: one["state"] == "recording" and one["frames"] > before + 50)
    hardware.ask(f"stop {session}")
    bench.assert_whole()
    manifests = bench.manifests()
    assert {(one.camera.id, one.camera.serial, one.camera.kind) for one in manifests} == {(camera, "AB12", "v4l2")}
    sessions = list(dict.fromkeys(one.session_id for one in manifests))
    assert len(sessions) == 2
    first, second = ([one for one in manifests if one.session_id == session] for session in sessions)
    assert first[-1].reason_end == "unplugged" and first[-1].is_last
    assert second[0].gap_before_s > 0 and second[0].group_id == first[0].group_id


def test_a_killed_recorder_waits_for_a_camera_that_is_not_there_yet(bench: Any, hardware: Hardware) -> None:
    hardware.plug("video0", 2, "AB12")
    hardware.wait("devices", lambda all: len(all) == 1)
    camera = "hd-pro-webcam-c920-ab12"
    (session,) = hardware.ask(f"record {camera}")
    hardware.wait(f"camera {camera}", lambda one: one["frames"] > 50)
    hardware.unplug("video0")
    hardware.kill_recorder()
    hardware.wait(f"camera {camera}", lambda one: one["state"] == "unplugged")
    hardware.plug("video1", 2, "AB12")
    hardware.wait(f"camera {camera}", lambda one: one["state"] == "recording" and one["frames"] > 50)
    hardware.ask(f"stop {session}")
    bench.assert_whole()
    assert len({one.session_id for one in bench.manifests()}) == 2


def test_ids_come_from_serial_or_port_and_fit_the_pattern() -> None:
    assert stable_id("HD Pro Webcam C920", "8B2F3C1F", "pci-0", 0) == "hd-pro-webcam-c920-8b2f3c1f"
    by_port = stable_id("USB2.0 PC CAMERA: USB2.0 PC CAM", None, "pci-0000:00:14.0-usb-0:2.4.1:1.0", 2)
    assert by_port == "usb2-0-pc-camera-usb2-0-pci-0000-00-14-0-usb-0-2-4-1-1-0-2"
    assert CameraSettings(id=stable_id("é" * 90, None, "/" * 300, 1), kind="synthetic")


def test_the_mode_asked_for_is_large_fast_and_compressed() -> None:
    modes = [
        Mode("YUYV", 1920, 1080, ("5",)),
        Mode("MJPG", 1920, 1080, ("60", "30", "15")),
        Mode("YUYV", 640, 480, ("30",)),
        Mode("MJPG", 3840, 2160, ("30",)),
    ]
    camera = CameraSettings(id="c", kind="v4l2", device="x")
    assert best_mode(modes, camera) == modes[1]
    assert best_mode(modes, camera.model_copy(update={"input_format": "raw"})) == modes[0]
    assert best_mode(modes, camera.model_copy(update={"size": "3840x2160"})) == modes[3]
    assert best_mode([], camera) is None
