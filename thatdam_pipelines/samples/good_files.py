"""Whole files of many kinds, small, as bytes: what a corpus of bad files is made from."""

import subprocess
import tempfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

Expected = Literal["ingested", "quarantined", "ignored", "sidecar", "either"]
Spec = tuple[str, bytes, Expected, str, str, str | None]
"""Name, content, what becomes of it, why, what the reason or a warning says, and the kind it is found to be."""


@dataclass(frozen=True)
class GoodFiles:
    """Whole files that are damaged: MP4 with the index last and first, MOV, MKV, TS, AVI, WAV, MP3 and stills."""

    mp4: bytes
    faststart: bytes
    mov: bytes
    mkv: bytes
    raw_mkv: bytes
    ts: bytes
    avi: bytes
    wav: bytes
    mp3: bytes
    m4a: bytes
    jpg: bytes
    png: bytes
    gif: bytes
    heic: bytes
    tiff: bytes


def good_files() -> GoodFiles:
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        picture = ["-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=2", "-f", "lavfi", "-i", "sine=d=2"]
        encode = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "32k"]
        run_ffmpeg([*picture, *encode, str(work / "a.mp4")])
        clip = ["-i", str(work / "a.mp4")]
        copies = {"f.mp4": "+faststart", "a.mov": "0", "a.ts": "0"}
        outputs = [["-map", "0", "-c", "copy", "-movflags", flags, str(work / name)] for name, flags in copies.items()]
        outputs += [
            ["-map", "0", "-c", "copy", "-metadata", f"title={'T' * 60}", str(work / "a.mkv")],
            ["-map", "0:v", "-c:v", "mpeg4", str(work / "a.avi")],
            ["-map", "0:a", str(work / "a.wav")],
            ["-map", "0:a", str(work / "a.mp3")],
            ["-map", "0:a", "-c", "copy", str(work / "a.m4a")],
            ["-map", "0:v", "-frames:v", "1", "-s", "320x320", "-c:v", "rawvideo", str(work / "raw.mkv")],
        ]
        run_ffmpeg([*clip, *(argument for output in outputs for argument in output)])
        names = ["a.mp4", "f.mp4", "a.mov", "a.mkv", "raw.mkv", "a.ts", "a.avi", "a.wav", "a.mp3", "a.m4a"]
        return GoodFiles(*((work / name).read_bytes() for name in names), *_good_stills())


def _good_stills() -> list[bytes]:
    import numpy as np
    import pillow_heif
    from PIL import Image

    pillow_heif.register_heif_opener()
    picture = Image.fromarray(np.random.default_rng(7).integers(0, 256, (48, 64, 3), dtype=np.uint8))
    stills = []
    for form in ("JPEG", "PNG", "GIF", "HEIF", "TIFF"):
        memory = BytesIO()
        picture.save(memory, form)
        stills.append(memory.getvalue())
    return stills


def run_ffmpeg(arguments: list[str]) -> None:
    import imageio_ffmpeg

    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments], check=True, capture_output=True)
