"""The proxies stage against a bare ffmpeg that makes only the same proxies. Target: at most 1.25 times its CPU.

python benchmarks/proxies.py [--clips 4] [--seconds 10] [--repeats 3]
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from _measure import compare

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import PROXIES
from thatdam_pipelines.media import command, picture
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ffmpeg import ffmpeg_exe
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.media.probes import probe_batch
from thatdam_pipelines.media.proxies import proxy_batch
from thatdam_pipelines.settings import Settings

TARGET = 1.25


def make_footage(exe: str, folder: Path, clips: int, seconds: float) -> list[Path]:
    """1080p camera-like clips: 20 Mbit/s H.264 with noise and stereo sound."""
    paths = [folder / f"clip-{number}.mp4" for number in range(clips)]
    for number, path in enumerate(paths):
        scene = f"mandelbrot=size=1920x1080:rate=30:start_scale={3 / (number + 1)}"
        sound = f"sine=frequency={220 * (number + 1)}:sample_rate=48000"
        noise = f"noise=alls=4:allf=t:all_seed={number},format=yuv420p"
        arguments = ["-v", "error", "-y", "-f", "lavfi", "-i", scene, "-f", "lavfi", "-i", sound, "-t", str(seconds)]
        arguments += ["-vf", noise, "-c:v", "libx264", "-preset", "veryfast", "-b:v", "20M", "-g", "30"]
        subprocess.run([exe, *arguments, "-c:a", "aac", "-ac", "2", str(path)], check=True)
    return paths


def bare_proxy(exe: str, path: Path, target: Path, threads: int | None) -> None:
    """What a person would type for the same proxy: same size, codec, quality and keyframes."""
    limit = [] if threads is None else ["-threads", str(threads)]
    scale = f"scale=-2:{picture.PROXY_SHORT_EDGE}:flags={picture.SCALER}:out_range=tv,format=yuv420p"
    arguments = ["-v", "error", "-nostdin", "-y", *limit, "-i", str(path), "-vf", scale, "-c:v", "libx264", *limit]
    arguments += ["-preset", command.PRESET, "-crf", str(command.CRF)]
    arguments += ["-keyint_min", str(command.LEAST_KEYFRAME_FRAMES)]
    arguments += ["-force_key_frames", f"expr:gte(t,n_forced*{command.KEYFRAME_S})"]
    arguments += ["-c:a", "aac", "-b:a", command.SOUND_BIT_RATE, "-ac", "2", "-movflags", "+faststart", str(target)]
    subprocess.run([exe, *arguments], check=True)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--clips", type=int, default=4)
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--repeats", type=int, default=3)
    given = options.parse_args()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = Settings(home=folder / "home", disk_reserve_bytes=0)
        exe = ffmpeg_exe(settings)
        (folder / "card").mkdir()
        clips = make_footage(exe, folder / "card", given.clips, given.seconds)
        with Library(settings) as library:
            [batch_id] = claim_paths(library, [folder / "card"], "reference")
            ingest_batch(library, batch_id)
            probe_batch(library, batch_id)
            derived, table = Path(library.store.url("derived")), library.tables.path(PROXIES, batch_id)

        def bare(threads: int | None) -> None:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                list(pool.map(lambda path: bare_proxy(exe, path, folder / f"{path.stem}.out.mp4", threads), clips))

        def stage() -> None:
            shutil.rmtree(derived, ignore_errors=True)
            table.unlink(missing_ok=True)
            with Library(settings) as library:
                report = proxy_batch(library, batch_id)
            assert report.computed == len(clips) and not report.failures, report

        costs = compare(
            f"Proxies of {given.clips} clips of {given.seconds:g} s, 1080p",
            {
                "bare ffmpeg, proxy only": lambda: bare(None),
                "bare ffmpeg, proxy only, one thread each": lambda: bare(1),
                "proxies stage, everything": stage,
            },
            given.repeats,
        )
    ratio = costs["proxies stage, everything"].cpu_s / costs["bare ffmpeg, proxy only"].cpu_s
    print(f"CPU ratio {ratio:.2f}, target at most {TARGET}")
    return 0 if ratio <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
