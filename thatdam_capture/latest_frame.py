"""The newest preview picture of a camera, in a buffer of one: readers may be slow, the writer never waits."""

import asyncio
import time
from typing import NamedTuple


class Frame(NamedTuple):
    number: int
    jpeg: bytes
    monotonic_time: float


class LatestFrame:
    """One slot. ``put`` replaces; every reader gets the newest and misses what it was too slow for."""

    def __init__(self) -> None:
        self._latest: Frame | None = None
        self._number = 0
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def latest(self) -> Frame | None:
        return self._latest

    def put(self, jpeg: bytes) -> None:
        self._number += 1
        self._latest = Frame(self._number, jpeg, time.monotonic())
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    def clear(self) -> None:
        """Forget the picture, so that nobody takes an old one for the present. Numbers go on."""
        self._latest = None

    async def next(self, after: int = 0) -> Frame:
        """The newest frame numbered above ``after``; waits for one."""
        while self._latest is None or self._latest.number <= after:
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(waiting)
            try:
                await waiting
            finally:
                self._waiting.discard(waiting)
        return self._latest
