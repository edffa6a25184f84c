"""A recorder as a process of its own, to be killed: records every camera of a settings file until SIGTERM."""

import asyncio
import signal
import sys
from pathlib import Path

from thatdam_capture.service import CaptureService
from thatdam_capture.sessions import RecordRequest
from thatdam_capture.settings import Settings


async def main() -> None:
    settings = Settings.load(Path(sys.argv[1]))
    service = CaptureService(settings)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await service.start()
    if not service.sessions():
        await service.record(RecordRequest(camera_ids=[camera.id for camera in settings.cameras], group="take"))
    await stop.wait()
    await service.stop()


if __name__ == "__main__":
    asyncio.run(main())
