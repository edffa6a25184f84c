"""Places are looked up in what compaction merged and in what came since alike."""

from collections.abc import Iterator

import pytest

from thatdam_pipelines.library.compaction import compact
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.locations import locations_by
from thatdam_pipelines.library.schemas import LOCATIONS
from thatdam_pipelines.samples.library_rows import made_up_batch, write_batch
from thatdam_pipelines.settings import Settings


@pytest.fixture
def library(settings: Settings) -> Iterator[Library]:
    with Library(settings) as library:
        yield library


def test_a_library_without_batches_has_no_place(library: Library) -> None:
    found = locations_by(library.tables, "name", ["GX000000.MP4"])

    assert found.schema == LOCATIONS.schema
    assert found.is_empty()


def test_places_of_merged_changed_and_new_batches_are_found(library: Library) -> None:
    tables = library.tables
    for number in range(3):
        write_batch(tables, f"b{number}", made_up_batch(f"b{number}", 4, first=4 * number))
    compact(library, quiet_s=0)
    changed = tables.read(LOCATIONS, "b1")
    tables.write(LOCATIONS, "b1", changed.head(3))
    write_batch(tables, "b3", made_up_batch("b3", 4, first=12))

    names = [f"GX{number:06d}.MP4" for number in range(16)]
    found = locations_by(tables, "name", names).sort("name")

    left = [tables.read(LOCATIONS, batch) for batch in ("b0", "b1", "b2", "b3")]
    assert found["name"].to_list() == sorted(name for rows in left for name in rows["name"])
    assert found.height == 15
    one = left[0].head(1)
    assert locations_by(tables, "media_id", one["media_id"].to_list()).equals(one)
    assert locations_by(tables, "source_path", one["source_path"].to_list()).equals(one)
    assert locations_by(tables, "path", ["nowhere'"]).is_empty()
