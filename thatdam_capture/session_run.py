"""One session: one ffmpeg that records a camera until it is asked to stop or the source ends."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from thatdam_capture.child import Child, LinePipe, read_pictures, wide_pipe
from thatdam_capture.command import SEGMENT_LIST, Command, record_command
from thatdam_capture.latest_frame import LatestFrame
from thatdam_capture.manifest import CameraFacts, Manifest, ReasonEnd
from thatdam_capture.progress import FrameLog
from thatdam_capture.recorder import Recorder
from thatdam_capture.segments import Row, read_rows
from thatdam_capture.session_commits import SessionCommits
from thatdam_capture.session_record import SessionRecord
from thatdam_capture.sessions import State, Wanted
from thatdam_capture.settings import ProfileSettings
from thatdam_capture.sources import Source

TICK_S = 0.2
SETTLE_S = 1.0
UNPLUG_WORD_S = 0.3
LAST_LINES_S = 2.0


@dataclass
class Outcome:
    """How a session ended.

    Attributes:
        good_s: Seconds of footage it brought.
    """

    reason: ReasonEnd
    good_s: float
    error: str | None


@dataclass
class SessionRun:
    """Records until it is asked to stop or the source ends.

    Args:
        on_state: Told when frames begin to come and when they stop.
        on_commit: Told of every committed segment.
        on_aside: Told of what could not be committed, and why.
        after: Commits of the session before of the same recording.
    """

    recorder: Recorder
    wanted: Wanted
    session_id: str
    camera: CameraFacts
    source: Source
    profile: ProfileSettings
    frame: LatestFrame
    on_state: Callable[[State], None]
    on_commit: Callable[[Manifest], None]
    on_aside: Callable[[Path, str], None]
    is_online: Callable[[], bool]
    after: SessionCommits | None
    frames: FrameLog = field(default_factory=FrameLog)
    commits: SessionCommits | None = None
    open_bytes: int = 0
    started: float | None = None
    _asked: ReasonEnd | None = None
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _list_size: int = -1
    _rows: list[Row] = field(default_factory=list)

    def ask_stop(self, reason: ReasonEnd) -> None:
        """End the session; the first reason counts."""
        self._asked = self._asked or reason
        self._stop.set()

    @property
    def bytes(self) -> int:
        return (self.commits.bytes if self.commits else 0) + self.open_bytes

    @property
    def dropped(self) -> int:
        return max(self.commits.dropped if self.commits else 0, self.frames.dropped)

    @property
    def duplicated(self) -> int:
        return self.commits.duplicated if self.commits else 0

    async def run(self) -> Outcome:
        """Record. Returns when ffmpeg is gone: the camera may be opened again while ``finish`` commits the rest.

        Raises:
            OSError: the store cannot be written, or ffmpeg cannot be started.
        """
        folder = self.recorder.store.session_folder(self.session_id)
        read_fd, write_fd = wide_pipe()
        try:
            command, record = await asyncio.to_thread(self._prepare, folder, write_fd)
            child = await Child.start(command.argv, self.source.redact, [write_fd])
        except BaseException:
            os.close(read_fd)
            raise
        finally:
            os.close(write_fd)
        self.commits = SessionCommits(
            self.recorder, folder, record, self.frames, self.after, self.on_commit, self.on_aside
        )
        try:
            return await self._record(child, self.commits, read_fd)
        except BaseException:
            self.commits.abandon()
            raise
        finally:
            child.kill()

    async def finish(self, reason: ReasonEnd) -> bool:
        """Commit what is left; whether something still stands in ``.part`` and waits for a sweep.

        Raises:
            OSError: the store cannot be written.
        """
        if self.commits is None or self.commits.over.is_set():
            return True
        await self.commits.close(reason)
        self.open_bytes = 0
        return await asyncio.to_thread(self.commits.clean)

    def _prepare(self, folder: Path, frames_fd: int) -> tuple[Command, SessionRecord]:
        """Make the part folder and what a sweep needs to know, before there is anything to sweep."""
        settings = self.recorder.settings
        command = record_command(
            self.recorder.ffmpeg,
            self.source,
            self.profile,
            folder,
            self.wanted.segment_s,
            settings.preview,
            frames_fd,
        )
        record = SessionRecord(
            session_id=self.session_id,
            recorder=self.recorder.name,
            camera=self.camera,
            host=self.recorder.host,
            group_id=self.wanted.group_id,
            role=self.wanted.role,
            chain=[one for one in self.wanted.session_ids if one != self.session_id],
            rate=str(self.source.rate) if self.source.rate else None,
            encoder=list(command.public),
            versions=self.recorder.versions,
        )
        folder.mkdir()
        record.write(folder)
        return command, record

    async def _record(self, child: Child, commits: SessionCommits, read_fd: int) -> Outcome:
        loop = asyncio.get_running_loop()
        transport, pipe = await loop.connect_read_pipe(lambda: LinePipe(self.frames.feed), os.fdopen(read_fd, "rb"))
        assert child.process.stdout is not None
        pictures = asyncio.create_task(read_pictures(child.process.stdout, self.frame))
        try:
            await asyncio.to_thread(self._remember, commits, child.pid)
            reason = await self._watch(child, commits)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(pipe.closed, LAST_LINES_S)
        finally:
            transport.close()
            pictures.cancel()
            await asyncio.gather(pictures, return_exceptions=True)
        good = self.frames.last_s - (self.frames.first_s or 0.0)
        return Outcome(reason, good, child.complaint)

    async def _watch(self, child: Child, commits: SessionCommits) -> ReasonEnd:
        """Look after a running ffmpeg until it is gone; why it ended."""
        timing = self.recorder.settings.timing
        began = grew = time.monotonic()
        mark: tuple[int, int] = (0, 0)
        opened = (0, began)
        stop = asyncio.create_task(self._stop.wait())
        exited = asyncio.create_task(child.wait())
        anchored = False
        self.on_state(State.STARTING)
        try:
            while not exited.done():
                await asyncio.wait({exited, stop}, timeout=TICK_S, return_when=asyncio.FIRST_COMPLETED)
                now = time.monotonic()
                newest, self.open_bytes, rows = await asyncio.to_thread(self._look, commits.folder)
                if newest != mark and newest[1] > 0:
                    mark, grew = newest, now
                    if self.started is None and self.frames.count:
                        self.started = now
                        self.on_state(State.RECORDING)
                if newest[0] != opened[0]:
                    opened = (newest[0], now)
                # Not before the next one holds frames: were it lost to a kill, this one is the last.
                settled = newest[0] if now - opened[1] > SETTLE_S else newest[0] - 1
                commits.add([row for row in rows if row.index < settled])
                if not anchored and self.started is not None and now - self.started > 0.5:
                    anchored = True
                    await asyncio.to_thread(self._remember, commits)
                if exited.done():
                    break
                if self._asked is not None or commits.failed:
                    self.on_state(State.STOPPING)
                    await child.end(timing.stop_step_s)
                elif not self.recorder.disk.state.ok:
                    self.ask_stop("store_gone" if self.recorder.disk.state.gone else "disk_low")
                elif now - grew > (timing.stall_timeout_s if self.started else timing.start_timeout_s):
                    self.on_state(State.STALLED)
                    self._asked = "stalled"
                    await child.end(min(1.0, timing.stop_step_s))
                elif self.started is None and now - began > timing.start_timeout_s:
                    self._asked = "stalled"
                    await child.end(min(1.0, timing.stop_step_s))
        finally:
            stop.cancel()
        status = await exited
        if self._asked is not None:
            return self._asked
        if commits.failed:
            return "store_gone"
        if self.camera.kind == "v4l2":
            # Word that it was pulled out may come after its silence.
            await asyncio.sleep(UNPLUG_WORD_S)
        if not self.is_online():
            return "unplugged"
        return "killed" if status == -signal.SIGKILL else "source_lost"

    def _look(self, folder: Path) -> tuple[tuple[int, int], int, list[Row]]:
        """Newest segment as (index, size), bytes of all that are open or wait, and the rows of the list."""
        newest, total = (0, 0), 0
        for entry in os.scandir(folder):
            if entry.name.endswith(".mkv"):
                with contextlib.suppress(FileNotFoundError, ValueError):
                    size = entry.stat().st_size
                    total += size
                    newest = max(newest, (int(entry.name[:-4]), size))
        with contextlib.suppress(FileNotFoundError):
            size = (folder / SEGMENT_LIST).stat().st_size
            if size != self._list_size:
                self._list_size, self._rows = size, read_rows(folder / SEGMENT_LIST)
        return newest, total, self._rows

    def _remember(self, commits: SessionCommits, pid: int | None = None) -> None:
        """Write down, for a sweep, who is recording and what the clock says. In a thread."""
        changes: dict[str, object] = {}
        if pid is not None:
            with contextlib.suppress(psutil.Error):
                changes |= {"pid": pid, "pid_started": psutil.Process(pid).create_time()}
        if clock := self.frames.clock():
            changes |= {"zero_utc_s": clock.zero_utc_s, "clock_error_s": clock.error_s}
        commits.record = commits.record.model_copy(update=changes)
        with contextlib.suppress(OSError):
            commits.record.write(commits.folder)
