"""Offload to one and to two destinations against `cp` and a bare loop that reads the copies back and hashes them.

Every way reads the card from its disk, and reads the copies back from theirs. `cp` alone leaves a copy in memory: the
second way forces it to the disk before it reads it back, as offload does; the first does not.

Run: python benchmarks/offload.py [--large 2] [--small 200] [--on FOLDER]
"""

import argparse
import os
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from _measure import compare
from blake3 import blake3

from thatdam_pipelines.backup.offload import offload

BLOCK_BYTES = 4 * 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", type=int, default=2, help="files of 256 MiB")
    parser.add_argument("--small", type=int, default=200, help="files of 1 MiB")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--on", type=Path, help="folder for card and destinations; default: the temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.on) as folder:
        card = write_card(Path(folder) / "card", options.large, options.small)
        for number in (1, 2):
            # Nothing is removed while it is measured: that is room for the card three times a repeat and destination.
            with tempfile.TemporaryDirectory(dir=options.on) as top:
                measure(card, number, new_folders(Path(top)), options.repeats)


def measure(card: Path, destinations: int, fresh: Iterator[Path], repeats: int) -> None:
    files = [path for path in card.rglob("*") if path.is_file()]
    size_bytes = sum(path.stat().st_size for path in files)
    medians = compare(
        f"{len(files)} files, {size_bytes / 1e9:.2f} GB, to {destinations} destination(s)",
        {
            "cp, fsync, hashing read": lambda: copy_and_hash(card, fresh, destinations, sync=True),
            "cp, hashing read": lambda: copy_and_hash(card, fresh, destinations, sync=False),
            "offload": lambda: offloaded(card, fresh, destinations),
        },
        repeats,
    )
    ratio = medians["offload"].wall_s / medians["cp, hashing read"].wall_s
    print(f"offload against cp and hashing read without fsync: {ratio:.2f} of the wall time")


def write_card(card: Path, large: int, small: int) -> Path:
    (card / "DCIM").mkdir(parents=True)
    sizes = [256 * 2**20] * large + [2**20] * small
    for number, size in enumerate(sizes):
        with (card / "DCIM" / f"C{number:04d}.MOV").open("wb") as file:
            for _ in range(size // 2**20):
                file.write(os.urandom(2**20))
            os.fsync(file.fileno())
    return card


def new_folders(top: Path) -> Iterator[Path]:
    for number in count():
        folder = top / f"to{number}"
        folder.mkdir()
        yield folder


def copy_and_hash(card: Path, fresh: Iterator[Path], destinations: int, *, sync: bool) -> None:
    forget(card)
    roots = [next(fresh) for _ in range(destinations)]
    for root in roots:
        subprocess.run(["cp", "-r", "--preserve=timestamps", str(card), str(root)], check=True)
    for root in roots:
        for path in sorted(root.rglob("*.MOV")):
            with path.open("rb", buffering=0) as file:
                if sync:
                    os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                hasher = blake3()
                while block := file.read(BLOCK_BYTES):
                    hasher.update(block)
                hasher.hexdigest()


def offloaded(card: Path, fresh: Iterator[Path], destinations: int) -> None:
    forget(card)
    if not offload(card, [next(fresh) for _ in range(destinations)]).is_safe:
        raise SystemExit("the offload is not safe")


def forget(card: Path) -> None:
    """Let the system drop what it holds of the card in memory."""
    for path in card.rglob("*.MOV"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    main()
