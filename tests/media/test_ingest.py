import os
import random
import resource
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from blake3 import blake3

from thatdam_pipelines.errors import MediaError, OfflineError, SettingsError, StoreError, ThatdamError
from thatdam_pipelines.library import checksum
from thatdam_pipelines.library.files import unescape_name
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.ledger_tables import MOVED
from thatdam_pipelines.library.schemas import LOCATIONS, MEDIA, RAW_MEDIA_FAILURES, Table
from thatdam_pipelines.library.store import Store
from thatdam_pipelines.library.watch import scan_folder
from thatdam_pipelines.media.ingest import claim_paths, ingest_batch, original, source_of
from thatdam_pipelines.settings import IngestMode, Settings, WatchedFolder

_WITHOUT_PRIVILEGE = [] if os.geteuid() else ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
MODES: list[IngestMode] = ["copy", "move", "reference"]


@pytest.fixture
def library(settings: Settings) -> Iterator[Library]:
    with Library(settings) as library:
        yield library


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """Six files in the folders of two cameras."""
    card = tmp_path / "drop" / "card"
    for number, name in enumerate(
        (
            "DCIM/100GOPRO/GX010042.MP4",
            "DCIM/100GOPRO/GX020042.MP4",
            "DCIM/100GOPRO/GX010042.THM",
            "PRIVATE/M4ROOT/CLIP/C0001.MP4",
            "PRIVATE/M4ROOT/CLIP/C0001M01.XML",
            "notes.txt",
        )
    ):
        write(card / name, f"content {number}".encode() * 1000)
    return card


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, ns=(1_700_000_000_000_000_000, 1_700_000_000_123_456_789))
    return path


def rows(library: Library, table: Table, batch: str) -> list[dict[str, object]]:
    return library.tables.read(table, batch).to_dicts()


def names_in(folder: Path) -> list[str]:
    return sorted(os.fsencode(path.relative_to(folder)).decode(errors="replace") for path in folder.rglob("*"))


def stored_files(library: Library) -> dict[str, bytes]:
    top = Path(library.store.url(""))
    files = (path for path in top.rglob("*") if path.is_file() and path.name != ".thatdam-store")
    return {str(path.relative_to(top)): path.read_bytes() for path in files}


def ingest(library: Library, *paths: Path, mode: IngestMode = "copy") -> str:
    (batch,) = claim_paths(library, list(paths), mode)
    ingest_batch(library, batch)
    return batch


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
        with original(library, place) as path:
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


def test_originals_are_read_only_and_keep_their_time(library: Library, card: Path) -> None:
    batch = ingest(library, card, mode="move")

    for row in rows(library, LOCATIONS, batch):
        kept = Path(library.store.url(str(row["path"]))).stat()
        assert stat.S_IMODE(kept.st_mode) == 0o444
        assert kept.st_mtime_ns == 1_700_000_000_123_456_789


@pytest.mark.parametrize("mode", ["copy", "move"])
def test_a_duplicate_in_a_batch_is_kept_once(library: Library, tmp_path: Path, mode: IngestMode) -> None:
    drop = tmp_path / "drop"
    write(drop / "a.mov", b"same")
    write(drop / "sub" / "b.mov", b"same")

    batch = ingest(library, drop, mode=mode)

    assert list(stored_files(library).values()) == [b"same"]
    (content,) = rows(library, MEDIA, batch)
    assert content["name"] == "a.mov"
    places = {str(row["name"]): row for row in rows(library, LOCATIONS, batch)}
    assert (places["a.mov"]["duplicate"], places["b.mov"]["duplicate"]) == (False, True)
    assert places["a.mov"]["path"] == places["b.mov"]["path"]
    assert names_in(drop) == ([] if mode == "move" else ["a.mov", "sub", "sub/b.mov"])


@pytest.mark.parametrize("mode", ["copy", "move"])
def test_a_duplicate_of_an_earlier_batch_adds_a_place_only(library: Library, tmp_path: Path, mode: IngestMode) -> None:
    first = ingest(library, write(tmp_path / "one" / "a.mov", b"same"))
    second = ingest(library, write(tmp_path / "two" / "b.mov", b"same"), mode=mode)

    assert rows(library, MEDIA, second) == []
    (place,) = rows(library, LOCATIONS, second)
    assert place["duplicate"] is True
    assert place["path"] == rows(library, LOCATIONS, first)[0]["path"]
    assert list(stored_files(library).values()) == [b"same"]
    assert (tmp_path / "two" / "b.mov").exists() is (mode == "copy")
    assert not Path(library.store.url(f"raw/{second[:4]}/{second[4:6]}/{second[6:8]}/{second}")).exists()


@pytest.mark.parametrize("harm", ["damaged", "lost"])
def test_a_move_never_trusts_a_kept_copy_that_is_damaged_or_lost(library: Library, tmp_path: Path, harm: str) -> None:
    first = ingest(library, write(tmp_path / "one" / "a.mov", b"same"))
    kept = Path(library.store.url(str(rows(library, LOCATIONS, first)[0]["path"])))
    kept.unlink()
    if harm == "damaged":
        kept.write_bytes(b"sane")

    second = ingest(library, write(tmp_path / "two" / "b.mov", b"same"), mode="move")
    third = ingest(library, write(tmp_path / "three" / "c.mov", b"same"), mode="move")

    (place,) = rows(library, LOCATIONS, second)
    assert second in str(place["path"])
    assert library.store.read_bytes(str(place["path"])) == b"same"
    assert rows(library, LOCATIONS, third)[0]["path"] == place["path"]


def test_what_was_referenced_is_stored_when_it_is_copied_later(library: Library, tmp_path: Path) -> None:
    first = ingest(library, write(tmp_path / "disk" / "a.mov", b"same"), mode="reference")
    again = ingest(library, write(tmp_path / "other disk" / "b.mov", b"same"), mode="reference")
    second = ingest(library, write(tmp_path / "two" / "b.mov", b"same"), mode="move")

    media_id = str(rows(library, MEDIA, first)[0]["media_id"])
    (place,) = rows(library, LOCATIONS, second)
    assert (place["duplicate"], place["in_store"]) == (True, True)
    assert rows(library, LOCATIONS, again)[0]["path"] == str(tmp_path / "other disk" / "b.mov")
    (tmp_path / "disk" / "a.mov").unlink()
    with original(library, source_of(library, media_id)) as path:
        assert path.read_bytes() == b"same"


def test_moving_what_is_the_kept_copy_itself_removes_nothing(library: Library, tmp_path: Path) -> None:
    first = ingest(library, write(tmp_path / "one" / "a.mov", b"same"))
    kept = Path(library.store.url(str(rows(library, LOCATIONS, first)[0]["path"])))
    with pytest.raises(SettingsError, match="part of the library"):
        claim_paths(library, [kept.parent], "move")

    # As when the store is reached by another path, a bind mount or a share.
    library.ledger.record_scan(str(kept.parent), datetime.now(UTC))
    from thatdam_pipelines.library.arrivals import Sighting

    found = kept.stat()
    batch = library.ledger.create_batch(
        str(kept.parent),
        "move",
        [Sighting("a.mov", found.st_size, found.st_mtime_ns)],
        datetime.now(UTC),
        settled=False,
    )
    ingest_batch(library, str(batch))

    assert kept.read_bytes() == b"same"


def test_emptied_folders_go_and_others_and_the_root_stay(library: Library, tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    write(drop / "A" / "DCIM" / "1.mov", b"1")
    write(drop / "B" / "2.mov", b"2")
    write(drop / "B" / "half.mov.part", b"half")
    (drop / "empty").mkdir()

    ingest(library, drop, mode="move")

    assert names_in(drop) == ["B", "B/half.mov.part", "empty"]


@pytest.mark.parametrize(
    "name",
    ["a\nb.mov", 'it\'s "x".mov', "🎬.mov", "-rf.mov", "no extension", "caf\udce9.mov", r"caf\xe9.mov", "é" * 125],
)
@pytest.mark.parametrize("mode", MODES)
def test_any_name_is_ingested(library: Library, tmp_path: Path, name: str, mode: IngestMode) -> None:
    write(tmp_path / "drop" / f"x{name[:50]}" / name, b"content")

    batch = ingest(library, tmp_path / "drop", mode=mode)

    (place,) = rows(library, LOCATIONS, batch)
    assert unescape_name(str(place["source_path"])) == str(tmp_path / "drop" / f"x{name[:50]}" / name)
    assert unescape_name(str(place["name"])) == name
    with original(library, place) as path:
        assert path.read_bytes() == b"content"


def test_names_that_are_the_same_when_shortened_keep_both_files(library: Library, tmp_path: Path) -> None:
    for end in "ab":
        write(tmp_path / "drop" / ("\udcff" * 200 + end + ".mov"), end.encode())

    batch = ingest(library, tmp_path / "drop")

    assert sorted(stored_files(library).values()) == [b"a", b"b"]
    assert len(rows(library, LOCATIONS, batch)) == 2


def test_files_without_bytes_are_ingested(library: Library, tmp_path: Path) -> None:
    write(tmp_path / "drop" / "empty.mov", b"")
    write(tmp_path / "drop" / "also empty", b"")

    batch = ingest(library, tmp_path / "drop", mode="move")

    assert [row["size_bytes"] for row in rows(library, LOCATIONS, batch)] == [0, 0]
    assert names_in(tmp_path / "drop") == []


@pytest.mark.parametrize("nanoseconds", [-(2**62), 2**62, 253_402_300_800_000_000_000 // 30])
def test_a_modification_time_of_any_century_is_ingested(library: Library, tmp_path: Path, nanoseconds: int) -> None:
    path = write(tmp_path / "drop" / "a.mov", b"content")
    os.utime(path, ns=(nanoseconds, nanoseconds))

    batch = ingest(library, tmp_path / "drop")

    assert len(rows(library, LOCATIONS, batch)) == 1


def test_a_bad_file_costs_only_itself(library: Library, tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    write(drop / "good.mov", b"good")
    write(drop / "vanishes.mov", b"vanishes")
    write(drop / "becomes a link.mov", b"was a file")
    write(drop / "becomes a folder.mov", b"was a file")
    write(drop / "linked" / "clip.mov", b"in a folder")
    os.mkfifo(drop / "pipe.mov")
    write(tmp_path / "secret" / "clip.mov", b"in a folder")
    (batch,) = claim_paths(library, [drop], "copy")
    (drop / "vanishes.mov").unlink()
    (drop / "becomes a link.mov").unlink()
    (drop / "becomes a link.mov").symlink_to(tmp_path / "secret" / "clip.mov")
    (drop / "becomes a folder.mov").unlink()
    (drop / "becomes a folder.mov").mkdir()
    shutil.rmtree(drop / "linked")
    (drop / "linked").symlink_to(tmp_path / "secret")

    report = ingest_batch(library, batch)

    assert {Path(row["path"]).name: row["reason"] for row in report.failures} == {
        "vanishes.mov": "it is not there any more",
        "becomes a link.mov": "it is not a regular file",
        "becomes a folder.mov": "it is not a regular file",
        "clip.mov": "a folder above it is a symbolic link",
        "pipe.mov": "it is not a regular file",
    }
    assert all(row["next_step"] for row in report.failures)
    assert rows(library, RAW_MEDIA_FAILURES, batch) == report.failures
    assert list(stored_files(library).values()) == [b"good"]
    states = {file.rel_path: (file.state, file.reason) for file in library.ledger.batch_files(batch)}
    assert states["good.mov"] == ("done", "")
    assert states["vanishes.mov"] == ("failed", "it is not there any more")


def test_an_unreadable_file_costs_only_itself_and_is_taken_on_request(tmp_path: Path) -> None:
    home, drop = tmp_path / "home", tmp_path / "drop"
    write(drop / "good.mov", b"good")
    write(drop / "locked.mov", b"locked")
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from thatdam_pipelines.library.home import Library\n"
        "from thatdam_pipelines.media.ingest import claim_paths, ingest_batch\n"
        "from thatdam_pipelines.settings import Settings\n"
        "with Library(Settings(home=Path(sys.argv[1]), disk_reserve_bytes=0)) as library:\n"
        "    locked = Path(sys.argv[2]) / 'locked.mov'\n"
        "    (batch,) = claim_paths(library, [locked.parent], 'copy')\n"
        "    locked.chmod(0)\n"
        "    first = ingest_batch(library, batch)\n"
        "    assert [row['reason'] for row in first.failures] == ['it cannot be read (Permission denied)'], first\n"
        "    again = ingest_batch(library, batch)\n"
        "    assert (again.computed, again.reused, again.skipped) == (0, 1, 1), again\n"
        "    locked.chmod(0o600)\n"
        "    retried = ingest_batch(library, batch, retry=True)\n"
        "    assert (retried.computed, retried.reused, retried.failures) == (1, 1, []), retried\n"
        "    assert {file.state for file in library.ledger.batch_files(batch)} == {'done'}\n"
    )
    if _WITHOUT_PRIVILEGE and shutil.which(_WITHOUT_PRIVILEGE[0]) is None:
        pytest.skip("needs setpriv to give up root's right to read everything")
    # root may read everything, whatever a file's mode says; a process without that right may not.
    done = subprocess.run(
        [*_WITHOUT_PRIVILEGE, sys.executable, "-c", program, str(home), str(drop)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def watched_settings(settings: Settings, folder: Path, settle_seconds: float) -> Settings:
    watched = WatchedFolder(path=folder, mode="copy", settle_seconds=settle_seconds)
    return settings.model_copy(update={"watched": [watched]})


def claim_by_watching(library: Library) -> str:
    (folder,) = library.settings.watched
    now = datetime.now(UTC)
    for seconds in (0, 3600):
        report = scan_folder(library.ledger, library.settings, folder, now + timedelta(seconds=seconds))
    (batch,) = report.batches
    return batch


def test_a_file_replaced_after_it_was_claimed_is_a_new_arrival_while_it_is_new(
    settings: Settings, tmp_path: Path
) -> None:
    write(tmp_path / "drop" / "clip.mov", b"claimed")
    write(tmp_path / "drop" / "other.mov", b"other")
    with Library(watched_settings(settings, tmp_path / "drop", settle_seconds=600)) as library:
        batch = claim_by_watching(library)
        write(tmp_path / "drop" / "clip.mov", b"replaced since")

        report = ingest_batch(library, batch)

        assert report.failures == []
        assert report.facts["returned"] == 1
        assert list(stored_files(library).values()) == [b"other"]
        (file,) = library.ledger.files_in(str(tmp_path / "drop"), ["seen"])
        assert (file.rel_path, file.size_bytes) == ("clip.mov", len(b"replaced since"))
        again = claim_by_watching(library)
        os.utime(tmp_path / "drop" / "clip.mov", ns=(file.mtime_ns, file.mtime_ns))
        ingest_batch(library, again)
        assert sorted(stored_files(library).values()) == [b"other", b"replaced since"]


def test_a_file_replaced_after_it_was_claimed_that_has_settled_is_taken_as_it_is(
    settings: Settings, tmp_path: Path
) -> None:
    write(tmp_path / "drop" / "clip.mov", b"claimed")
    with Library(watched_settings(settings, tmp_path / "drop", settle_seconds=0)) as library:
        batch = claim_by_watching(library)
        write(tmp_path / "drop" / "clip.mov", b"replaced since")

        ingest_batch(library, batch)

        assert list(stored_files(library).values()) == [b"replaced since"]
        (folder,) = library.settings.watched
        assert scan_folder(library.ledger, library.settings, folder, datetime.now(UTC)).arrived == 0


@pytest.mark.parametrize("watched", [True, False])
def test_a_file_that_is_written_to_while_it_is_copied_is_not_taken(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, watched: bool
) -> None:
    path = write(tmp_path / "drop" / "clip.mov", b"x" * 5000)
    if watched:
        settings = watched_settings(settings, tmp_path / "drop", settle_seconds=0)
    read = os.read

    def read_while_someone_writes(descriptor: int, size: int) -> bytes:
        block = read(descriptor, size)
        if os.path.realpath(f"/proc/self/fd/{descriptor}") == str(path):
            with path.open("ab") as growing:
                growing.write(b"more")
        return block

    with Library(settings) as library:
        (batch,) = claim_paths(library, [tmp_path / "drop"], "copy")
        monkeypatch.setattr(checksum.os, "read", read_while_someone_writes)
        report = ingest_batch(library, batch)
        monkeypatch.undo()

        assert stored_files(library) == {}
        if watched:
            assert report.failures == []
            assert [file.rel_path for file in library.ledger.files_in(str(tmp_path / "drop"), ["seen"])] == ["clip.mov"]
        else:
            assert [row["reason"] for row in report.failures] == ["it changed while it was read"]


def test_a_disk_that_is_gone_is_no_fault_of_its_files(library: Library, card: Path) -> None:
    (batch,) = claim_paths(library, [card], "copy")
    card.rename(card.with_name("unplugged"))

    with pytest.raises(OfflineError, match="Mount the disk"):
        ingest_batch(library, batch)

    assert rows(library, RAW_MEDIA_FAILURES, batch) == []
    card.with_name("unplugged").rename(card)
    assert ingest_batch(library, batch).failures == []


def test_an_original_that_cannot_be_reached_is_offline_and_not_lost(library: Library, card: Path) -> None:
    batch = ingest(library, card, mode="reference")
    place = rows(library, LOCATIONS, batch)[0]
    card.rename(card.with_name("unplugged"))

    with pytest.raises(OfflineError), original(library, place):
        pass

    assert source_of(library, str(place["media_id"])) == place
    card.with_name("unplugged").rename(card)
    Path(str(place["path"])).write_bytes(b"edited")
    with pytest.raises(MediaError, match="changed since it was ingested"), original(library, place):
        pass


def test_a_content_that_is_not_in_the_library_is_said_to_be_unknown(library: Library) -> None:
    with pytest.raises(MediaError, match="not in the library"):
        source_of(library, "0" * 32)
    with pytest.raises(ThatdamError, match="no such batch"):
        ingest_batch(library, "20260101T000000-00000000")


def test_of_two_batches_with_the_same_new_content_at_once_one_owns_it(settings: Settings, tmp_path: Path) -> None:
    with Library(settings) as library:
        batches = []
        for number in range(4):
            for clip in range(10):
                write(tmp_path / f"drop {number}" / f"{clip}.mov", f"clip {clip}".encode() * 5000)
            batches += claim_paths(library, [tmp_path / f"drop {number}"], "move")
        threads = [threading.Thread(target=ingest_batch, args=(library, batch)) for batch in batches]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        media = pl.concat([library.tables.read(MEDIA, batch) for batch in batches])
        places = pl.concat([library.tables.read(LOCATIONS, batch) for batch in batches])
        assert media.height == media["media_id"].n_unique() == 10
        assert places.height == 40
        assert places.filter(~pl.col("duplicate")).height == 10
        for place in places.iter_rows(named=True):
            assert blake3(library.store.read_bytes(place["path"])).hexdigest()[:32] == place["media_id"]


def test_progress_names_every_file(library: Library, card: Path) -> None:
    os.mkfifo(card / "pipe.mov")
    (batch,) = claim_paths(library, [card], "copy")
    seen: list[tuple[int, int, str]] = []

    ingest_batch(library, batch, progress=lambda *progress: seen.append(progress))

    assert [(done, todo) for done, todo, _ in seen] == [(number, 7) for number in range(1, 8)]
    assert {name for _, _, name in seen} == {file.rel_path for file in library.ledger.batch_files(batch)}


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
    with Library(watched_settings(settings, tmp_path / "drop", settle_seconds=0)) as library:
        claim_paths(library, [tmp_path / "drop" / "card"], "copy")
        (folder,) = library.settings.watched
        now = datetime.now(UTC)

        reports = [
            scan_folder(library.ledger, library.settings, folder, now + timedelta(seconds=tick)) for tick in range(3)
        ]

        assert [report.batches for report in reports] == [[], [], []]


def test_a_second_run_of_a_batch_that_is_being_ingested_is_refused(library: Library, card: Path) -> None:
    (batch,) = claim_paths(library, [card], "copy")
    folder = f"raw/{batch[:4]}/{batch[4:6]}/{batch[6:8]}/{batch}"

    with Store(library.settings.media_url, library.settings).exclusive(folder), pytest.raises(StoreError):
        ingest_batch(library, batch)

    assert ingest_batch(library, batch).computed == 6


@pytest.mark.parametrize("mode", ["copy", "move"])
def test_a_full_disk_fails_the_batch_loses_nothing_and_the_next_run_finishes_it(
    settings: Settings, tmp_path: Path, mode: IngestMode
) -> None:
    drop = tmp_path / "drop"
    for number in range(4):
        write(drop / f"{number}.mov", os.urandom(30_000))
        # Another name elsewhere: even a move copies.
        os.link(drop / f"{number}.mov", tmp_path / f"also {number}.mov")
    write(drop / "large.mov", os.urandom(300_000))
    os.link(drop / "large.mov", tmp_path / "also large.mov")
    before = {path.name: path.read_bytes() for path in drop.iterdir()}
    with Library(settings) as library:
        (batch,) = claim_paths(library, [drop], mode)

    done = subprocess.run(
        [sys.executable, "-c", _INGEST, str(settings.home), batch],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, 250_000)),
    )

    assert "StoreError" in done.stderr
    assert "File too large" in done.stderr
    with Library(settings) as library:
        assert all(content in before.values() for content in stored_files(library).values())
        left = {path.name: path.read_bytes() for path in drop.iterdir()}
        assert left["large.mov"] == before["large.mov"]
        assert set(before.values()) == {*left.values(), *stored_files(library).values()}
        assert ingest_batch(library, batch).failures == []
        assert sorted(stored_files(library).values()) == sorted(before.values())


_INGEST = """
import sys
from pathlib import Path
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.settings import Settings

settings = Settings(home=Path(sys.argv[1]), embedder="descriptor", settle_seconds=0, disk_reserve_bytes=0)
with Library(settings) as library:
    print("ready", flush=True)
    ingest_batch(library, sys.argv[2])
"""


def make_drop(drop: Path) -> None:
    chance = random.Random(7)
    for number in range(60):
        write(drop / f"card {number % 3}" / "DCIM" / f"{number:03}.mov", chance.randbytes(20_000 + number))
    for number in range(0, 60, 4):
        shutil.copy2(drop / f"card {number % 3}" / "DCIM" / f"{number:03}.mov", drop / f"same as {number}.mov")
    write(drop / "caf\udce9.mov", b"name")
    write(drop / "empty.mov", b"")
    os.mkfifo(drop / "pipe.mov")


def outcome(library: Library, batch: str, drop: Path) -> dict[str, object]:
    """All that ingest leaves, without the batch's id and the times at which it was done."""
    found: dict[str, object] = {}
    for table in (MEDIA, LOCATIONS, RAW_MEDIA_FAILURES):
        frame = library.tables.read(table, batch).drop(
            "batch_id", "verified_utc", "first_seen_utc", "failed_utc", strict=False
        )
        text = [column for column, dtype in frame.schema.items() if dtype == pl.String]
        for literal, instead in ((batch, "<batch>"), (str(drop), "<drop>")):
            frame = frame.with_columns(pl.col(text).str.replace_all(literal, instead, literal=True))
        found[table.name] = frame.to_dicts()
    found["store"] = {path.replace(batch, "<batch>"): data for path, data in stored_files(library).items()}
    found["drop"] = names_in(drop)
    found["files"] = {file.rel_path: (file.state, file.reason) for file in library.ledger.batch_files(batch)}
    contents = library.ledger.contents([str(row["media_id"]) for row in rows(library, MEDIA, batch)])
    found["contents"] = {media_id: content.batch_id == batch for media_id, content in contents.items()}
    return found


@pytest.mark.parametrize("mode", MODES)
def test_killed_at_any_point_it_ends_in_the_same_when_run_again(
    settings: Settings, tmp_path: Path, mode: IngestMode
) -> None:
    undisturbed = settings.model_copy(update={"home": tmp_path / "undisturbed"})
    make_drop(tmp_path / "calm" / "drop")
    with Library(undisturbed) as library:
        batch = ingest(library, tmp_path / "calm" / "drop", mode=mode)
        expected = outcome(library, batch, tmp_path / "calm" / "drop")
    assert MOVED in str(expected["files"]) or mode != "move"

    drop = tmp_path / "rough" / "drop"
    make_drop(drop)
    originals = {path.read_bytes() for path in drop.rglob("*.mov") if path.is_file()}
    with Library(settings) as library:
        (batch,) = claim_paths(library, [drop], mode)
    chance = random.Random(11)
    killed = 0
    for _ in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", _INGEST, str(settings.home), batch], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(chance.uniform(0.0, 0.25))
            killed += process.poll() is None
            process.send_signal(signal.SIGKILL)
        with Library(settings) as library:
            left = {path.read_bytes() for path in drop.rglob("*.mov") if path.is_file()}
            assert originals <= left | set(stored_files(library).values())

    with Library(settings) as library:
        ingest_batch(library, batch)
        assert outcome(library, batch, drop) == expected
        assert not [name for name in names_in(settings.home) if name.endswith(".part")]
    assert killed


def test_a_card_is_moved_to_s3_and_a_run_that_died_there_is_finished(
    s3_settings: Settings, card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = {path.name: path.read_bytes() for path in card.rglob("*") if path.is_file()}
    with Library(s3_settings) as library:
        (batch,) = claim_paths(library, [card], "move")
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            die_after(patch, library, "flush")
            ingest_batch(library, batch)
        assert names_in(card) == ["DCIM", "DCIM/100GOPRO", "PRIVATE", "PRIVATE/M4ROOT", "PRIVATE/M4ROOT/CLIP"]

        report = ingest_batch(library, batch)

        assert (report.computed, report.failures) == (6, [])
        assert names_in(card) == []
        for place in rows(library, LOCATIONS, batch):
            assert place["modified_utc"] == datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC)
            with original(library, place) as path:
                assert path.read_bytes() == content[str(place["name"])]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "step", ["put", "flush", "claim_contents", "disown_contents", "media", "locations", "raw_media_failures", "marked"]
)
def test_dying_after_any_step_ends_in_the_same_when_run_again(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: IngestMode, step: str
) -> None:
    outcomes = []
    for home in ("undisturbed", "disturbed"):
        drop = tmp_path / f"drop {home}"
        for name, content in (("a.mov", b"same"), ("b.mov", b"same"), ("c/d.mov", b"other"), ("e.mov", b"12345678")):
            write(drop / name, content)
        os.mkfifo(drop / "pipe.mov")
        with Library(settings.model_copy(update={"home": tmp_path / home})) as library:
            (batch,) = claim_paths(library, [drop], mode)
            if home == "disturbed":
                with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                    die_after(patch, library, step)
                    ingest_batch(library, batch)
                    raise KeyboardInterrupt
            ingest_batch(library, batch)
            outcomes.append(outcome(library, batch, drop))

    assert outcomes[1] == outcomes[0]


def die_after(patch: pytest.MonkeyPatch, library: Library, step: str) -> None:
    owner, name = {
        "put": (library.store, "put"),
        "flush": (library.store, "flush"),
        "claim_contents": (library.ledger, "claim_contents"),
        "disown_contents": (library.ledger, "disown_contents"),
        "marked": (library.ledger, "mark_files"),
    }.get(step, (library.tables, "write"))
    do = getattr(owner, name)

    def do_and_die(*args: object, **kwargs: object) -> None:
        do(*args, **kwargs)
        if name != "write" or args[0].name == step:  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    patch.setattr(owner, name, do_and_die)


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
