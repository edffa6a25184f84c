"""One look at a watched folder of known files, against a bare scandir and stat of the same tree.

    python benchmarks/scan.py [FILES]

Target: at most 1.5 times.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from thatdam_pipelines.library.arrivals import Sighting
from thatdam_pipelines.library.ledger import Ledger
from thatdam_pipelines.library.watch import scan_folder
from thatdam_pipelines.settings import Settings, WatchedFolder

ROUNDS = 9


def main(files: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder, "watched")
        make_tree(top, files)
        settings = Settings(home=Path(folder, "home"), batch_max_files=10_000)
        watched = WatchedFolder(path=top, settle_seconds=0)
        ledger = Ledger(settings.database_url)
        know_all(ledger, settings, watched)
        bare, looks = [], []
        for _ in range(ROUNDS):
            bare.append(timed(lambda: bare_walk(top)))
            looks.append(timed(lambda: scan_folder(ledger, settings, watched, datetime.now(UTC))))
        ledger.close()
    print(f"{files} known files, medians of {ROUNDS} interleaved rounds")
    for name, number in (("wall", 0), ("CPU", 1)):
        walk, look = (statistics.median(times[number] for times in runs) for runs in (bare, looks))
        print(f"{name}: bare scandir + stat {walk:.3f} s, one look {look:.3f} s, ratio {look / walk:.2f}")
    print("target: at most 1.5")


def make_tree(top: Path, files: int) -> None:
    """Cards of a thousand clips each, in folders of a hundred."""
    for number in range(files):
        path = top / f"card {number // 1000:04}" / "DCIM" / f"{100 + number // 100 % 10}MEDIA" / f"DJI_{number:06}.MP4"
        if number % 100 == 0:
            path.parent.mkdir(parents=True)
        path.touch()


def know_all(ledger: Ledger, settings: Settings, watched: WatchedFolder) -> None:
    """Scan until every file is claimed, and say that each was ingested by copying."""
    now = datetime.now(UTC)
    scan_folder(ledger, settings, watched, now)
    while scan_folder(ledger, settings, watched, now := now + timedelta(seconds=10)).batches:
        for batch in ledger.pending_batches():
            taken = ledger.batch_files(batch.batch_id)
            ledger.mark_files(batch.batch_id, done=[Sighting(f.rel_path, f.size_bytes, f.mtime_ns) for f in taken])
            ledger.finish_batch(batch.batch_id, "done")


def bare_walk(top: Path) -> None:
    folders = [os.fspath(top)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    entry.stat(follow_symlinks=False)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds that ``work`` takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
