"""How fast a target may be written and read."""

import threading
import time


class Pace:
    """Lets bytes pass at a rate. Safe to use from several threads.

    Args:
        bytes_per_s: Most bytes a second; None: as many as come.
    """

    def __init__(self, bytes_per_s: int | None) -> None:
        self._rate = bytes_per_s
        self._free_at = 0.0
        self._lock = threading.Lock()

    def wait(self, size_bytes: int) -> None:
        """Wait until that many bytes more may pass."""
        if self._rate is None:
            return
        with self._lock:
            now = time.monotonic()
            start = max(now, self._free_at)
            self._free_at = start + size_bytes / self._rate
        time.sleep(max(0.0, start - now))
