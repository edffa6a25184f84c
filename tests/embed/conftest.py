"""A library of a few generated clips up to their proxies, copied for each test."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import imageio_ffmpeg
import pytest

from thatdam_pipelines.embed.descriptor import DescriptorEmbedder
from thatdam_pipelines.embed.embedder import Frames, Vectors
from thatdam_pipelines.library.checksum import digest_file
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import LOCATIONS, MEDIA
from thatdam_pipelines.library.workers import Workers
from thatdam_pipelines.media.kinds import HEAD_BYTES, kind_of
from thatdam_pipelines.media.probes import probe_batch
from thatdam_pipelines.media.proxies import proxy_batch
from thatdam_pipelines.samples.footage import ClipFacts, write_clip, write_memo, write_still
from thatdam_pipelines.samples.scenes import Scene, scene_frames
from thatdam_pipelines.settings import Settings

BATCH = "b1"
SIZE = (320, 180)

NIGHT = Scene("night", "ball", "red", motion="sideways", seed=1)
SEA = Scene("sea", "star", "yellow", motion="bouncing", seed=2)
SNOW = Scene("snow", "square", "black", motion="growing", seed=3)


class CountingEmbedder(DescriptorEmbedder):
    """The descriptor under another space's name, which keeps count of what it is asked."""

    def __init__(self, space: str = "descriptor/1") -> None:
        super().__init__()
        self.space = space
        self.asked: list[int] = []

    def embed_images(self, frames: Frames) -> Vectors:
        self.asked.append(len(frames))
        return super().embed_images(frames)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Home with: three scenes of 3 s, one static scene of 40 s, a still, and sound alone."""
    folder = tmp_path_factory.mktemp("footage")
    write_clip(folder / "three.mp4", [NIGHT, SEA, SNOW], seconds=3, fps=25, size=SIZE)
    _write_static(folder / "static.mp4", seconds=40)
    write_still(folder / "still.jpg", SEA, size=(640, 480), facts=ClipFacts())
    write_memo(folder / "memo.m4a", 2.0)
    settings = Settings(home=tmp_path_factory.mktemp("home"), embedder="descriptor", workers=2)
    with Library(settings) as library:
        _write_media(library, sorted(folder.iterdir()))
        assert probe_batch(library, BATCH).failures == []
        assert proxy_batch(library, BATCH).failures == []
    return settings


@pytest.fixture(scope="session")
def workers(made_once: Settings) -> Iterator[Workers]:
    """Worker processes for all tests: starting them takes longer than most tests."""
    workers = Workers(made_once.workers, made_once.worker_memory_bytes)
    yield workers
    workers.close()


@pytest.fixture
def library(made_once: Settings, workers: Workers, tmp_path: Path) -> Iterator[Library]:
    """The library, whose batch ``b1`` has proxies and nothing after."""
    shutil.copytree(made_once.home, tmp_path / "home", symlinks=True)
    with Library(made_once.model_copy(update={"home": tmp_path / "home"})) as library:
        library.workers = workers
        yield library
        del library.workers


@pytest.fixture
def ids(library: Library) -> dict[str, str]:
    """The media_id of each file by name."""
    return dict(library.tables.read(MEDIA, BATCH).select("name", "media_id").iter_rows())


@pytest.fixture
def embedder_of() -> Callable[[str], CountingEmbedder]:
    """Makes an embedder of the space that is named."""
    return CountingEmbedder


def _write_static(path: Path, seconds: int) -> None:
    """A locked-off shot of a brick wall, with the noise of a sensor."""
    picture = next(scene_frames(Scene("bricks", "ring", "blue"), 1, 1, SIZE))
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{SIZE[0]}x{SIZE[1]}", "-r", "5", "-i", "pipe:0"]
    looped = [
        "-vf",
        f"loop={5 * seconds - 1}:1,noise=alls=6:allf=t",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-g",
        "5",
    ]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *source, *looped, "-pix_fmt", "yuv420p", f"file:{path}"]
    subprocess.run(command, input=picture.tobytes(), check=True)


def _write_media(library: Library, files: list[Path]) -> None:
    now = datetime.now(UTC)
    media, locations = [], []
    for file in files:
        digest = digest_file(file)
        common = {"media_id": digest.media_id, "batch_id": BATCH, "name": file.name, "size_bytes": digest.size_bytes}
        kind = kind_of(file.name, file.read_bytes()[:HEAD_BYTES])
        media.append(common | {"kind": kind, "blake3": digest.blake3, "xxh128": digest.xxh128, "first_seen_utc": now})
        locations.append(
            common
            | {"path": str(file), "source_path": str(file), "in_store": False, "mode": "reference", "folder": ""}
            | {"duplicate": False, "modified_utc": now, "verified_utc": now}
        )
    library.tables.write(MEDIA, BATCH, MEDIA.frame(media))
    library.tables.write(LOCATIONS, BATCH, LOCATIONS.frame(locations))
