"""The toolbox's commands over a real library: what they answer, in its shapes, and their exit codes."""

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.test_cli import Run
from thatdam_pipelines.library.catalog import publish
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.samples.library_rows import made_up_batch, write_batch
from thatdam_pipelines.settings import Settings
from thatdam_pipelines.toolbox.dumping import dump


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A folder with two pictures and a file that is none, in folders of their own."""
    folder = tmp_path / "archive"
    for name, colour in (("a/red.png", "red"), ("b/blue.png", "blue")):
        (folder / name).parent.mkdir(parents=True)
        Image.new("RGB", (64, 48), colour).save(folder / name)
    (folder / "b" / "broken.png").write_bytes(b"this is text, not a picture")
    return folder


def test_a_scan_makes_a_folder_known_and_leaves_its_files_where_they_are(
    run: Run, settings: Settings, archive: Path
) -> None:
    said = run(settings, "scan", str(archive), "--workers", "1", "--json")
    assert said.code == 0 and said.data == {"processed": 2, "errors": 1, "total_files": 3}, said.err
    assert len(list(archive.rglob("*.png"))) == 3 and not list((settings.home / "media").rglob("*.png"))

    stats = run(settings, "stats", "--json").data
    (batch,) = stats["by_batch"]
    assert (stats["total_files"], batch["count"]) == (3, 3)
    assert sum(row["size"] for row in stats["by_mime"]) == stats["total_size_bytes"]
    assert {row["mime"]: row["count"] for row in stats["by_mime"]}["image/png"] >= 2
    assert {clip["name"] for clip in run(settings, "recent", "--json").data} == {"red.png", "blue.png", "broken.png"}
    assert len(run(settings, "recent", "-n", "1", "--json").data) == 1
    assert "3 files" in run(settings, "stats").out and "red.png" in run(settings, "recent").out

    (listed,) = run(settings, "batches", "list", "--json").data
    assert (listed["batch"], listed["count"], listed["state"]) == (batch["batch"], 3, "done")
    by_id = run(settings, "batches", "show", batch["batch"], "--json").data
    assert by_id == run(settings, "batches", "show", "b", "--json").data
    assert by_id == run(settings, "batches", "show", "archive", "--json").data
    assert {Path(row["path"]).name for row in by_id} == {"red.png", "blue.png", "broken.png"}
    assert run(settings, "batches", "show", "nothing").code == 2


def test_a_second_scan_reads_only_what_is_new(run: Run, settings: Settings, archive: Path) -> None:
    run(settings, "scan", str(archive))
    Image.new("RGB", (64, 48), "green").save(archive / "green.png")
    assert run(settings, "scan", str(archive), "--json").data == {"processed": 3, "errors": 1, "total_files": 4}
    batches = run(settings, "batches", "list", "--json").data
    assert sorted(batch["count"] for batch in batches) == [1, 3]
    finished = {batch["batch"]: batch for batch in batches}
    assert run(settings, "scan", str(archive), "--json").data == {"processed": 3, "errors": 1, "total_files": 4}
    assert {batch["batch"]: batch for batch in run(settings, "batches", "list", "--json").data} == finished
    assert run(settings, "scan", str(archive / "nowhere")).code == 2


def test_without_a_folder_the_watched_ones_are_scanned_in_their_own_mode(
    run: Run, settings: Settings, archive: Path
) -> None:
    settings.incoming_dir.mkdir(parents=True)
    shutil.move(archive / "a", settings.incoming_dir / "card")
    assert run(settings, "paths", "add", str(archive / "b"), "--mode", "reference", "--album", "Nas").code == 0
    assert run(settings, "scan", "--json").data == {"processed": 2, "errors": 1, "total_files": 3}
    assert not list(settings.incoming_dir.rglob("*.png")) and (archive / "b" / "blue.png").exists()
    batches = run(settings, "batches", "list", "--json").data
    assert {(batch["root"], batch["album"]) for batch in batches} == {
        (str(settings.incoming_dir), None),
        (str(archive / "b"), "Nas"),
    }


def test_a_dump_is_every_file_with_what_is_known_and_said_of_it(run: Run, settings: Settings, archive: Path) -> None:
    assert run(settings, "dump").data == [] and run(settings, "dump", "--format", "csv").out == ""
    run(settings, "scan", str(archive))
    run(settings, "rate", "4", str(archive / "a" / "red.png"))
    rows = {row["name"]: row for row in run(settings, "dump").data}
    assert set(rows) == {"red.png", "blue.png", "broken.png"}
    assert (rows["red.png"]["rating"], rows["red.png"]["display_width"], rows["blue.png"]["rating"]) == (4, 64, None)
    table = list(csv.DictReader(io.StringIO(run(settings, "dump", "--format", "csv").out)))
    assert {row["name"]: row["rating"] for row in table} == {"red.png": "4", "blue.png": "", "broken.png": ""}


def test_a_dump_is_read_piece_by_piece(settings: Settings) -> None:
    with Library(settings) as library:
        for number in range(4):
            batch_id = f"20260101T00000{number}-0000000{number}"
            write_batch(library.tables, batch_id, made_up_batch(batch_id, 700, scenes=0, frames=0, first=700 * number))
        publish(library)
    pieces = list(dump(settings, "csv", rows=100))
    assert len(pieces) >= 28 and all(piece.count("\n") <= 101 for piece in pieces)
    assert len(list(csv.DictReader(io.StringIO("".join(pieces))))) == 2800
    assert len({row["media_id"] for row in json.loads("".join(dump(settings, "json", rows=100)))}) == 2800


def test_a_folder_that_people_add_is_watched_until_they_remove_it(
    run: Run, settings: Settings, archive: Path, tmp_path: Path
) -> None:
    assert run(settings, "paths", "add", str(archive)).code == 0
    assert run(settings, "paths", "add", str(archive), "--mode", "reference", "--json").data["mode"] == "reference"
    rows = run(settings, "paths", "list", "--json").data
    assert [(row["path"], row["mode"], row["set_by"]) for row in rows] == [
        (str(settings.incoming_dir), "move", "settings"),
        (str(archive), "reference", "people"),
    ]
    for wrong in (tmp_path / "nowhere", settings.home, settings.incoming_dir):
        assert run(settings, "paths", "add", str(wrong)).code == 2
    said = run(settings, "doctor", "--json").data
    assert str(archive) in " ".join(finding["found"] for finding in said if finding["subject"] == "watched folder")
    assert run(settings, "paths", "remove", str(archive)).code == 0
    for wrong in (archive, settings.incoming_dir):
        assert run(settings, "paths", "remove", str(wrong)).code == 2
    assert len(run(settings, "paths", "list", "--json").data) == 1


def test_cleaning_archives_what_is_gone_and_only_when_confirmed(run: Run, settings: Settings, archive: Path) -> None:
    run(settings, "scan", str(archive))
    (archive / "b" / "blue.png").unlink()

    def states() -> dict[str, Any]:
        return {row["name"]: row["state"] for row in run(settings, "recent", "--json").data}

    said = run(settings, "clean", "--json").data
    (missing,) = said.pop("missing")
    assert said == {"confirmed": False, "archived": 1} and Path(missing["path"]).name == "blue.png"
    assert set(states().values()) == {"new"}
    assert run(settings, "clean", "--confirm", "--json").data["archived"] == 1
    assert states() == {"red.png": "new", "blue.png": "archived", "broken.png": "new"}
    assert run(settings, "clean", "--confirm", "--json").data["archived"] == 0


def test_cleaning_touches_nothing_of_a_folder_that_is_away(run: Run, settings: Settings, archive: Path) -> None:
    run(settings, "scan", str(archive))
    archive.rename(archive.with_name("unplugged"))
    assert run(settings, "clean", "--confirm", "--json").data["missing"] == []
    archive.mkdir()
    assert run(settings, "clean", "--confirm", "--json").data["missing"] == []


def test_cleaning_touches_nothing_of_one_disk_that_is_away_from_among_several(
    run: Run, settings: Settings, archive: Path
) -> None:
    (archive / "a" / "day").mkdir()
    (archive / "a" / "red.png").rename(archive / "a" / "day" / "red.png")
    run(settings, "scan", str(archive))
    (archive / "a").rename(archive.with_name("unplugged"))
    (archive / "a").mkdir()
    assert run(settings, "clean", "--confirm", "--json").data["missing"] == []
