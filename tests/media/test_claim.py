"""Claiming files from the command line: each once, bounded, and never the library itself."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from thatdam_pipelines.errors import ForeignPathError, SettingsError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.reach import below_watched
from thatdam_pipelines.library.schemas import LOCATIONS, MEDIA
from thatdam_pipelines.library.watch import scan_folder
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.samples.drops import ingest, rows, stored_files, watching, write
from thatdam_pipelines.settings import Settings, WatchedFolder
from thatdam_pipelines.toolbox.folders import add_folder


def test_claiming_a_file_twice_names_the_batch_that_has_it(library: Library, card: Path) -> None:
    first = claim_paths(library, [card], "copy")
    assert claim_paths(library, [card], "copy") == first
    ingest_batch(library, first[0])
    assert claim_paths(library, [card], "copy") == first
    write(card / "new.mov", b"new")

    both = claim_paths(library, [card], "copy")

    (new,) = set(both) - set(first)
    assert set(first) < set(both)
    assert [file.rel_path for file in library.ledger.batch_files(new)] == ["new.mov"]


def test_claiming_in_another_mode_makes_another_batch(library: Library, card: Path) -> None:
    referenced = ingest(library, card, mode="reference")

    (copied,) = claim_paths(library, [card], "copy")
    ingest_batch(library, copied)

    assert copied != referenced
    assert len(stored_files(library)) == 6
    assert len(rows(library, MEDIA, referenced)) == 6
    assert rows(library, MEDIA, copied) == []
    # What became of the first batch does not change.
    assert ingest_batch(library, referenced).failures == []
    assert len(rows(library, LOCATIONS, referenced)) == 6


def test_claiming_passes_over_what_watched_folders_do(library: Library, card: Path) -> None:
    write(card / "clip.mov.part", b"half")
    write(card / ".hidden" / "clip.mov", b"hidden")
    (card / "loop").symlink_to(card)

    (batch,) = claim_paths(library, [card], "copy")

    assert len(library.ledger.batch_files(batch)) == 6


def test_claiming_takes_single_files_and_bounds_batches(settings: Settings, card: Path) -> None:
    with Library(settings.model_copy(update={"batch_max_files": 2})) as library:
        (one,) = claim_paths(library, [card / "DCIM" / "100GOPRO" / "GX010042.MP4"], "copy")
        assert [file.rel_path for file in library.ledger.batch_files(one)] == ["GX010042.MP4"]
        sizes = [len(library.ledger.batch_files(batch)) for batch in claim_paths(library, [card], "copy")]
        assert sizes == [2, 2, 2]
        with pytest.raises(SettingsError, match="no such file"):
            claim_paths(library, [card / "nothing"], "copy")


def test_what_is_claimed_below_a_watched_folder_is_not_taken_by_a_scan_too(settings: Settings, tmp_path: Path) -> None:
    write(tmp_path / "drop" / "card" / "clip.mov", b"clip")
    with Library(watching(settings, tmp_path / "drop", settle_seconds=0)) as library:
        claim_paths(library, [tmp_path / "drop" / "card"], "copy")
        (folder,) = library.settings.watched
        now = datetime.now(UTC)

        reports = [
            scan_folder(library.ledger, library.settings, folder, now + timedelta(seconds=tick)) for tick in range(3)
        ]

        assert [report.batches for report in reports] == [[], [], []]


def test_the_library_itself_is_never_claimed_however_it_is_reached(library: Library, tmp_path: Path) -> None:
    home = library.settings.home
    ingest(library, write(tmp_path / "one" / "a.mov", b"footage"))
    write(library.settings.incoming_dir / "dropped.mov", b"dropped")
    alias = tmp_path / "alias"
    alias.symlink_to(home.parent)
    for inside in (home, alias / home.name, library.settings.tables_dir, home / "library.db"):
        with pytest.raises(SettingsError, match="part of the library"):
            claim_paths(library, [inside], "move")
    for around in (home.parent, alias):
        for batch in claim_paths(library, [around], "copy"):
            files = [file.rel_path for file in library.ledger.batch_files(batch)]
            assert not [file for file in files if "library.db" in file or "tables" in file]
    assert claim_paths(library, [library.settings.incoming_dir], "move")


def test_a_watched_folder_around_the_library_or_in_it_gives_none_of_it_away(settings: Settings, tmp_path: Path) -> None:
    home, footage = settings.home, WatchedFolder(path=tmp_path, mode="move")
    with Library(settings.model_copy(update={"watched": [footage]})) as library:
        ingest(library, write(tmp_path / "one" / "a.mov", b"footage"))
        # As an earlier release let people add it.
        library.ledger.watched.add(WatchedFolder(path=home / "media", mode="move"), "local")
        for own in (home / "library.db", home / "media", home, library.settings.tables_dir):
            with pytest.raises(SettingsError, match="part of the library"):
                claim_paths(library, [own], "move")
            with pytest.raises(ForeignPathError, match="part of the library"):
                below_watched(library, str(own))
            if own.is_dir():
                with pytest.raises(SettingsError, match="part of the library"):
                    add_folder(library, WatchedFolder(path=own, mode="move"), "local")
        dropped = write(settings.incoming_dir / "card" / "b.mov", b"dropped")
        assert below_watched(library, str(dropped))[1].path == settings.incoming_dir
        assert claim_paths(library, [dropped], "move")
        assert add_folder(library, WatchedFolder(path=dropped.parent), "local").path == dropped.parent
