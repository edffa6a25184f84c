import pytest

from thatdam_pipelines.errors import CurationError
from thatdam_pipelines.library.curation import change_of
from thatdam_pipelines.library.ledger import Ledger


def tags(ledger: Ledger, clip: str) -> tuple[str, ...]:
    return ledger.curation.get(clip).tags


def terms(ledger: Ledger) -> list[str]:
    return [term.tag for term in ledger.vocabulary.terms()]


def albums(ledger: Ledger) -> list[tuple[str, int]]:
    return [(album.album, album.media) for album in ledger.albums.all()]


def test_a_tag_brings_those_above_it(ledger: Ledger) -> None:
    ledger.vocabulary.add(" place /  city/Paris", "ada")
    ledger.vocabulary.add("place/city/Paris", "ada")
    assert terms(ledger) == ["place", "place/city", "place/city/Paris"]


def test_path_synonym_and_last_level_mean_the_same_tag(ledger: Ledger, clips: tuple[str, ...]) -> None:
    ledger.vocabulary.add("place/city/Paris", "ada", ["Lutetia", "city of light"])
    for word in ("PLACE/CITY/PARIS", "paris", "lutetia", "City of  Light"):
        ledger.curation.change(clips[:1], change_of(tags=[word]), "ada")
        assert tags(ledger, clips[0]) == ("place/city/Paris",)
    assert terms(ledger) == ["place", "place/city", "place/city/Paris"]


def test_a_last_level_of_two_paths_must_be_written_out(ledger: Ledger, clips: tuple[str, ...]) -> None:
    ledger.vocabulary.add("fruit/orange", "ada")
    ledger.vocabulary.add("colour/orange", "ada")
    with pytest.raises(CurationError, match="could mean colour/orange, fruit/orange"):
        ledger.curation.change(clips[:1], change_of(add_tags=["orange"]), "ada")


def test_a_word_is_a_synonym_of_one_tag_only(ledger: Ledger) -> None:
    ledger.vocabulary.add("sea", "ada", ["water"])
    with pytest.raises(CurationError, match="synonym of sea already"):
        ledger.vocabulary.add("lake", "ada", ["Water"])
    assert terms(ledger) == ["sea"]
    ledger.vocabulary.remove_synonyms("sea", ["WATER"])
    ledger.vocabulary.add("lake", "ada", ["Water"])
    assert ledger.vocabulary.terms("lake")[0].synonyms == ("Water",)


def test_a_free_tag_is_told_from_the_vocabulary_until_it_is_taken_into_it(
    ledger: Ledger, clips: tuple[str, ...]
) -> None:
    ledger.curation.change(clips[:2], change_of(add_tags=["blurry"]), "ada")
    (term,) = ledger.vocabulary.terms()
    assert (term.tag, term.is_free, term.media) == ("blurry", True, 2)
    ledger.vocabulary.add("blurry", "bob")
    assert not ledger.vocabulary.terms()[0].is_free


def test_media_of_a_tag_are_counted_with_those_below_it_once(ledger: Ledger, clips: tuple[str, ...]) -> None:
    ledger.curation.change(clips[:2], change_of(add_tags=["place/paris", "place/rome"]), "ada")
    counts = {term.tag: term.media for term in ledger.vocabulary.terms("place")}
    assert counts == {"place": 2, "place/paris": 2, "place/rome": 2}


def test_a_tag_that_moves_takes_what_is_below_and_who_carries_it(ledger: Ledger, clips: tuple[str, ...]) -> None:
    ledger.curation.change(clips[:1], change_of(add_tags=["paris/louvre"]), "ada")
    ledger.vocabulary.add("paris", "ada", ["Lutetia"])
    assert ledger.vocabulary.rename("paris", "place/Paris", "bob") == [clips[0]]
    assert terms(ledger) == ["place", "place/Paris", "place/Paris/louvre"]
    assert tags(ledger, clips[0]) == ("place/Paris/louvre",)
    assert ledger.vocabulary.terms("place/paris")[0].synonyms == ("Lutetia",)
    newest = ledger.curation.history(clips[0])[0]
    assert (newest.old, newest.new, newest.changed_by) == (["paris/louvre"], ["place/Paris/louvre"], "bob")


def test_a_tag_that_is_renamed_to_another_becomes_one_with_it(ledger: Ledger, clips: tuple[str, ...]) -> None:
    ledger.curation.change(clips[:2], change_of(add_tags=["ocean"]), "ada")
    ledger.curation.change(clips[1:3], change_of(add_tags=["sea"]), "ada")
    ledger.curation.change(clips[3:4], change_of(add_tags=["ocean", "sea"]), "ada")
    ledger.curation.change(clips[3:4], change_of(remove_tags=["sea"]), "ada")
    ledger.vocabulary.rename("ocean", "sea", "bob")
    assert terms(ledger) == ["sea"]
    assert [tags(ledger, clip) for clip in clips] == [("sea",)] * 4 + [()]


def test_a_tag_may_be_spelled_otherwise(ledger: Ledger, clips: tuple[str, ...]) -> None:
    ledger.curation.change(clips[:1], change_of(add_tags=["usa/new york"]), "ada")
    ledger.vocabulary.rename("usa", "USA", "ada")
    assert tags(ledger, clips[0]) == ("USA/new york",)


def test_a_tag_does_not_move_below_itself(ledger: Ledger) -> None:
    ledger.vocabulary.add("place", "ada")
    with pytest.raises(CurationError, match="below place"):
        ledger.vocabulary.rename("place", "place/earth", "ada")


def test_a_tag_in_use_is_removed_only_on_demand(ledger: Ledger, clips: tuple[str, ...]) -> None:
    ledger.curation.change(clips[:2], change_of(add_tags=["place/paris", "sun"]), "ada")
    with pytest.raises(CurationError, match="2 media carry it"):
        ledger.vocabulary.remove("place", "ada")
    assert ledger.vocabulary.remove("place", "ada", force=True) == list(clips[:2])
    assert terms(ledger) == ["sun"] and tags(ledger, clips[0]) == ("sun",)
    with pytest.raises(CurationError, match="not in the vocabulary"):
        ledger.vocabulary.remove("place", "ada")


def test_a_percent_sign_in_a_tag_stands_for_itself(ledger: Ledger, clips: tuple[str, ...]) -> None:
    ledger.curation.change(clips[:1], change_of(add_tags=["100_%", "100_%/wool", "100xy/silk"]), "ada")
    ledger.vocabulary.remove("100_%", "ada", force=True)
    assert tags(ledger, clips[0]) == ("100xy/silk",)


def test_a_tag_is_found_by_its_levels_and_the_synonyms_on_its_way(ledger: Ledger) -> None:
    ledger.vocabulary.add("place", "ada", ["where"])
    ledger.vocabulary.add("place/paris", "ada", ["Lutetia"])
    words = ledger.curation.words_of_tags(["place/paris", "sun"])
    assert words == {"place/paris": "place paris Lutetia where", "sun": "sun"}


def test_an_album_is_made_renamed_joined_and_removed(ledger: Ledger, clips: tuple[str, ...]) -> None:
    ledger.albums.create("Empty", "ada")
    ledger.curation.change(clips[:2], change_of(add_albums=["Surf  2026"]), "ada")
    ledger.curation.change(clips[1:3], change_of(add_albums=["Best"]), "ada")
    assert [(album.album, album.media) for album in ledger.albums.all()] == [
        ("Best", 2),
        ("Empty", 0),
        ("Surf 2026", 2),
    ]
    assert ledger.albums.media("surf 2026") == list(clips[:2])
    ledger.albums.rename("surf 2026", "best", "bob")
    assert albums(ledger) == [("Best", 3), ("Empty", 0)]
    ledger.albums.rename("best", "BEST", "bob")
    assert ledger.curation.get(clips[0]).albums == ("BEST",)
    assert ledger.albums.remove("best", "bob") == list(clips[:3])
    assert ledger.curation.get(clips[0]).albums == ()
    with pytest.raises(CurationError, match="no such album"):
        ledger.albums.media("best")
