"""A home whose settings come from the environment, as in a run or a sensor tick, and its real Dagster instance."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import imageio_ffmpeg
import pytest

from thatdam_pipelines.instance import open_instance, prepare_instance
from thatdam_pipelines.settings import Settings, get_settings

Clip = Callable[[Path, float], Path]


@pytest.fixture(scope="session")
def environment() -> Callable[[Path], dict[str, str]]:
    """Variables for a home in which everything settles at once and nothing is waited for."""
    return lambda home: {
        "THATDAM_HOME": str(home),
        "THATDAM_EMBEDDER": "descriptor",
        "THATDAM_WORKERS": "2",
        "THATDAM_SETTLE_SECONDS": "0",
        "THATDAM_BATCH_WAIT_SECONDS": "0",
        "THATDAM_DISK_RESERVE_BYTES": "0",
    }


@pytest.fixture
def home_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: Callable[[Path], dict[str, str]]
) -> Iterator[Settings]:
    """Settings of this process, read from the environment as in a run."""
    for name, value in environment(tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    yield get_settings()
    get_settings.cache_clear()


@pytest.fixture(scope="session")
def prepared_instance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty instance, prepared once: creating its databases takes seconds, copying them does not."""
    return prepare_instance(Settings(home=tmp_path_factory.mktemp("prepared")))


@pytest.fixture
def instance(home_settings: Settings, prepared_instance: Path) -> Iterator[dg.DagsterInstance]:
    shutil.copytree(prepared_instance, home_settings.dagster_dir)
    with open_instance(home_settings, capture_output=False) as opened:
        yield opened


@pytest.fixture(scope="session")
def write_clip() -> Clip:
    """Writes a small H.264 clip with sound; different lengths give different contents."""

    def write(path: Path, seconds: float) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = f"testsrc2=size=320x180:rate=25:duration={seconds}"
        sound = f"sine=frequency=440:duration={seconds}"
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error"]
        command += ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound]
        command += ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", f"file:{path}"]
        subprocess.run(command, check=True)
        return path

    return write
