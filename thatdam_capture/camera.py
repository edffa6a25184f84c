"""One camera: its state, its ffmpeg, its newest picture."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from thatdam_capture.child import Child, read_pictures
from thatdam_capture.command import preview_command
from thatdam_capture.devices import Device
from thatdam_capture.errors import SourceError
from thatdam_capture.latest_frame import LatestFrame
from thatdam_capture.manifest import CameraFacts, Manifest, ReasonEnd
from thatdam_capture.progress import FrameLog
from thatdam_capture.recorder import Recorder
from thatdam_capture.recording import Backoff, CameraStats, Recording
from thatdam_capture.session_run import Outcome, SessionRun
from thatdam_capture.sessions import State, Wanted, new_id
from thatdam_capture.settings import CameraSettings
from thatdam_capture.sources import source_of

ASKED: tuple[ReasonEnd, ...] = ("stop", "max_s", "shutdown")
LINGER_S = 2.0
TICK_S = 0.2


class Camera:
    """State machine that owns at most one ffmpeg.

    Args:
        publish: Where events go: ``publish(kind, **data)``.
        on_wanted: Told, before a session begins, that a recording has another session.
        on_done: Told that a recording is over.
        on_left: Told that a session left something in ``.part``.
    """

    def __init__(
        self,
        device: Device,
        settings: CameraSettings,
        recorder: Recorder,
        publish: Callable[..., Any],
        on_wanted: Callable[[Wanted], None],
        on_done: Callable[[Wanted], None],
        on_left: Callable[[], None],
    ) -> None:
        self.device = device
        self.settings = settings
        self.state = State.IDLE
        self.frame = LatestFrame()
        self.last_error: str | None = None
        self._recorder = recorder
        self._publish = publish
        self._on_wanted = on_wanted
        self._on_done = on_done
        self._on_left = on_left
        self._recording: Recording | None = None
        self._run: SessionRun | None = None
        self._viewers = 0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._last_stats = CameraStats()

    @property
    def wanted(self) -> Wanted | None:
        """What is being recorded, also while it is interrupted."""
        return self._recording.wanted if self._recording else None

    @property
    def session_id(self) -> str | None:
        """The session that is being recorded now."""
        return self._run.session_id if self._run else None

    @property
    def writing(self) -> set[str]:
        """Every session of which something is being written or committed."""
        return ({self._run.session_id} if self._run else set()) | set(self._recording.ending if self._recording else ())

    @property
    def stats(self) -> CameraStats:
        """Counters of the running recording, or of the last one."""
        recording, run = self._recording, self._run
        if recording is None:
            return CameraStats(**{**vars(self._last_stats), "fps": 0.0, "last_error": self.last_error})
        return recording.stats(run, self.last_error)

    def start(self) -> None:
        """Begin to live; belongs to the running event loop."""
        self._task = asyncio.create_task(self._live(), name=f"camera {self.device.id}")

    async def close(self) -> None:
        """Stop recording and preview, and end."""
        await self.stop("shutdown")
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def changed(self, device: Device) -> None:
        """The camera was plugged in or out."""
        self.device = device
        self._wake.set()

    def disk_changed(self) -> None:
        self._wake.set()

    def record(self, wanted: Wanted) -> None:
        """Begin a recording; the camera must not have one."""
        assert self._recording is None
        self.last_error = None
        self._recording = Recording(wanted, Backoff(self._recorder.settings.timing))
        if wanted.max_s is not None and wanted.session_ids:
            # Resumed after the recorder died: the time it was asked for has been running.
            gone = (datetime.now(UTC) - wanted.started_utc).total_seconds()
            self._recording.first_frame = time.monotonic() - gone
        self._wake.set()

    async def stop(self, reason: ReasonEnd = "stop") -> None:
        """Stop the recording, if there is one, and wait until what it wrote is committed."""
        recording = self._recording
        if recording is None:
            return
        recording.stopping = recording.stopping or reason
        if self._run is not None:
            self._run.ask_stop(reason)
        self._wake.set()
        await recording.done.wait()

    @asynccontextmanager
    async def preview(self) -> AsyncIterator[LatestFrame]:
        """Hold the preview open: pictures come while somebody holds it or the camera records."""
        self._viewers += 1
        self._wake.set()
        try:
            yield self.frame
        finally:
            self._viewers -= 1
            self._wake.set()

    async def _live(self) -> None:
        backoff = Backoff(self._recorder.settings.timing)
        while True:
            self._wake.clear()
            recording = self._recording
            if recording is not None:
                await self._record_on(recording)
            elif self._viewers and self.device.online:
                await self._preview_on(backoff)
            else:
                self._enter(State.IDLE)
                await self._wake.wait()
                backoff.attempts = 0

    async def _record_on(self, recording: Recording) -> None:
        """One step of a recording: wait for what is missing, or one session."""
        left = recording.left_s()
        if left is not None and left <= 0:
            recording.stopping = recording.stopping or "max_s"
        if recording.stopping is not None:
            await self._finish(recording)
        elif not self.device.online:
            self._enter(State.UNPLUGGED)
            await self._sleep(left)
        elif not self._recorder.disk.state.ok:
            await self._commits(recording)
            self._enter(State.DISK_LOW, reason=self._recorder.disk.state.reason)
            await self._sleep(left)
        else:
            outcome = await self._session(recording)
            if recording.stopping is None and outcome.reason not in ("disk_low", "store_gone", "unplugged"):
                recording.restarts += 1
                # A kill says nothing of the source, which is there to be recorded.
                accident = outcome.reason == "killed" and outcome.good_s > 0
                timing = self._recorder.settings.timing
                wait = timing.backoff_min_s if accident else recording.backoff.after(outcome.good_s)
                self._enter(State.BACKOFF, wait_s=wait, reason=outcome.reason, error=self.last_error)
                await self._back_off(recording, wait)

    async def _back_off(self, recording: Recording, seconds: float) -> None:
        """Wait before the next attempt. Viewers who come and go do not shorten it; a camera plugged in does."""
        device, end = self.device, time.monotonic() + seconds
        while recording.stopping is None and self.device is device and (wait := end - time.monotonic()) > 0:
            left = recording.left_s()
            if left is not None and left <= 0:
                return
            self._wake.clear()
            await self._sleep(wait if left is None else min(wait, left))

    async def _session(self, recording: Recording) -> Outcome:
        session_id = recording.wanted.id if not recording.wanted.session_ids else new_id()
        wanted = recording.wanted
        recording.wanted = wanted.model_copy(update={"session_ids": [*wanted.session_ids, session_id]})
        timer: asyncio.Task[None] | None = None
        try:
            await asyncio.to_thread(self._on_wanted, recording.wanted)
            source = source_of(self.settings, self.device, self._recorder.settings.timing)
            facts = CameraFacts(
                id=self.device.id, name=self.device.name, kind=self.device.kind, serial=self.device.serial
            )
            self._run = SessionRun(
                self._recorder,
                recording.wanted,
                session_id,
                facts,
                source,
                self._recorder.settings.all_profiles[recording.wanted.profile],
                self.frame,
                lambda state: self._enter_run(state, recording),
                self._committed,
                self._set_aside,
                lambda: self.device.online,
                recording.before,
                frames=FrameLog(source.rate),
            )
            if recording.stopping:
                self._run.ask_stop(recording.stopping)
            timer = asyncio.create_task(self._end_in_time(recording, self._run))
            self._publish("session.started", camera=self.device.id, session=session_id, group=wanted.group_id)
            outcome = await self._run.run()
        except SourceError as error:
            outcome = Outcome("source_lost", 0.0, str(error))
            self._enter(State.FAILED, error=str(error))
        except OSError as error:
            gone = not self._recorder.disk.state.ok
            outcome = Outcome("store_gone" if gone else "source_lost", 0.0, str(error))
            self._enter(State.FAILED, error=str(error))
        finally:
            if timer is not None:
                timer.cancel()
            run, self._run = self._run, None
            self.frame.clear()
        if outcome.reason not in ASKED:
            self.last_error = outcome.error or outcome.reason
        if run is not None:
            recording.before = run.commits or recording.before
            recording.ending[session_id] = (run, asyncio.create_task(self._end_session(recording, run, outcome)))
        return outcome

    async def _end_session(self, recording: Recording, run: SessionRun, outcome: Outcome) -> None:
        """Commit what a session left, while the next one may record already."""
        error = outcome.error
        try:
            left = await run.finish(outcome.reason)
        except Exception as problem:
            # Whatever it is: the camera goes on, and a sweep tries again.
            left, error = True, str(problem)
            self.last_error = error
        finally:
            recording.take(run)
            del recording.ending[run.session_id]
        if left:
            self._on_left()
        self._publish(
            "session.ended",
            camera=self.device.id,
            session=run.session_id,
            group=recording.wanted.group_id,
            reason=outcome.reason,
            error=error,
        )

    async def _end_in_time(self, recording: Recording, run: SessionRun) -> None:
        """Ask for the end when the time that was asked for is over."""
        while (left := recording.left_s()) is None or left > 0:
            await asyncio.sleep(0.05 if left is None else min(left, 1.0))
        recording.stopping = recording.stopping or "max_s"
        run.ask_stop("max_s")

    async def _commits(self, recording: Recording) -> None:
        """Wait until what ended sessions left is committed."""
        if recording.ending:
            self._enter(State.STOPPING)
            await asyncio.gather(*(task for _, task in recording.ending.values()))

    async def _finish(self, recording: Recording) -> None:
        await self._commits(recording)
        self._last_stats = self.stats
        await asyncio.to_thread(self._on_done, recording.wanted)
        self._recording = None
        self._enter(State.IDLE)
        recording.done.set()

    async def _preview_on(self, backoff: Backoff) -> None:
        """Show the camera until nobody looks, or it is to record, or it ends."""
        timing = self._recorder.settings.timing
        began = time.monotonic()
        try:
            source = source_of(self.settings, self.device, timing)
            command = preview_command(self._recorder.ffmpeg, source, self._recorder.settings.preview)
            child = await Child.start(command.argv, source.redact)
        except (SourceError, OSError) as error:
            self.last_error = str(error)
            await self._sleep(backoff.after(0.0))
            return
        assert child.process.stdout is not None
        pictures = asyncio.create_task(read_pictures(child.process.stdout, self.frame))
        exited = asyncio.create_task(child.wait())
        seen = began
        try:
            while not exited.done() and self._recording is None and time.monotonic() - seen < LINGER_S:
                self._wake.clear()
                waker = asyncio.create_task(self._wake.wait())
                await asyncio.wait({exited, waker}, timeout=TICK_S, return_when=asyncio.FIRST_COMPLETED)
                waker.cancel()
                seen = time.monotonic() if self._viewers else seen
                newest = self.frame.latest
                silent = time.monotonic() - max(began, newest.monotonic_time if newest else 0.0)
                if silent > (timing.stall_timeout_s if newest else timing.start_timeout_s):
                    break
            lost = self._recording is None and self._viewers > 0
            child.kill()
            await exited
        finally:
            child.kill()
            pictures.cancel()
            await asyncio.gather(pictures, return_exceptions=True)
            self.frame.clear()
        if lost:
            self.last_error = child.complaint or "the preview ended"
            await self._sleep(backoff.after(time.monotonic() - began))

    async def _sleep(self, seconds: float | None) -> None:
        """Wait, but not when something changed."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)

    def _enter_run(self, state: State, recording: Recording) -> None:
        if state is State.RECORDING and recording.first_frame is None:
            recording.first_frame = time.monotonic()
        self._enter(state)

    def _enter(self, state: State, **data: Any) -> None:
        if state is not self.state:
            self.state = state
            self._publish("camera.state", camera=self.device.id, state=state.value, **data)

    def _committed(self, manifest: Manifest) -> None:
        self._publish("segment.committed", **segment_event(manifest))

    def _set_aside(self, path: Path, reason: str) -> None:
        self._publish("segment.aside", camera=self.device.id, file=path.name, reason=reason)


def segment_event(manifest: Manifest) -> dict[str, Any]:
    """What an event says of a committed segment."""
    return {
        "camera": manifest.camera.id,
        "session": manifest.session_id,
        "group": manifest.group_id,
        "index": manifest.segment_index,
        "file": f"{manifest.folder}/{manifest.file}",
        "frames": manifest.frames,
        "dropped": manifest.dropped,
        "complete": manifest.complete,
        "gap_before_s": manifest.gap_before_s,
        "is_last": manifest.is_last,
    }
