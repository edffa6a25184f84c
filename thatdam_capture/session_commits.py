"""The commits of one session: segment after segment while it is recorded, and what is left when its ffmpeg is gone."""

import asyncio
import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from thatdam_capture.command import SEGMENT_LIST
from thatdam_capture.commit import digest, finish, set_aside, write_intent
from thatdam_capture.errors import SegmentError
from thatdam_capture.manifest import Manifest, ReasonEnd
from thatdam_capture.progress import ClockReading, FrameLog
from thatdam_capture.recorder import Recorder
from thatdam_capture.segments import Row, SegmentFacts, inspect, is_readable, missing_frames, read_rows, remux
from thatdam_capture.session_record import SESSION_FILE, SessionRecord

# Frames of so long before a segment help to tell its time: it may be short.
CLOCK_S = 2.0


@dataclass
class _Written:
    """What is known of the segment committed before."""

    end_s: float
    last_frame_s: float


@dataclass
class SessionCommits:
    """Commits segments one at a time, in order.

    Args:
        record: What is written down of the session.
        frames: Times of its frames.
        after: Commits of the session before of the same recording: this one's come later.
        on_commit: Told of every committed segment.
        on_aside: Told of what could not be committed, and why.

    Attributes:
        ended: Monotonic time at which the last frame that is committed of this recording ended.
        over: Set when nothing more will be committed.
    """

    recorder: Recorder
    folder: Path
    record: SessionRecord
    frames: FrameLog
    after: "SessionCommits | None"
    on_commit: Callable[[Manifest], None]
    on_aside: Callable[[Path, str], None]
    dropped: int = 0
    duplicated: int = 0
    bytes: int = 0
    ended: float | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)
    _queue: "asyncio.Queue[Row]" = field(default_factory=asyncio.Queue)
    _next: int = 0
    _shift: float | None = None
    _before: _Written | None = None

    def __post_init__(self) -> None:
        self._working = asyncio.create_task(self._work())

    @property
    def failed(self) -> bool:
        """Whether it gave up: the store cannot be written, or what was written cannot be understood."""
        return self._working.done()

    def add(self, rows: list[Row]) -> None:
        """Commit closed segments; those given before are passed over."""
        for row in rows:
            if row.index == self._next:
                self._next += 1
                self._queue.put_nowait(row)

    async def close(self, reason: ReasonEnd) -> None:
        """Commit what ffmpeg left when it ended: closed segments, then one that it did not close.

        Raises:
            OSError: the store cannot be written. What is not committed stays in the part folder.
        """
        try:
            done = asyncio.create_task(self._queue.join())
            await asyncio.wait({done, self._working}, return_when=asyncio.FIRST_COMPLETED)
            done.cancel()
            if self._working.done():
                self._working.result()
            await self._commit_rest(reason)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Commit nothing more."""
        self._working.cancel()
        self.over.set()

    def clean(self) -> bool:
        """Remove the part folder of a session that is all committed; whether something is left in it. In a thread."""
        try:
            if any(one.suffix in (".mkv", ".json") and one.name != SESSION_FILE for one in self.folder.iterdir()):
                return True
            for one in self.folder.iterdir():
                one.unlink()
            self.folder.rmdir()
        except OSError:
            return True
        return False

    async def _work(self) -> None:
        while True:
            await self._commit(await self._queue.get(), None)
            self._queue.task_done()

    async def _commit_rest(self, reason: ReasonEnd) -> None:
        rows = {row.index: row for row in await asyncio.to_thread(read_rows, self.folder / SEGMENT_LIST)}
        parts = await asyncio.to_thread(lambda: sorted(self.folder.glob("[0-9]*.mkv")))
        rest = [int(part.stem) for part in parts if int(part.stem) >= self._next]
        while rest and not await asyncio.to_thread(is_readable, self.folder / f"{rest[-1]:05d}.mkv"):
            await self._put_aside(self.folder / f"{rest.pop():05d}.mkv", "no frame of it reached the disk")
        for index in rest:
            await self._commit(rows.get(index, index), reason if index == rest[-1] else None)

    async def _commit(self, segment: Row | int, last: ReasonEnd | None) -> None:
        """Commit a segment, known by its row or, where ffmpeg did not close it, by its index.

        Args:
            last: Why the session ended, for its last segment.
        """
        index = segment.index if isinstance(segment, Row) else segment
        part = self.folder / f"{index:05d}.mkv"
        if self.after is not None:
            await self.after.over.wait()
            # Let go of it, or a recording with many breaks would keep them all.
            self.ended, self.after = self.after.ended, None
        await self.recorder.swept.wait()
        try:
            manifest = await self._in_thread(part, segment, last)
        except SegmentError as error:
            await self._put_aside(part, error.message)
            return
        except OSError as error:
            if error.errno != errno.ENOSPC or not await asyncio.to_thread(self.recorder.disk.release_reserve):
                raise
            manifest = await self._in_thread(part, segment, last)
        self.bytes += manifest.bytes
        self.dropped += manifest.dropped
        self.duplicated += manifest.duplicated
        self.on_commit(manifest)

    async def _in_thread(self, part: Path, segment: Row | int, last: ReasonEnd | None) -> Manifest:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.recorder.committers, self._commit_in_thread, part, segment, last)

    async def _put_aside(self, part: Path, reason: str) -> None:
        aside = await asyncio.to_thread(set_aside, self.recorder.store, part)
        if aside is not None:
            self.on_aside(aside, reason)

    def _commit_in_thread(self, part: Path, segment: Row | int, last: ReasonEnd | None) -> Manifest:
        row = segment if isinstance(segment, Row) else None
        facts = inspect(part)
        step = facts.step_s
        closed = row is not None and row.holds(facts)
        if not closed:
            facts = remux(self.recorder.ffmpeg, part)
        start = self._start_in_log(row, facts)
        end = start + facts.times[-1] - facts.first_s
        clock = self.frames.clock(start - CLOCK_S, end + step / 2) or self.frames.clock()
        lost, gap = self._since_before(start, step)
        zero_utc = clock.zero_utc_s if clock else part.stat().st_mtime - end - step
        size, blake3 = digest(part)
        manifest = self.record.manifest(
            facts,
            index=int(part.stem),
            size=size,
            blake3=blake3,
            start_s=start,
            zero_utc_s=zero_utc,
            clock_error_s=clock.error_s if clock else 1.0,
            is_last=last is not None,
            complete=closed,
            reason_end=last or "segment",
            lost_before=lost,
            gap_before_s=self._gap_of_first(clock, start, zero_utc) if self._before is None else gap,
        )
        committed = finish(self.recorder.store, write_intent(part, manifest))
        self._before = _Written(end + step, end)
        if clock:
            self.ended = clock.zero_monotonic_s + end + step
        self.frames.forget_before(end - CLOCK_S)
        return committed

    def _start_in_log(self, row: Row | None, facts: SegmentFacts) -> float:
        """Time of the first frame of a segment on the clock of the frame log.

        The list's clock runs ahead of it by what the muxer moved the session so that nothing is before 0; the first
        segment shows by how much.
        """
        if row is None:
            return self._before.end_s if self._before else (self.frames.first_s or 0.0)
        listed = row.start_s + facts.first_s
        if self._shift is None:
            self._shift = listed - (self.frames.first_s or 0.0) if row.index == 0 else 0.0
        return listed - self._shift

    def _since_before(self, start: float, step: float) -> tuple[int, float]:
        """Frames and seconds missing between the segment before and one that begins at ``start``."""
        if self._before is None:
            return 0, 0.0
        gap = start - self._before.end_s
        if gap < 0.5 * step:
            return 0, 0.0
        rate = Fraction(self.record.rate) if self.record.rate else None
        lost, _ = missing_frames([self._before.last_frame_s, start], rate or Fraction(1 / step).limit_denominator(1001))
        return lost, gap

    def _gap_of_first(self, clock: ClockReading | None, start: float, zero_utc_s: float) -> float | None:
        """Seconds since the recording's session before, none where this is its first.

        Told by the clock that nobody sets, where this process recorded both.
        """
        if clock and self.ended is not None:
            return max(0.0, clock.zero_monotonic_s + start - self.ended)
        chain = set(self.record.chain)
        for before in self.recorder.store.recordings(limit=50, camera_id=self.record.camera.id) if chain else ():
            if before.session_id in chain:
                return max(0.0, zero_utc_s + start - before.end_utc.timestamp())
        return None
