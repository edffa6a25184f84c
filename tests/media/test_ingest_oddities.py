"""Files of any name, size and time are ingested."""

import os
from pathlib import Path

import pytest

from thatdam_pipelines.library.files import unescape_name
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import LOCATIONS
from thatdam_pipelines.media.whereabouts import original, whereabouts
from thatdam_pipelines.samples.drops import MODES, ingest, names_in, rows, stored_files, write
from thatdam_pipelines.settings import IngestMode


@pytest.mark.parametrize(
    "name",
    ["a\nb.mov", 'it\'s "x".mov', "🎬.mov", "-rf.mov", "no extension", "caf\udce9.mov", r"caf\xe9.mov", "é" * 125],
)
@pytest.mark.parametrize("mode", MODES)
def test_any_name_is_ingested(library: Library, tmp_path: Path, name: str, mode: IngestMode) -> None:
    write(tmp_path / "drop" / f"x{name[:50]}" / name, b"content")

    batch = ingest(library, tmp_path / "drop", mode=mode)

    (place,) = rows(library, LOCATIONS, batch)
    assert unescape_name(str(place["source_path"])) == str(tmp_path / "drop" / f"x{name[:50]}" / name)
    assert unescape_name(str(place["name"])) == name
    with original(library, whereabouts(library, batch)[str(place["media_id"])]) as path:
        assert path.read_bytes() == b"content"


def test_names_that_are_the_same_when_shortened_keep_both_files(library: Library, tmp_path: Path) -> None:
    for end in "ab":
        write(tmp_path / "drop" / ("\udcff" * 200 + end + ".mov"), end.encode())

    batch = ingest(library, tmp_path / "drop")

    assert sorted(stored_files(library).values()) == [b"a", b"b"]
    assert len(rows(library, LOCATIONS, batch)) == 2


def test_files_without_bytes_are_ingested(library: Library, tmp_path: Path) -> None:
    write(tmp_path / "drop" / "empty.mov", b"")
    write(tmp_path / "drop" / "also empty", b"")

    batch = ingest(library, tmp_path / "drop", mode="move")

    assert [row["size_bytes"] for row in rows(library, LOCATIONS, batch)] == [0, 0]
    assert names_in(tmp_path / "drop") == []


@pytest.mark.parametrize("nanoseconds", [-(2**62), 2**62, 253_402_300_800_000_000_000 // 30])
def test_a_modification_time_of_any_century_is_ingested(library: Library, tmp_path: Path, nanoseconds: int) -> None:
    path = write(tmp_path / "drop" / "a.mov", b"content")
    os.utime(path, ns=(nanoseconds, nanoseconds))

    batch = ingest(library, tmp_path / "drop")

    assert len(rows(library, LOCATIONS, batch)) == 1
