"""CPU a file: the platform's probe against one ffprobe a file.

``python benchmarks/probe.py [FOLDER]`` probes clips it makes (several containers, 1080p, 4 s), or a folder's files.
ffprobe does not come with thatdam: install one to compare with (``apt-get install ffmpeg``), or name it in $FFPROBE.
"""

import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.media.probe import probe_file
from thatdam_pipelines.samples.good_files import run_ffmpeg

TARGET = 50.0
ROUNDS = 20
PICTURE = ["-f", "lavfi", "-i", "testsrc2=s=1920x1080:r=30000/1001:d=4", "-f", "lavfi", "-i", "sine=d=4:r=48000"]
H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]


def make_clips(folder: Path) -> list[Path]:
    """One clip of each usual container."""
    first = folder / "clip.mov"
    run_ffmpeg([*PICTURE, *H264, "-bf", "2", "-timecode", "01:00:00;02", "-metadata", "make=Sony", str(first)])
    again = ["-i", str(first), "-map", "0:v", "-map", "0:a"]
    outputs: dict[str, list[str]] = {
        "clip.mp4": ["-c", "copy"],
        "fragmented.mp4": ["-c", "copy", "-movflags", "+frag_keyframe+empty_moov"],
        "clip.mkv": ["-c", "copy"],
        "clip.mts": ["-c", "copy", "-f", "mpegts"],
        "clip.mxf": ["-c:v", "mpeg2video", "-q:v", "8", "-c:a", "pcm_s16le"],
        "clip.avi": ["-c:v", "mjpeg", "-q:v", "8", "-c:a", "pcm_s16le"],
        "clip.webm": ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus"],
    }
    for name, options in outputs.items():
        run_ffmpeg([*again, *options, str(folder / name)])
    for name in ("sound.wav", "sound.mp3", "sound.m4a"):
        run_ffmpeg(["-i", str(first), "-vn", str(folder / name)])
    return sorted(folder.iterdir())


def own_cpu_s(path: Path) -> float:
    """CPU seconds of one probe in this process."""
    started = time.process_time()
    for _ in range(ROUNDS):
        probe_file(path, path.name)
    return (time.process_time() - started) / ROUNDS


def ffprobe_cpu_s(ffprobe: str, path: Path) -> float:
    """CPU seconds of one ffprobe process that prints format and streams."""
    rounds = 5
    arguments = [ffprobe, "-v", "error", "-show_format", "-show_streams", "-of", "json", str(path)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(rounds):
        subprocess.run(arguments, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / rounds


def warmed_up(probe: Callable[[Path], float], files: list[Path]) -> list[Path]:
    """The files that can be probed, each probed once: imports and caches are paid for."""
    readable = []
    for path in files:
        try:
            probe(path)
        except MediaError as error:
            print(f"left out: {error}")
        else:
            readable.append(path)
    return readable


def main() -> int:
    ffprobe = os.environ.get("FFPROBE") or shutil.which("ffprobe")
    with tempfile.TemporaryDirectory() as scratch:
        given = [path for path in Path(sys.argv[1]).rglob("*") if path.is_file()] if len(sys.argv) > 1 else None
        files = warmed_up(own_cpu_s, given or make_clips(Path(scratch)))
        ours = {path: own_cpu_s(path) for path in files}
        theirs = {path: ffprobe_cpu_s(ffprobe, path) for path in files} if ffprobe else {}
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, ffprobe: {ffprobe}")
    print(f"{'file':24}{'probe ms':>10}{'ffprobe ms':>12}{'ratio':>8}")
    for path in files:
        line = f"{path.name[:23]:24}{1000 * ours[path]:10.2f}"
        print(line + (f"{1000 * theirs[path]:12.1f}{theirs[path] / ours[path]:8.0f}" if theirs else ""))
    mean = sum(ours.values()) / len(ours)
    if not theirs:
        print(f"mean {1000 * mean:.2f} ms CPU a file; no ffprobe here to compare with")
        return 0
    ratio = sum(theirs.values()) / sum(ours.values())
    print(f"mean {1000 * mean:.2f} ms CPU a file; ratio {ratio:.0f} (target {TARGET:.0f})")
    return 0 if ratio >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
