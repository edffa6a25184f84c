"""CPU of one 1080p30 recording with its preview, against bare ffmpeg doing only the recording.

Both read the same synthetic camera and encode alike; the recorder also scales and serves a preview, reads the clock of
every frame, writes segments, hashes and commits them. CPU counts every process. The synthetic camera costs CPU as
well, in both ways: what it takes alone is shown and can be subtracted.

Run: python benchmarks/capture_record.py [--seconds 20]
"""

import argparse
import asyncio
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from _measure import compare, machine
from rich.console import Console

from thatdam_capture.command import COMMON
from thatdam_capture.ffmpeg import ffmpeg_exe
from thatdam_capture.service import CaptureService
from thatdam_capture.sessions import RecordRequest
from thatdam_capture.settings import Settings
from thatdam_capture.sources import Source, source_of

TARGET = 1.15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    waits: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        settings = recorder_settings(Path(name) / "store")
        source = synthetic_source(settings)
        medians = compare(
            f"{options.seconds:g} s of 1080p30, H.264",
            {
                "bare ffmpeg, only the recording": lambda: bare(settings, source, Path(name), options.seconds),
                "recorder, with preview": lambda: asyncio.run(record(settings, options.seconds, waits)),
                "the synthetic camera alone": lambda: ffmpeg(settings, source, options.seconds, "-f", "null", "-"),
            },
            options.repeats,
        )
    one, two, camera = (cost.cpu_s for cost in medians.values())
    console = Console(width=120)
    console.print(
        f"CPU ratio {two / one:.2f}, target at most {TARGET}; less the camera {(two - camera) / (one - camera):.2f}"
    )
    console.print(f"press of record to first committed frame: median {statistics.median(waits):.2f} s; {machine()}")


def recorder_settings(store: Path) -> Settings:
    camera = {"id": "cam1", "kind": "synthetic", "size": "1920x1080", "rate": "30"}
    return Settings.model_validate(
        {"store": store, "discover": False, "segment_s": 10, "cameras": [camera], "limits": {"reserve_bytes": 0}}
    )


def synthetic_source(settings: Settings) -> Source:
    async def devices() -> Source:
        service = CaptureService(settings)
        await service.start()
        try:
            return source_of(settings.cameras[0], service.devices()[0], settings.timing)
        finally:
            await service.stop()

    return asyncio.run(devices())


async def record(settings: Settings, seconds: float, waits: list[float]) -> None:
    """Record; adds the seconds from the press of record to the first frame that was committed."""
    service = CaptureService(settings)
    await service.start()
    try:
        pressed = time.time()
        (session,) = await service.record(RecordRequest(camera_ids=("cam1",)))
        camera = service.camera("cam1")
        while not camera.stats.frames:
            await asyncio.sleep(0.05)
        await asyncio.sleep(seconds)
        manifests = await service.stop_session(session.id)
        waits.append(manifests[0].start_utc.timestamp() - pressed)
    finally:
        await service.stop()


def bare(settings: Settings, source: Source, folder: Path, seconds: float) -> None:
    profile = settings.all_profiles["h264"]
    target = folder / "bare.mkv"
    target.unlink(missing_ok=True)
    video = [
        "-map",
        "0:v:0",
        "-c:v",
        "libx264",
        "-preset",
        profile.preset,
        "-tune",
        "zerolatency",
        "-crf",
        str(profile.crf),
    ]
    audio = ["-map", source.audio or "0:a:0", "-c:a", "aac", "-b:a", "192k"]
    ffmpeg(settings, source, seconds, *video, "-pix_fmt", "yuv420p", *audio, f"file:{target}")


def ffmpeg(settings: Settings, source: Source, seconds: float, *output: str) -> None:
    command = [ffmpeg_exe(settings), *COMMON, *source.inputs, "-t", str(seconds), *output]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
