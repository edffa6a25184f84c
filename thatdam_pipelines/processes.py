"""Child processes that end with us: each in its own group, none left behind."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

MARK = "THATDAM_SERVICES"
PATIENCE_S = 20.0
"""Time that services have to end by themselves. The recorder needs up to 15 s to commit what it was recording."""
_PR_SET_PDEATHSIG = 1


@dataclass
class Service:
    """A running child process that leads its own session.

    Args:
        end_signal: What asks it to end.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    end_signal: int = signal.SIGINT


class Services:
    """Starts services and ends them all, with everything they started themselves.

    Args:
        home: What they serve. Processes of a supervisor that was killed are known by it, see ``end_left_over``.
    """

    def __init__(self, home: Path) -> None:
        self.running: list[Service] = []
        # Inherited by whatever a service starts, in whatever session: by it strays are known and ended.
        self._mark = _mark_of(home) + uuid.uuid4().hex

    def start(
        self, name: str, command: Sequence[str], log: Path, env: Mapping[str, str], end_signal: int = signal.SIGINT
    ) -> Service:
        """Start ``command`` in a session of its own; its output goes to ``log``.

        It is asked to end when the calling thread ends (Linux): call it from the main thread.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env) | {MARK: self._mark},
                start_new_session=True,
                preexec_fn=_ending_with_us(),
            )
        service = Service(name, process, log, end_signal)
        self.running.append(service)
        return service

    def ended(self) -> Service | None:
        """The first service that has ended by itself, if any."""
        return next((service for service in self.running if service.process.poll() is not None), None)

    def forget(self, service: Service) -> None:
        """A service has ended and that is known: nothing of it is left and another may take its place."""
        _signal_group(service.process.pid, signal.SIGKILL)
        self.running.remove(service)

    def stop(self, patience_s: float = PATIENCE_S) -> None:
        """Ask every service to end, wait, then kill what is left. Safe to call twice."""
        for service in reversed(self.running):
            _signal_group(service.process.pid, service.end_signal)
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline and any(service.process.poll() is None for service in self.running):
            time.sleep(0.1)
        for service in self.running:
            _signal_group(service.process.pid, signal.SIGKILL)
            service.process.wait()
        self.running.clear()
        for stray in _marked(self._mark):
            _signal(stray, signal.SIGKILL)


def end_left_over(home: Path, patience_s: float = PATIENCE_S) -> int:
    """End what the services of ``home`` left running because their supervisor was killed; nobody may supervise it now.

    Returns:
        Number of processes that were found (Linux; 0 elsewhere).
    """
    mark = _mark_of(home)
    found = set(_marked(mark))
    for process in found:
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + patience_s
    while left := set(_marked(mark)):
        found |= left
        if time.monotonic() > deadline:
            for process in left:
                _signal(process, signal.SIGKILL)
        time.sleep(0.1)
    return len(found)


def _mark_of(home: Path) -> str:
    return blake3(os.fsencode(home.resolve())).hexdigest()[:16] + "."


def _marked(mark: str) -> list[int]:
    """Processes whose mark begins so (Linux; elsewhere ending the groups has to do)."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            environment = (entry / "environ").read_bytes().split(b"\0")
            if any(value.startswith(wanted) for value in environment) and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    return found


def _ending_with_us() -> Callable[[], None] | None:
    """What a child does before it becomes a service: asks the kernel for SIGTERM when we die, however we die."""
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
        if os.getppid() != parent:
            os._exit(1)

    return ask


def _signal(process: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(process, number)


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)
