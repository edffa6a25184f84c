"""What people say is found by text at once, from the ledger alone, and a rebuild gives the same."""

import contextlib
import sqlite3
from collections.abc import Iterator

import pytest

from thatdam_pipelines.curation.changing import change_media, make_findable
from thatdam_pipelines.errors import CurationError
from thatdam_pipelines.library.curation import change_of
from thatdam_pipelines.library.curation_ledger import Filter
from thatdam_pipelines.library.curation_rows import Author
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.ledger import Content
from thatdam_pipelines.library.schemas import MEDIA, TAGS
from thatdam_pipelines.library.text import TextIndex
from thatdam_pipelines.samples.library_rows import made_up_batch, write_batch
from thatdam_pipelines.search.search import Query, Searcher
from thatdam_pipelines.settings import Settings


@pytest.fixture
def library(settings: Settings) -> Iterator[Library]:
    """Two batches of three clips, indexed."""
    with Library(settings) as library, TextIndex(settings.text_path) as index:
        for number, batch in enumerate(("b1", "b2")):
            made = made_up_batch(batch, 3, first=3 * number)
            write_batch(library.tables, batch, made)
            library.ledger.claim_contents(batch, [Content(clip, batch, 1, None) for clip in made[MEDIA]["media_id"]])
            index.index_batch(library, batch)
        yield library


@pytest.fixture
def clips(library: Library) -> list[str]:
    return [clip for batch in ("b1", "b2") for clip in library.tables.read(MEDIA, batch)["media_id"]]


def found(library: Library, text: str) -> set[str]:
    with TextIndex(library.settings.text_path) as index:
        return {hit.media_id for hit in index.query(text) if hit.match == "all words"}


def everything(library: Library) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(library.settings.text_path)) as con:
        rows = con.execute("SELECT item_id, digest, w.* FROM documents d JOIN words w ON w.rowid = d.id")
        return sorted(rows.fetchall())


@pytest.mark.parametrize(
    "text",
    ["first kiss", "rain", "Ada Lovelace", "emile", "paris", "town", "place", "lutetia", "wedding", "CC-BY",
     "Studio Éire", '"first kiss" paris', "kiss GX000000", "strasse"],
)  # fmt: skip
def test_a_clip_is_found_by_all_that_is_said_of_it(library: Library, clips: list[str], text: str) -> None:
    library.ledger.vocabulary.add("place/town/Paris", "ada", ["Lutetia"])
    change = change_of(
        title="The first kiss", description="In the rain", people=["Ada Lovelace", "Émile"], add_tags=["paris"],
        add_albums=["Wedding", "Große Straße"], licence="CC-BY 4.0", owner="Studio Éire",
    )  # fmt: skip
    assert found(library, text) == set()
    change_media(library, clips[:1], change, "ada")
    assert found(library, text) == {clips[0]}


def test_what_is_said_no_more_is_found_no_more(library: Library, clips: list[str]) -> None:
    change_media(library, clips[:2], change_of(title="Kiss", add_tags=["harbour"]), "ada")
    change_media(library, clips[:1], change_of(title=None, remove_tags=["harbour"]), "ada")
    assert found(library, "kiss") == found(library, "harbour") == {clips[1]}


def test_a_new_synonym_and_a_new_name_of_a_tag_find_what_carries_it(library: Library, clips: list[str]) -> None:
    change_media(library, clips[:2], change_of(add_tags=["sea/shore"]), "ada")
    library.ledger.vocabulary.add("sea", "ada", ["ocean"])
    make_findable(library)
    assert found(library, "ocean") == set(clips[:2])
    library.ledger.vocabulary.rename("sea/shore", "sea/littoral", "ada")
    make_findable(library)
    assert found(library, "littoral") == set(clips[:2]) and found(library, "shore") == set()


def test_a_scene_is_narrowed_by_what_is_said_of_its_file_and_not_found_by_it(
    library: Library, clips: list[str], settings: Settings
) -> None:
    change_media(library, clips[:1], change_of(title="Zanzibar"), "ada")
    with TextIndex(settings.text_path) as index:
        assert {hit.level for hit in index.query("zanzibar")} == {"l0"}
        tag = library.tables.read(TAGS, "b1").filter(media_id=clips[0])["tag"][0]
        assert "l2" in {hit.level for hit in index.query(f"zanzibar {tag}")}


def test_a_rebuild_and_an_indexing_again_give_the_same(library: Library, clips: list[str], settings: Settings) -> None:
    change_media(library, clips[:4], change_of(title="Kiss", add_tags=["place/Paris"], add_albums=["A"]), "ada")
    change_media(library, clips[1:2], change_of(title=None, people=["Zoë"]), "bob")
    library.ledger.vocabulary.add("place", "ada", ["where"])
    make_findable(library)
    caught_up = everything(library)
    with TextIndex(settings.text_path) as index:
        assert index.index_batch(library, "b1").unchanged == index.index_batch(library, "b1").present
        index.rebuild(library)
        assert index.catch_up(library.ledger) == 0
    assert everything(library) == caught_up


def test_only_the_documents_of_changed_media_are_indexed(
    library: Library, clips: list[str], settings: Settings
) -> None:
    with TextIndex(settings.text_path) as index:
        library.ledger.curation.change(clips[:1], change_of(title="Kiss"), "ada")
        assert index.catch_up(library.ledger) == 3, "the file and its two scenes"
        library.ledger.curation.change(clips[:1], change_of(rating=5), "ada")
        assert index.catch_up(library.ledger) == 0, "a rating is no word"


def test_a_search_finds_what_another_process_said_and_did_not_index(
    library: Library, clips: list[str], settings: Settings
) -> None:
    library.ledger.curation.change(clips[:1], change_of(title="Kiss"), "ada")
    with Searcher(settings) as searcher:
        assert [moment.media_id for moment in searcher.search(Query("kiss")).moments] == [clips[0]]


def test_a_search_goes_on_while_a_rebuild_keeps_the_index(
    library: Library, clips: list[str], settings: Settings
) -> None:
    with TextIndex(settings.text_path) as index, index._writing():
        change_media(library, clips[:1], change_of(title="Kiss"), "ada")
        assert found(library, "kiss") == set() and found(library, "GX000000")
    make_findable(library)
    assert found(library, "kiss") == {clips[0]}


def test_an_arrival_into_an_album_is_found_there_though_its_file_is_of_another_batch(
    library: Library, clips: list[str], settings: Settings
) -> None:
    library.ledger.curation.propose({clips[0]: change_of(add_albums=["Best of"])}, Author.now("/in", "folder"))
    with TextIndex(settings.text_path) as index:
        index.index_batch(library, "b2")
    assert found(library, '"best of"') == {clips[0]}


def test_a_search_is_narrowed_by_what_people_said(library: Library, clips: list[str], settings: Settings) -> None:
    change_media(library, clips[:3], change_of(rating=4, add_tags=["place/Paris"], add_albums=["Wedding"]), "ada")
    change_media(library, clips[1:2], change_of(rating=1, state="rejected"), "ada")
    with Searcher(settings) as searcher:

        def among(**wanted: object) -> set[str]:
            result = searcher.search(Query("mp4", level="l0", curated=Filter(**wanted)))  # type: ignore[arg-type]
            return {moment.media_id for moment in result.moments}

        assert among() == set(clips)
        assert among(least_rating=3) == {clips[0], clips[2]}
        assert among(tags=("place",), states=("new",)) == {clips[0], clips[2]}
        assert among(albums=("wedding",), states=("rejected", "approved")) == {clips[1]}
        with pytest.raises(CurationError, match="no such album"):
            among(albums=("Nowhere",))
