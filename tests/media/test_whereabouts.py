"""The original of a content is found wherever the library has it."""

from pathlib import Path

import pytest

from thatdam_pipelines.errors import AwayError, MediaError, OfflineError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import LOCATIONS
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.media.whereabouts import original, whereabouts
from thatdam_pipelines.settings import IngestMode, Settings


def write(path: Path, content: bytes = b"frames") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def ingest(library: Library, path: Path, mode: IngestMode) -> str:
    (batch,) = claim_paths(library, [path], mode)
    assert ingest_batch(library, batch).failures == []
    return batch


def read(library: Library, batch: str) -> bytes:
    """The only original of a batch."""
    (found,) = whereabouts(library, batch).values()
    with original(library, found) as path:
        return path.read_bytes()


def test_a_stored_original_is_read_from_the_store(library: Library, tmp_path: Path) -> None:
    batch = ingest(library, write(tmp_path / "a.mov"), "move")

    assert read(library, batch) == b"frames"


def test_a_stored_original_is_read_from_s3(s3_settings: Settings, tmp_path: Path) -> None:
    with Library(s3_settings) as library:
        batch = ingest(library, write(tmp_path / "a.mov"), "move")

        assert read(library, batch) == b"frames"


def test_what_came_by_reference_and_was_stored_since_is_read_from_the_store(library: Library, tmp_path: Path) -> None:
    path = write(tmp_path / "disk" / "a.mov")
    batch = ingest(library, path, "reference")
    ingest(library, write(tmp_path / "two" / "b.mov"), "copy")
    path.unlink()

    assert read(library, batch) == b"frames"


def test_a_lost_copy_that_was_replaced_is_read_from_the_new_one(library: Library, tmp_path: Path) -> None:
    batch = ingest(library, write(tmp_path / "one" / "a.mov"), "copy")
    kept = Path(library.store.url(str(library.tables.read(LOCATIONS, batch)["path"][0])))
    kept.unlink()
    ingest(library, write(tmp_path / "two" / "b.mov"), "copy")
    assert not kept.exists()

    assert read(library, batch) == b"frames"


def test_while_a_disk_is_away_the_same_content_on_another_one_is_read(library: Library, tmp_path: Path) -> None:
    away = write(tmp_path / "away" / "a.mov")
    batch = ingest(library, away, "reference")
    ingest(library, write(tmp_path / "here" / "b.mov"), "reference")
    away.unlink()

    assert read(library, batch) == b"frames"


def test_while_one_of_two_in_a_batch_is_away_the_other_is_read(library: Library, tmp_path: Path) -> None:
    away = write(tmp_path / "disk" / "a.mov")
    write(tmp_path / "disk" / "b.mov")
    batch = ingest(library, tmp_path / "disk", "reference")
    away.unlink()

    assert read(library, batch) == b"frames"


def test_a_file_that_was_changed_is_not_used(library: Library, tmp_path: Path) -> None:
    changed = write(tmp_path / "one" / "a.mov")
    batch = ingest(library, changed, "reference")
    changed.write_bytes(b"edited since")
    with pytest.raises(MediaError, match="changed since it was ingested"):
        read(library, batch)

    ingest(library, write(tmp_path / "two" / "b.mov"), "reference")

    assert read(library, batch) == b"frames"


def test_only_where_no_place_can_be_reached_an_original_is_away(library: Library, tmp_path: Path) -> None:
    paths = [write(tmp_path / name / "a.mov") for name in ("one", "two")]
    batch = ingest(library, paths[0], "reference")
    ingest(library, paths[1], "reference")
    for path in paths:
        path.parent.rename(path.parent.with_name(f"{path.parent.name} unplugged"))

    with pytest.raises(AwayError, match="Mount its disk"):
        read(library, batch)

    (tmp_path / "two unplugged").rename(tmp_path / "two")
    assert read(library, batch) == b"frames"


def test_one_missing_from_the_store_is_read_where_it_was_left(library: Library, tmp_path: Path) -> None:
    batch = ingest(library, write(tmp_path / "one" / "a.mov"), "copy")
    ingest(library, write(tmp_path / "two" / "b.mov"), "reference")
    kept = Path(library.store.url(str(library.tables.read(LOCATIONS, batch)["path"][0])))
    kept.unlink()
    assert read(library, batch) == b"frames"

    (tmp_path / "two" / "b.mov").write_bytes(b"edited since")
    with pytest.raises(MediaError, match="missing from the media store"):
        read(library, batch)


def test_a_store_that_is_away_is_offline_and_blames_no_file(library: Library, tmp_path: Path) -> None:
    batch = ingest(library, write(tmp_path / "a.mov"), "copy")
    media = Path(library.settings.media_url)
    media.rename(media.with_name("unplugged"))

    with pytest.raises(OfflineError, match="media store is not there"):
        read(library, batch)


@pytest.mark.parametrize("name", ["a\nb.mov", "caf\udce9.mov", r"caf\xe9.mov"])
def test_an_original_of_any_name_is_found_where_another_batch_has_it(
    library: Library, tmp_path: Path, name: str
) -> None:
    first = write(tmp_path / "one" / "a.mov")
    batch = ingest(library, first, "reference")
    ingest(library, write(tmp_path / "two" / name), "reference")
    first.unlink()

    assert read(library, batch) == b"frames"
