"""What happened, numbered: kept in memory, the numbers go on over restarts."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from thatdam_capture.atomic import replace_text

KEPT = 10_000
BLOCK = 1_000


@dataclass(frozen=True)
class Event:
    seq: int
    time_utc: datetime
    kind: str
    data: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As it is sent to clients."""
        return {"seq": self.seq, "time_utc": self.time_utc.isoformat(), "kind": self.kind, **self.data}


class EventLog:
    """Events of one recorder.

    Args:
        path: File that keeps the numbers rising over restarts. Numbers are reserved in blocks, so a restart may skip
            some; none is given twice. Without a file, or where it cannot be written, they begin at 1 or go on.
    """

    def __init__(self, path: Path | None = None, kept: int = KEPT) -> None:
        self._path: Path | None = None
        self._events: deque[Event] = deque(maxlen=kept)
        self._waiting: set[asyncio.Event] = set()
        self._seq = 0
        self._reserved = 0
        if path is not None:
            self.keep_in(path)

    def keep_in(self, path: Path) -> None:
        """Go on with the numbers of a file, and keep them rising in it, unless that was done."""
        if self._path is not None:
            return
        self._path = path
        with contextlib.suppress(OSError, ValueError):
            self._seq = max(self._seq, int(path.read_text()))
        self._reserved = self._seq

    @property
    def seq(self) -> int:
        """Number of the newest event."""
        return self._seq

    def publish(self, kind: str, **data: Any) -> Event:
        self._seq += 1
        if self._seq > self._reserved:
            self._reserve()
        event = Event(self._seq, datetime.now(UTC), kind, data)
        self._events.append(event)
        for waiting in self._waiting:
            waiting.set()
        return event

    def since(self, seq: int) -> list[Event]:
        """Events with a higher number, oldest first; those that memory no longer holds are missing."""
        newer = []
        for event in reversed(self._events):
            if event.seq <= seq:
                break
            newer.append(event)
        return newer[::-1]

    async def subscribe(self, since: int | None = None) -> AsyncIterator[Event]:
        """Events as they come, first those after ``since``. A reader too slow misses what memory no longer holds."""
        seen = self._seq if since is None else since
        waiting = asyncio.Event()
        self._waiting.add(waiting)
        try:
            while True:
                waiting.clear()
                for event in self.since(seen):
                    seen = event.seq
                    yield event
                await waiting.wait()
        finally:
            self._waiting.discard(waiting)

    def _reserve(self) -> None:
        self._reserved = self._seq + BLOCK
        if self._path is not None:
            # A store that is gone or full costs the numbers their memory of this run, nothing else.
            with contextlib.suppress(OSError):
                replace_text(self._path, f"{self._reserved}\n")
