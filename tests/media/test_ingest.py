"""Ingest of a card: every file stored, proven and known, and nothing done twice."""

import os
import shutil
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from blake3 import blake3

from thatdam_pipelines.errors import StoreError, ThatdamError
from thatdam_pipelines.library import checksum
from thatdam_pipelines.library.curation import change_of
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import LOCATIONS, MEDIA
from thatdam_pipelines.library.store import Store
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.media.whereabouts import original, whereabouts
from thatdam_pipelines.samples.drops import MODES, ingest, names_in, rows, stored_files, write
from thatdam_pipelines.settings import IngestMode


def test_what_a_person_took_out_of_an_album_stays_out_when_its_file_comes_again(library: Library, card: Path) -> None:
    (batch,) = claim_paths(library, [card], "copy", album="Surf")
    ingest_batch(library, batch)
    clip, *others = library.ledger.albums.media("surf")
    library.ledger.curation.change([clip], change_of(remove_albums=["Surf"]), "ada")
    again = shutil.copytree(card, card.with_name("again"))
    (batch,) = claim_paths(library, [again], "copy", album="Surf")
    ingest_batch(library, batch)
    assert library.ledger.albums.media("surf") == others


@pytest.mark.parametrize("mode", MODES)
def test_a_card_is_kept_whole_proven_and_known(library: Library, card: Path, mode: IngestMode) -> None:
    content = {str(path.relative_to(card)): path.read_bytes() for path in card.rglob("*") if path.is_file()}
    (batch,) = claim_paths(library, [card], mode, album="Surf", category="digital")

    report = ingest_batch(library, batch)

    assert (report.stage, report.total, report.computed, report.reused, report.failures) == ("raw_media", 6, 6, 0, [])
    places = {str(row["source_path"]): row for row in rows(library, LOCATIONS, batch)}
    assert set(places) == {str(card / name) for name in content}
    for name, expected in content.items():
        place = places[str(card / name)]
        assert place["media_id"] == blake3(expected).hexdigest()[:32]
        assert place["in_store"] is (mode != "reference")
        with original(library, whereabouts(library, batch)[str(place["media_id"])]) as path:
            assert path.read_bytes() == expected
        assert (place["folder"], place["name"]) == (name.rpartition("/")[0], name.rpartition("/")[2])
        assert (place["album"], place["category"], place["mode"]) == ("Surf", "digital", mode)
        assert place["modified_utc"] == datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC)
        assert place["duplicate"] is False
        if mode != "reference":
            day = f"raw/{batch[:4]}/{batch[4:6]}/{batch[6:8]}/{batch}"
            assert place["path"] == f"{day}/{name}"
    media = {str(row["name"]): row for row in rows(library, MEDIA, batch)}
    assert {name: row["kind"] for name, row in media.items()} == {
        "GX010042.MP4": "video",
        "GX020042.MP4": "video",
        "GX010042.THM": "sidecar",
        "C0001.MP4": "video",
        "C0001M01.XML": "sidecar",
        "notes.txt": "sidecar",
    }
    created = library.ledger.batch(batch)
    assert created is not None
    assert {row["first_seen_utc"] for row in media.values()} == {created.created_utc}
    assert set(library.ledger.albums.media("surf")) == {row["media_id"] for row in media.values()}
    assert card.exists() is True
    left = {str(path.relative_to(card)) for path in card.rglob("*")}
    assert left == set() if mode == "move" else set(content) <= left
    assert {file.state for file in library.ledger.batch_files(batch)} == {"done"}


def test_files_of_a_card_know_their_card_and_chapters_their_take(library: Library, card: Path) -> None:
    batch = ingest(library, card)

    places = {str(row["name"]): row for row in rows(library, LOCATIONS, batch)}
    assert places["GX010042.MP4"]["card_type"] == "GoPro"
    assert places["GX010042.MP4"]["take_id"] == places["GX020042.MP4"]["take_id"] is not None
    assert (places["GX010042.MP4"]["chapter"], places["GX020042.MP4"]["chapter"]) == (1, 2)
    assert places["C0001.MP4"]["card_id"] == places["C0001M01.XML"]["card_id"] is not None


def test_same_name_on_two_cards_keeps_both_files(library: Library, tmp_path: Path) -> None:
    write(tmp_path / "drop" / "A" / "C0001.MP4", b"first")
    write(tmp_path / "drop" / "B" / "C0001.MP4", b"second")

    ingest(library, tmp_path / "drop")

    assert sorted(stored_files(library).values()) == [b"first", b"second"]


def test_originals_are_read_only_and_keep_their_time(library: Library, card: Path) -> None:
    batch = ingest(library, card, mode="move")

    for row in rows(library, LOCATIONS, batch):
        kept = Path(library.store.url(str(row["path"]))).stat()
        assert stat.S_IMODE(kept.st_mode) == 0o444
        assert kept.st_mtime_ns == 1_700_000_000_123_456_789


def test_emptied_folders_go_and_others_and_the_root_stay(library: Library, tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    write(drop / "A" / "DCIM" / "1.mov", b"1")
    write(drop / "B" / "2.mov", b"2")
    write(drop / "B" / "half.mov.part", b"half")
    (drop / "empty").mkdir()

    ingest(library, drop, mode="move")

    assert names_in(drop) == ["B", "B/half.mov.part", "empty"]


@pytest.mark.parametrize("mode", MODES)
def test_running_again_with_nothing_changed_touches_nothing(
    library: Library, card: Path, mode: IngestMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = ingest(library, card, mode=mode)
    tables = {path: path.stat().st_mtime_ns for path in library.settings.tables_dir.rglob("*.parquet")}

    def refuse(*args: object) -> None:
        raise AssertionError("nothing is read again")

    monkeypatch.setattr(checksum, "digest_open", refuse)
    report = ingest_batch(library, batch)

    assert (report.computed, report.reused) == (0, 6)
    assert {path: path.stat().st_mtime_ns for path in tables} == tables


def test_progress_names_every_file(library: Library, card: Path) -> None:
    os.mkfifo(card / "pipe.mov")
    (batch,) = claim_paths(library, [card], "copy")
    seen: list[tuple[int, int, str]] = []

    ingest_batch(library, batch, progress=lambda *progress: seen.append(progress))

    assert [(done, todo) for done, todo, _ in seen] == [(number, 7) for number in range(1, 8)]
    assert {name for _, _, name in seen} == {file.rel_path for file in library.ledger.batch_files(batch)}


def test_a_batch_that_is_not_known_is_said_to_be_unknown(library: Library) -> None:
    with pytest.raises(ThatdamError, match="no such batch"):
        ingest_batch(library, "20260101T000000-00000000")


def test_a_second_run_of_a_batch_that_is_being_ingested_is_refused(library: Library, card: Path) -> None:
    (batch,) = claim_paths(library, [card], "copy")
    folder = f"raw/{batch[:4]}/{batch[4:6]}/{batch[6:8]}/{batch}"

    with Store(library.settings.media_url, library.settings).exclusive(folder), pytest.raises(StoreError):
        ingest_batch(library, batch)

    assert ingest_batch(library, batch).computed == 6
