"""The same content twice is kept once, and never is the only copy taken for the second."""

import threading
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from blake3 import blake3

from thatdam_pipelines.errors import SettingsError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import LOCATIONS, MEDIA
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.samples.drops import ingest, names_in, rows, stored_files, write
from thatdam_pipelines.settings import IngestMode, Settings


@pytest.mark.parametrize("mode", ["copy", "move"])
def test_a_duplicate_in_a_batch_is_kept_once(library: Library, tmp_path: Path, mode: IngestMode) -> None:
    drop = tmp_path / "drop"
    write(drop / "a.mov", b"same")
    write(drop / "sub" / "b.mov", b"same")

    batch = ingest(library, drop, mode=mode)

    assert list(stored_files(library).values()) == [b"same"]
    (content,) = rows(library, MEDIA, batch)
    assert content["name"] == "a.mov"
    places = {str(row["name"]): row for row in rows(library, LOCATIONS, batch)}
    assert (places["a.mov"]["duplicate"], places["b.mov"]["duplicate"]) == (False, True)
    assert places["a.mov"]["path"] == places["b.mov"]["path"]
    assert names_in(drop) == ([] if mode == "move" else ["a.mov", "sub", "sub/b.mov"])


@pytest.mark.parametrize("mode", ["copy", "move"])
def test_a_duplicate_of_an_earlier_batch_adds_a_place_only(library: Library, tmp_path: Path, mode: IngestMode) -> None:
    first = ingest(library, write(tmp_path / "one" / "a.mov", b"same"))
    second = ingest(library, write(tmp_path / "two" / "b.mov", b"same"), mode=mode)

    assert rows(library, MEDIA, second) == []
    (place,) = rows(library, LOCATIONS, second)
    assert place["duplicate"] is True
    assert place["path"] == rows(library, LOCATIONS, first)[0]["path"]
    assert list(stored_files(library).values()) == [b"same"]
    assert (tmp_path / "two" / "b.mov").exists() is (mode == "copy")
    assert not Path(library.store.url(f"raw/{second[:4]}/{second[4:6]}/{second[6:8]}/{second}")).exists()


@pytest.mark.parametrize("harm", ["damaged", "lost"])
def test_a_move_never_trusts_a_kept_copy_that_is_damaged_or_lost(library: Library, tmp_path: Path, harm: str) -> None:
    first = ingest(library, write(tmp_path / "one" / "a.mov", b"same"))
    kept = Path(library.store.url(str(rows(library, LOCATIONS, first)[0]["path"])))
    kept.unlink()
    if harm == "damaged":
        kept.write_bytes(b"sane")

    second = ingest(library, write(tmp_path / "two" / "b.mov", b"same"), mode="move")
    third = ingest(library, write(tmp_path / "three" / "c.mov", b"same"), mode="move")

    (place,) = rows(library, LOCATIONS, second)
    assert second in str(place["path"])
    assert library.store.read_bytes(str(place["path"])) == b"same"
    assert rows(library, LOCATIONS, third)[0]["path"] == place["path"]


def test_what_was_referenced_is_stored_when_it_is_copied_later(library: Library, tmp_path: Path) -> None:
    ingest(library, write(tmp_path / "disk" / "a.mov", b"same"), mode="reference")
    again = ingest(library, write(tmp_path / "other disk" / "b.mov", b"same"), mode="reference")
    second = ingest(library, write(tmp_path / "two" / "b.mov", b"same"), mode="move")

    (place,) = rows(library, LOCATIONS, second)
    assert (place["duplicate"], place["in_store"]) == (True, True)
    assert rows(library, LOCATIONS, again)[0]["path"] == str(tmp_path / "other disk" / "b.mov")
    assert library.store.read_bytes(str(place["path"])) == b"same"


def test_moving_what_is_the_kept_copy_itself_removes_nothing(library: Library, tmp_path: Path) -> None:
    first = ingest(library, write(tmp_path / "one" / "a.mov", b"same"))
    kept = Path(library.store.url(str(rows(library, LOCATIONS, first)[0]["path"])))
    with pytest.raises(SettingsError, match="part of the library"):
        claim_paths(library, [kept.parent], "move")

    # As when the store is reached by another path, a bind mount or a share.
    library.ledger.record_scan(str(kept.parent), datetime.now(UTC))
    from thatdam_pipelines.library.arrivals import Sighting

    found = kept.stat()
    batch = library.ledger.create_batch(
        str(kept.parent),
        "move",
        [Sighting("a.mov", found.st_size, found.st_mtime_ns)],
        datetime.now(UTC),
        settled=False,
    )
    ingest_batch(library, str(batch))

    assert kept.read_bytes() == b"same"


def test_of_two_batches_with_the_same_new_content_at_once_one_owns_it(settings: Settings, tmp_path: Path) -> None:
    with Library(settings) as library:
        batches = []
        for number in range(4):
            for clip in range(10):
                write(tmp_path / f"drop {number}" / f"{clip}.mov", f"clip {clip}".encode() * 5000)
            batches += claim_paths(library, [tmp_path / f"drop {number}"], "move")
        threads = [threading.Thread(target=ingest_batch, args=(library, batch)) for batch in batches]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        media = pl.concat([library.tables.read(MEDIA, batch) for batch in batches])
        places = pl.concat([library.tables.read(LOCATIONS, batch) for batch in batches])
        assert media.height == media["media_id"].n_unique() == 10
        assert places.height == 40
        assert places.filter(~pl.col("duplicate")).height == 10
        for place in places.iter_rows(named=True):
            assert blake3(library.store.read_bytes(place["path"])).hexdigest()[:32] == place["media_id"]
