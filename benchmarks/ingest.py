"""The ingest job on many small clips: files a second, and wall time against only copying and proving the same files.

Run: python benchmarks/ingest.py [--files 2000]
"""

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

from _clips import write_clips
from _measure import compare

from thatdam_pipelines.library.checksum import digest_file
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.runs import run_batches
from thatdam_pipelines.settings import Settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clips = write_clips(Path(folder) / "card", options.files, 1, "640x360")
        homes = (Path(folder) / f"home{number}" for number in range(options.repeats))
        copies = (Path(folder) / f"copies{number}" for number in range(options.repeats))
        medians = compare(
            f"ingest {options.files} clips of 1 s",
            {
                "copy, sync, hash and read back only": lambda: copy_and_prove(clips, next(copies)),
                "ingest job, in Dagster": lambda: ingest(Path(folder) / "card", next(homes), options.files),
            },
            options.repeats,
        )
        print(f"ingest job: {options.files / medians['ingest job, in Dagster'].wall_s:.1f} files/s")


def copy_and_prove(clips: list[Path], target: Path) -> None:
    target.mkdir()
    for clip in clips:
        copy = target / clip.name
        shutil.copyfile(clip, copy)
        with copy.open("rb") as written:
            os.fsync(written.fileno())
        if digest_file(copy) != digest_file(clip):
            raise SystemExit(f"{copy} differs")


def ingest(card: Path, home: Path, expected: int) -> None:
    settings = Settings(home=home, embedder="descriptor")
    with Library(settings) as library:
        batches = claim_paths(library, [card], "copy")
    report = run_batches(settings, batches, understand=False)
    with Library(settings) as library:
        files = sum(batch.files for batch in library.ledger.batches(limit=None, state="done"))
    if not report.success or files != expected:
        raise SystemExit(f"ingested {files} of {expected}: {report.failed}")


if __name__ == "__main__":
    started = time.monotonic()
    main()
    print(f"took {time.monotonic() - started:.0f} s")
