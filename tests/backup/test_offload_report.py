"""The report at each destination: pictures of the clips, every file with its state, and names that cannot break it."""

import csv
from pathlib import Path

import pytest
from PIL import Image

from thatdam_pipelines.backup.offload import offload
from thatdam_pipelines.backup.report import SHEET_CLIPS, write_reports
from thatdam_pipelines.library.files import unescape_name
from thatdam_pipelines.samples.cards import odd_files, put_files
from thatdam_pipelines.settings import Settings


@pytest.fixture
def card(tmp_path: Path) -> Path:
    card = tmp_path / "A001"
    (card / "DCIM").mkdir(parents=True)
    for number, colour in enumerate(("red", "lime")):
        Image.new("RGB", (640, 360), colour).save(card / f"DCIM/IMG_{number}.JPG")
    put_files(card, {**odd_files(), "<script>alert(1)</script>.MOV": b"x", "notes.txt": b"n"})
    return card


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    roots = [tmp_path / "one", tmp_path / "two"]
    for root in roots:
        root.mkdir()
    return roots


def report_folder(root: Path) -> Path:
    (found,) = root.glob("*.offload")
    return found


def test_the_table_has_every_file_with_its_hashes_and_state(card: Path, two: list[Path], settings: Settings) -> None:
    result = offload(card, two)
    assert write_reports(result, settings) == []
    with (report_folder(two[1]) / "report.csv").open(newline="") as file:
        rows = {unescape_name(row["path"]): row for row in csv.DictReader(file)}
    assert set(rows) == {file.path for file in result.card.files}
    for path, row in rows.items():
        assert row["blake3"] == result.copies[0].records[path].blake3
        assert all(row[str(root)].startswith("verified 20") for root in two)


def test_the_contact_sheet_shows_each_clip(card: Path, two: list[Path], settings: Settings) -> None:
    write_reports(offload(card, two), settings)
    with Image.open(report_folder(two[0]) / "contact_sheet.png") as sheet:
        colours = {colour for _, colour in sheet.convert("RGB").quantize(64).convert("RGB").getcolors() or []}
    assert any(red > 200 and green < 60 for red, green, _ in colours)
    assert any(green > 200 and red < 60 for red, green, _ in colours)


def test_the_page_says_the_verdict_and_runs_nothing_of_a_name(card: Path, two: list[Path], settings: Settings) -> None:
    (card / "link").symlink_to("/nowhere")
    write_reports(offload(card, two), settings)
    page = (report_folder(two[0]) / "report.html").read_text()
    assert "NOT SAFE" in page and "link: it is a link" in page
    assert "<script" not in page and "&lt;script&gt;" in page and "http" not in page
    assert page.count("data:image/jpeg") == 2


def test_many_clips_go_over_several_sheets(tmp_path: Path, two: list[Path], settings: Settings) -> None:
    card = tmp_path / "A002"
    card.mkdir()
    for number in range(SHEET_CLIPS + 1):
        Image.new("RGB", (32, 18), "blue").save(card / f"IMG_{number:04d}.JPG")
    write_reports(offload(card, two), settings)
    assert len(list(report_folder(two[0]).glob("contact_sheet*.png"))) == 2


def test_a_destination_that_is_gone_by_then_is_told_of(card: Path, two: list[Path], settings: Settings) -> None:
    result = offload(card, two)
    report_folder(two[0]).rename(two[0] / "elsewhere")
    (problem,) = write_reports(result, settings)
    assert "cannot be written" in problem and (report_folder(two[1]) / "report.html").exists()


def test_the_report_does_not_disturb_the_next_run(card: Path, two: list[Path], settings: Settings) -> None:
    write_reports(offload(card, two), settings)
    again = offload(card, two)
    assert again.is_safe and all(copy.resumed and copy.mhl == "unchanged" for copy in again.copies)
