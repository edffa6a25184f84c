"""What people say of media in SQL: beside the facts, and at once where something was published before."""

from collections.abc import Iterator
from datetime import date

import pytest

from thatdam_pipelines.curation.changing import change_media, make_findable
from thatdam_pipelines.library import catalog
from thatdam_pipelines.library.curation import change_of
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.ledger import Content
from thatdam_pipelines.library.schemas import MEDIA
from thatdam_pipelines.samples.library_rows import made_up_batch, write_batch
from thatdam_pipelines.settings import Settings


@pytest.fixture
def library(settings: Settings) -> Iterator[Library]:
    with Library(settings) as library:
        made = made_up_batch("b1", 3)
        write_batch(library.tables, "b1", made)
        library.ledger.claim_contents("b1", [Content(clip, "b1", 1, None) for clip in made[MEDIA]["media_id"]])
        catalog.publish(library)
        yield library


@pytest.fixture
def clips(library: Library) -> list[str]:
    return library.tables.read(MEDIA, "b1")["media_id"].to_list()


def ask(library: Library, query: str) -> list[tuple[object, ...]]:
    return catalog.run_sql(library.settings, query).rows()


def test_a_change_is_in_sql_at_once(library: Library, clips: list[str]) -> None:
    assert ask(library, "SELECT count(*) FROM curation WHERE state = 'new' AND rating IS NULL AND tags = []") == [(3,)]
    change = change_of(
        rating=4, people=["Ada", "Émile"], rights_expire=date(2030, 1, 31), releases=["model: Ada"], state="approved",
        add_tags=["place/Paris", "sun"], add_albums=["Wedding", "Best"], title="Kiss",
    )  # fmt: skip
    change_media(library, clips[:1], change, "ada")
    row = ask(
        library,
        "SELECT rating, people, rights_expire, releases, state, tags, albums, title, version, changed_by "
        f"FROM curation WHERE media_id = '{clips[0]}'",
    )
    expires = date(2030, 1, 31)
    texts = (["Ada", "Émile"], expires, ["model: Ada"], "approved", ["place/Paris", "sun"], ["Best", "Wedding"], "Kiss")
    assert row == [(4, *texts, 1, "ada")]
    assert ask(library, "SELECT tag, given FROM curated_tags ORDER BY tag") == [
        ("place", "place/Paris"), ("place/Paris", "place/Paris"), ("sun", "sun"),
    ]  # fmt: skip
    assert ask(library, "SELECT album, files FROM albums ORDER BY album") == [("Best", 1), ("Wedding", 1)]
    assert ask(library, "SELECT DISTINCT media_id, source FROM album_media") == [(clips[0], "person")]


def test_what_was_taken_away_is_in_the_history_alone(library: Library, clips: list[str]) -> None:
    change_media(library, clips, change_of(add_tags=["Sea"], add_albums=["A"]), "ada")
    change_media(library, clips[1:], change_of(remove_tags=["Sea"], remove_albums=["A"]), "bob")
    library.ledger.vocabulary.add("sea", "ada", ["ocean"])
    make_findable(library)
    assert ask(library, "SELECT tag, synonyms, is_free, media FROM vocabulary") == [("Sea", ["ocean"], False, 1)]
    assert ask(library, "SELECT files FROM albums") == [(1,)]
    past = "SELECT field, old, new FROM curation_history WHERE changed_by = 'bob' ORDER BY media_id, field"
    assert ask(library, past) == [("albums", '["A"]', "[]"), ("tags", '["Sea"]', "[]")] * 2


def test_a_library_that_published_nothing_yet_is_curated_all_the_same(settings: Settings) -> None:
    with Library(settings) as library:
        library.ledger.claim_contents("b1", [Content("c" * 32, "b1", 1, None)])
        change_media(library, ["c" * 32], change_of(rating=1), "ada")
        assert not settings.tables_dir.exists() and not settings.text_path.exists()
