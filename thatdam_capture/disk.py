"""Space and identity of the store: recordings stop before it is full and never go to another disk."""

import errno
import fcntl
import os
import threading
from dataclasses import dataclass
from uuid import uuid4

from thatdam_capture.atomic import replace_text
from thatdam_capture.settings import Settings
from thatdam_capture.store import Store

# Recordings begin again only when there is this much more room than where they stopped.
HYSTERESIS = 1.25
BLOCK = 2**20


@dataclass(frozen=True)
class DiskState:
    """How the store stands.

    Attributes:
        ok: New recordings may begin.
        reason: Why not, with what to do; empty when ok.
        seconds_left: How long the running recordings can go on at their present rate; none when nothing records.
        gone: The store is missing, read-only or another disk, rather than full.
    """

    free_bytes: int
    total_bytes: int
    ok: bool
    reason: str
    seconds_left: float | None = None
    gone: bool = False


class Disk:
    """Watches one store. ``check`` touches the disk and may block: call it from a thread."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._limits = settings.limits
        self._marker = settings.store_marker
        self._low = False
        self._lock: int | None = None
        self._checking = threading.Lock()
        self.state = DiskState(0, 0, False, "the store was not looked at yet", gone=True)

    def check(self) -> DiskState:
        """Look at the store, prepare it where it is new, and keep the reserve while there is room for it."""
        with self._checking:
            try:
                self.state = self._look()
            except OSError as error:
                reason = f"the store {self._store.root} cannot be used ({error.strerror}): plug in or mount its disk"
                self.state = DiskState(0, 0, False, reason, gone=True)
            if self.state.gone:
                self.release()
            return self.state

    def release(self) -> None:
        """Let another recorder have the store."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _look(self) -> DiskState:
        if self._marker is None:
            self._adopt()
        root = self._store.root
        free, total, read_only = _space(root)
        try:
            found = self._store.marker.read_text(encoding="utf-8", errors="replace").strip()
        except FileNotFoundError:
            found = ""
        if found != self._marker:
            what = "holds another marker" if found else "has no marker"
            reason = f"the store {root} {what} than {self._marker!r}: mount the disk that recordings are for"
            if not found:
                reason = f"the store {root} has no .marker file: mount the disk that recordings are for"
            return DiskState(free, total, False, reason, gone=True)
        if read_only:
            return DiskState(free, total, False, f"the store {root} is read-only: mount it for writing", gone=True)
        for folder in (self._store.part, self._store.state):
            folder.mkdir(exist_ok=True)
        if not self._claim():
            reason = f"another recorder uses the store {root}: stop it, or give each a `recorder` name"
            return DiskState(free, total, False, reason, gone=True)
        least = self._limits.min_free_bytes
        self._low = free < (least * HYSTERESIS if self._low else least)
        if self._low:
            if free < self._limits.reserve_bytes:
                self.release_reserve()
            reason = f"the store has {free / 1e9:.2f} GB free, recordings need {least / 1e9:.2f} GB: make room"
            return DiskState(free, total, False, reason)
        self._keep_reserve(free)
        return DiskState(free, total, True, "")

    def _adopt(self) -> None:
        """Take the store as it is for ours: the settings name no marker."""
        self._store.root.mkdir(parents=True, exist_ok=True)
        if not self._store.marker.exists():
            replace_text(self._store.marker, f"{uuid4().hex}\n")
        self._marker = self._store.marker.read_text(encoding="utf-8", errors="replace").strip()

    def _claim(self) -> bool:
        if self._lock is None:
            lock = os.open(self._store.state / "lock", os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                return False
            self._lock = lock
        return True

    def _keep_reserve(self, free: int) -> None:
        size = self._limits.reserve_bytes
        reserve = self._store.reserve
        if size == 0 or free < self._limits.min_free_bytes + 2 * size:
            return
        if reserve.exists() and reserve.stat().st_size == size:
            return
        with reserve.open("wb") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                    raise
                for _ in range(0, size, BLOCK):
                    file.write(bytes(min(BLOCK, size)))

    def release_reserve(self) -> bool:
        """Give the reserve up so that what is open can be ended; whether there was one."""
        try:
            self._store.reserve.unlink()
        except OSError:
            return False
        return True


def _space(root: os.PathLike[str]) -> tuple[int, int, bool]:
    space = os.statvfs(root)
    return space.f_bavail * space.f_frsize, space.f_blocks * space.f_frsize, bool(space.f_flag & os.ST_RDONLY)
