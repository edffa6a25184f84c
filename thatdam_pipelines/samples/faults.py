"""Faults for tests of what must survive them: a process that dies, a disk that fills or vanishes, at a chosen call.

``python -m thatdam_pipelines.samples.faults`` reads requests as JSON lines and answers each with one: a fork does the
work, so that it can be killed at any point and the next begins at once.
"""

import errno
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

CALLS = ("read", "write", "fsync", "link", "replace", "unlink", "mkdir")
"""Calls of the system that are counted, in whatever thread."""


class Trap:
    """Counts calls of the system and does something at one of them, before it happens.

    Args:
        at: Number of the call, from 1; 0: only count.
        act: What happens.
    """

    def __init__(self, at: int, act: Callable[[], None]) -> None:
        self._at = at
        self._act = act
        self._real = {name: getattr(os, name) for name in CALLS}
        self._lock = threading.Lock()
        self._acting = False
        self.count = 0

    def __enter__(self) -> Self:
        for name, call in self._real.items():
            setattr(os, name, self._trapped(call))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, call in self._real.items():
            setattr(os, name, call)

    def _trapped(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def trapped(*arguments: Any, **more: Any) -> Any:
            with self._lock:
                due = not self._acting
                self.count += due
                due = due and self.count == self._at
                if due:
                    self._acting = True
            if due:
                try:
                    self._act()
                finally:
                    self._acting = False
            return call(*arguments, **more)

        return trapped


def act_of(fault: dict[str, Any]) -> Callable[[], None]:
    """What a request's fault does: ``kill``, ``full`` (the disk), ``io`` (the disk fails), ``rename`` or ``append``."""

    def act() -> None:
        kind = fault["kind"]
        if kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif kind == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        elif kind == "io":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        elif kind == "rename":
            for source, target in fault["names"]:
                Path(source).rename(target)
        elif kind == "append":
            path = Path(fault["path"])
            path.chmod(0o644)
            with path.open("ab") as file:
                file.write(b"written meanwhile")

    return act


def work(request: dict[str, Any]) -> str:
    """Do what a request asks: ``snapshot``, ``prune`` or ``restore``; gives the number of calls it took."""
    from thatdam_pipelines.backup.manifest import find_snapshot
    from thatdam_pipelines.backup.prune import prune
    from thatdam_pipelines.backup.restore import Wanted, restore
    from thatdam_pipelines.backup.snapshot import take_snapshot
    from thatdam_pipelines.backup.targets import open_target
    from thatdam_pipelines.library.home import Library
    from thatdam_pipelines.settings import BackupTarget, Settings

    settings = Settings(**request["settings"])
    wanted = BackupTarget(**request["target"])
    with Library(settings) as library, Trap(request["at"], act_of(request["fault"])) as trap:
        if request["work"] == "snapshot":
            take_snapshot(library, wanted)
        elif request["work"] == "prune":
            prune(library, open_target(settings, wanted, library.ledger), grace_s=0)
        else:
            target = open_target(settings, wanted)
            name = find_snapshot(target, "latest")
            restore([target], name, Wanted(everything=True), Path(request["to"]))
    return str(trap.count)


def serve() -> None:
    """Answer requests until the input ends: ``ended`` is the signal or exit code, ``said`` the calls or the error."""
    from thatdam_pipelines.backup import prune, restore, snapshot  # noqa: F401
    from thatdam_pipelines.errors import ThatdamError

    for line in sys.stdin:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            code = 0
            try:
                said = work(json.loads(line))
            except ThatdamError as error:
                said, code = f"{type(error).__name__}: {error}", 1
            except BaseException as error:
                said, code = f"{type(error).__name__}: {error}", 2
            os.write(write, said.encode()[:4000])
            os._exit(code)
        os.close(write)
        said = b"".join(iter(lambda descriptor=read: os.read(descriptor, 4096), b"")).decode()  # type: ignore[misc]
        os.close(read)
        _, status = os.waitpid(child, 0)
        answer = {"ended": os.waitstatus_to_exitcode(status), "said": said}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
