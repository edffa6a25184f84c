"""Child processes that end with us: each in its own group, none left behind."""

import contextlib
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MARK = "THATDAM_SERVICES"


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
        # Inherited by whatever a service starts, in whatever session: by it strays are known and ended.
        self._token = uuid.uuid4().hex

    def start(self, name: str, command: Sequence[str], log: Path, env: Mapping[str, str]) -> Service:
        """Start ``command`` in a session of its own; its output goes to ``log``."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env) | {MARK: self._token},
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
        for stray in self._marked():
            with contextlib.suppress(ProcessLookupError):
                os.kill(stray, signal.SIGKILL)

    def _marked(self) -> list[int]:
        """Processes that carry our mark (Linux; elsewhere ending the groups has to do)."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"{MARK}={self._token}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return found


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)
