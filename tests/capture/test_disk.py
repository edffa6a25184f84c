"""The store is nearly full, full, gone, read-only or another disk: recordings end whole, new ones are refused."""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import blake3
import pytest

from thatdam_capture.disk import Disk
from thatdam_capture.errors import AlreadyRecording, DiskLow, StoreGone
from thatdam_capture.sessions import RecordRequest, State, Wanted, new_id
from thatdam_capture.store import Store

MB = 2**20
DISK = 48 * MB


@dataclass
class SmallDisk:
    """A filesystem of some megabytes."""

    folder: Path

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def free(self) -> int:
        space = os.statvfs(self.folder)
        return space.f_bavail * space.f_frsize

    def leave(self, size: int) -> None:
        """Fill the disk with something until so much is free."""
        with (self.folder / "ballast").open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while self.free() > size:
                file.write(bytes(min(self.free() - size, MB)))

    def empty(self) -> None:
        (self.folder / "ballast").unlink()


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """A tmpfs; where none may be mounted, the small one that containers have at /dev/shm."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode == 0:
        yield SmallDisk(folder)
        subprocess.run(["umount", "-l", str(folder)], check=True)
        return
    assert SmallDisk(Path("/dev/shm")).free() < 512 * MB, "no small filesystem can be had here"
    own = Path("/dev/shm") / f"store-{os.getpid()}"
    own.mkdir()
    yield SmallDisk(own)
    subprocess.run(["rm", "-rf", str(own)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as one:
        yield one


def limits(**changes: int) -> dict[str, Any]:
    return {"min_segment_s": 0.5, "min_free_bytes": 8 * MB, "reserve_bytes": 2 * MB} | changes


def on(bench: Any, store: Path, **changes: Any) -> Any:
    """A bench whose store is elsewhere, and settings for it."""
    moved = type(bench)(store.parent)
    assert moved.store == store
    return moved, moved.settings(segment_s=1, **changes)


def test_a_disk_nearly_full_stops_recordings_whole_and_they_go_on_when_there_is_room(
    bench: Any, until: Any, disk: SmallDisk
) -> None:
    bench, settings = on(bench, disk.store, limits=limits())

    async def story() -> list[Any]:
        async with bench.running(settings) as service:
            (session,) = await service.record(RecordRequest(camera_ids=["cam1"]))
            camera = service.camera("cam1")
            await until(lambda: camera.stats.frames > 40)
            before = {path: blake3.blake3(path.read_bytes()).hexdigest() for path in disk.store.glob("cam1/**/*.mkv")}
            disk.leave(6 * MB)
            await until(lambda: camera.state is State.DISK_LOW)
            assert not service.disk().ok and not service.health().ok
            assert all(one.complete for one in bench.manifests())
            assert bench.manifests()[-1].reason_end == "disk_low" and bench.manifests()[-1].is_last
            bench.assert_whole()
            disk.empty()
            await until(lambda: camera.state is State.RECORDING)
            await until(lambda: camera.stats.frames > 80)
            manifests = await service.stop_session(session.id)
            assert {path: blake3.blake3(path.read_bytes()).hexdigest() for path in before} == before
            return manifests

    manifests = asyncio.run(story())
    bench.assert_whole()
    first = next(one for one in manifests if one.session_id != manifests[0].session_id)
    assert first.gap_before_s > 0


def test_recording_is_refused_with_a_reason_while_the_disk_is_low(bench: Any, disk: SmallDisk) -> None:
    bench, settings = on(bench, disk.store, limits=limits())

    async def story() -> None:
        async with bench.running(settings) as service:
            disk.leave(4 * MB)
            with pytest.raises(DiskLow, match="free"):
                await service.record(RecordRequest(camera_ids=["cam1"]))
            assert service.sessions() == []

    asyncio.run(story())
    assert bench.manifests() == []


def test_a_disk_filled_at_once_leaves_only_true_files(bench: Any, until: Any, disk: SmallDisk) -> None:
    bench, settings = on(bench, disk.store, limits=limits())

    async def story() -> None:
        async with bench.running(settings) as service:
            await service.record(RecordRequest(camera_ids=["cam1"], profile="ffv1"))
            camera = service.camera("cam1")
            await until(lambda: camera.stats.frames > 60)
            disk.leave(0)
            await until(lambda: camera.state is State.DISK_LOW)
            assert not (disk.store / ".reserve").exists()

    asyncio.run(story())
    bench.assert_whole()
    manifests = bench.manifests()
    assert manifests[-1].is_last
    frames = [[frame.code.counter for frame in bench.frames(one)] for one in manifests]
    assert [len(one) for one in frames] == [one.frames for one in manifests]
    counters = [counter for one in frames for counter in one]
    assert counters == list(range(len(counters)))


def test_a_disk_without_a_watermark_that_fills_up_leaves_only_true_files(
    bench: Any, until: Any, disk: SmallDisk
) -> None:
    timing = {"stall_timeout_s": 2, "backoff_max_s": 0.5}
    bench, settings = on(bench, disk.store, limits=limits(min_free_bytes=0), timing=timing)

    async def story() -> None:
        async with bench.running(settings) as service:
            (session,) = await service.record(RecordRequest(camera_ids=["cam1"], profile="ffv1"))
            camera = service.camera("cam1")
            await until(lambda: camera.stats.frames > 60)
            disk.leave(0)
            await until(lambda: camera.stats.restarts > 0)
            disk.empty()
            frames = camera.stats.frames
            await until(lambda: camera.state is State.RECORDING and camera.stats.frames > frames + 30)
            await service.stop_session(session.id)

    asyncio.run(story())
    bench.assert_whole()
    for manifest in bench.manifests():
        assert len(bench.frames(manifest)) == manifest.frames


@contextmanager
def swappable(folder: Path) -> Iterator[tuple[Path, Path]]:
    """A store that can be taken away: the place it is mounted at, and the disk."""
    disk = folder / "disk"
    disk.mkdir()
    place = folder / "mounted" / "store"
    place.parent.mkdir()
    place.symlink_to(disk)
    yield place, disk


def test_a_disk_unplugged_and_plugged_in_again_keeps_what_was_on_it(bench: Any, until: Any) -> None:
    with swappable(bench.folder) as (place, disk):
        bench, settings = on(bench, place, limits=limits(min_free_bytes=0, reserve_bytes=0))

        async def story() -> list[Any]:
            async with bench.running(settings) as service:
                (session,) = await service.record(RecordRequest(camera_ids=["cam1"]))
                camera = service.camera("cam1")
                await until(lambda: camera.stats.frames > 40)
                place.unlink()
                place.mkdir()
                await until(lambda: camera.state is State.DISK_LOW)
                with pytest.raises(StoreGone, match="marker"):
                    await service.record(RecordRequest(camera_ids=["cam2"]))
                assert list(place.iterdir()) == [], "something was written beside the disk"
                place.rmdir()
                place.symlink_to(disk)
                await until(lambda: camera.state is State.RECORDING and camera.stats.frames > 80)
                return await service.stop_session(session.id)

        manifests = asyncio.run(story())
        bench.assert_whole()
        sessions = list(dict.fromkeys(one.session_id for one in manifests))
        assert len(sessions) == 2
        first = next(one for one in manifests if one.session_id == sessions[1])
        assert first.gap_before_s > 0


def test_stopping_while_the_disk_is_gone_ends_at_once(bench: Any, until: Any) -> None:
    with swappable(bench.folder) as (place, disk):
        bench, settings = on(bench, place, limits=limits(min_free_bytes=0, reserve_bytes=0))

        async def story() -> None:
            async with bench.running(settings) as service:
                (session,) = await service.record(RecordRequest(camera_ids=["cam1"]))
                await until(lambda: service.camera("cam1").stats.frames > 40)
                place.unlink()
                async with asyncio.timeout(15):
                    await service.stop_session(session.id)
                assert service.sessions() == []
                place.symlink_to(disk)
                await until(lambda: not list((disk / ".part").iterdir()))
            async with bench.running(settings) as service:
                assert service.sessions() == [], "a recording that was stopped is not resumed"

        asyncio.run(story())
        bench.assert_whole()
        assert bench.manifests()


@pytest.fixture
def late(bench: Any) -> Iterator[tuple[Any, Any, Path, Path]]:
    """A bench and settings, and a disk that is not mounted yet: on it a recorder was killed that recorded cam1."""
    with swappable(bench.folder) as (place, disk):
        bench, settings = on(bench, place, store_marker="take disk 1", limits=limits(min_free_bytes=0))
        (disk / ".marker").write_text("take disk 1\n")
        wanted = Wanted(
            id=new_id(),
            group_id="take-12",
            camera_id="cam1",
            role=None,
            profile="h264",
            segment_s=1,
            max_s=None,
            started_utc=datetime.now(UTC),
        )
        (disk / ".state").mkdir()
        (disk / ".state" / "wanted.json").write_text(f"[{wanted.model_dump_json()}]")
        (disk / ".state" / "events.seq").write_text("5000\n")
        place.unlink()
        yield bench, settings, place, disk
        bench.assert_whole()


def test_a_disk_that_is_mounted_after_the_start_brings_its_recordings_back(late: Any, until: Any) -> None:
    bench, settings, place, disk = late

    async def story() -> None:
        async with bench.running(settings) as service:
            assert service.sessions() == [] and service.disk().gone
            place.symlink_to(disk)
            await until(lambda: service.camera("cam1").stats.frames > 20)
            assert [one.group_id for one in service.sessions()] == ["take-12"]
            assert service.events.seq > 5000
            assert await service.stop_session("take-12")

    asyncio.run(story())


def test_record_pressed_as_the_disk_comes_forgets_no_recording(late: Any) -> None:
    bench, settings, place, disk = late

    async def story() -> None:
        async with bench.running(settings) as service:
            place.symlink_to(disk)
            with pytest.raises(AlreadyRecording):
                await service.record(RecordRequest(camera_ids=["cam1"]))
            await service.record(RecordRequest(camera_ids=["cam2"], group="take-13"))
            assert {one.group_id for one in service.sessions()} == {"take-12", "take-13"}

    asyncio.run(story())


def test_another_disk_is_not_recorded_to(bench: Any) -> None:
    bench.store.mkdir()
    (bench.store / ".marker").write_text("holiday pictures\n")

    async def story() -> None:
        async with bench.running(bench.settings(store_marker="take disk 1")) as service:
            with pytest.raises(StoreGone, match="another marker than 'take disk 1'"):
                await service.record(RecordRequest(camera_ids=["cam1"]))
            assert not service.health().ok

    asyncio.run(story())
    assert sorted(one.name for one in bench.store.iterdir()) == [".marker"]


def test_an_empty_mount_point_is_not_recorded_to(bench: Any) -> None:
    bench.store.mkdir()

    async def story() -> None:
        async with bench.running(bench.settings(store_marker="take disk 1")) as service:
            with pytest.raises(StoreGone, match=r"no \.marker"):
                await service.record(RecordRequest(camera_ids=["cam1"]))

    asyncio.run(story())
    assert list(bench.store.iterdir()) == []


def test_a_read_only_store_is_refused(bench: Any) -> None:
    async def story(settings: Any) -> None:
        async with bench.running(settings) as service:
            with pytest.raises(StoreGone, match=r"(?i)read-only"):
                await service.record(RecordRequest(camera_ids=["cam1"]))

    bench.store.mkdir()
    (bench.store / ".marker").write_text("take disk 1\n")
    bind = subprocess.run(["mount", "--bind", str(bench.store), str(bench.store)], capture_output=True)
    if bind.returncode:
        # No mounting here: a container, which has some of the kernel's own folders read-only.
        asyncio.run(story(bench.settings(store="/sys/store")))
        return
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(bench.store)], check=True)
        asyncio.run(story(bench.settings(store_marker="take disk 1")))
    finally:
        subprocess.run(["umount", "-l", str(bench.store)], check=True)
    assert sorted(one.name for one in bench.store.iterdir()) == [".marker"]


def test_two_recorders_do_not_share_a_store_unnamed(bench: Any) -> None:
    first = Disk(Store(bench.store), bench.settings())
    assert first.check().ok
    second = Disk(Store(bench.store), bench.settings())
    assert "another recorder" in second.check().reason
    named = bench.settings(recorder="stage-left")
    assert Disk(Store(bench.store, named.recorder), named).check().ok
    first.release()
    assert second.check().ok


def test_the_reserve_is_kept_while_there_is_room(disk: SmallDisk, bench: Any) -> None:
    _, settings = on(bench, disk.store, limits=limits())
    watched = Disk(Store(disk.store), settings)
    assert watched.check().ok
    assert (disk.store / ".reserve").stat().st_size == 2 * MB
    disk.leave(MB)
    assert not watched.check().ok
    assert not (disk.store / ".reserve").exists()
    disk.empty()
    assert watched.check().ok
    assert (disk.store / ".reserve").exists()
