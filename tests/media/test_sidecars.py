"""Sidecars are read on ingest whatever comes first, propose and never overrule; ours are written on request."""

from pathlib import Path

import pytest

from thatdam_pipelines.curation.sidecar_export import write_sidecars
from thatdam_pipelines.errors import CurationError, OfflineError
from thatdam_pipelines.library.curation import Curation, change_of
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import LOCATIONS
from thatdam_pipelines.media.sidecars import read_sidecars
from thatdam_pipelines.media.xmp import write_xmp
from thatdam_pipelines.samples.drops import ingest, write
from thatdam_pipelines.settings import IngestMode


def said(**fields: object) -> bytes:
    return write_xmp(Curation("0" * 32, **fields))  # type: ignore[arg-type]


def arrive(library: Library, *paths: Path, mode: IngestMode = "copy") -> list[str]:
    batch = ingest(library, *paths, mode=mode)
    return read_sidecars(library, batch)


def media_id(library: Library, name: str) -> str:
    batches = library.tables.batches(LOCATIONS)
    return next(
        str(row["media_id"])
        for batch in batches
        for row in library.tables.read(LOCATIONS, batch).iter_rows(named=True)
        if row["name"] == name
    )


def now(library: Library, name: str) -> Curation:
    return library.ledger.curation.get(media_id(library, name))


def test_the_sidecar_of_the_whole_name_outweighs_that_of_the_stem(library: Library, tmp_path: Path) -> None:
    card = tmp_path / "card"
    write(card / "clip.mov", b"movie")
    write(card / "clip.jpg", b"picture")
    write(card / "clip.xmp", said(rating=2, title="Both", tags=("sea",)))
    write(card / "clip.mov.xmp", said(rating=5, tags=("sun",)))
    assert arrive(library, card) == []
    movie, picture = now(library, "clip.mov"), now(library, "clip.jpg")
    assert (movie.rating, movie.title, movie.tags) == (5, "Both", ("sun",))
    assert (picture.rating, picture.title, picture.tags) == (2, "Both", ("sea",))
    assert movie.sources["rating"] == "sidecar" and movie.changed_by == str(card / "clip.mov.xmp")


@pytest.mark.parametrize("order", [("clip.mov", "clip.xmp"), ("clip.XMP", "clip.mov"), ("clip.MOV.xmp", "clip.MOV")])
def test_clip_and_sidecar_find_each_other_whichever_comes_first(
    library: Library, tmp_path: Path, order: tuple[str, str]
) -> None:
    for name in order:
        content = said(rating=3) if name.lower().endswith("xmp") else b"movie"
        arrive(library, write(tmp_path / "drop" / name, content))
    assert now(library, next(name for name in order if not name.lower().endswith("xmp"))).rating == 3


def test_a_person_wins_and_reading_again_changes_nothing(library: Library, tmp_path: Path) -> None:
    card = tmp_path / "card"
    write(card / "clip.mov", b"movie")
    write(card / "clip.xmp", said(rating=2, tags=("sea", "sun")))
    batch = ingest(library, card)
    read_sidecars(library, batch)
    clip = media_id(library, "clip.mov")
    library.ledger.curation.change([clip], change_of(rating=5, remove_tags=["sea"]), "ada")
    version = now(library, "clip.mov").version
    read_sidecars(library, batch)
    assert (now(library, "clip.mov").rating, now(library, "clip.mov").tags) == (5, ("sun",))
    assert now(library, "clip.mov").version == version


def test_a_broken_sidecar_is_told_of_and_loses_nothing_else(library: Library, tmp_path: Path) -> None:
    card = tmp_path / "card"
    write(card / "a.mov", b"a")
    write(card / "b.mov", b"b")
    write(card / "a.xmp", b"<!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]><x>&y;</x>")
    write(card / "b.xmp", said(rating=4))
    (problem,) = arrive(library, card)
    assert str(card / "a.xmp") in problem and "document type" in problem
    assert now(library, "b.mov").rating == 4 and now(library, "a.mov").version == 0


def test_sidecars_are_written_into_a_folder_and_read_back(library: Library, tmp_path: Path) -> None:
    arrive(library, write(tmp_path / "drop" / "DCIM" / "clip.mov", b"movie").parent.parent)
    clip = media_id(library, "clip.mov")
    library.ledger.curation.change([clip], change_of(rating=4, tags=["place/Paris"], title="Kiss"), "ada")
    to = tmp_path / "out"
    (written,) = write_sidecars(library, [clip], to)
    assert (written.path, written.state) == (str(to / "DCIM" / "clip.mov.xmp"), "written")
    assert write_sidecars(library, [clip], to)[0].state == "unchanged"
    write(tmp_path / "elsewhere" / "other.mov", b"other")
    write(tmp_path / "elsewhere" / "other.mov.xmp", Path(written.path).read_bytes())
    arrive(library, tmp_path / "elsewhere")
    other = now(library, "other.mov")
    assert (other.rating, other.tags, other.title) == (4, ("place/Paris",), "Kiss")


def test_another_programs_sidecar_is_overwritten_only_on_demand(library: Library, tmp_path: Path) -> None:
    arrive(library, write(tmp_path / "drop" / "clip.mov", b"movie"))
    clip = media_id(library, "clip.mov")
    library.ledger.curation.change([clip], change_of(rating=4), "ada")
    theirs = write(tmp_path / "out" / "clip.mov.xmp", b"<theirs/>")
    assert write_sidecars(library, [clip], tmp_path / "out")[0].state == "kept" and theirs.read_bytes() == b"<theirs/>"
    assert write_sidecars(library, [clip], tmp_path / "out", force=True)[0].state == "written"
    library.ledger.curation.change([clip], change_of(rating=5), "ada")
    assert write_sidecars(library, [clip], tmp_path / "out")[0].state == "written", "ours is written anew"


def test_beside_the_original_only_where_it_was_left_and_is_there(library: Library, tmp_path: Path) -> None:
    kept = write(tmp_path / "a" / "kept.mov", b"kept")
    left = write(tmp_path / "b" / "left.mov", b"left")
    arrive(library, kept)
    arrive(library, left, mode="reference")
    ids = [media_id(library, name) for name in ("kept.mov", "left.mov")]
    library.ledger.curation.change(ids, change_of(rating=4), "ada")
    with pytest.raises(CurationError, match="kept in the store"):
        write_sidecars(library, ids[:1], None)
    (written,) = write_sidecars(library, ids[1:], None)
    assert written.path == f"{left}.xmp" and left.read_bytes() == b"left"
    left.rename(tmp_path / "away.mov")
    with pytest.raises(OfflineError, match="not there now"):
        write_sidecars(library, ids[1:], None)
