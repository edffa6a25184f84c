"""A file is found by its id, its name, or any path it has or had."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from thatdam_pipelines.errors import QueryError
from thatdam_pipelines.library.files import escape_name
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.locations import media_id_of
from thatdam_pipelines.library.schemas import LOCATIONS
from thatdam_pipelines.samples.drops import ingest, rows, write
from thatdam_pipelines.search.explain import explain
from thatdam_pipelines.settings import Settings


@pytest.fixture
def library(settings: Settings) -> Iterator[Library]:
    with Library(settings) as library:
        yield library


@pytest.mark.parametrize("name", ["clip.mov", "it's.mov", "caf\udce9.mov", r"caf\xe9.mov"])
def test_any_name_a_file_has_means_it(library: Library, tmp_path: Path, name: str) -> None:
    ingest(library, write(tmp_path / "other" / "other.mov", b"other"))
    path = write(tmp_path / "drop" / name, b"clip")
    [place] = rows(library, LOCATIONS, ingest(library, path))

    for subject in (place["media_id"], str(path), escape_name(str(path)), name, escape_name(name), place["path"]):
        assert media_id_of(library, subject) == place["media_id"], subject
    assert media_id_of(library, "nothing.mov") is None


def test_a_name_of_several_files_means_none_of_them(library: Library, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        ingest(library, write(tmp_path / folder / "clip.mov", folder.encode()))

    with pytest.raises(QueryError, match="2 different files have that name"):
        media_id_of(library, "clip.mov")


def test_every_path_of_a_file_is_told_whichever_batch_brought_it(library: Library, tmp_path: Path) -> None:
    paths = [write(tmp_path / folder / "clip.mov", b"clip") for folder in ("one", "two", "three")]
    for path in paths:
        ingest(library, path)

    told = explain(library, str(paths[1]), lambda stage, batch: None)

    assert sorted(told.paths) == sorted(map(str, paths))
    assert {status.stage: status.state for status in told.stages}["raw_media"] == "done"
