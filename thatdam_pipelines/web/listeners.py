"""Who listens to events: so many at once, and all to one account of how things are."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from thatdam_pipelines.web.problems import Refusal

_MOST = 100

Snapshot = dict[tuple[str, str], str]
"""By kind and id, what there is to tell, as JSON."""


class Listeners:
    """How many listen at once, and what they are told."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._looking = threading.Lock()
        self._latest: Snapshot = {}
        self._looked_at = float("-inf")

    def snapshot(self, look: Callable[[], Snapshot], most_age_s: float) -> Snapshot:
        """What ``look`` gives, looked at again when it is older: however many listen, it is looked at once."""
        with self._looking:
            if time.monotonic() - self._looked_at > most_age_s:
                self._latest, self._looked_at = look(), time.monotonic()
            return self._latest

    @contextmanager
    def one_more(self) -> Iterator[None]:
        with self._lock:
            self._count += 1
        try:
            yield
        finally:
            with self._lock:
                self._count -= 1

    def require_room(self) -> None:
        """Raises Refusal when too many listen."""
        if self._count >= _MOST:
            raise Refusal(503, "listeners", f"{_MOST} listen already", "Close a page.", {"Retry-After": "5"})
