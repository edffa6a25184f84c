import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa

from thatdam_pipelines.errors import ThatdamError
from thatdam_pipelines.library.arrivals import Sighting
from thatdam_pipelines.library.ledger import Content, Ledger
from thatdam_pipelines.library.ledger_tables import EXPORTED, MOVED, open_engine

NOW = datetime(2026, 11, 20, 21, 5, 9, tzinfo=UTC)
A = Sighting("CARD/a.mov", 10, 1)
B = Sighting("CARD/b.mov", 20, 2)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path / 'home' / 'library.db'}"


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    ledger = Ledger(url)
    yield ledger
    ledger.close()


def settle(ledger: Ledger, *files: Sighting, root: str = "/in") -> None:
    ledger.record_scan(root, NOW, arrived=files)
    ledger.record_scan(root, NOW + timedelta(seconds=9), settled=files)


def claim(ledger: Ledger, *files: Sighting) -> str:
    batch = ledger.create_batch("/in", "copy", files, NOW, settled=False)
    assert batch is not None
    return batch


def owner_of(ledger: Ledger, batch: str, media_id: str, size_bytes: int, kept_key: str | None = None) -> str:
    """The batch that owns a content after ``batch`` claimed it."""
    return ledger.claim_contents(batch, [Content(media_id, batch, size_bytes, kept_key)])[media_id].batch_id


def states(ledger: Ledger, root: str = "/in") -> dict[str, str]:
    files = ledger.files_in(root, ("seen", "settled", "claimed", "done", "failed", "gone"))
    return {file.rel_path: file.state for file in files}


def test_a_file_is_seen_then_settled_then_claimed_then_done(ledger: Ledger) -> None:
    ledger.record_scan("/in", NOW, arrived=[A])
    assert states(ledger) == {A.rel_path: "seen"}
    ledger.record_scan("/in", NOW + timedelta(seconds=9), settled=[A])
    (file,) = ledger.files_in("/in", ["settled"])
    assert (file.first_seen_utc, file.settled_utc) == (NOW, NOW + timedelta(seconds=9))

    batch = ledger.create_batch("/in", "copy", [A], NOW, album="Wedding", category="edit")

    assert batch is not None
    assert [(f.rel_path, f.state, f.batch_id) for f in ledger.batch_files(batch)] == [(A.rel_path, "claimed", batch)]
    ledger.mark_files(batch, done=[A])
    assert states(ledger) == {A.rel_path: "done"}


def test_a_batch_id_sorts_by_time_and_says_it(ledger: Ledger) -> None:
    batch = claim(ledger, A)

    assert batch.startswith("20261120T210509-")
    assert len(batch) == len("20261120T210509-") + 8


def test_a_batch_holds_what_it_was_made_with(ledger: Ledger) -> None:
    batch = ledger.create_batch("/in", "move", [A, B], NOW, album="Wedding", category="edit", settled=False)

    found = ledger.batch(str(batch))
    assert found is not None
    assert (found.root, found.mode, found.album, found.category) == ("/in", "move", "Wedding", "edit")
    assert (found.created_utc, found.files, found.bytes, found.state) == (NOW, 2, 30, "claimed")


def test_a_claimed_batch_is_offered_until_a_run_has_begun(ledger: Ledger) -> None:
    first, second = claim(ledger, A), claim(ledger, B)
    assert {batch.batch_id for batch in ledger.pending_batches()} == {first, second}

    ledger.start_batch(first, "run-1")

    assert [batch.batch_id for batch in ledger.pending_batches()] == [second]
    ledger.finish_batch(first, "failed")
    assert [batch.batch_id for batch in ledger.batches(state="failed")] == [first]
    assert {batch.batch_id for batch in ledger.batches(limit=10)} == {first, second}
    ledger.start_batch(first, "run-2")
    running = ledger.batch(first)
    assert running is not None
    assert (running.state, running.run_id, running.finished_utc) == ("running", "run-2", None)


def test_of_two_who_see_a_dead_run_one_gives_its_batch_back(ledger: Ledger) -> None:
    batch = claim(ledger, A)
    ledger.start_batch(batch, "run-1")
    seen = ledger.batch(batch)
    assert seen is not None and seen.run_key == batch

    ledger.release_batch(seen)
    released = ledger.batch(batch)
    assert released is not None and (released.state, released.run_id) == ("claimed", None)
    ledger.release_batch(seen)
    assert ledger.batch(batch) == released
    assert released.run_key == f"{batch}.1"

    ledger.start_batch(batch, "run-2")
    ledger.finish_batch(batch, "failed", only=seen)
    ledger.release_batch(seen)
    going = ledger.batch(batch)
    assert going is not None and (going.state, going.run_id) == ("running", "run-2")


def test_a_library_of_an_older_version_gets_the_columns_it_lacks(url: str) -> None:
    old = Ledger(url)
    batch = claim(old, A)
    old.close()
    _, writer = open_engine(url)
    with writer.begin() as connection:
        connection.execute(sa.text("ALTER TABLE batches DROP COLUMN released"))
    writer.dispose()

    ledger = Ledger(url)
    found = ledger.batch(batch)
    assert found is not None and found.run_key == batch
    ledger.close()


def test_a_batch_that_does_not_exist_cannot_be_started(ledger: Ledger) -> None:
    assert ledger.batch("20260101T000000-00000000") is None
    with pytest.raises(ThatdamError, match="no such batch"):
        ledger.start_batch("20260101T000000-00000000", "run")


def test_files_are_claimed_all_or_none(ledger: Ledger) -> None:
    settle(ledger, A, B)
    assert ledger.create_batch("/in", "copy", [B], NOW) is not None

    assert ledger.create_batch("/in", "copy", [A, B], NOW) is None

    assert states(ledger) == {A.rel_path: "settled", B.rel_path: "claimed"}
    assert len(ledger.pending_batches()) == 1


def test_a_file_that_changed_since_it_settled_is_not_claimed(ledger: Ledger) -> None:
    settle(ledger, A)

    assert ledger.create_batch("/in", "copy", [A._replace(size_bytes=11)], NOW) is None


def test_of_many_that_claim_the_same_files_at_once_one_gets_them(url: str, ledger: Ledger) -> None:
    settle(ledger, A, B)
    others = [Ledger(url) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda other: other.create_batch("/in", "copy", [A, B], NOW), others))
    for other in others:
        other.close()

    assert len([batch for batch in made if batch]) == 1


def test_of_many_that_claim_the_same_content_at_once_all_name_one_owner(url: str, ledger: Ledger) -> None:
    others = [Ledger(url) for _ in range(6)]
    batches = [f"batch-{number}" for number in range(6)]
    media = [f"{number:032x}" for number in range(50)]

    def claim_all(work: tuple[Ledger, str]) -> dict[str, str]:
        ledger, batch = work
        owned = ledger.claim_contents(batch, [Content(media_id, batch, 5, None) for media_id in media])
        return {media_id: content.batch_id for media_id, content in owned.items()}

    with ThreadPoolExecutor(6) as pool:
        owners = list(pool.map(claim_all, zip(others, batches, strict=True)))
    for other in others:
        other.close()

    assert all(owner == owners[0] for owner in owners)
    assert set(owners[0]) == set(media)


def test_a_content_stays_with_the_batch_that_claimed_it_first(ledger: Ledger) -> None:
    assert owner_of(ledger, "first", "m", 7) == "first"
    assert owner_of(ledger, "second", "m", 7, "raw/second") == "first"
    assert owner_of(ledger, "third", "m", 7, "raw/third") == "first"

    assert ledger.contents(["m", "unknown"]) == {"m": Content("m", "first", 7, "raw/second")}
    assert ledger.content_batch("m") == "first"
    assert ledger.content_batch("unknown") is None
    assert ledger.sizes_in_library([7, 8]) == {7}


def test_a_damaged_copy_is_replaced_by_the_next_one(ledger: Ledger) -> None:
    owner_of(ledger, "first", "m", 7, "raw/first")

    ledger.replace_kept("m", "raw/first", "raw/second")

    assert ledger.contents(["m"])["m"].kept_key == "raw/second"


def test_a_batch_gives_up_the_contents_it_could_not_take(ledger: Ledger) -> None:
    owner_of(ledger, "first", "kept", 1)
    owner_of(ledger, "first", "lost", 2)
    owner_of(ledger, "other", "theirs", 3)

    ledger.disown_contents("first", ["kept"])

    assert set(ledger.contents(["kept", "lost", "theirs"])) == {"kept", "theirs"}


def test_many_contents_are_looked_up_at_once(ledger: Ledger) -> None:
    media = [f"{number:032x}" for number in range(1201)]
    ledger.claim_contents("batch", [Content(media_id, "batch", 1, None) for media_id in media])

    assert set(ledger.contents(media)) == set(media)


def test_a_claimed_file_is_left_alone_by_scans(ledger: Ledger) -> None:
    batch = claim(ledger, A)

    ledger.record_scan("/in", NOW, arrived=[A._replace(size_bytes=11)])
    ledger.record_scan("/in", NOW, gone=[A.rel_path])

    (file,) = ledger.batch_files(batch)
    assert (file.state, file.size_bytes) == ("claimed", 10)


def test_a_released_file_is_a_new_arrival(ledger: Ledger) -> None:
    batch = claim(ledger, A)

    ledger.release_files(batch, [A._replace(size_bytes=99)], NOW + timedelta(hours=1))

    assert ledger.batch_files(batch) == []
    (file,) = ledger.files_in("/in", ["seen"])
    assert (file.size_bytes, file.first_seen_utc) == (99, NOW + timedelta(hours=1))


def test_a_moved_file_is_not_expected_at_its_source_any_more(ledger: Ledger) -> None:
    batch = claim(ledger, A, B)

    ledger.mark_files(batch, done=[B], moved=[A])

    assert [row[0] for row in ledger.live_files("/in")] == [B.rel_path]
    assert {file.rel_path: file.reason for file in ledger.batch_files(batch)} == {A.rel_path: MOVED, B.rel_path: ""}
    ledger.record_scan("/in", NOW, gone=[A.rel_path, B.rel_path])
    assert states(ledger) == {A.rel_path: "done", B.rel_path: "gone"}


def test_a_failed_file_says_why(ledger: Ledger) -> None:
    batch = claim(ledger, A)
    ledger.mark_files(batch, failed={A.rel_path: "it cannot be read"})

    found = ledger.file_at("/in/CARD/a.mov")

    assert found is not None
    assert (found.state, found.reason, found.batch_id) == ("failed", "it cannot be read", batch)
    assert ledger.file_at("/in/CARD/unknown.mov") is None


@pytest.mark.parametrize("name", ["caf\udce9.mov", r"caf\xe9.mov", "a\nb'\"%s.mov", "🎬.mov", "-x.mov", "50%.mov"])
def test_any_file_name_is_kept_as_it_is(ledger: Ledger, name: str) -> None:
    root = "/in\udcff put"
    file = Sighting(f"x{name}/{name}", 1, -5)
    settle(ledger, file, root=root)

    batch = ledger.create_batch(root, "copy", [file], NOW)

    assert [(f.root, f.rel_path, f.mtime_ns) for f in ledger.batch_files(str(batch))] == [(root, file.rel_path, -5)]
    found = ledger.file_at(f"{root}/x{name}/{name}")
    assert found is not None
    assert found.batch_id == batch
    assert set(ledger.files_at(root, [file.rel_path])) == {file.rel_path}


def test_a_folder_tells_once_that_it_went_and_once_that_it_is_back(ledger: Ledger) -> None:
    later = NOW + timedelta(minutes=1)
    assert not ledger.folder_online("/in", "7", None, NOW)
    assert ledger.folder_offline("/in", "no such folder", later)
    assert not ledger.folder_offline("/in", "no such folder", later + timedelta(minutes=1))
    folder = ledger.folder("/in")
    assert folder is not None
    assert (folder.online, folder.changed_utc, folder.message) == (False, later, "no such folder")
    assert folder.identity == "7"
    assert ledger.folder_online("/in", "7", None, later)
    assert not ledger.folder_online("/in", "7", None, later)


def test_settings_are_kept(ledger: Ledger) -> None:
    assert ledger.get_setting("space") is None
    assert ledger.get_setting("space", "none") == "none"
    ledger.set_setting("space", "a")
    ledger.set_setting("space", "b")

    assert ledger.get_setting("space") == "b"


def test_the_export_holds_every_row_with_its_types(ledger: Ledger, tmp_path: Path) -> None:
    batch = claim(ledger, A, Sighting("caf\udce9.mov", 3, 4))
    ledger.folder_online("/in", "7", None, NOW)

    paths = ledger.export(tmp_path / "export")
    ledger.export(tmp_path / "export")

    assert {path.name for path in paths} == {f"{table.name}.parquet" for table in EXPORTED}
    assert {path.name for path in (tmp_path / "export").iterdir()} == {path.name for path in paths}
    batches = pl.read_parquet(tmp_path / "export" / "batches.parquet")
    assert batches["created_utc"].to_list() == [NOW]
    assert batches["created_utc"].dtype == pl.Datetime("us", "UTC")
    assert batches["batch_id"].to_list() == [batch]
    files = pl.read_parquet(tmp_path / "export" / "files.parquet")
    assert files["rel_path"].to_list() == ["CARD/a.mov", r"caf\xe9.mov"]
    assert files["settled_utc"].to_list() == [NOW, NOW]
    folders = pl.read_parquet(tmp_path / "export" / "folders.parquet")
    assert folders["online"].to_list() == [True]
    assert folders["online"].dtype == pl.Boolean


def test_an_empty_ledger_exports_empty_tables(ledger: Ledger, tmp_path: Path) -> None:
    for path in ledger.export(tmp_path):
        assert pl.read_parquet(path).height == 0
    assert pl.read_parquet(tmp_path / "batches.parquet").schema["created_utc"] == pl.Datetime("us", "UTC")


def test_many_processes_may_open_an_empty_database_at_once(url: str) -> None:
    program = (
        "import sys\n"
        "from thatdam_pipelines.library.ledger import Ledger\n"
        "ledger = Ledger(sys.argv[1])\n"
        "for number in range(20):\n"
        "    ledger.set_setting(f'{sys.argv[2]}-{number}', 'x')\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, url, str(number)], stderr=subprocess.PIPE, text=True)
        for number in range(4)
    ]

    assert [process.communicate(timeout=60)[1] for process in running] == ["", "", "", ""]
    ledger = Ledger(url)
    assert all(ledger.get_setting(f"{process}-{number}") == "x" for process in range(4) for number in range(20))
    ledger.close()


def test_sqlite_readers_and_a_writer_do_not_wait_for_each_other(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'library.db'}"
    ledger = Ledger(url)
    ledger.set_setting("key", "old")
    engine, writer = open_engine(url)
    with writer.begin() as writing:
        writing.execute(sa.text("UPDATE settings SET value = 'new'"))
        assert ledger.get_setting("key") == "old"
    assert ledger.get_setting("key") == "new"
    engine.dispose()
    ledger.close()


def test_a_plain_postgres_address_uses_the_driver_that_is_installed() -> None:
    engine, _ = open_engine("postgresql://user@localhost/db")

    assert engine.dialect.driver == "psycopg2"
