"""Peak memory of `thatdam offload` of a card with few files and of one with many, as the system counted it.

The files are tiny; the card and its one destination are folders. Every offload runs in a process of its own: the first
copies everything, the second finds it done, the third reads all of it again at both ends.

Run: python benchmarks/offload_memory.py [--few 2000] [--many 40000] [--on FOLDER]
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from backup_memory import peak, print_peaks

FILES_A_FOLDER = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--few", type=int, default=2_000)
    parser.add_argument("--many", type=int, default=40_000)
    parser.add_argument("--on", type=Path, help="folder for card and destination; default: the temporary folder")
    options = parser.parse_args()
    counts = (options.few, options.many)
    peaks = []
    for files in counts:
        with tempfile.TemporaryDirectory(dir=options.on) as folder:
            peaks.append(peaks_of(Path(folder), files))
    print_peaks(counts, peaks)


def peaks_of(folder: Path, files: int) -> dict[str, int]:
    """Most bytes that each offload of a card with so many files held at once."""
    os.environ["THATDAM_HOME"] = str(folder / "home")
    card, disk = folder / "A001", folder / "disk"
    disk.mkdir()
    for number in range(files):
        path = card / f"DCIM/{number // FILES_A_FOLDER:03d}TEST/F{number:06d}.XML"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number)
    command = [str(Path(sys.executable).with_name("thatdam")), "offload", str(card), "--to", str(disk)]
    return {
        "offload, first": peak(command),
        "offload, again": peak(command),
        "offload --reverify": peak([*command, "--reverify"]),
    }


if __name__ == "__main__":
    main()
