import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from itertools import pairwise, product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thatdam_pipelines.errors import ConflictError, CurationError, TransitionError, UnknownMediaError
from thatdam_pipelines.library.curation import NEXT_STATES, STATES, Change, Curation, change_of
from thatdam_pipelines.library.curation_ledger import Filter
from thatdam_pipelines.library.curation_rows import Author
from thatdam_pipelines.library.ledger import Ledger

SIDECAR = Author.now("clip.xmp", "sidecar")
EMBEDDED = Author.now("clip.jpg", "embedded")


def said(ledger: Ledger, clip: str) -> Curation:
    return ledger.curation.get(clip)


def test_what_was_never_curated_has_the_defaults(ledger: Ledger, clips: tuple[str, ...]) -> None:
    assert said(ledger, clips[0]) == Curation(clips[0])


def test_everything_that_is_said_is_kept(ledger: Ledger, clips: tuple[str, ...]) -> None:
    change = change_of(
        rating=4, pick="pick", label="Red", title=" A  kiss ", description="In the rain.\nAt night.",
        people=["Ada L.", "Émile"], licence="CC BY 4.0", owner="Studio", releases=["model: Ada"],
        rights_expire="2027-01-31", state="approved", tags=["place/city/Paris"], albums=["Wedding"],
    )  # fmt: skip
    assert ledger.curation.change([clips[0]], change, "ada") == [clips[0]]
    now = said(ledger, clips[0])
    assert (now.rating, now.pick, now.label, now.title) == (4, "pick", "Red", "A  kiss")
    assert (now.description, now.people) == ("In the rain.\nAt night.", ("Ada L.", "Émile"))
    assert (now.licence, now.owner, now.releases) == ("CC BY 4.0", "Studio", ("model: Ada",))
    assert (now.rights_expire, now.state) == (date(2027, 1, 31), "approved")
    assert (now.tags, now.albums) == (("place/city/Paris",), ("Wedding",))
    assert (now.version, now.changed_by, now.sources["rating"]) == (1, "ada", "person")


def test_a_field_that_is_not_given_stays_and_none_clears(ledger: Ledger, clips: tuple[str, ...]) -> None:
    ledger.curation.change(clips[:1], change_of(rating=3, title="Kiss"), "ada")
    ledger.curation.change(clips[:1], change_of(rating=None), "ada")
    assert (said(ledger, clips[0]).rating, said(ledger, clips[0]).title) == (None, "Kiss")


def test_the_same_change_again_changes_nothing(ledger: Ledger, clips: tuple[str, ...]) -> None:
    change = change_of(rating=3, add_tags=["sea"], add_albums=["Surf"])
    assert ledger.curation.change(clips[:2], change, "ada") == list(clips[:2])
    assert ledger.curation.change(clips[:3], change, "bob") == [clips[2]]
    assert said(ledger, clips[0]).changed_by == "ada"
    assert len(ledger.curation.history(clips[0])) == 3


def test_the_history_says_who_made_what_of_what_and_when(ledger: Ledger, clips: tuple[str, ...]) -> None:
    ledger.curation.change(clips[:1], change_of(rating=3, add_tags=["sea"]), "ada")
    ledger.curation.change(clips[:1], change_of(rating=5, state="in_review"), "bob")
    past = [(entry.version, entry.field, entry.old, entry.new, entry.changed_by) for entry in
            ledger.curation.history(clips[0])]  # fmt: skip
    assert past == [
        (2, "rating", 3, 5, "bob"), (2, "state", "new", "in_review", "bob"),
        (1, "rating", None, 3, "ada"), (1, "tags", [], ["sea"], "ada"),
    ]  # fmt: skip
    times = [entry.changed_utc for entry in ledger.curation.history(clips[0])]
    assert all(later >= earlier for later, earlier in pairwise(times)) and times[0].tzinfo is not None


def test_one_wrong_medium_leaves_all_as_they_were(ledger: Ledger, clips: tuple[str, ...]) -> None:
    ledger.curation.change(clips[:1], change_of(state="rejected"), "ada")
    with pytest.raises(TransitionError, match="rejected and cannot become approved"):
        ledger.curation.change(clips, change_of(state="approved", rating=1, add_tags=["sea"]), "ada")
    with pytest.raises(UnknownMediaError, match="not in the library"):
        ledger.curation.change([*clips, "f" * 32], change_of(rating=1), "ada")
    assert [now.rating for now in ledger.curation.get_many(clips).values()] == [None] * 5
    assert ledger.vocabulary.terms() == []


@pytest.mark.parametrize(("old", "new"), product(STATES, STATES))
def test_a_state_is_followed_by_those_that_may_follow_it_and_no_other(
    sqlite_ledger: Ledger, clips: tuple[str, ...], old: str, new: str
) -> None:
    ledger = sqlite_ledger
    for step in [] if old == "new" else [old]:
        ledger.curation.change(clips[:1], change_of(state=step), "ada")
    if new == old or new in NEXT_STATES[old]:  # type: ignore[index]
        ledger.curation.change(clips[:1], change_of(state=new), "ada")
        assert said(ledger, clips[0]).state == new
    else:
        with pytest.raises(TransitionError, match="Allowed next"):
            ledger.curation.change(clips[:1], change_of(state=new), "ada")
        assert said(ledger, clips[0]).state == old


@given(wanted=st.lists(st.sampled_from(STATES), max_size=12))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_tried_the_history_is_an_unbroken_chain_of_allowed_steps(
    sqlite_ledger: Ledger, clips: tuple[str, ...], wanted: list[str]
) -> None:
    ledger = sqlite_ledger
    for state in wanted:
        try:
            ledger.curation.change(clips[:1], change_of(state=state), "ada")
        except TransitionError:
            continue
    steps = [(entry.old, entry.new) for entry in ledger.curation.history(clips[0], 10_000)][::-1]
    assert all(new in NEXT_STATES[old] for old, new in steps)
    chain = ["new", *(new for _, new in steps)]
    assert [old for old, _ in steps] == chain[:-1] and said(ledger, clips[0]).state == chain[-1]


@pytest.mark.parametrize(
    "wrong",
    [{"rating": 6}, {"rating": -1}, {"rating": True}, {"rating": "3"}, {"state": "done"}, {"pick": "yes"},
     {"title": "x" * 501}, {"title": "a\x00b"}, {"title": "\ud800"}, {"people": [""]}, {"people": ["x" * 201]},
     {"rights_expire": "soon"}, {"stars": 3}, {"add_albums": ["\x07"]}],
)  # fmt: skip
def test_a_value_that_cannot_be_kept_is_refused_with_its_name(wrong: dict[str, object]) -> None:
    with pytest.raises(CurationError) as error:
        change_of(**wrong)
    assert str(error.value).startswith(next(iter(wrong))) and "docs/curation.md" in error.value.next_step


@pytest.mark.parametrize("tag", ["a//b", "/a", "a|b", "/".join("abcdefghi"), "x" * 101, "a/ /b"])
def test_what_is_no_path_is_no_tag(ledger: Ledger, clips: tuple[str, ...], tag: str) -> None:
    with pytest.raises(CurationError):
        ledger.curation.change(clips[:1], change_of(add_tags=[tag]), "ada")


def test_who_changes_it_must_have_a_name(ledger: Ledger, clips: tuple[str, ...]) -> None:
    with pytest.raises(CurationError, match="who changes it"):
        ledger.curation.change(clips[:1], change_of(rating=1), " ")


def test_of_two_who_saw_the_same_version_the_second_is_told(ledger: Ledger, clips: tuple[str, ...]) -> None:
    ledger.curation.change(clips[:2], change_of(rating=1), "ada")
    seen = {clip: now.version for clip, now in ledger.curation.get_many(clips[:2]).items()}
    ledger.curation.change(clips[:1], change_of(title="Bob's"), "bob", versions=seen)
    with pytest.raises(ConflictError, match="bob changed it meanwhile"):
        ledger.curation.change(clips[:2], change_of(title="Ada's"), "ada", versions=seen)
    assert said(ledger, clips[0]).title == "Bob's" and said(ledger, clips[1]).title is None


def test_two_who_change_different_fields_without_a_version_both_win(ledger: Ledger, clips: tuple[str, ...]) -> None:
    ledger.curation.change(clips[:1], change_of(title="Kiss"), "ada")
    ledger.curation.change(clips[:1], change_of(rating=5), "bob")
    assert (said(ledger, clips[0]).title, said(ledger, clips[0]).rating) == ("Kiss", 5)


def test_no_change_of_many_writers_is_lost(url: str, ledger: Ledger, clips: tuple[str, ...]) -> None:
    """Each writer adds its own tags and counts with versions, trying again when told that it saw an old one."""
    start = threading.Barrier(4)

    def write(writer: int) -> None:
        own = Ledger(url)
        start.wait()
        for number in range(5):
            own.curation.change(clips, change_of(add_tags=[f"w{writer}/{number}"]), f"writer {writer}")
            while True:
                now = own.curation.get(clips[0])
                title = str(int(now.title or 0) + 1)
                try:
                    change = change_of(title=title)
                    own.curation.change(clips[:1], change, f"writer {writer}", versions={clips[0]: now.version})
                    break
                except ConflictError:
                    continue
        own.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert said(ledger, clips[0]).title == "20"
    for clip in clips:
        assert len(said(ledger, clip).tags) == 20
    titles = [entry for entry in ledger.curation.history(clips[0], 1000) if entry.field == "title"]
    assert [entry.new for entry in titles[::-1]] == [str(number) for number in range(1, 21)]
    versions = [entry.version for entry in ledger.curation.history(clips[0], 1000)]
    assert len(set(versions)) == 40


def test_many_media_change_together_under_one_number(ledger: Ledger) -> None:
    from thatdam_pipelines.library.ledger import Content

    many = [f"{number:032x}" for number in range(1000, 2300)]
    ledger.claim_contents("b2", [Content(clip, "b2", 1, None) for clip in many])
    assert len(ledger.curation.change(many, change_of(rating=2, add_tags=["bulk"], add_albums=["All"]), "ada")) == 1300
    assert {now.version for now in ledger.curation.get_many(many).values()} == {1}
    assert ledger.curation.matching(Filter(least_rating=2, tags=("bulk",), albums=("all",))) == set(many)


def test_a_person_wins_over_a_sidecar_and_a_sidecar_over_the_file(ledger: Ledger, clips: tuple[str, ...]) -> None:
    clip = clips[0]
    ledger.curation.propose({clip: change_of(rating=2, title="From the sidecar", tags=["sea"])}, SIDECAR)
    ledger.curation.propose({clip: change_of(rating=1, title="From the file", owner="Maker", tags=["sun"])}, EMBEDDED)
    now = said(ledger, clip)
    assert (now.rating, now.title, now.owner, now.tags) == (2, "From the sidecar", "Maker", ("sea", "sun"))
    assert (now.sources["title"], now.sources["owner"], now.sources["tags/sun"]) == ("sidecar", "embedded", "embedded")
    ledger.curation.change([clip], change_of(rating=None, title="Mine", remove_tags=["sea"]), "ada")
    changed = ledger.curation.propose({clip: change_of(rating=2, title="From the sidecar", tags=["sea"])}, SIDECAR)
    now = said(ledger, clip)
    assert (changed, now.rating, now.title, now.tags) == ([], None, "Mine", ("sun",))


def test_a_sidecar_takes_back_its_own_words_only(ledger: Ledger, clips: tuple[str, ...]) -> None:
    clip = clips[0]
    ledger.curation.propose({clip: change_of(tags=["sea", "sun", "sand"])}, SIDECAR)
    ledger.curation.change([clip], change_of(add_tags=["sun", "mine"]), "ada")
    ledger.curation.propose({clip: change_of(tags=["sand"])}, SIDECAR)
    assert said(ledger, clip).tags == ("mine", "sand", "sun")
    ledger.curation.propose({clip: change_of(tags=["sea"])}, SIDECAR)
    assert said(ledger, clip).tags == ("mine", "sea", "sun")


def test_where_free_tags_are_off_a_file_cannot_bring_any(ledger: Ledger, clips: tuple[str, ...]) -> None:
    ledger.vocabulary.add("sea", "ada", ["ocean"])
    with pytest.raises(CurationError, match=r"not in the vocabulary. Did you mean sea\?"):
        ledger.curation.change(clips[:1], change_of(add_tags=["seea"]), "ada", free_tags=False)
    ledger.curation.propose({clips[0]: change_of(tags=["Ocean", "junk"])}, SIDECAR, free_tags=False)
    assert said(ledger, clips[0]).tags == ("sea",)
    assert [term.tag for term in ledger.vocabulary.terms()] == ["sea"]


def test_a_filter_holds_of_what_every_condition_holds_of(ledger: Ledger, clips: tuple[str, ...]) -> None:
    change = ledger.curation.change
    change(clips[:3], change_of(rating=4, add_tags=["place/city/paris"], add_albums=["Wedding"]), "ada")
    change(clips[1:2], change_of(rating=2, pick="reject", state="rejected"), "ada")
    change(clips[3:4], change_of(add_tags=["place/sea"]), "ada")
    matching = ledger.curation.matching
    assert matching(Filter()) == set(clips)
    assert matching(Filter(least_rating=3)) == {clips[0], clips[2]}
    assert matching(Filter(states=("new",))) == {clips[0], *clips[2:]}
    assert matching(Filter(pick="reject")) == {clips[1]}
    assert matching(Filter(tags=("place",))) == set(clips[:4])
    assert matching(Filter(tags=("PARIS",), albums=("wedding",), states=("rejected",))) == {clips[1]}
    with pytest.raises(CurationError, match="not in the vocabulary"):
        matching(Filter(tags=("rome",)))
    with pytest.raises(CurationError, match="no such album"):
        matching(Filter(albums=("rome",)))


def test_a_change_cannot_be_altered_once_made() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Change(rating=1).rating = 2  # type: ignore[misc]
