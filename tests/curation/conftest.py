from collections.abc import Iterator
from pathlib import Path

import pytest

from thatdam_pipelines.library.ledger import Content, Ledger

CLIPS = tuple(f"{number:032x}" for number in range(1, 6))


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path / 'home' / 'library.db'}"


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    """A ledger that knows five contents."""
    ledger = Ledger(url)
    ledger.claim_contents("b1", [Content(clip, "b1", 1, None) for clip in CLIPS])
    yield ledger
    ledger.close()


@pytest.fixture
def clips() -> tuple[str, ...]:
    return CLIPS


@pytest.fixture
def sqlite_ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger in SQLite alone, for what does not depend on the database."""
    ledger = Ledger(f"sqlite:///{tmp_path / 'library.db'}")
    ledger.claim_contents("b1", [Content(clip, "b1", 1, None) for clip in CLIPS])
    yield ledger
    ledger.close()
