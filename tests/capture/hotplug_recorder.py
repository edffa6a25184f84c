"""A recorder beside mock hardware, run by ``umockdev-wrapper``: obeys lines, answers each with one line of JSON.

Mock nodes give no pictures: the synthetic camera stands in for what ffmpeg would read from them, and ``pull`` ends
ffmpeg as a node does that is gone.
"""

import asyncio
import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import psutil

from thatdam_capture import sources
from thatdam_capture.devices import Device
from thatdam_capture.service import CaptureService
from thatdam_capture.sessions import RecordRequest
from thatdam_capture.settings import CameraSettings, Settings
from thatdam_capture.synthetic import synthetic_graph

RATE = Fraction(25)


def stand_in(camera: CameraSettings, device: Device, rate: Fraction | None) -> tuple[Any, ...]:
    assert device.path is not None
    return ("-f", "lavfi", "-i", synthetic_graph(320, 180, RATE)), False, RATE


async def main() -> None:
    sources._v4l2 = stand_in
    settings = Settings.load(Path(sys.argv[1]))
    service = CaptureService(settings)
    await service.start()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        word, _, value = line.strip().partition(" ")
        answer: Any = None
        match word:
            case "devices":
                answer = [
                    {"id": one.id, "online": one.online, "path": one.path, "modes": len(one.modes)}
                    for one in service.devices()
                ]
            case "record":
                answer = [one.id for one in await service.record(RecordRequest(camera_ids=[value]))]
            case "camera":
                camera = service.camera(value)
                answer = {"state": camera.state, "frames": camera.stats.frames}
            case "pull":
                for child in psutil.Process().children():
                    child.kill()
            case "stop":
                answer = [one.model_dump(mode="json") for one in await service.stop_session(value)]
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    await service.stop()


asyncio.run(main())
