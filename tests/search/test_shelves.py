"""Shelves hold every clip of the sample footage once, and say what stands on them."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.search.browse import browse
from thatdam_pipelines.search.filters import Filters
from thatdam_pipelines.search.shelves import By, shelves
from thatdam_pipelines.settings import Settings


@pytest.fixture
def library(footage: Any) -> Iterator[Library]:
    with Library(footage.settings) as library:
        yield library


@pytest.mark.parametrize("by", ["day", "folder", "batch"])
def test_every_clip_stands_on_one_shelf(library: Library, by: By) -> None:
    found = shelves(library.settings, by)
    page = browse(library, Filters(), limit=500)
    assert sum(shelf.clips for shelf in found) == page.total
    assert sum(shelf.bytes for shelf in found) == sum(clip["size_bytes"] for clip in page.clips)
    for shelf in found:
        assert shelf.first <= shelf.last
        assert set(shelf.covers) <= {clip["media_id"] for clip in page.clips if clip["has_proxy"]}


def test_a_shelf_is_what_its_filter_shows(library: Library) -> None:
    for shelf in shelves(library.settings, "camera"):
        assert browse(library, Filters(camera=[shelf.value]), limit=500).total == shelf.clips


@pytest.mark.parametrize("by", get_args(By))
def test_a_library_that_published_nothing_has_no_shelves(settings: Settings, by: By) -> None:
    assert shelves(settings, by) == []
