"""The recorder as one object: what the API, the command line and tests talk to."""

import asyncio
import contextlib
import socket
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

from thatdam_capture.camera import Camera
from thatdam_capture.devices import Device, DeviceRegistry
from thatdam_capture.disk import Disk, DiskState
from thatdam_capture.errors import AlreadyRecording, BadRequest, DiskLow, NotFound, StoreGone
from thatdam_capture.events import EventLog
from thatdam_capture.ffmpeg import ffmpeg_exe, ffmpeg_version
from thatdam_capture.manifest import Manifest
from thatdam_capture.recorder import Recorder
from thatdam_capture.recovery import Recovery
from thatdam_capture.sessions import RecordRequest, Session, State, Wanted, new_id
from thatdam_capture.settings import CameraSettings, Settings
from thatdam_capture.store import Store
from thatdam_capture.wanted import WantedList

DISK_TICK_S = 0.5
STOP_TIMEOUT_S = 14.0
RATE_SAMPLES = 20
ENDED_KEPT = 1000
COMMITTERS = 2


class PeerList(Protocol):
    """Other recorders on the network."""

    def list(self) -> Sequence[Any]: ...


@dataclass(frozen=True)
class Health:
    """Whether the recorder does what it should.

    Attributes:
        ok: Every wanted camera records and the store can be written.
        problems: What is wrong, one sentence each.
        recording: Number of cameras that record now.
        wanted: Number of recordings that are wanted.
    """

    ok: bool
    problems: tuple[str, ...]
    recording: int
    wanted: int


class CaptureService:
    """Records cameras until told to stop.

    ``start`` resumes what a killed service was recording and cleans up behind it. All methods belong to the event
    loop that ``start`` ran in, and its thread has to live as long as the service.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = Store(settings.store, settings.recorder)
        self.events = EventLog()
        self.peers: PeerList | None = None
        self._disk = Disk(self.store, settings)
        self._registry = DeviceRegistry(settings, self._device_changed)
        self._cameras: dict[str, Camera] = {}
        self._wanted = WantedList(self.store)
        self._ended: deque[Wanted] = deque(maxlen=ENDED_KEPT)
        self._pressing = asyncio.Lock()
        self._committers = ThreadPoolExecutor(COMMITTERS, "commit")
        self._recorder: Recorder | None = None
        self._recovery: Recovery
        self._tasks: list[asyncio.Task[None]] = []
        self._written: deque[tuple[float, int]] = deque(maxlen=RATE_SAMPLES)

    async def start(self) -> None:
        """Raises CaptureError when no ffmpeg can be used."""
        ffmpeg = ffmpeg_exe(self.settings)
        await asyncio.to_thread(self._disk.check)
        self._recorder = Recorder(
            settings=self.settings,
            store=self.store,
            disk=self._disk,
            ffmpeg=ffmpeg,
            name=self.settings.recorder,
            host=socket.gethostname(),
            versions={"thatdam": _own_version(), "ffmpeg": await asyncio.to_thread(ffmpeg_version, ffmpeg)},
            swept=asyncio.Event(),
            committers=self._committers,
        )
        self._recovery = Recovery(self._recorder, self._wanted, self.events, self._cameras, self._expect_camera)
        if not self._disk.state.gone:
            # Before anything happens, so that no number is given twice.
            self.events.keep_in(self.store.state / "events.seq")
        await self._registry.start()
        for device in self._registry.all():
            self._add_camera(device)
        if self._disk.state.gone:
            self.events.publish("disk", ok=False, reason=self._disk.state.reason)
            self._recorder.swept.set()
        else:
            await self._recovery.take_over()
        self._tasks.append(asyncio.create_task(self._watch_disk()))

    async def stop(self) -> None:
        """Stop every recording, commit what was written and end every ffmpeg, within 15 s.

        Only a service that was killed resumes what it was recording; one that was stopped begins idle.
        """
        await self._registry.stop()
        closing = [asyncio.create_task(camera.close()) for camera in self._cameras.values()]
        if closing:
            _, late = await asyncio.wait(closing, timeout=STOP_TIMEOUT_S)
            for task in late:
                task.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *closing, return_exceptions=True)
        await self._recovery.sweeping()
        await self._want_nothing()
        self._tasks.clear()
        self._committers.shutdown(wait=False)
        self._disk.release()

    async def _want_nothing(self) -> None:
        """What could not be ended in time was stopped all the same; the next start commits what it left."""
        late = self._wanted.all()
        self._wanted.drop(*late)
        if late:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(self._wanted.write)

    def devices(self) -> list[Device]:
        return self._registry.all()

    def camera(self, camera_id: str) -> Camera:
        """Raises NotFound."""
        camera = self._cameras.get(camera_id)
        if camera is None:
            known = ", ".join(sorted(self._cameras)) or "none"
            raise NotFound(f"there is no camera {camera_id!r}", f"Cameras are: {known}")
        return camera

    async def record(self, request: RecordRequest) -> list[Session]:
        """Begin recording. All cameras begin, or none.

        Raises:
            NotFound, AlreadyRecording, BadRequest: the request cannot be.
            DiskLow, StoreGone: the store cannot take it.
        """
        async with self._pressing:
            return await self._record(request)

    async def _record(self, request: RecordRequest) -> list[Session]:
        self._check(request)
        await self._check_disk()
        if await self._recovery.take_over():
            self._check(request)
        group = request.group or new_id()
        roles = {camera: role for role, camera in request.roles.items()}
        begun = []
        for camera_id in request.camera_ids:
            camera = self.camera(camera_id)
            begun.append(
                Wanted(
                    id=new_id(),
                    group_id=group,
                    camera_id=camera_id,
                    role=roles.get(camera_id, camera.settings.role),
                    profile=request.profile or camera.settings.profile or self.settings.profile,
                    segment_s=request.segment_s or self.settings.segment_s,
                    max_s=request.max_s,
                    started_utc=datetime.now(UTC),
                )
            )
        self._wanted.put(*begun)
        try:
            await asyncio.to_thread(self._wanted.write)
        except OSError as error:
            self._wanted.drop(*begun)
            raise StoreGone(f"the store cannot be written ({error.strerror})", "Look at its disk") from error
        for wanted in begun:
            self.camera(wanted.camera_id).record(wanted)
        return [self._session(wanted) for wanted in begun]

    async def stop_session(self, session_id: str) -> list[Manifest]:
        """Stop a recording by its id or a later session's, or all of a group by the group's; again is no error.

        Returns:
            Every manifest of it, oldest first, once the last one is committed.

        Raises:
            NotFound: no recording of that id is known.
        """
        chosen = [one for one in (*self._wanted.all(), *self._ended) if _names(one, session_id)]
        if not chosen:
            raise NotFound(f"there is no recording {session_id!r}", "GET /v1/sessions lists those that run")
        running = [
            camera
            for camera in self._cameras.values()
            if camera.wanted is not None and any(camera.wanted.id == one.id for one in chosen)
        ]
        await asyncio.gather(*(camera.stop() for camera in running))
        ids = {one.id for one in chosen}
        ended = [one for one in self._ended if one.id in ids]
        found = await asyncio.gather(*(asyncio.to_thread(self._manifests, one) for one in ended))
        return sorted((one for some in found for one in some), key=lambda one: (one.start_utc, one.camera.id))

    def sessions(self) -> list[Session]:
        """Recordings that run or wait for their camera."""
        return [self._session(camera.wanted) for camera in self._cameras.values() if camera.wanted is not None]

    def recordings(self, limit: int = 100, before: datetime | None = None, camera: str | None = None) -> list[Manifest]:
        """Committed segments, newest first, that began before a time. Reads the store: call it from a thread."""
        return self.store.recordings(limit, before, camera)

    def disk(self) -> DiskState:
        """How the store stands, not older than half a second."""
        state = self._disk.state
        if len(self._written) > 1:
            (t0, b0), (t1, b1) = self._written[0], self._written[-1]
            rate = (b1 - b0) / (t1 - t0) if t1 > t0 else 0.0
            if rate > 0:
                spare = max(0, state.free_bytes - self.settings.limits.min_free_bytes)
                return replace(state, seconds_left=spare / rate)
        return state

    def health(self) -> Health:
        wanted = [camera for camera in self._cameras.values() if camera.wanted is not None]
        recording = [camera for camera in wanted if camera.state is State.RECORDING]
        problems = [
            f"{camera.device.id} does not record: {camera.state.value}"
            + (f" ({camera.last_error})" if camera.last_error else "")
            for camera in wanted
            if camera.state not in (State.RECORDING, State.STARTING, State.STOPPING)
        ]
        if not self._disk.state.ok:
            problems.insert(0, self._disk.state.reason)
        return Health(not problems, tuple(problems), len(recording), len(wanted))

    def _check(self, request: RecordRequest) -> None:
        ids = request.camera_ids
        if len(set(ids)) < len(ids):
            raise BadRequest("a camera is named twice", "Name each camera once")
        for camera_id in ids:
            camera = self.camera(camera_id)
            if camera.wanted is not None:
                raise AlreadyRecording(f"{camera_id} is recording already", "Stop it first")
        strangers = sorted(set(request.roles.values()) - set(ids))
        if strangers:
            raise BadRequest(f"a role for {', '.join(strangers)}, which is not among the cameras", "Name it there too")
        if len(set(request.roles.values())) < len(request.roles):
            raise BadRequest("a camera has two roles", "Give each camera one role")
        if request.profile is not None and request.profile not in self.settings.all_profiles:
            known = ", ".join(sorted(self.settings.all_profiles))
            raise BadRequest(f"there is no profile {request.profile!r}", f"Profiles are: {known}")
        least = self.settings.limits.min_segment_s
        if request.segment_s is not None and request.segment_s < least:
            raise BadRequest(f"segment_s {request.segment_s:g} is too short", f"Give from {least:g} to 600")
        most = self.settings.limits.max_cameras
        if len(ids) + sum(1 for camera in self._cameras.values() if camera.wanted) > most:
            raise BadRequest(f"more than {most} cameras at once", "Raise limits.max_cameras")

    async def _check_disk(self) -> None:
        state = await asyncio.to_thread(self._disk.check)
        if state.ok:
            return
        kind = StoreGone if state.gone else DiskLow
        cause, _, step = state.reason.rpartition(": ")
        raise kind(cause or state.reason, step.capitalize() or "See GET /v1/health")

    def _session(self, wanted: Wanted) -> Session:
        camera = self.camera(wanted.camera_id)
        return Session(
            id=wanted.id,
            group_id=wanted.group_id,
            camera_id=wanted.camera_id,
            role=wanted.role,
            state=camera.state,
            started_utc=wanted.started_utc,
            segment_s=wanted.segment_s,
            max_s=wanted.max_s,
            profile=wanted.profile,
            session_id=camera.session_id,
        )

    def _manifests(self, wanted: Wanted) -> list[Manifest]:
        return self.store.of_sessions(wanted.camera_id, wanted.session_ids, wanted.started_utc)

    def _add_camera(self, device: Device) -> None:
        assert self._recorder is not None
        settings = self._registry.settings_of(device.id) or CameraSettings(
            id=device.id, name=device.name, kind="v4l2", device=device.id, audio="none"
        )
        camera = Camera(
            device,
            settings,
            self._recorder,
            self.events.publish,
            self._recording_goes_on,
            self._recording_done,
            self._recovery.fall_behind,
        )
        self._cameras[device.id] = camera
        camera.start()

    def _expect_camera(self, camera_id: str) -> None:
        """Make a camera that was there once and may be plugged in again."""
        if device := self._registry.expect(camera_id):
            self._add_camera(device)

    def _device_changed(self, device: Device) -> None:
        """The registry saw a camera come, go or move."""
        camera = self._cameras.get(device.id)
        if camera is None:
            self._add_camera(device)
        else:
            camera.changed(device)
        self.events.publish("device", camera=device.id, name=device.name, online=device.online)

    def _recording_goes_on(self, wanted: Wanted) -> None:
        """A recording is about to begin a session. In a thread: raises OSError when it cannot be written down."""
        self._wanted.put(wanted)
        self._wanted.write()

    def _recording_done(self, wanted: Wanted) -> None:
        """A recording is over. In a thread."""
        self._ended.append(wanted)
        self._wanted.drop(wanted)
        try:
            self._wanted.write()
        except OSError:
            self._recovery.fall_behind()

    async def _watch_disk(self) -> None:
        while True:
            await asyncio.sleep(DISK_TICK_S)
            before = self._disk.state
            state = await asyncio.to_thread(self._disk.check)
            self._written.append((time.monotonic(), sum(c.stats.bytes for c in self._cameras.values() if c.wanted)))
            changed = (state.ok, state.gone) != (before.ok, before.gone)
            if changed:
                self.events.publish("disk", ok=state.ok, reason=state.reason, free_bytes=state.free_bytes)
            if state.ok:
                async with self._pressing:
                    await self._recovery.catch_up(changed)
            if changed:
                for camera in self._cameras.values():
                    camera.disk_changed()


def _names(wanted: Wanted, given: str) -> bool:
    return given in (wanted.id, wanted.group_id) or given in wanted.session_ids


def _own_version() -> str:
    try:
        return version("thatdam")
    except PackageNotFoundError:
        return "unknown"
