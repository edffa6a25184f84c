"""The whole chain on 1080p clips with ViT-B-32, against bare ffmpeg proxies and a bare encode of the same frames.

Run: python benchmarks/chain.py [--clips 20]
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from _clips import write_clips
from _measure import compare
from _vit import write_random_vit

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import EMBEDDINGS_L0, EMBEDDINGS_L1
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.runs import run_batches
from thatdam_pipelines.settings import Settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = write_clips(folder / "card", options.clips, 10, "1920x1080")
        model = write_random_vit(folder)
        frames = chain(folder / "card", Settings(home=folder / "first", **model))
        print(f"{frames} frames are embedded for {options.clips} clips")
        homes = (folder / f"home{number}" for number in range(options.repeats))
        compare(
            f"{options.clips} clips of 10 s, 1080p, ViT-B-32",
            {
                "bare ffmpeg proxy + bare encode": lambda: bare(clips, folder / "bare", frames, str(model["embedder"])),
                "whole chain": lambda: chain(folder / "card", Settings(home=next(homes), **model)),
            },
            options.repeats,
        )


def chain(card: Path, settings: Settings) -> int:
    """Ingest and understand everything; gives the number of frames that were embedded."""
    with Library(settings) as library:
        batches = claim_paths(library, [card], "copy")
    report = run_batches(settings, batches, understand=True)
    if not report.success:
        raise SystemExit(str(report.failed))
    with Library(settings) as library:
        tables = library.tables
        files = sum(int(tables.read(EMBEDDINGS_L0, batch)["frames"].sum()) for batch in batches)
        return files + sum(tables.read(EMBEDDINGS_L1, batch).height for batch in batches)


def bare(clips: list[Path], folder: Path, frames: int, embedder: str) -> None:
    folder.mkdir(exist_ok=True)
    for clip in clips:
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", "-i", str(clip)]
        command += ["-vf", "scale=-2:540", "-c:v", "libx264", "-preset", "veryfast", "-crf", "23"]
        command += ["-force_key_frames", "expr:gte(t,n_forced)", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "128k"]
        subprocess.run([*command, "-movflags", "+faststart", str(folder / clip.name)], check=True)
    encode(frames, embedder)


def encode(frames: int, embedder: str) -> None:
    import open_clip
    import torch

    model = open_clip.create_model("ViT-B-32", pretrained=embedder.partition("@")[2]).eval()
    pictures = torch.from_numpy(np.random.default_rng(0).random((32, 3, 224, 224), np.float32))
    with torch.inference_mode():
        for start in range(0, frames, 32):
            model.encode_image(pictures[: min(32, frames - start)], normalize=True)


if __name__ == "__main__":
    main()
