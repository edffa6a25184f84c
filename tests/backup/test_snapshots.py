"""Snapshots: whole, content addressed, proven, and begun again after whatever broke them."""

import gzip
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import S3_SERVERS
from thatdam_pipelines.backup import targets
from thatdam_pipelines.backup.manifest import list_snapshots, open_manifest, read_lines
from thatdam_pipelines.backup.snapshot import take_snapshot
from thatdam_pipelines.backup.targets import Target, open_target
from thatdam_pipelines.errors import DamagedError, OfflineError, StoreError
from thatdam_pipelines.library.checksum import digest_file
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.settings import BackupTarget, Settings


def fill(settings: Settings, folder: Path, files: dict[str, bytes], mode: str = "copy") -> None:
    """Ingest files of these contents from ``folder``."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    with Library(settings) as library:
        for batch in claim_paths(library, [folder], mode):  # type: ignore[arg-type]
            ingest_batch(library, batch)


def lines_of(target: Target, number: int = -1) -> dict[str, str]:
    with open_manifest(target, list_snapshots(target)[number]) as path:
        return {line.path: line.blake3 for line in read_lines(path)}


@pytest.fixture
def disk(tmp_path: Path) -> BackupTarget:
    return BackupTarget(name="disk", url=str(tmp_path / "disk"))


CLIPS = {"DCIM/100/A001.MOV": b"one" * 1000, "DCIM/100/A002.MOV": b"two" * 1000, "DCIM/100/A002.XML": b"<x/>"}


@pytest.mark.parametrize("rotten", [targets.MARKER, targets.SPARE_MARKER])
@pytest.mark.parametrize("missing", [True, False])
def test_the_identity_of_a_target_is_mended_from_its_spare(
    settings: Settings, tmp_path: Path, disk: BackupTarget, rotten: str, missing: bool
) -> None:
    fill(settings, tmp_path / "card", CLIPS)
    with Library(settings) as library:
        take_snapshot(library, disk)
        path = Path(disk.url, rotten)
        before = path.read_bytes()
        path.unlink() if missing else path.write_bytes(b"rotten")
        assert list_snapshots(open_target(settings, disk))
        take_snapshot(library, disk)
    assert path.read_bytes() == before


def test_a_target_whose_identity_cannot_be_read_is_restored_from_by_its_spare_and_not_written_over(
    settings: Settings, tmp_path: Path, disk: BackupTarget
) -> None:
    fill(settings, tmp_path / "card", CLIPS)
    with Library(settings) as library:
        take_snapshot(library, disk)
        marker = Path(disk.url, targets.MARKER)
        marker.unlink()
        # It fails when it is read, as a bad sector does.
        marker.mkdir()
        target = open_target(settings, disk, library.ledger)
        target.require_same()
        assert len(lines_of(target)) > len(CLIPS)
        with pytest.raises(StoreError, match="it does not work"):
            take_snapshot(library, disk)
        assert marker.is_dir()
        Path(disk.url, targets.SPARE_MARKER).write_bytes(b"rotten")
        with pytest.raises(StoreError, match="it does not work"):
            open_target(settings, disk, library.ledger)


def test_a_target_whose_identity_is_lost_twice_is_told_from_one_that_is_away(
    settings: Settings, tmp_path: Path, disk: BackupTarget
) -> None:
    fill(settings, tmp_path / "card", CLIPS)
    with Library(settings) as library:
        take_snapshot(library, disk)
        for name in (targets.MARKER, targets.SPARE_MARKER):
            Path(disk.url, name).write_bytes(b"rotten")
        with pytest.raises(DamagedError, match=r"so is its spare.*docs/backup\.md"):
            take_snapshot(library, disk)
        for name in (targets.MARKER, targets.SPARE_MARKER):
            Path(disk.url, name).unlink()
        with pytest.raises(DamagedError, match=r"snapshots are there.*docs/backup\.md"):
            take_snapshot(library, disk)


@pytest.mark.parametrize("few", [0, 100_000])
def test_what_is_known_is_known_again_however_many_are_compared_at_a_time(
    settings: Settings, tmp_path: Path, disk: BackupTarget, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thatdam_pipelines.backup.plan._FEW", few)
    fill(settings, tmp_path / "card", CLIPS)
    with Library(settings) as library:
        first = take_snapshot(library, disk)
        second = take_snapshot(library, disk)
    # The database wrote down the first.
    assert (first.new_files, second.new_files, second.known_files) == (first.files, 1, first.files - 1)


def test_a_snapshot_has_every_original_table_and_the_database(
    settings: Settings, tmp_path: Path, disk: BackupTarget
) -> None:
    fill(settings, tmp_path / "card", CLIPS)
    with Library(settings) as library:
        report = take_snapshot(library, disk)
        target = open_target(settings, disk, library.ledger)
        lines = lines_of(target)
    assert not report.missing and report.files == len(lines)
    assert {path.rpartition("/")[2] for path in lines if path.startswith("media/")} == {
        "A001.MOV",
        "A002.MOV",
        "A002.XML",
    }
    assert "library.db" in lines and any(path.startswith("tables/media/") for path in lines)
    for blake3 in lines.values():
        assert digest_file(Path(disk.url, "objects", blake3[:2], blake3)).blake3 == blake3


def test_the_second_snapshot_copies_only_what_is_new(settings: Settings, tmp_path: Path, disk: BackupTarget) -> None:
    fill(settings, tmp_path / "card", CLIPS)
    with Library(settings) as library:
        first = take_snapshot(library, disk)
        second = take_snapshot(library, disk)
    assert first.known_files == 0 and first.new_files == first.verified
    assert second.new_files <= 1 and second.known_files == first.new_files - 1, "only the database differs"
    assert second.files == first.files


def test_two_cards_with_the_same_names_are_both_kept_at_every_target(settings: Settings, tmp_path: Path) -> None:
    fill(settings, tmp_path / "card1", {"DCIM/A001.MOV": b"first card"})
    fill(settings, tmp_path / "card2", {"DCIM/A001.MOV": b"second card"})
    for name in ("one", "two"):
        wanted = BackupTarget(name=name, url=str(tmp_path / name))
        with Library(settings) as library:
            take_snapshot(library, wanted)
            lines = lines_of(open_target(settings, wanted))
        found = {
            Path(wanted.url, "objects", blake3[:2], blake3).read_bytes()
            for path, blake3 in lines.items()
            if path.endswith("A001.MOV")
        }
        assert found == {b"first card", b"second card"}


def test_what_was_left_by_reference_is_in_the_snapshot(settings: Settings, tmp_path: Path, disk: BackupTarget) -> None:
    fill(settings, tmp_path / "nas", CLIPS, mode="reference")
    with Library(settings) as library:
        take_snapshot(library, disk)
        lines = lines_of(open_target(settings, disk))
    assert f"referenced{tmp_path}/nas/DCIM/100/A001.MOV" in lines


def test_a_file_that_is_away_is_named_and_the_rest_is_kept(
    settings: Settings, tmp_path: Path, disk: BackupTarget
) -> None:
    fill(settings, tmp_path / "nas", CLIPS, mode="reference")
    (tmp_path / "nas/DCIM/100/A001.MOV").unlink()
    with Library(settings) as library:
        report = take_snapshot(library, disk)
    (missing,) = report.missing
    assert missing["path"].endswith("A001.MOV") and "cannot be read" in missing["reason"]
    assert report.new_files > 3


def test_a_damaged_original_is_named_and_never_counted(settings: Settings, tmp_path: Path, disk: BackupTarget) -> None:
    fill(settings, tmp_path / "card", CLIPS)
    (kept,) = Path(settings.media_url).rglob("A001.MOV")
    kept.chmod(0o644)
    kept.write_bytes(b"x" + kept.read_bytes()[1:])
    with Library(settings) as library:
        report = take_snapshot(library, disk)
        states = list(library.ledger.copies.oldest(open_target(settings, disk).target_id))
    assert [missing["reason"].partition(":")[0] for missing in report.missing] == ["it is damaged"]
    assert all("A001" not in str(copy) and copy.state == "verified" for copy in states)
    assert not list(Path(disk.url, "parts").iterdir())


def test_an_original_damaged_after_its_backup_stays_good_in_the_next(
    settings: Settings, tmp_path: Path, disk: BackupTarget
) -> None:
    fill(settings, tmp_path / "card", CLIPS)
    with Library(settings) as library:
        take_snapshot(library, disk)
        (kept,) = Path(settings.media_url).rglob("A001.MOV")
        kept.unlink()
        assert not take_snapshot(library, disk).missing


def test_a_damaged_copy_is_replaced_by_a_good_one_once_it_is_known(
    settings: Settings, tmp_path: Path, disk: BackupTarget
) -> None:
    fill(settings, tmp_path / "card", CLIPS)
    with Library(settings) as library:
        take_snapshot(library, disk)
        (blake3,) = {b for path, b in lines_of(open_target(settings, disk)).items() if path.endswith("A001.MOV")}
        copy = Path(disk.url, "objects", blake3[:2], blake3)
        copy.write_bytes(b"short")
        report = take_snapshot(library, disk)
    assert not report.missing and digest_file(copy).blake3 == blake3
    assert len(list(Path(disk.url, "damaged").iterdir())) == 1


def test_snapshots_that_run_at_once_are_both_whole(settings: Settings, tmp_path: Path, disk: BackupTarget) -> None:
    fill(settings, tmp_path / "card", {f"DCIM/{n}.MOV": os.urandom(20_000) for n in range(30)})
    with Library(settings) as library:
        open_target(settings, disk, library.ledger, create=True)
    begin = threading.Barrier(3)

    def one(_: int) -> None:
        with Library(settings) as library:
            begin.wait()
            take_snapshot(library, disk)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(one, range(3)))
    target = open_target(settings, disk)
    assert len(list_snapshots(target)) == 3
    for number in range(3):
        for blake3 in lines_of(target, number).values():
            assert digest_file(Path(disk.url, "objects", blake3[:2], blake3)).blake3 == blake3


def test_an_empty_folder_where_the_disk_was_is_offline_and_not_a_new_target(
    settings: Settings, tmp_path: Path, disk: BackupTarget
) -> None:
    fill(settings, tmp_path / "card", CLIPS)
    with Library(settings) as library:
        take_snapshot(library, disk)
        Path(disk.url).rename(tmp_path / "unplugged")
        with pytest.raises(OfflineError, match="not there"):
            take_snapshot(library, disk)
        Path(disk.url).mkdir()
        with pytest.raises(OfflineError, match="no identity"):
            take_snapshot(library, disk)
        assert list(Path(disk.url).iterdir()) == []


def test_another_disk_at_the_same_path_is_refused(settings: Settings, tmp_path: Path, disk: BackupTarget) -> None:
    fill(settings, tmp_path / "card", CLIPS)
    with Library(settings) as library:
        take_snapshot(library, disk)
        Path(disk.url).rename(tmp_path / "unplugged")
        take_snapshot(library, BackupTarget(name="other", url=disk.url))
        with pytest.raises(OfflineError, match="another backup target"):
            take_snapshot(library, disk)


def test_a_folder_with_other_files_is_no_target(settings: Settings, disk: BackupTarget) -> None:
    Path(disk.url).mkdir()
    Path(disk.url, "thesis.doc").write_bytes(b"mine")
    with Library(settings) as library, pytest.raises(StoreError, match="other files"):
        take_snapshot(library, disk)


def test_one_damaged_manifest_costs_nothing_and_two_are_told(
    settings: Settings, tmp_path: Path, disk: BackupTarget
) -> None:
    fill(settings, tmp_path / "card", CLIPS)
    with Library(settings) as library:
        take_snapshot(library, disk)
    target = open_target(settings, disk)
    before = lines_of(target)
    for folder in ("snapshots", "spare"):
        (manifest,) = Path(disk.url, folder).iterdir()
        manifest.write_bytes(gzip.compress(b"{}\n"))
        if folder == "snapshots":
            assert lines_of(target) == before
    with pytest.raises(StoreError, match="lost"):
        lines_of(target)


@pytest.mark.parametrize("s3_server", S3_SERVERS, indirect=True)
def test_an_s3_bucket_holds_the_same_snapshot(s3_settings: Settings, settings: Settings, tmp_path: Path) -> None:
    settings = s3_settings.model_copy(update={"media": None})
    bucket = str(s3_settings.media).removesuffix("/library")
    wanted = BackupTarget(name="cloud", url=f"{bucket}/backup")
    fill(settings, tmp_path / "card", {**CLIPS, "big.MOV": os.urandom(20 * 2**20)})
    with Library(settings) as library:
        first, second = take_snapshot(library, wanted), take_snapshot(library, wanted)
        target = open_target(settings, wanted, library.ledger)
        for blake3 in lines_of(target).values():
            found = target.digest(blake3)
            assert found is not None and found.blake3 == blake3
    assert first.new_files == first.verified and second.new_files <= 1
    assert target.offsite and target.volume == bucket.removeprefix("s3://")


def test_a_damaged_memory_of_hashes_is_begun_anew(settings: Settings, tmp_path: Path, disk: BackupTarget) -> None:
    fill(settings, tmp_path / "card", CLIPS)
    with Library(settings) as library:
        before = take_snapshot(library, disk)
        stamps = settings.backup_dir / "stamps.db"
        stamps.write_bytes(b"no database" * stamps.stat().st_size)
        after = take_snapshot(library, disk)
    assert after.missing == [] and after.files == before.files


def test_a_place_that_fails_when_it_is_asked_is_offline(settings: Settings, tmp_path: Path) -> None:
    name_too_long = BackupTarget(name="disk", url=str(tmp_path / ("x" * 300)))
    with Library(settings) as library, pytest.raises(OfflineError, match="cannot be made"):
        take_snapshot(library, name_too_long)
    with pytest.raises(OfflineError, match="not there"):
        open_target(settings, name_too_long)
