"""A file on its way to a destination of an offload: what was read of the card, what is written, how it is named."""

import errno
import os
from dataclasses import dataclass, field
from pathlib import Path

from thatdam_pipelines.backup.offload_card import CardFile
from thatdam_pipelines.library.checksum import Digest

_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL}


@dataclass(frozen=True)
class Source:
    """What was read of a file of the card, whole and unchanged meanwhile.

    Args:
        edges: See ``edges_of``.
        hashes: Further hashes of it by ASC MHL's names.
        history: What the card's own history says of it.
    """

    digest: Digest
    edges: str
    hashes: dict[str, str] = field(default_factory=dict)
    history: str | None = None


@dataclass
class Part:
    """A file being written."""

    file: CardFile
    path: Path
    descriptor: int
    written: int = 0
    source: Source | None = None


def give_name(part: Path, target: Path) -> bool:
    """Give a part its name, never replacing anything; False where something has that name."""
    try:
        os.link(part, target, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # exFAT and some network disks have no hard links. Only one process writes here, see Journal.
        if os.path.lexists(target):
            return False
        part.rename(target)
    return True
