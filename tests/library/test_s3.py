"""Originals whose source goes away while they are put into a bucket."""

from pathlib import Path

import pytest

from tests.conftest import S3_SERVERS
from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.library.store import Store
from thatdam_pipelines.settings import Settings

pytestmark = pytest.mark.parametrize("s3_server", S3_SERVERS, indirect=True)
KEY = "raw/2026/11/20/20261120T210509-0a1b2c3d/CARD/clip.mov"


@pytest.fixture
def store(s3_settings: Settings) -> Store:
    return Store(s3_settings.media_url, s3_settings)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mov"
    path.write_bytes(b"frames" * 1000)
    return path


def test_a_source_that_vanishes_once_it_is_stored_is_stored(
    store: Store, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = store._place.digest

    def read_back_while_it_vanishes(key: str) -> object:
        clip.unlink()
        return digest(key)

    monkeypatch.setattr(store._place, "digest", read_back_while_it_vanishes)

    assert store.put(clip, KEY, move=True).size_bytes == 6000

    assert store.read_bytes(KEY) == b"frames" * 1000


def test_a_source_that_vanishes_before_it_is_uploaded_costs_only_itself(
    store: Store, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = store._place.size

    def ask_while_it_vanishes(key: str) -> int | None:
        clip.unlink()
        return size(key)

    monkeypatch.setattr(store._place, "size", ask_while_it_vanishes)

    with pytest.raises(MediaError, match=r"clip\.mov: it cannot be read \(No such file or directory\)"):
        store.put(clip, KEY, move=True)

    monkeypatch.undo()
    assert not store.exists(KEY)
