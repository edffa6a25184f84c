"""Going on where a recorder that was killed ended, and where a store that was gone comes back."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from thatdam_capture.camera import Camera, segment_event
from thatdam_capture.events import EventLog
from thatdam_capture.recorder import Recorder
from thatdam_capture.sweep import session_folders, sweep
from thatdam_capture.wanted import WantedList


class Recovery:
    """What was wanted is recorded again; what stands in ``.part`` is committed.

    Args:
        cameras: The cameras of the service, by id.
        expect: Makes a camera that is not there now, if it may be plugged in again.
    """

    def __init__(
        self,
        recorder: Recorder,
        wanted: WantedList,
        events: EventLog,
        cameras: dict[str, Camera],
        expect: Callable[[str], None],
    ) -> None:
        self._recorder = recorder
        self._wanted = wanted
        self._events = events
        self._cameras = cameras
        self._expect = expect
        self._taken_over = False
        self._behind = False
        self._sweeping: asyncio.Task[None] | None = None

    def fall_behind(self) -> None:
        """Something could not be written down or committed: try when the store can be written."""
        self._behind = True

    async def sweeping(self) -> None:
        """Wait for a sweep that runs."""
        if self._sweeping is not None:
            await asyncio.gather(self._sweeping, return_exceptions=True)

    async def take_over(self) -> bool:
        """Go on with the recordings and the leftovers of the recorder before; whether this was still to be done."""
        if self._taken_over:
            return False
        store = self._recorder.store
        dead = await asyncio.to_thread(session_folders, store)
        self._events.keep_in(store.state / "events.seq")
        self._resume()
        self._taken_over = True
        self._begin_sweep(dead)
        return True

    async def catch_up(self, again: bool) -> None:
        """The store can be written: write down what is wanted, and commit what was left.

        Args:
            again: It could not be written until now.
        """
        self._behind = self._behind or again
        if not self._behind or (self._sweeping is not None and not self._sweeping.done()):
            return
        self._behind = False
        try:
            if not await self.take_over():
                await asyncio.to_thread(self._wanted.write)
                self._begin_sweep(await asyncio.to_thread(session_folders, self._recorder.store))
        except OSError:
            self._behind = True

    def _resume(self) -> None:
        """Record again what a recorder that was killed was recording."""
        try:
            found = self._wanted.read()
        except (OSError, ValueError) as error:
            self._events.publish("problem", message=f"wanted.json cannot be read: {error}")
            return
        for wanted in found:
            if wanted.camera_id not in self._cameras:
                self._expect(wanted.camera_id)
            camera = self._cameras.get(wanted.camera_id)
            known = wanted.profile in self._recorder.settings.all_profiles
            if camera is None or camera.wanted is not None or not known:
                message = f"{wanted.camera_id} cannot be resumed: it is not in the settings"
                self._events.publish("problem", message=message)
                continue
            self._wanted.put(wanted)
            camera.record(wanted)
            self._events.publish("session.resumed", camera=wanted.camera_id, session=wanted.id, group=wanted.group_id)

    def _begin_sweep(self, folders: list[Path]) -> None:
        """Sweep those of the session folders that no camera writes. A session has its id before it has a folder."""
        living = {session for camera in self._cameras.values() for session in camera.writing}
        self._recorder.swept.clear()
        self._sweeping = asyncio.create_task(self._sweep([one for one in folders if one.name not in living]))

    async def _sweep(self, dead: list[Path]) -> None:
        """Commit what dead sessions left. Commits of new sessions wait for it, recording does not."""
        recorder = self._recorder
        try:
            report = await asyncio.to_thread(sweep, recorder.store, recorder.ffmpeg, recorder.name, dead)
            for manifest in report.committed:
                self._events.publish("segment.committed", **segment_event(manifest), swept=True)
            for path, reason in report.aside:
                self._events.publish("segment.aside", file=path.name, reason=reason)
            for folder, reason in report.failed:
                message = f"what session {folder.name} left could not all be committed: {reason}"
                self._events.publish("problem", message=message)
        finally:
            recorder.swept.set()
