"""What people say of media, on the command line: by path, name, id or condition; told plainly when it cannot be."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from thatdam_pipelines.cli import app
from thatdam_pipelines.errors import CurationError, TransitionError, UnknownMediaError
from thatdam_pipelines.library import catalog
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.ledger import Content
from thatdam_pipelines.library.schemas import MEDIA
from thatdam_pipelines.library.text import TextIndex
from thatdam_pipelines.media.xmp import read_xmp
from thatdam_pipelines.samples.library_rows import made_up_batch, write_batch
from thatdam_pipelines.settings import Settings, get_settings

Thatdam = Callable[..., str]


@pytest.fixture
def library(settings: Settings) -> Any:
    with Library(settings) as library, TextIndex(settings.text_path) as index:
        made = made_up_batch("b1", 3)
        write_batch(library.tables, "b1", made)
        library.ledger.claim_contents("b1", [Content(clip, "b1", 1, None) for clip in made[MEDIA]["media_id"]])
        catalog.publish(library)
        index.index_batch(library, "b1")
        yield library


@pytest.fixture
def thatdam(library: Library, monkeypatch: pytest.MonkeyPatch) -> Thatdam:
    """Run a command of the program on that library; an error is raised as it is."""
    monkeypatch.setenv("THATDAM_HOME", str(library.settings.home))
    monkeypatch.setenv("THATDAM_EMBEDDER", "descriptor")
    get_settings.cache_clear()

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, [*arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


@pytest.fixture
def clips(library: Library) -> list[str]:
    return library.tables.read(MEDIA, "b1").sort("name")["media_id"].to_list()


def test_media_are_named_by_name_path_id_or_condition(thatdam: Thatdam, library: Library, clips: list[str]) -> None:
    assert thatdam("rate", "4", "GX000000.MP4", "--by", "ada") == "1 of 1 media changed\n"
    thatdam("rate", "4", "/cards/b1/DCIM/GX000001.MP4")
    thatdam("rate", "5", clips[2])
    thatdam("rate", "pick", "--where", "rating = 4")
    said = library.ledger.curation.get_many(clips).values()
    assert [(one.rating, one.pick) for one in said] == [(4, "pick"), (4, "pick"), (5, None)]
    assert library.ledger.curation.history(clips[0])[-1].changed_by == "ada"


def test_each_command_does_what_it_says(thatdam: Thatdam, library: Library, clips: list[str]) -> None:
    thatdam("tag", "vocabulary", "add", "place/city/paris", "--synonym", "Lutetia")
    thatdam("tag", "add", "lutetia", "GX000000.MP4", "--also", "kiss")
    thatdam("album", "add", "Wedding", "GX000000.MP4", "GX000001.MP4")
    thatdam("album", "remove", "Wedding", "GX000001.MP4")
    thatdam("state", "in_review", "--where", "list_contains(tags, 'kiss')")
    thatdam(
        "describe", "GX000000.MP4", "--title", "Kiss", "--person", "Ada", "--owner", "Studio",
        "--expires", "2030-01-31",
    )  # fmt: skip
    (said,) = json.loads(thatdam("describe", "GX000000.MP4", "--json", "--history"))
    assert (said["tags"], said["albums"], said["state"]) == (["kiss", "place/city/paris"], ["Wedding"], "in_review")
    assert (said["title"], said["people"], said["rights_expire"]) == ("Kiss", ["Ada"], "2030-01-31")
    assert {entry["field"] for entry in said["history"]} == {
        "tags", "albums", "state", "title", "people", "owner", "rights_expire",
    }  # fmt: skip
    assert "place/city/paris  (person)" in thatdam("tag", "list", "GX000000.MP4")
    (album,) = json.loads(thatdam("album", "list", "--json"))
    assert (album["album"], album["media"]) == ("Wedding", 1)
    assert thatdam("album", "show", "wedding") == f"{clips[0]}  /cards/b1/DCIM/GX000000.MP4\n"
    terms = {term["tag"]: term for term in json.loads(thatdam("tag", "vocabulary", "list", "--json"))}
    assert terms["place/city/paris"]["synonyms"] == ["Lutetia"] and terms["kiss"]["is_free"]
    thatdam("tag", "vocabulary", "rename", "kiss", "action/kiss")
    thatdam("tag", "vocabulary", "remove", "place", "--force")
    thatdam("tag", "remove", "kiss", "GX000000.MP4")
    thatdam("album", "rename", "Wedding", "Showreel")
    thatdam("album", "delete", "Showreel")
    thatdam("album", "create", "Empty")
    thatdam("describe", "GX000000.MP4", "--title", "", "--expires", "", "--no-person", "ada")
    thatdam("rate", "none", "GX000000.MP4")
    now = library.ledger.curation.get(clips[0])
    assert (now.tags, now.albums, now.title, now.rights_expire, now.people) == ((), (), None, None, ())
    assert [one.album for one in library.ledger.albums.all()] == ["Empty"]


def test_search_finds_it_right_after_and_narrows_by_it(thatdam: Thatdam, clips: list[str]) -> None:
    thatdam("describe", "GX000000.MP4", "--title", "Zanzibar")
    thatdam("rate", "3", "GX000000.MP4")
    found = json.loads(thatdam("search", "zanzibar", "--json"))
    assert [moment["media_id"] for moment in found] == [clips[0]]
    assert json.loads(thatdam("search", "zanzibar", "--rating", "4", "--json")) == []
    found = json.loads(thatdam("search", "mp4", "--rating", "3", "--state", "new", "--level", "l0", "--json"))
    assert [moment["media_id"] for moment in found] == [clips[0]]


def test_sidecars_are_written_for_what_a_condition_holds_of(thatdam: Thatdam, tmp_path: Path) -> None:
    thatdam("rate", "4", "GX000000.MP4")
    thatdam("rate", "2", "GX000001.MP4")
    (written,) = json.loads(thatdam("xmp", "write", "--where", "rating >= 4", "--to", str(tmp_path / "out"), "--json"))
    assert written["path"] == str(tmp_path / "out" / "DCIM" / "GX000000.MP4.xmp") and written["state"] == "written"
    assert read_xmp(Path(written["path"]).read_bytes(), "a.xmp").rating == 4


def test_what_cannot_be_done_says_why_and_what_to_do(thatdam: Thatdam, clips: list[str]) -> None:
    with pytest.raises(CurationError, match="none are named"):
        thatdam("rate", "4")
    with pytest.raises(UnknownMediaError, match="nothing of that name is in the library"):
        thatdam("rate", "4", "nothing.mov")
    thatdam("state", "rejected", clips[0])
    with pytest.raises(TransitionError, match=r"cannot become approved. Allowed next: in_review, archived\."):
        thatdam("state", "approved", *clips)


def test_an_error_ends_the_program_with_2_and_one_line(
    thatdam: Thatdam, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from thatdam_pipelines.cli import main

    monkeypatch.setattr(sys, "argv", ["thatdam", "tag", "vocabulary", "remove", "nothing"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == 2 and "not in the vocabulary" in said and "Traceback" not in said


def test_the_python_of_the_page_runs(library: Library, clips: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THATDAM_HOME", str(library.settings.home))
    get_settings.cache_clear()
    page = (Path(__file__).parents[2] / "docs" / "curation.md").read_text()
    example = page.partition("```python\n")[2].partition("```")[0]
    exec(example, {"media_id": clips[0]})
    assert library.ledger.curation.get(clips[0]).tags == ("kiss",)
