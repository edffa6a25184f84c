"""Clips to measure with: real H.264 of moving content, as many different files as wanted."""

import shutil
import struct
import subprocess
from pathlib import Path

import imageio_ffmpeg


def write_clips(folder: Path, count: int, seconds: int, size: str, *, different: int = 4) -> list[Path]:
    """Write ``count`` mp4 clips with sound into ``folder``.

    ``different`` clips are encoded; the others are copies with a ``free`` box (ISO/IEC 14496-12) of their own at the
    end, so that each is a content of its own and costs the same.

    Args:
        size: Width and height as ``1920x1080``.
    """
    folder.mkdir(parents=True)
    encoded = [_encode(folder / f".base{number}.mp4", number, seconds, size) for number in range(min(different, count))]
    clips = []
    for number in range(count):
        clip = folder / f"CLIP{number:05d}.MP4"
        shutil.copyfile(encoded[number % len(encoded)], clip)
        with clip.open("ab") as end:
            end.write(struct.pack(">I4sQ", 16, b"free", number))
        clips.append(clip)
    for base in encoded:
        base.unlink()
    return clips


def _encode(path: Path, seed: int, seconds: int, size: str) -> Path:
    picture = f"testsrc2=size={size}:rate=30:duration={seconds},hue=h={40 * seed}"
    sound = f"sine=frequency={220 * (seed + 1)}:duration={seconds}"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y"]
    command += ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound]
    command += [
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-crf",
        "20",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
        str(path),
    ]
    subprocess.run(command, check=True)
    return path
