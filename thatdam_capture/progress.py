"""What ffmpeg says of every frame, and what its arrival says of the wall clock."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple


@dataclass(frozen=True)
class ClockReading:
    """The wall clock in terms of a session's own time.

    Attributes:
        zero_utc_s: UTC, in seconds since 1970, of the moment the session's time was 0.
        zero_monotonic_s: The same moment on the clock of this machine that nobody sets.
        error_s: Bound on its error.
    """

    zero_utc_s: float
    zero_monotonic_s: float
    error_s: float


class Arrival(NamedTuple):
    """A frame: its time in the session, and when word of it came, in monotonic seconds."""

    time_s: float
    arrived: float


class FrameLog:
    """Times of the frames of one session in the order they came; those of committed segments are forgotten.

    Frames are fed by one thread and read by others, which take a copy first: appending to a deque, taking from its
    front and copying it are each one step.

    Args:
        rate: Frames a second the source was asked for; with it, ``dropped`` counts what the times say is missing.
    """

    def __init__(self, rate: Fraction | None = None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._step = float(1 / rate) if rate else None
        self._monotonic = monotonic
        self._rest = b""
        self._time_base = Fraction(1, 1000)
        self._frames: deque[Arrival] = deque()
        self._zero: float | None = None
        self.count = 0
        self.first_s: float | None = None
        self.last_s = 0.0
        self.dropped = 0

    def feed(self, data: bytes) -> None:
        """Take what arrived just now: lines ``PTS NUM/DEN``, or those of framecrc."""
        now = self._monotonic()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            seconds = self._seconds(line)
            if seconds is None:
                continue
            self._frames.append(Arrival(seconds, now))
            self.count += 1
            if self.first_s is None:
                self.first_s = seconds
            elif self._step and seconds - self.last_s > 1.5 * self._step:
                self.dropped += round((seconds - self.last_s) / self._step) - 1
            self.last_s = max(self.last_s, seconds)

    def _seconds(self, line: bytes) -> float | None:
        """Time of the frame that a line tells of; none when it tells of something else."""
        try:
            if line.startswith(b"#tb 0:"):
                self._time_base = Fraction(line[6:].decode().strip())
            elif b"," in line:
                return float(int(line.split(b",")[2]) * self._time_base)
            elif line and not line.startswith(b"#"):
                pts, base = line.split()
                return float(int(pts) * Fraction(base.decode()))
        except (ValueError, IndexError, ZeroDivisionError):
            return None
        return None

    def fps(self, over_s: float = 2.0) -> float:
        """Frames a second that arrived lately."""
        since = self._monotonic() - over_s
        lately = 0
        for frame in reversed(list(self._frames)):
            if frame.arrived < since:
                break
            lately += 1
        return lately / over_s

    def clock(self, start_s: float = float("-inf"), end_s: float = float("inf")) -> ClockReading | None:
        """The wall clock as the frames from ``start_s`` up to ``end_s`` tell it; none where there are no frames.

        A frame is never early, only late: by the work before it, by a busy machine. So the earliest arrivals tell the
        time. A reading within 5 ms of the one before is the one before, so that segments meet.
        """
        known = list(self._frames)
        frames = [frame for frame in known if start_s <= frame.time_s < end_s]
        if not frames:
            return None
        late = sorted(frame.arrived - frame.time_s for frame in frames)
        earliest = late[len(late) // 50]
        zero = earliest + time.time() - self._monotonic()
        spread = late[len(late) // 2] - earliest
        if self._zero is None or abs(zero - self._zero) > 0.005:
            self._zero = zero
        step = usual_step(sorted(frame.time_s for frame in known)) or self._step or 0.04
        return ClockReading(self._zero, earliest, 0.005 + step + spread)

    def forget_before(self, seconds: float) -> None:
        """Drop the frames before a time."""
        while self._frames and self._frames[0].time_s < seconds:
            self._frames.popleft()


def usual_step(times: list[float]) -> float:
    """The median of the steps between sorted times; 0 where there are fewer than two."""
    steps = sorted(b - a for a, b in pairwise(times))
    return max(0.0, steps[len(steps) // 2]) if steps else 0.0
