"""How many live views are served at once: viewers must never cost the recording anything."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from thatdam_capture.api.problems import Refused

ViewKind = Literal["mjpeg", "frames", "whep", "hls", "events"]


class ViewerSlots:
    """Counts live views and refuses more than ``limit``."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.count: Counter[str] = Counter()

    @property
    def total(self) -> int:
        return sum(self.count.values())

    def take(self, kind: ViewKind) -> None:
        """Raises Refused (503) where every slot is taken. Give it back with ``release``."""
        if self.total >= self._limit:
            raise Refused(
                503,
                "too-many-viewers",
                f"{self._limit} live views are served already",
                "Close one, or raise limits.max_viewers.",
                {"Retry-After": "5"},
            )
        self.count[kind] += 1

    def release(self, kind: ViewKind) -> None:
        self.count[kind] -= 1

    @contextmanager
    def one(self, kind: ViewKind) -> Iterator[None]:
        self.take(kind)
        try:
            yield
        finally:
            self.release(kind)
