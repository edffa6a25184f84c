"""How many pages listen to events at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from thatdam_pipelines.web.problems import Refusal

_MOST = 100


class Listeners:
    """How many listen at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

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
