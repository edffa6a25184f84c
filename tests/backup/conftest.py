"""Fixtures of the fault suites: one table for all of them and a process that can be killed."""

import random
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.backup.cases import Ask, Case, Table
from thatdam_pipelines.backup.snapshot import take_snapshot
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.settings import BackupTarget, Retention, Settings

LEAST = 200
KINDS = 17
ONE = Retention(keep_last=1, keep_daily=0, keep_weekly=0, keep_monthly=0)


@pytest.fixture(scope="session")
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    """Printed when all is done, captured output or not."""
    kept = Table()
    yield kept
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        sys.stderr.write(f"\n{kept}\n")
    if len(kept.rows) == KINDS:
        assert sum(count for count, _ in kept.rows.values()) >= LEAST


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """Asks a process of its own to snapshot, prune or restore with a fault at one of its system calls."""
    asking = Ask()
    yield asking
    asking.end()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Six originals in two batches."""
    top = tmp_path_factory.mktemp("template")
    chance = random.Random(7)
    contents = {f"card{n % 2}/A{n}.MOV": chance.randbytes(2_000 * (n + 1)) for n in range(6)}
    settings = Settings(home=top / "home", embedder="descriptor", disk_reserve_bytes=0)
    for name, content in contents.items():
        (top / name).parent.mkdir(exist_ok=True)
        (top / name).write_bytes(content)
    with Library(settings) as library:
        for folder in ("card0", "card1"):
            for batch in claim_paths(library, [top / folder], "copy"):
                ingest_batch(library, batch)
    return Case(settings, BackupTarget(name="disk", url=str(top / "disk"), retention=ONE), contents)


@pytest.fixture
def fresh(template: Case, tmp_path: Path) -> Callable[..., Case]:
    """Gives copies of the template, each in a folder of its own, with as many snapshots as wanted."""
    made = 0

    def copy(snapshots: int = 0) -> Case:
        nonlocal made
        made += 1
        top = tmp_path / str(made)
        shutil.copytree(template.settings.home, top / "home")
        settings = template.settings.model_copy(update={"home": top / "home"})
        case = Case(settings, template.disk.model_copy(update={"url": str(top / "disk")}), template.contents)
        for _ in range(snapshots):
            with Library(settings) as library:
                take_snapshot(library, case.disk)
        return case

    return copy
