"""Child processes that end with us: each in its own group, none left behind."""

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


@dataclass
class Service:
    """A running child process that leads its own session."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path


class Services:
    """Starts services and ends them all, with everything they started themselves."""

    def __init__(self) -> None:
        self.running: list[Service] = []
        if Path("/proc/self").exists():
            # Orphans of our services become our children, so that none can escape the end.
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)

    def start(self, name: str, command: Sequence[str], log: Path, env: Mapping[str, str]) -> Service:
        """Start ``command`` in a session of its own; its output goes to ``log``."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                start_new_session=True,
            )
        service = Service(name, process, log)
        self.running.append(service)
        return service

    def ended(self) -> Service | None:
        """The first service that has ended by itself, if any."""
        return next((service for service in self.running if service.process.poll() is not None), None)

    def stop(self, patience_s: float = 15.0) -> None:
        """Ask every service to end, wait, then kill what is left. Safe to call twice."""
        for service in reversed(self.running):
            _signal_group(service.process.pid, signal.SIGINT)
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline and any(service.process.poll() is None for service in self.running):
            time.sleep(0.1)
        for service in self.running:
            _signal_group(service.process.pid, signal.SIGKILL)
            service.process.wait()
        self.running.clear()
        _end_orphans()


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _end_orphans() -> None:
    """Kill and reap children we did not start: what our services left behind."""
    while children := _children(os.getpid()):
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in task.read_text().split()]
    return found
