"""Pruning: exactly what retention says, never a content that is named, never a last copy."""

import multiprocessing
import os
import shutil
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from thatdam_pipelines.backup.leases import leased
from thatdam_pipelines.backup.manifest import SnapshotName, list_snapshots, open_manifest, read_lines
from thatdam_pipelines.backup.prune import PruneReport, kept_by, prune
from thatdam_pipelines.backup.snapshot import take_snapshot
from thatdam_pipelines.backup.targets import Target, open_target
from thatdam_pipelines.errors import QueryError, StoreError
from thatdam_pipelines.library.checksum import digest_file
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.settings import BackupTarget, Retention, Settings

LAST = Retention(keep_last=1, keep_daily=0, keep_weekly=0, keep_monthly=0)


@pytest.fixture
def disk(tmp_path: Path) -> BackupTarget:
    return BackupTarget(name="disk", url=str(tmp_path / "disk"), retention=LAST)


@pytest.fixture
def library(settings: Settings, tmp_path: Path, disk: BackupTarget) -> Library:
    """Three snapshots, each with one original more than the one before."""
    with Library(settings) as library:
        for number in range(3):
            (tmp_path / f"card{number}").mkdir()
            (tmp_path / f"card{number}/A.MOV").write_bytes(f"clip {number}".encode())
            for batch in claim_paths(library, [tmp_path / f"card{number}"], "copy"):
                ingest_batch(library, batch)
            take_snapshot(library, disk)
        return library


def whole(target: Target) -> bool:
    """Whether every content that a snapshot names is there and good."""
    for name in list_snapshots(target):
        with open_manifest(target, name) as manifest:
            for line in read_lines(manifest):
                found = target.digest(line.blake3)
                if found is None or found.blake3 != line.blake3:
                    return False
    return True


def pruned(library: Library, disk: BackupTarget, *, dry_run: bool = False, grace_s: float = 0) -> PruneReport:
    return prune(library, open_target(library.settings, disk, library.ledger), dry_run=dry_run, grace_s=grace_s)


def test_the_dry_run_and_the_real_run_agree_and_what_stays_is_whole(library: Library, disk: BackupTarget) -> None:
    objects = len([path for path in Path(disk.url, "objects").rglob("*") if path.is_file()])
    said = pruned(library, disk, dry_run=True)
    assert len([path for path in Path(disk.url, "objects").rglob("*") if path.is_file()]) == objects
    done = pruned(library, disk)
    left = len([path for path in Path(disk.url, "objects").rglob("*") if path.is_file()])
    assert (said.removed, said.objects, said.bytes, said.kept) == (done.removed, done.objects, done.bytes, done.kept)
    assert len(done.removed) == 2 and objects - left == done.objects > 0
    target = open_target(library.settings, disk)
    assert len(list_snapshots(target)) == 1 and whole(target)
    assert [bool(row.pruned_utc) for row in library.ledger.copies.snapshots()] == [True, True, False]


def test_every_original_of_the_library_is_still_there_after_pruning(
    library: Library, disk: BackupTarget, tmp_path: Path
) -> None:
    pruned(library, disk)
    target = open_target(library.settings, disk)
    for number in range(3):
        assert target.digest(digest_file(tmp_path / f"card{number}/A.MOV").blake3) is not None


def test_what_is_young_stays_though_nothing_names_it_yet(library: Library, disk: BackupTarget) -> None:
    assert pruned(library, disk, dry_run=True, grace_s=3600).objects == 0


def test_the_last_good_copy_of_an_original_stays_though_no_snapshot_names_it(
    library: Library, disk: BackupTarget, tmp_path: Path
) -> None:
    # The original and every snapshot but those to be pruned are lost, as when a batch's tables were removed by hand.
    blake3 = digest_file(tmp_path / "card0/A.MOV").blake3
    batch = library.ledger.content_batch(blake3[:32])
    for table in ("media", "locations"):
        (library.settings.tables_dir / table / f"{batch}.parquet").unlink()
    for kept in Path(library.settings.media_url).rglob("A.MOV"):
        if kept.read_bytes() == b"clip 0":
            kept.unlink()
    take_snapshot(library, disk)
    report = pruned(library, disk)
    assert report.kept_last_contents == [blake3]
    assert open_target(library.settings, disk).digest(blake3) is not None


def test_nothing_is_pruned_while_a_snapshot_is_taken_nor_begun_while_pruning(
    library: Library, disk: BackupTarget
) -> None:
    target = open_target(library.settings, disk, library.ledger)
    with leased(target, "snapshot"), pytest.raises(StoreError, match="by a snapshot"):
        pruned(library, disk)
    with leased(target, "prune"), pytest.raises(StoreError, match="being pruned"):
        take_snapshot(library, disk)
    assert not list(Path(disk.url, "leases").iterdir())


def test_pruning_that_was_taken_for_dead_removes_no_content_any_more(
    library: Library, disk: BackupTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(Path(disk.url).glob("objects/*/*"))
    forget = library.ledger.copies.prune_snapshots

    def be_taken_for_dead(*arguments: Any) -> None:
        forget(*arguments)
        for lease in Path(disk.url, "leases").iterdir():
            lease.unlink()

    with monkeypatch.context() as patched:
        patched.setattr(library.ledger.copies, "prune_snapshots", be_taken_for_dead)
        with pytest.raises(StoreError, match="lease of this prune"):
            pruned(library, disk)
    assert sorted(Path(disk.url).glob("objects/*/*")) == before
    assert pruned(library, disk).objects > 0


def _hold(settings: Settings, disk: BackupTarget) -> None:
    with leased(open_target(settings, disk), "snapshot"):
        time.sleep(60)


def test_the_lease_of_a_killed_process_hinders_nobody(library: Library, disk: BackupTarget) -> None:
    holder = multiprocessing.get_context("fork").Process(target=_hold, args=(library.settings, disk))
    holder.start()
    while not list(Path(disk.url).glob("leases/*")):
        time.sleep(0.01)
    os.kill(holder.pid or 0, signal.SIGKILL)
    holder.join()
    assert len(pruned(library, disk).removed) == 2


def test_a_lost_manifest_stops_pruning_before_anything_is_removed(library: Library, disk: BackupTarget) -> None:
    newest = list_snapshots(open_target(library.settings, disk))[-1].file
    for folder in ("snapshots", "spare"):
        Path(disk.url, folder, newest).write_bytes(b"rotten")
    before = sorted(Path(disk.url, "objects").rglob("*"))
    with pytest.raises(StoreError, match="manifest"):
        pruned(library, disk)
    assert sorted(Path(disk.url, "objects").rglob("*")) == before


def test_only_a_lost_snapshot_that_the_library_knows_is_given_up_and_no_original_goes_with_it(
    library: Library, disk: BackupTarget, tmp_path: Path
) -> None:
    target = open_target(library.settings, disk, library.ledger)
    lost, whole_one = list_snapshots(target)[-1], list_snapshots(target)[0]
    for folder in ("snapshots", "spare"):
        Path(disk.url, folder, lost.file).write_bytes(b"rotten")
    with pytest.raises(QueryError, match="its manifest is whole"):
        prune(library, target, give_up=[whole_one.snapshot_id], grace_s=0)
    other = Library(library.settings.model_copy(update={"home": tmp_path / "other"}))
    with other, pytest.raises(QueryError, match="does not know what was in it"):
        prune(other, open_target(other.settings, disk), give_up=[lost.snapshot_id], grace_s=0)
    # The originals are nowhere else now.
    shutil.rmtree(library.settings.media_url)
    report = prune(library, target, give_up=[lost.snapshot_id], grace_s=0)
    assert report.given_up == [lost.snapshot_id] and whole(target)
    kept = {path.read_bytes() for path in Path(disk.url, "objects").rglob("*") if path.is_file()}
    assert {b"clip 0", b"clip 1", b"clip 2"} <= kept


def test_another_library_at_the_same_target_loses_nothing(library: Library, disk: BackupTarget, tmp_path: Path) -> None:
    with Library(library.settings.model_copy(update={"home": tmp_path / "other"})) as other:
        take_snapshot(other, disk)
        take_snapshot(other, disk)
    pruned(library, disk)
    target = open_target(library.settings, disk)
    assert len(list_snapshots(target)) == 3 and whole(target)


def names(*times: datetime) -> list[SnapshotName]:
    return [SnapshotName(number, f"s{number}", at, "0" * 8, "0" * 8, "") for number, at in enumerate(times, start=1)]


def test_retention_keeps_the_newest_of_each_day_week_and_month() -> None:
    start = datetime(2026, 1, 1, 12, tzinfo=UTC)
    daily = names(*(start + timedelta(days=day) for day in range(365)))
    kept = kept_by(Retention(keep_last=2, keep_daily=7, keep_weekly=4, keep_monthly=12), daily)
    assert {name.number for name in kept} >= {365, 364, 359} and len({name.created_utc.month for name in kept}) == 12
    assert 18 <= len(kept) <= 21


def test_a_clock_that_was_wrong_never_costs_the_newest_snapshot() -> None:
    good = datetime(2026, 6, 1, tzinfo=UTC)
    moved = names(good, good + timedelta(days=9000), good + timedelta(hours=1), good - timedelta(days=9000))
    kept = kept_by(LAST, moved)
    assert {name.number for name in kept} == {4}
