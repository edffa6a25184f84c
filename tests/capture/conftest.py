"""What the recorder's tests share: a throwaway store, a running recorder, and reading back what it wrote."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import blake3
import pytest

from thatdam_capture.manifest import Manifest, read_manifest
from thatdam_capture.service import CaptureService
from thatdam_capture.settings import Settings
from thatdam_capture.synthetic import Code, clock_difference, read_code

SIZE = "320x180"


@dataclass(frozen=True)
class ReadFrame:
    """A decoded frame: the code it carries and its time in the file."""

    code: Code
    time_s: float


@dataclass(frozen=True)
class Bench:
    """A place to record in."""

    folder: Path

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def settings(self, **changes: Any) -> Settings:
        """Small pictures, short segments, no camera of this machine."""
        base: dict[str, Any] = {
            "store": self.store,
            "discover": False,
            "segment_s": 2,
            "limits": {"min_segment_s": 0.5, "min_free_bytes": 0, "reserve_bytes": 0},
            "cameras": [self.synthetic("cam1"), self.synthetic("cam2")],
            "preview": {"height": 90, "fps": 10},
        }
        return Settings.model_validate(base | changes)

    def synthetic(self, camera_id: str, **changes: Any) -> dict[str, Any]:
        return {"id": camera_id, "kind": "synthetic", "size": SIZE, "rate": "25"} | changes

    @asynccontextmanager
    async def running(self, settings: Settings) -> AsyncIterator[CaptureService]:
        service = CaptureService(settings)
        await service.start()
        try:
            yield service
        finally:
            await service.stop()

    def manifests(self, camera: str | None = None) -> list[Manifest]:
        """Every committed segment, oldest first."""
        found = [read_manifest(path) for path in self.store.glob(f"{camera or '[a-z0-9]*'}/*/*/*/*.json")]
        return sorted(found, key=lambda one: (one.start_utc, one.segment_index))

    def media(self, manifest: Manifest) -> Path:
        return self.store / manifest.folder / manifest.file

    def frames(self, manifest: Manifest) -> list[ReadFrame]:
        """Every frame of a segment, decoded, in the order of the file."""
        with av.open(str(self.media(manifest))) as container:
            return [
                ReadFrame(read_code(frame.to_ndarray(format="gray")), float(frame.pts * frame.time_base))
                for frame in container.decode(video=0)
            ]

    def clock_errors(self, manifest: Manifest) -> list[float]:
        """For every frame, seconds that the manifest's time for it is after the clock it carries."""
        frames = self.frames(manifest)
        first = frames[0].time_s
        start = manifest.start_utc.timestamp()
        return [clock_difference(frame.code, start + frame.time_s - first) for frame in frames]

    def assert_whole(self) -> None:
        """Every committed file is what its manifest says, none is there twice, nothing is left over."""
        manifests = self.manifests()
        for manifest in manifests:
            media = self.media(manifest)
            assert media.stat().st_size == manifest.bytes, media
            assert blake3.blake3(media.read_bytes()).hexdigest() == manifest.blake3, media
        names = {(one.session_id, one.segment_index) for one in manifests}
        assert len(names) == len(manifests)
        assert len({one.blake3 for one in manifests}) == len(manifests)
        listed = {self.media(one) for one in manifests}
        assert set(self.store.glob("[a-z0-9]*/**/*.mkv")) == listed
        assert [*(self.store / ".part").rglob("*")] == []
        for session in {one.session_id for one in manifests}:
            indices = sorted(one.segment_index for one in manifests if one.session_id == session)
            assert indices == list(range(len(indices)))


async def until(happened: Callable[[], Any], timeout_s: float = 30.0) -> Any:
    """Wait for something to become true, and give it back."""
    async with asyncio.timeout(timeout_s):
        while not (value := happened()):
            await asyncio.sleep(0.05)
        return value


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture(scope="module")
def module_bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A place to record in once for all tests of a module."""
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture(name="until")
def until_fixture() -> Any:
    return until
