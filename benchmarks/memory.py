"""Peak memory of a run with ViT-B-32, worker processes and ffmpeg included, for a small batch and a large one.

Memory is the proportional set size (PSS): what several processes share counts once.

Run: python benchmarks/memory.py [--clips 100]
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from _clips import write_clips
from _measure import machine
from _vit import write_random_vit
from rich.console import Console
from rich.table import Table

RUN = """
import sys
from pathlib import Path
from chain import chain
from thatdam_pipelines.settings import Settings
chain(Path(sys.argv[1]), Settings(home=Path(sys.argv[2]), embedder=sys.argv[3]))
"""
EVERY_S = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=100)
    options = parser.parse_args()
    table = Table("batch", "all processes GB", "the run itself GB", title="peak memory, ViT-B-32", caption=machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = str(write_random_vit(folder)["embedder"])
        for clips in (2, options.clips):
            card = folder / f"card{clips}"
            write_clips(card, clips, 10, "1280x720")
            whole, run = peak([sys.executable, "-c", RUN, str(card), str(folder / f"home{clips}"), model])
            table.add_row(f"{clips} clips of 10 s", f"{whole / 1e9:.2f}", f"{run / 1e9:.2f}")
    Console(width=120).print(table)


def peak(command: list[str]) -> tuple[int, int]:
    """Most bytes that a command and all it started held at once, and most that it held itself."""
    running = subprocess.Popen(command, cwd=Path(__file__).parent, stdout=subprocess.DEVNULL)
    process = psutil.Process(running.pid)
    most_whole = most_run = 0
    while running.poll() is None:
        own = held(process)
        below = []
        with contextlib.suppress(psutil.NoSuchProcess):
            below = process.children(recursive=True)
        most_whole = max(most_whole, own + sum(map(held, below)))
        most_run = max(most_run, own)
        time.sleep(EVERY_S)
    if running.returncode:
        raise SystemExit(f"the run failed: exit {running.returncode}")
    return most_whole, most_run


def held(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return int(process.memory_full_info().pss)
    return 0


if __name__ == "__main__":
    main()
