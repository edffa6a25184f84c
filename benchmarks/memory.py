"""Peak memory of one heavy run with ViT-B-32, for a small batch and a large one.

Run: python benchmarks/memory.py [--clips 100]
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from _clips import write_clips
from _measure import machine
from _vit import write_random_vit
from rich.console import Console
from rich.table import Table

RUN = """
import resource, sys
from pathlib import Path
from chain import chain
from thatdam_pipelines.settings import Settings
chain(Path(sys.argv[1]), Settings(home=Path(sys.argv[2]), embedder=sys.argv[3]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=100)
    options = parser.parse_args()
    table = Table("batch", "run GiB", "largest worker or ffmpeg GiB", title="peak memory, ViT-B-32", caption=machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = str(write_random_vit(folder)["embedder"])
        for clips in (2, options.clips):
            card = folder / f"card{clips}"
            write_clips(card, clips, 10, "1280x720")
            command = [sys.executable, "-c", RUN, str(card), str(folder / f"home{clips}"), model]
            said = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent)
            run, child = (int(kib) / 2**20 for kib in said.stdout.split()[-2:])
            table.add_row(f"{clips} clips of 10 s", f"{run:.2f}", f"{child:.2f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
