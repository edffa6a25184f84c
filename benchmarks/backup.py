"""Backup of many small and some large files to a folder on a disk, against restic and rclone: first and second run.

Nothing changes between the runs but the library's database, in which the first run of thatdam wrote. All are given the
same files: originals, tables and database of one library. What each promises differs, and is printed beside.

Run: python benchmarks/backup.py [--small 20000] [--large 20] [--on FOLDER]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from _measure import Cost, cost_of, print_medians
from rich.console import Console
from rich.table import Table

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.settings import Settings

FILES_A_FOLDER = 500
PROMISES = {
    "thatdam": ("each file forced to the disk, read back from it and compared", "listed whole, and proven before"),
    "restic": ("packs forced to the disk; nothing read back", "times and size as in the last snapshot"),
    "rclone sync": ("read back from memory and compared; nothing forced to the disk", "times and size at both ends"),
    "rclone sync --checksum": ("the same", "both ends read whole, from memory where they are there"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=20_000)
    parser.add_argument("--small-kib", type=int, default=16)
    parser.add_argument("--large", type=int, default=20)
    parser.add_argument("--large-mib", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--on", type=Path, help="folder for library and targets; default: the temporary folder")
    options = parser.parse_args()
    sizes = [options.small_kib * 2**10] * options.small + [options.large_mib * 2**20] * options.large
    with tempfile.TemporaryDirectory(dir=options.on) as folder:
        home = write_home(Path(folder), sizes)
        runs: dict[str, dict[str, list[Cost]]] = {"first run": {}, "second run": {}}
        for number in range(options.repeats):
            with tempfile.TemporaryDirectory(dir=options.on) as top:
                ways = ways_to(home, Path(top), f"target{number}")
                for costs in runs.values():
                    for way, run in ways.items():
                        costs.setdefault(way, []).append(cost_of(run))
    print_promises()
    for name, costs in runs.items():
        medians = print_medians(f"{name}, {len(sizes)} files, {sum(sizes) / 1e9:.2f} GB", costs)
        fastest = min(cost.wall_s for way, cost in medians.items() if way != "thatdam")
        print(f"{name}: thatdam takes {medians['thatdam'].wall_s / fastest:.2f} of the faster one's wall time")


def write_home(folder: Path, sizes: list[int]) -> Path:
    """A library with an original of each size, all different."""
    card = folder / "card"
    for number, size in enumerate(sizes):
        path = card / f"{number // FILES_A_FOLDER:03d}" / f"C{number:06d}.MOV"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size))
    home = folder / "home"
    with Library(Settings(home=home, embedder="descriptor", disk_reserve_bytes=0)) as library:
        for batch_id in claim_paths(library, [card], "move"):
            ingest_batch(library, batch_id)
    os.sync()
    return home


def ways_to(home: Path, top: Path, name: str) -> dict[str, Callable[[], None]]:
    """Each way to back the home up to a folder of its own below ``top``."""
    target = json.dumps([{"name": name, "url": str(top / "thatdam")}])
    thatdam = {"THATDAM_HOME": str(home), "THATDAM_BACKUP_TARGETS": target, "THATDAM_EMBEDDER": "descriptor"}
    restic = {"RESTIC_PASSWORD": "benchmark", "RESTIC_CACHE_DIR": str(top / "cache")}
    restic |= {"RESTIC_REPOSITORY": str(top / "restic")}
    execute(["restic", "init"], restic)
    wanted = [str(home / part) for part in ("media", "tables", "library.db")]
    sync = ["rclone", "--config", "", "sync", str(home)]
    parts = [word for part in ("media/**", "tables/**", "library.db") for word in ("--include", f"/{part}")]
    return {
        "thatdam": lambda: execute([str(Path(sys.executable).with_name("thatdam")), "backup", "run"], thatdam),
        "restic": lambda: execute(["restic", "backup", *wanted], restic),
        "rclone sync": lambda: execute([*sync, str(top / "rclone"), *parts], {}),
        "rclone sync --checksum": lambda: execute([*sync, str(top / "sums"), *parts, "--checksum"], {}),
    }


def execute(command: list[str], environment: dict[str, str]) -> None:
    subprocess.run(command, env=os.environ | environment, check=True, stdout=subprocess.DEVNULL)


def print_promises() -> None:
    table = Table("way", "a copy counts once", "on the second run it counts when", title="what each promises")
    for way, promises in PROMISES.items():
        table.add_row(way, *promises)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
