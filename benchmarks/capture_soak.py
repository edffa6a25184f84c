"""Half an hour of several cameras: nothing dropped, and memory, files and threads that do not grow.

Run: python benchmarks/capture_soak.py [--minutes 30] [--cameras 3] [--size 640x360] [--rate 25]
"""

import argparse
import tempfile
import time
from pathlib import Path

import httpx
import psutil
from _measure import machine
from _recorder import recorder
from rich.console import Console
from rich.table import Table

SAMPLES = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--cameras", type=int, default=3)
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--rate", default="25")
    options = parser.parse_args()
    ids = [f"cam{number + 1}" for number in range(options.cameras)]
    title = f"{options.cameras} cameras of {options.size} at {options.rate} for {options.minutes:g} min"
    table = Table(
        "minute", "memory MB", "open files", "threads", "processes", "dropped", title=title, caption=machine()
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        recorder(Path(folder), ids, options.size, options.rate) as (url, process),
        httpx.Client(base_url=url, trust_env=False, timeout=60) as http,
    ):
        http.post("/v1/record", json={"camera_ids": ids, "group": "soak"}).raise_for_status()
        started = time.monotonic()
        for sample in range(SAMPLES + 1):
            time.sleep(max(0.0, started + max(10, sample * options.minutes * 60 / SAMPLES) - time.monotonic()))
            dropped = sum(device["stats"]["dropped"] for device in http.get("/v1/devices").json())
            table.add_row(f"{(time.monotonic() - started) / 60:.1f}", *held(process), str(dropped))
        manifests = http.post("/v1/record/soak/stop").json()["manifests"]
    console = Console(width=120)
    console.print(table)
    frames, lost = (sum(one[name] for one in manifests) for name in ("frames", "dropped"))
    gaps = sum(one["gap_before_s"] or 0 for one in manifests)
    console.print(f"{len(manifests)} segments, {frames} frames, {lost} dropped, {gaps:.3f} s missing between segments")


def held(process: psutil.Process) -> tuple[str, str, str, str]:
    """Memory (PSS), open files and threads of the recorder itself, and the number of processes below it."""
    memory = process.memory_full_info().pss / 1e6
    children = len(process.children(recursive=True))
    return f"{memory:.1f}", str(process.num_fds()), str(process.num_threads()), str(children)


if __name__ == "__main__":
    main()
