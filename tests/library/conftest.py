from collections.abc import Iterator
from pathlib import Path

import pytest

from thatdam_pipelines.samples.watched import Watched
from thatdam_pipelines.settings import Settings


@pytest.fixture
def watched(settings: Settings, tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(settings, tmp_path / "watched")
    yield watched
    watched.ledger.close()
