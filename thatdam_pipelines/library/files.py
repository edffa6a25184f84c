"""Writing files so that readers never see half of one."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

PART_SUFFIX = ".part"


def fsync_dir(folder: Path) -> None:
    """Make renames inside ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a path beside ``target`` to write to; on success it is fsynced and renamed over ``target``.

    On an exception the half-written file is removed and ``target`` is as it was. After a kill the leftover ends in
    ``.part`` and the next writer of ``target`` in the same process replaces it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}{PART_SUFFIX}")
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    fsync_dir(target.parent)
