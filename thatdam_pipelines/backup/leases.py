"""Leases: who is at work at a target, so that pruning removes nothing that a running snapshot counts on."""

import contextlib
import json
import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from thatdam_pipelines.backup.targets import Target
from thatdam_pipelines.errors import DamagedError, StoreError, ThatdamError

FOLDER = "leases"
EXPIRES_S = 6 * 3600.0
"""A lease that was not renewed for so long is of a process that died on another machine."""
RENEW_S = 60.0
Kind = Literal["snapshot", "prune"]


class Lease:
    """A lease that is held and renewed."""

    def __init__(self, target: Target, kind: Kind) -> None:
        self._target = target
        self._kind = kind
        self.key = f"{FOLDER}/{kind}-{secrets.token_hex(8)}.json"
        self._stop = threading.Event()
        self._write()
        self._renewing = threading.Thread(target=self._renew, daemon=True)
        self._renewing.start()

    def require(self) -> None:
        """Make sure that nobody took this lease for that of a dead process.

        Raises:
            StoreError: It was.
        """
        if self._target.place.size(self.key) is None:
            cause = f"the lease of this {self._kind} had no sign of life for so long that others went on without it"
            raise StoreError(self._target.name, cause, "Run it again.")

    def end(self) -> None:
        self._stop.set()
        self._renewing.join()
        with contextlib.suppress(ThatdamError, OSError):
            self._target.place.remove(self.key)

    def _write(self) -> None:
        holder = {"host": os.uname().nodename, "pid": os.getpid(), "renewed": time.time()}
        self._target.place.write(self.key, json.dumps(holder).encode())

    def _renew(self) -> None:
        while not self._stop.wait(RENEW_S):
            with contextlib.suppress(ThatdamError, OSError):
                if self._target.place.size(self.key) is not None:
                    self._write()


@contextmanager
def leased(target: Target, kind: Kind) -> Iterator[Lease]:
    """Hold a lease. Any number of snapshots go together; pruning goes alone.

    Raises:
        OfflineError: The target cannot be reached.
        StoreError: Others are at work that this cannot go together with.
    """
    lease = Lease(target, kind)
    try:
        # First written, then looked: of two that begin at once each sees the other, and at least one gives way.
        others = [other for other in _living(target) if f"{FOLDER}/{other}" != lease.key]
        hindering = [other for other in others if kind == "prune" or other.startswith("prune-")]
        if hindering:
            what = "pruned" if hindering[0].startswith("prune-") else "written to by a snapshot"
            raise StoreError(target.name, f"it is being {what} right now", "Run it again in a while.")
        yield lease
    finally:
        lease.end()


def _living(target: Target) -> list[str]:
    """Names of the leases of living processes; those of dead ones are removed."""
    living = []
    for name, _, _ in list(target.place.list(FOLDER)):
        try:
            holder = json.loads(b"".join(target.place.read(f"{FOLDER}/{name}")))
        except FileNotFoundError:
            continue
        except (ValueError, DamagedError):
            holder = {}
        if _is_dead(holder):
            target.place.remove(f"{FOLDER}/{name}")
        else:
            living.append(name)
    return living


def _is_dead(holder: dict[str, Any]) -> bool:
    if abs(time.time() - float(holder.get("renewed", 0.0))) > EXPIRES_S:
        return True
    here = holder.get("host") == os.uname().nodename
    return here and Path("/proc/self").exists() and not Path(f"/proc/{holder.get('pid')}").exists()
