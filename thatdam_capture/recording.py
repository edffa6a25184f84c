"""A recording over all its sessions: what it counted, and how long to wait after a break."""

import asyncio
import time
from dataclasses import dataclass, field

from thatdam_capture.manifest import ReasonEnd
from thatdam_capture.session_commits import SessionCommits
from thatdam_capture.session_run import SessionRun
from thatdam_capture.sessions import Wanted
from thatdam_capture.settings import Timing


@dataclass(frozen=True)
class CameraStats:
    """Counters of the running recording, over its breaks.

    Attributes:
        dropped: Frames that the source's times say are missing.
        elapsed_s: Since its first frame.
        restarts: How often the source had to be begun again.
        last_error: Last thing that went wrong, without credentials; kept until the next recording.
    """

    frames: int = 0
    dropped: int = 0
    duplicated: int = 0
    fps: float = 0.0
    bytes: int = 0
    elapsed_s: float = 0.0
    restarts: int = 0
    last_error: str | None = None


@dataclass
class Backoff:
    """Waits that double from attempt to attempt, and begin small again after good data."""

    timing: Timing
    attempts: int = 0

    def after(self, good_s: float) -> float:
        """Seconds to wait after an attempt that brought so many seconds."""
        if good_s >= self.timing.backoff_reset_s:
            self.attempts = 0
        wait = min(self.timing.backoff_min_s * 2**self.attempts, self.timing.backoff_max_s)
        self.attempts = min(self.attempts + 1, 30)
        return wait


@dataclass
class Recording:
    """A recording that goes on until it is stopped.

    Attributes:
        ending: Sessions whose ffmpeg is gone, by id, with the task that commits what they left.
        before: Commits of the newest of them.
    """

    wanted: Wanted
    backoff: Backoff
    first_frame: float | None = None
    frames: int = 0
    dropped: int = 0
    duplicated: int = 0
    bytes: int = 0
    restarts: int = 0
    stopping: ReasonEnd | None = None
    ending: dict[str, tuple[SessionRun, asyncio.Task[None]]] = field(default_factory=dict)
    before: SessionCommits | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, run: SessionRun) -> None:
        """Count what a session that is all over has brought."""
        self.frames += run.frames.count
        self.dropped += run.dropped
        self.duplicated += run.duplicated
        self.bytes += run.bytes

    def stats(self, run: SessionRun | None, last_error: str | None) -> CameraStats:
        """Counters with those of the session that is recorded now, if there is one."""
        runs = [*(one for one, _ in self.ending.values()), *([run] if run else [])]
        return CameraStats(
            frames=self.frames + sum(one.frames.count for one in runs),
            dropped=self.dropped + sum(one.dropped for one in runs),
            duplicated=self.duplicated + sum(one.duplicated for one in runs),
            fps=run.frames.fps() if run else 0.0,
            bytes=self.bytes + sum(one.bytes for one in runs),
            elapsed_s=time.monotonic() - self.first_frame if self.first_frame else 0.0,
            restarts=self.restarts,
            last_error=last_error,
        )

    def left_s(self) -> float | None:
        """Seconds until it stops by itself; none: never."""
        if self.wanted.max_s is None or self.first_frame is None:
            return None
        return self.first_frame + self.wanted.max_s - time.monotonic()
