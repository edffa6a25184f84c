"""Restore: single files, or a whole home on an empty machine that answers as the old one did."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from thatdam_pipelines.backup.manifest import find_snapshot, list_snapshots, open_manifest, read_lines
from thatdam_pipelines.backup.restore import RestoreReport, Wanted, restore
from thatdam_pipelines.backup.snapshot import take_snapshot
from thatdam_pipelines.backup.targets import open_target
from thatdam_pipelines.errors import OfflineError, OverwriteError, QueryError, SettingsError, StoreError
from thatdam_pipelines.library import ledger_tables
from thatdam_pipelines.library.catalog import publish, run_sql
from thatdam_pipelines.library.checksum import digest_file
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.ledger import Ledger
from thatdam_pipelines.library.ledger_metadata import METADATA
from thatdam_pipelines.library.ledger_tables import frame_of, open_engine
from thatdam_pipelines.library.schemas import MEDIA
from thatdam_pipelines.library.text import TextIndex
from thatdam_pipelines.library.vectors import VectorIndex
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.media.whereabouts import original, whereabouts
from thatdam_pipelines.samples.tiny import tiny_settings
from thatdam_pipelines.search.moments import Moment
from thatdam_pipelines.search.search import Query, Searcher
from thatdam_pipelines.settings import BackupTarget, Settings

ODD = {"clip\n1.mov": b"newline", "-rf.mov": b"dash", "née 🎬 'x'.mov": b"letters", "q?*[a].mov": b"glob"}


def backed_up(
    settings: Settings, folder: Path, files: dict[str, bytes], wanted: BackupTarget, mode: Any = "copy"
) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    with Library(settings) as library:
        for batch in claim_paths(library, [folder], mode):
            ingest_batch(library, batch)
        take_snapshot(library, wanted)


def restored(settings: Settings, wanted: BackupTarget, what: Wanted, to: Path, **options: Any) -> RestoreReport:
    """Restore as on a machine that knows nothing but where the target is."""
    target = open_target(settings, wanted)
    return restore([target], find_snapshot(target, "latest"), what, to, **options)


@pytest.fixture
def disk(tmp_path: Path) -> BackupTarget:
    return BackupTarget(name="disk", url=str(tmp_path / "disk"))


def test_progress_reaches_its_end_whatever_is_there_or_cannot_be_restored(
    settings: Settings, tmp_path: Path, disk: BackupTarget
) -> None:
    backed_up(settings, tmp_path / "card", {"a.mov": b"a" * 1000, "b.mov": b"b" * 1000, "c.mov": b"c" * 500}, disk)
    told: list[tuple[int, int]] = []
    restored(settings, disk, Wanted(pattern="*a.mov"), tmp_path / "out")
    target = open_target(settings, disk)
    with open_manifest(target, find_snapshot(target, "latest")) as manifest:
        lost = next(line.blake3 for line in read_lines(manifest) if line.path.endswith("b.mov"))
    Path(disk.url, "objects", lost[:2], lost).unlink()

    def tell(done: int, total: int, _file: str) -> None:
        told.append((done, total))

    report = restored(settings, disk, Wanted(pattern="*.mov"), tmp_path / "out", progress=tell)
    assert (report.there, report.files, len(report.problems)) == (1, 1, 1)
    assert told[0] == (0, 2500) and told[-1] == (2500, 2500) and told == sorted(told)


def test_files_of_any_name_come_back_byte_for_byte(settings: Settings, tmp_path: Path, disk: BackupTarget) -> None:
    files = {**ODD, os.fsdecode(b"caf\xe9.mov"): b"latin"}
    backed_up(settings, tmp_path / "card", files, disk)
    report = restored(settings, disk, Wanted(pattern="media/*.mov"), tmp_path / "out")
    assert report.files == len(files) and not report.problems
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").rglob("*.mov")}.keys() >= {
        "clip\n1.mov",
        "-rf.mov",
    }
    assert {path.read_bytes() for path in (tmp_path / "out").rglob("*.mov")} == set(files.values())


def test_a_file_is_found_by_the_end_of_its_path_or_its_media_id(
    settings: Settings, tmp_path: Path, disk: BackupTarget
) -> None:
    backed_up(settings, tmp_path / "card", {"DCIM/A.MOV": b"a", "DCIM/B.MOV": b"b"}, disk)
    media_id = digest_file(tmp_path / "card/DCIM/B.MOV").media_id
    restored(settings, disk, Wanted(pattern="DCIM/A.*"), tmp_path / "one")
    restored(settings, disk, Wanted(media_id=media_id[:8]), tmp_path / "two")
    assert [path.read_bytes() for path in (tmp_path / "one").rglob("*.MOV")] == [b"a"]
    assert [path.read_bytes() for path in (tmp_path / "two").rglob("*.MOV")] == [b"b"]
    with pytest.raises(QueryError, match="nothing in it"):
        restored(settings, disk, Wanted(pattern="C.MOV"), tmp_path / "three")


def test_the_same_names_of_two_cards_come_back_apart(settings: Settings, tmp_path: Path, disk: BackupTarget) -> None:
    backed_up(settings, tmp_path / "card1", {"DCIM/A.MOV": b"first"}, disk)
    backed_up(settings, tmp_path / "card2", {"DCIM/A.MOV": b"second"}, disk)
    restored(settings, disk, Wanted(pattern="A.MOV"), tmp_path / "out")
    assert {path.read_bytes() for path in (tmp_path / "out").rglob("A.MOV")} == {b"first", b"second"}


def test_a_dry_run_says_what_the_real_one_does_and_writes_nothing(
    settings: Settings, tmp_path: Path, disk: BackupTarget
) -> None:
    backed_up(settings, tmp_path / "card", ODD, disk)
    said = restored(settings, disk, Wanted(everything=True), tmp_path / "out", dry_run=True)
    assert not (tmp_path / "out").exists()
    done = restored(settings, disk, Wanted(everything=True), tmp_path / "out")
    assert (said.files, said.bytes) == (done.files, done.bytes) and done.files == 8
    assert said.estimate is not None and done.estimate is None


def test_the_time_a_restore_would_take_grows_with_its_files_and_bytes(
    settings: Settings, tmp_path: Path, disk: BackupTarget
) -> None:
    # At 8 MB/s what is read sets the time, whatever else the machine does.
    slow = disk.model_copy(update={"bandwidth_bytes_per_s": 8_000_000})
    large = {f"{name}.MOV": name.encode() * 5_000_000 for name in "abcdef"}
    backed_up(settings, tmp_path / "card", large, disk)
    one = restored(settings, slow, Wanted(pattern="a.MOV"), tmp_path / "out", dry_run=True).estimate
    six = restored(settings, slow, Wanted(pattern="*.MOV"), tmp_path / "out", dry_run=True).estimate
    assert one is not None and six is not None and one.seconds is not None and six.seconds is not None
    assert (one.read_files, one.read_bytes, six.read_files) == (1, 5_000_000, 3)
    assert one.seconds > 0.1 and six.seconds > 6 * 0.1 and "3 of the files" in six.basis
    for path in Path(disk.url, "objects").rglob("*"):
        path.unlink() if path.is_file() else None
    lost = restored(settings, disk, Wanted(pattern="a.MOV"), tmp_path / "out", dry_run=True).estimate
    assert lost is not None and lost.seconds is None and "nothing could be read" in lost.basis


def test_what_is_there_is_kept_and_what_differs_is_told(settings: Settings, tmp_path: Path, disk: BackupTarget) -> None:
    backed_up(settings, tmp_path / "card", {"A.MOV": b"a", "B.MOV": b"b"}, disk)
    restored(settings, disk, Wanted(pattern="?.MOV"), tmp_path / "out")
    (mine,) = (tmp_path / "out").rglob("A.MOV")
    mine.chmod(0o644)
    mine.write_bytes(b"edited")
    report = restored(settings, disk, Wanted(pattern="?.MOV"), tmp_path / "out")
    assert (report.there, report.files) == (1, 0)
    assert "different content is there" in report.problems[0]["reason"] and mine.read_bytes() == b"edited"


def test_a_damaged_copy_is_never_restored_but_taken_from_another_target(
    settings: Settings, tmp_path: Path, disk: BackupTarget
) -> None:
    second = BackupTarget(name="second", url=str(tmp_path / "second"))
    backed_up(settings, tmp_path / "card", {"A.MOV": b"a" * 1000}, disk)
    with Library(settings) as library:
        take_snapshot(library, second)
    blake3 = digest_file(tmp_path / "card/A.MOV").blake3
    copy = Path(disk.url, "objects", blake3[:2], blake3)
    copy.write_bytes(b"b" + copy.read_bytes()[1:])
    alone = restored(settings, disk, Wanted(pattern="A.MOV"), tmp_path / "out")
    assert "damaged there" in alone.problems[0]["reason"] and not list((tmp_path / "out").rglob("A.MOV"))
    targets = [open_target(settings, disk), open_target(settings, second)]
    report = restore(targets, find_snapshot(targets[0], "latest"), Wanted(pattern="A.MOV"), tmp_path / "out")
    assert not report.problems and [path.read_bytes() for path in (tmp_path / "out").rglob("A.MOV")] == [b"a" * 1000]


def moments(found: list[Moment]) -> set[tuple[str, float, float]]:
    return {(moment.media_id, moment.start_s, moment.end_s) for moment in found}


def test_a_restored_home_answers_the_same_searches_and_sql_byte_for_byte(
    footage: Any, tmp_path: Path, disk: BackupTarget
) -> None:
    with Library(footage.settings) as library:
        report = take_snapshot(library, disk)
    assert not report.missing
    home = tmp_path / "new"
    assert not restored(Settings(home=home), disk, Wanted(everything=True), home).problems
    target = open_target(footage.settings, disk)
    with open_manifest(target, find_snapshot(target, "latest")) as manifest:
        for line in read_lines(manifest):
            if line.path != "library.db":
                assert digest_file(home / line.path).blake3 == line.blake3
    again = Settings(home=home, workers=2, disk_reserve_bytes=0, **tiny_settings())  # type: ignore[arg-type]
    with Library(again) as library:
        publish(library)
        with VectorIndex(again) as vectors, TextIndex(again.text_path) as text:
            vectors.rebuild(library)
            text.rebuild(library)
    for view in ("media", "locations", "probes", "streams", "proxies", "frames", "scenes", "tags", "files", "batches"):
        query = f"SELECT * FROM {view} ORDER BY ALL"
        assert run_sql(again, query).equals(run_sql(footage.settings, query)), view
    asked = ["CLIP0002", *[shown.caption for file in footage.files for shown in file.shown][:12]]
    with Searcher(footage.settings) as old, Searcher(again) as new:
        for text_ in asked:
            before, after = old.search(Query(text=text_)).moments, new.search(Query(text=text_)).moments
            # The rebuilt index is an approximate one: moments that fit equally well may change places.
            assert before and moments(after) == moments(before)


def test_an_original_left_by_reference_is_in_the_media_store_of_the_restored_home(
    settings: Settings, tmp_path: Path, disk: BackupTarget
) -> None:
    backed_up(settings, tmp_path / "nas", {"DCIM/A.MOV": b"left there"}, disk, mode="reference")
    shutil.rmtree(tmp_path / "nas")
    home = tmp_path / "new"
    restored(settings, disk, Wanted(everything=True), home)
    with Library(settings.model_copy(update={"home": home})) as library:
        (batch,) = library.tables.batches(MEDIA)
        for found in whereabouts(library, batch).values():
            with original(library, found) as path:
                assert path.read_bytes() == b"left there"


def test_a_postgres_library_comes_back_as_a_home_that_needs_no_server(
    settings: Settings, tmp_path: Path, disk: BackupTarget, postgres_url: str
) -> None:
    served = settings.model_copy(update={"database": postgres_url})
    backed_up(served, tmp_path / "card", {"A.MOV": b"a"}, disk)
    home = tmp_path / "new"
    assert not restored(Settings(home=home), disk, Wanted(everything=True), home).problems
    old, new = Ledger(postgres_url), Ledger(f"sqlite:///{home / 'library.db'}")
    media_id = digest_file(tmp_path / "card/A.MOV").media_id
    assert new.contents([media_id]) == old.contents([media_id]) and new.contents([media_id])
    old.close()
    new.close()


def rows_of(url: str) -> dict[str, list[Any]]:
    engine, _ = open_engine(url)
    with engine.connect() as connection:
        rows = {table.name: frame_of(connection, table).rows() for table in METADATA.sorted_tables}
    engine.dispose()
    return rows


@pytest.mark.parametrize("kept_in", ["postgres", "sqlite"])
def test_a_whole_home_is_restored_into_an_empty_postgres_database(
    settings: Settings,
    tmp_path: Path,
    disk: BackupTarget,
    postgres_url: str,
    kept_in: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served = settings.model_copy(update={"database": postgres_url.replace("/test_", "/old_")})
    old = served if kept_in == "postgres" else settings
    if kept_in == "postgres":
        create_database(postgres_url, str(served.database))
    ledger = Ledger(old.database_url)
    for number in range(3):
        ledger.set_setting(f"setting {number}", "x")
    ledger.close()
    # More than are read at once.
    monkeypatch.setattr(ledger_tables, "_ROWS_AT_ONCE", 2)
    backed_up(old, tmp_path / "nas", {"A.MOV": b"a"}, disk, mode="reference")
    # The last snapshot is of the database before it was told of that snapshot.
    before = rows_of(old.database_url)
    shutil.rmtree(tmp_path / "nas")
    home = tmp_path / "new"
    assert not restored(settings, disk, Wanted(everything=True), home, database=postgres_url).problems
    after = rows_of(postgres_url)
    told_later = {"contents", "snapshots", "copies"}
    assert {name: rows for name, rows in after.items() if name not in told_later} == {
        name: rows for name, rows in before.items() if name not in told_later
    }
    assert before["files"] and len(after["contents"]) == 1
    with Library(settings.model_copy(update={"home": home, "database": postgres_url})) as library:
        (batch,) = library.tables.batches(MEDIA)
        for found in whereabouts(library, batch).values():
            with original(library, found) as path:
                assert path.read_bytes() == b"a"


def create_database(server: str, url: str) -> None:
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f'CREATE DATABASE "{sa.make_url(url).database}"'))
    engine.dispose()


def test_a_database_that_is_not_empty_is_refused_before_anything_is_written(
    settings: Settings, tmp_path: Path, disk: BackupTarget, postgres_url: str
) -> None:
    backed_up(settings, tmp_path / "card", {"A.MOV": b"a"}, disk)
    ledger = Ledger(postgres_url)
    ledger.set_setting("of", "another library")
    ledger.close()
    before = rows_of(postgres_url)
    with pytest.raises(OverwriteError, match="not empty"):
        restored(settings, disk, Wanted(everything=True), tmp_path / "new", database=postgres_url)
    assert rows_of(postgres_url) == before and not (tmp_path / "new").exists()


def test_a_database_that_cannot_be_used_is_told_without_its_password(
    settings: Settings, tmp_path: Path, disk: BackupTarget
) -> None:
    backed_up(settings, tmp_path / "card", {"A.MOV": b"a"}, disk)
    everything, home = Wanted(everything=True), tmp_path / "new"
    with pytest.raises(OfflineError, match="cannot be reached") as told:
        restored(settings, disk, everything, home, database="postgresql://me:secret@127.0.0.1:1/library")
    assert "secret" not in str(told.value)
    for url in ("sqlite:///other.db", "no url"):
        with pytest.raises(SettingsError, match="postgresql://"):
            restored(settings, disk, everything, home, database=url)
    assert not home.exists() and not Path("other.db").exists()


def test_a_path_is_found_as_it_is_listed_whatever_characters_it_has(
    settings: Settings, tmp_path: Path, disk: BackupTarget
) -> None:
    backed_up(settings, tmp_path / "card", {"DCIM [1]/q?*[a].mov": b"glob", "DCIM [1]/other.mov": b"other"}, disk)
    report = restored(settings, disk, Wanted(pattern="DCIM [1]/q?*[a].mov"), tmp_path / "out")
    (path,) = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert report.files == 1 and path.read_bytes() == b"glob"


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_file_where_the_folder_would_be_is_told_at_once_and_left(
    settings: Settings, tmp_path: Path, disk: BackupTarget, dry_run: bool
) -> None:
    backed_up(settings, tmp_path / "card", {"A.MOV": b"a"}, disk)
    (tmp_path / "out").write_bytes(b"mine")
    with pytest.raises(StoreError, match="no folder"):
        restored(settings, disk, Wanted(everything=True), tmp_path / "out", dry_run=dry_run)
    assert (tmp_path / "out").read_bytes() == b"mine"


def test_the_latest_of_two_libraries_at_one_target_is_not_guessed(
    settings: Settings, tmp_path: Path, disk: BackupTarget
) -> None:
    backed_up(settings, tmp_path / "mine", {"A.MOV": b"mine"}, disk)
    with Library(settings) as library:
        own = library.ledger.get_setting("library_id")
    backed_up(settings.model_copy(update={"home": tmp_path / "other"}), tmp_path / "yours", {"B.MOV": b"yours"}, disk)
    target = open_target(settings, disk)
    first, second = list_snapshots(target)
    with pytest.raises(QueryError, match="2 libraries") as told:
        find_snapshot(target, "latest")
    assert first.snapshot_id in str(told.value) and second.snapshot_id in str(told.value)
    assert find_snapshot(target, "latest", own) == first


def test_a_target_whose_identity_is_lost_is_restored_with_what_its_manifests_names_tell(
    settings: Settings, tmp_path: Path, disk: BackupTarget
) -> None:
    backed_up(settings, tmp_path / "card", {"A.MOV": b"a"}, disk)
    (manifest,) = (tmp_path / "disk/snapshots").iterdir()
    marker = {"format": 1, "target_id": manifest.name.split(".")[1]}
    (tmp_path / "disk/thatdam-backup.json").write_text(json.dumps(marker))
    assert restored(settings, disk, Wanted(everything=True), tmp_path / "new").problems == []
    with Library(settings.model_copy(update={"home": tmp_path / "new"})) as library:
        (known,) = library.ledger.copies.targets()
    assert known["target_id"].startswith(marker["target_id"])
