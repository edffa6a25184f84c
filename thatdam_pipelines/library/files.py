"""Writing files so that readers never see half of one, and file names as text."""

import contextlib
import errno
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

PART_SUFFIX = ".part"
NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL}
"""What a disk answers that cannot give a file a second name."""

_LOOKS_ESCAPED = re.compile(r"\\(?=x(?:5c|[89a-f][0-9a-f]))")
_SURROGATE = re.compile("[\udc80-\udcff]")
_ESCAPE = re.compile(r"\\x(5c|[89a-f][0-9a-f])")


def escape_name(name: str) -> str:
    """A file name or path as valid text: a byte that is not UTF-8 becomes ``\\xhh``. No two give the same text."""
    return _SURROGATE.sub(lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", _LOOKS_ESCAPED.sub(r"\\x5c", name))


def unescape_name(text: str) -> str:
    """The file name or path that ``escape_name`` made this text of, for use with the file system."""
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda found: "\\" if found[1] == "5c" else chr(0xDC00 + int(found[1], 16)), text)


def fsync_dir(folder: Path) -> None:
    """Make renames inside ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def give_name(part: Path, target: Path) -> bool:
    """Give a part its name, never replacing anything; False where something has that name.

    The part may keep its own name too. Where the disk has no hard links, only one process may write there.

    Raises:
        OSError: It cannot be named.
    """
    try:
        os.link(part, target, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        # exFAT and some network disks have none.
        if os.path.lexists(target):
            return False
        part.rename(target)
    return True


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a path beside ``target`` to write to; on success it is fsynced and renamed over ``target``.

    On an exception the half-written file is removed and ``target`` is as it was. What a killed process of this machine
    left half-written is removed by the next writer of ``target``.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    mine = f".{target.name}.{os.uname().nodename}."
    _remove_leftovers(target.parent, mine)
    part = target.with_name(f"{mine}{os.getpid()}.{threading.get_ident()}{PART_SUFFIX}")
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    fsync_dir(target.parent)


def _remove_leftovers(folder: Path, prefix: str) -> None:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(prefix)]
    for name in names:
        pid = name.removeprefix(prefix).partition(".")[0]
        if name.endswith(PART_SUFFIX) and pid.isdecimal() and not _is_alive(int(pid)):
            (folder / name).unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
