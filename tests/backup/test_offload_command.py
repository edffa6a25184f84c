"""`thatdam offload`: the verdict in words and in JSON, exit codes, and the ingest that follows."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from thatdam_pipelines.cli import main
from thatdam_pipelines.library import catalog
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.samples.cards import odd_files, put_files, write_card
from thatdam_pipelines.settings import Settings, get_settings

ExitCode = Callable[..., int]


@pytest.fixture
def card(tmp_path: Path) -> Path:
    write_card(tmp_path / "A001", clips=2)
    return tmp_path / "A001"


@pytest.fixture
def ssd(tmp_path: Path) -> Path:
    (tmp_path / "ssd").mkdir()
    return tmp_path / "ssd"


@pytest.fixture
def exit_code(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> ExitCode:
    """Run the program and give its exit code."""
    monkeypatch.setenv("THATDAM_HOME", str(settings.home))
    monkeypatch.setenv("THATDAM_EMBEDDER", "descriptor")
    monkeypatch.setenv("THATDAM_DISK_RESERVE_BYTES", "0")

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["thatdam", *map(str, arguments)])
        get_settings.cache_clear()
        with pytest.raises(SystemExit) as ended:
            main()
            raise SystemExit(0)
        return int(ended.value.code or 0)

    return run


def test_a_safe_card_is_called_so(
    card: Path, ssd: Path, exit_code: ExitCode, capsys: pytest.CaptureFixture[str]
) -> None:
    put_files(card, {**odd_files(), ".DS_Store": b""})
    assert exit_code("offload", card, "--to", ssd) == 0
    said = capsys.readouterr().out
    assert said.startswith("SAFE TO FORMAT") and "left, made by the operating system: .DS_Store" in said
    assert "no ASC MHL can name it: DCIM/100TEST/two\\nlines.MOV" in said


def test_an_unsafe_card_is_named_with_files_and_reasons(
    card: Path, ssd: Path, exit_code: ExitCode, capsys: pytest.CaptureFixture[str]
) -> None:
    (card / "link").symlink_to("/etc/passwd")
    assert exit_code("offload", card, "--to", ssd) == 1
    said = capsys.readouterr().out
    assert said.startswith("NOT SAFE") and "link: it is a link, which is not copied" in said


def test_json_has_the_verdict_and_every_copy(
    card: Path, ssd: Path, exit_code: ExitCode, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("offload", card, "--to", ssd, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["safe_to_format"] is True and said["files"] == 5 and said["copies"][0]["verified"] == 5
    assert said["copies"][0]["mhl"] == "written" and said["ingest"] is None


def test_wrong_arguments_are_2_and_leave_nothing(card: Path, ssd: Path, tmp_path: Path, exit_code: ExitCode) -> None:
    for arguments in (
        (card,),
        (card, "--to", tmp_path / "none"),
        (tmp_path / "none", "--to", ssd),
        (card, "--to", ""),
        (card, "--to", ssd, "--ingest", "--mode", "move"),
    ):
        assert exit_code("offload", *arguments) == 2
    assert not any(ssd.iterdir())


def test_with_ingest_the_copy_is_ingested_and_stays(
    tmp_path: Path, ssd: Path, exit_code: ExitCode, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    card = tmp_path / "A002"
    (card / "DCIM").mkdir(parents=True)
    Image.new("RGB", (64, 48), "red").save(card / "DCIM/IMG_0001.JPG")
    assert exit_code("offload", card, "--to", ssd, "--ingest", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    taken = {row["path"]: row["status"] for row in said["ingest"]["media"]}
    copy = Path(said["copies"][0]["folder"]) / "DCIM/IMG_0001.JPG"
    assert taken[str(copy)] == "stored" and copy.exists()


def test_without_a_home_it_works_and_makes_none(card: Path, ssd: Path, exit_code: ExitCode, settings: Settings) -> None:
    assert not settings.home.exists()
    assert exit_code("offload", card, "--to", ssd) == 0
    assert not settings.home.exists()


def test_where_there_is_a_home_sql_tells_of_every_offload(
    card: Path, ssd: Path, exit_code: ExitCode, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with Library(settings) as library:
        library.ledger.batches()
    assert exit_code("offload", card, "--to", ssd) == 0
    (card / "link").symlink_to("/etc/passwd")
    assert exit_code("offload", card, "--to", ssd) == 1
    with Library(settings) as library:
        catalog.publish(library)
    rows = catalog.run_sql(settings, "FROM offloads ORDER BY verified_earlier").to_dicts()
    assert {(row["card"], row["source"], row["destination"]) for row in rows} == {("A001", str(card), str(ssd))}
    assert [(row["verdict"], row["verified"], row["verified_earlier"]) for row in rows] == [
        ("SAFE TO FORMAT", 5, 0),
        ("NOT SAFE", 5, 5),
    ]
    ready = next(query.sql for query in catalog.list_queries() if query.name == "cards_not_safe")
    (shown,) = catalog.run_sql(settings, ready).to_dicts()
    assert shown["reasons"] == "link: it is a link, which is not copied"


def test_a_ledger_that_cannot_be_written_changes_no_verdict(
    card: Path, ssd: Path, exit_code: ExitCode, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.home.mkdir()
    (settings.home / "library.db").write_bytes(b"no database" * 100)
    assert exit_code("offload", card, "--to", ssd) == 0
    said = capsys.readouterr().out
    assert said.startswith("SAFE TO FORMAT") and "the library's ledger cannot be written" in said


def test_an_ingest_that_cannot_begin_takes_no_verdict_away(
    card: Path, ssd: Path, exit_code: ExitCode, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.home.mkdir()
    (settings.home / "library.db").write_bytes(b"no database" * 100)
    assert exit_code("offload", card, "--to", ssd, "--ingest") == 1
    said = capsys.readouterr().out
    assert said.startswith("SAFE TO FORMAT") and "not ingested: " in said
