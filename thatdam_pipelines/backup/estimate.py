"""How long a restore would take, from reading a few of its files at the target now."""

import random
import time
from dataclasses import dataclass

from thatdam_pipelines.backup.manifest import Line
from thatdam_pipelines.backup.sample import Sample
from thatdam_pipelines.backup.targets import Target, object_key
from thatdam_pipelines.errors import ThatdamError
from thatdam_pipelines.library.checksum import BLOCK_BYTES, Hasher

_SMALL_READ = 16
_LARGE_READ = 3
_LARGE_BYTES = 64 * 2**20
_NO_LONGER_S = 10.0
_SEED = 0


@dataclass(frozen=True)
class Estimate:
    """What a restore is thought to take.

    Args:
        seconds: None: nothing of it could be read.
        read_files: Files that were read at the target to find out, whole or in part.
        basis: How it was found, in words.
    """

    seconds: float | None
    read_files: int
    read_bytes: int
    basis: str


class Forecast:
    """Is told of each file that is to be restored; then reads some of them.

    Small files cost by the file, large ones by the byte: a random sample of each is read.
    """

    def __init__(self) -> None:
        self._small = Sample(_SMALL_READ, random.Random(_SEED))
        self._large = Sample(_LARGE_READ, random.Random(_SEED))

    def see(self, line: Line) -> None:
        (self._small if line.size_bytes <= BLOCK_BYTES else self._large).see(line)

    def estimate(self, target: Target) -> Estimate:
        """Read the samples, for some seconds at most, and reckon with their pace."""
        until = time.monotonic() + _NO_LONGER_S
        files, _, small_s = _read(target, self._small.lines, until)
        large_files, large_bytes, large_s = _read(target, self._large.lines, until)
        if (self._small.files and not files) or (self._large.files and not large_bytes):
            return Estimate(None, 0, 0, f"nothing could be read at {target.name}")
        seconds = self._small.files * small_s / max(files, 1) + self._large.bytes * large_s / max(large_bytes, 1)
        read_bytes = large_bytes + sum(line.size_bytes for line in self._small.lines[:files])
        said = f"{files + large_files} of the files ({read_bytes / 1e6:.1f} MB) were read at {target.name} in "
        said += f"{small_s + large_s:.2f} s; writing them comes on top where it is slower than reading"
        return Estimate(seconds, files + large_files, read_bytes, said)


def _read(target: Target, lines: list[Line], until: float) -> tuple[int, int, float]:
    """Files and bytes that were read and hashed, as a restore does, and seconds that it took."""
    files = size = 0
    began = time.monotonic()
    for line in lines:
        if files and time.monotonic() > until:
            break
        hasher, read = Hasher(), 0
        try:
            for block in target.place.read(object_key(line.blake3)):
                hasher.update(block)
                read += len(block)
                if read >= _LARGE_BYTES or time.monotonic() > until:
                    break
        except (FileNotFoundError, ThatdamError):
            continue
        files, size = files + 1, size + read
    return files, size, time.monotonic() - began
