"""Audits find what rotted at a target, remember it, and never call it verified; drills restore for real."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from thatdam_pipelines.backup.audit import audit_target, drill
from thatdam_pipelines.backup.leases import leased
from thatdam_pipelines.backup.snapshot import take_snapshot
from thatdam_pipelines.backup.targets import Target, open_target
from thatdam_pipelines.errors import OfflineError
from thatdam_pipelines.library.catalog import publish, run_sql
from thatdam_pipelines.library.checksum import digest_file
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.settings import BackupTarget, Settings


@pytest.fixture
def filled(settings: Settings, tmp_path: Path) -> Settings:
    """A library of ten originals of 50 kB with a snapshot at one target."""
    for number in range(10):
        (tmp_path / "card").mkdir(exist_ok=True)
        (tmp_path / f"card/{number}.MOV").write_bytes(str(number).encode() * 50_000)
    wanted = BackupTarget(name="disk", url=str(tmp_path / "disk"))
    settings = settings.model_copy(update={"backup_targets": [wanted]})
    with Library(settings) as library:
        for batch in claim_paths(library, [tmp_path / "card"], "copy"):
            ingest_batch(library, batch)
        take_snapshot(library, wanted)
    return settings


def target_of(library: Library) -> Target:
    return open_target(library.settings, library.settings.backup_targets[0], library.ledger)


def copy_of(settings: Settings, number: int, tmp_path: Path) -> Path:
    blake3 = digest_file(tmp_path / f"card/{number}.MOV").blake3
    return Path(settings.backup_targets[0].url, "objects", blake3[:2], blake3)


def test_an_audit_of_all_names_every_damaged_and_missing_copy(filled: Settings, tmp_path: Path) -> None:
    flipped, gone = copy_of(filled, 1, tmp_path), copy_of(filled, 2, tmp_path)
    flipped.write_bytes(b"2" + flipped.read_bytes()[1:])
    gone.unlink()
    with Library(filled) as library:
        report = audit_target(library, target_of(library), share=1.0)
        publish(library)
        states = run_sql(
            filled, "SELECT name, state FROM copies WHERE target = 'disk' AND state <> 'verified' ORDER BY 1"
        )
        never = run_sql(filled, (Path(__file__).parents[2] / "sql/queries/never_verified.sql").read_text())
    assert {one["what"] for one in report.wrong} == {flipped.name, gone.name}
    assert states.rows() == [("1.MOV", "damaged"), ("2.MOV", "missing")]
    assert {"1.MOV", "2.MOV"} <= set(never["name"])


def test_what_an_audit_found_is_made_good_by_the_next_snapshot(filled: Settings, tmp_path: Path) -> None:
    flipped, gone = copy_of(filled, 1, tmp_path), copy_of(filled, 2, tmp_path)
    flipped.write_bytes(b"2" + flipped.read_bytes()[1:])
    gone.unlink()
    with Library(filled) as library:
        audit_target(library, target_of(library), share=1.0)
        take_snapshot(library, filled.backup_targets[0])
        assert not audit_target(library, target_of(library), share=1.0).wrong
    assert flipped.read_bytes() == b"1" * 50_000 and gone.read_bytes() == b"2" * 50_000


def test_nightly_shares_read_everything_within_the_days(filled: Settings) -> None:
    settings = filled.model_copy(update={"audit_days": 4.0})
    with Library(settings) as library:
        target = target_of(library)
        begun = datetime.now(UTC)
        nights = [audit_target(library, target) for _ in range(4)]
        unread = [copy for copy in library.ledger.copies.oldest(target.target_id) if copy.verified_utc < begun]  # type: ignore[operator]
        _, total = library.ledger.copies.amount(target.target_id)
    assert not unread
    assert all(night.bytes < total for night in nights[:3])


def test_a_time_to_come_proves_nothing(filled: Settings) -> None:
    with Library(filled) as library:
        target = target_of(library)
        now = datetime.now(UTC)
        assert library.ledger.copies.overdue(target.target_id, now - timedelta(days=1), now) == 0
        assert library.ledger.copies.overdue(target.target_id, now - timedelta(days=1), now - timedelta(hours=1)) > 10


@pytest.mark.parametrize("folder", ["spare", "snapshots"])
def test_a_damaged_manifest_is_found_and_put_back_from_the_other(filled: Settings, folder: str) -> None:
    disk = Path(filled.backup_targets[0].url)
    (manifest,) = (disk / folder).iterdir()
    good = manifest.read_bytes()
    manifest.write_bytes(damaged := good[:-1] + b"x")
    with Library(filled) as library:
        (wrong,) = audit_target(library, target_of(library)).wrong
        assert wrong["what"].startswith(f"{folder}/") and "hash" in wrong["what"] and "put back" in wrong["what"]
        assert audit_target(library, target_of(library)).wrong == []
    assert manifest.read_bytes() == good
    assert [path.read_bytes() for path in (disk / "damaged").iterdir()] == [damaged]


def test_a_missing_manifest_is_put_back_unless_its_target_is_being_pruned(filled: Settings) -> None:
    (manifest,) = Path(filled.backup_targets[0].url, "snapshots").iterdir()
    manifest.unlink()
    with Library(filled) as library:
        with leased(target_of(library), "prune"):
            (wrong,) = audit_target(library, target_of(library)).wrong
        assert "it is being pruned right now" in wrong["what"] and not manifest.exists()
        audit_target(library, target_of(library))
    assert manifest.exists()


def test_a_manifest_that_is_lost_twice_is_told_so_every_time(filled: Settings) -> None:
    for folder in ("spare", "snapshots"):
        (manifest,) = Path(filled.backup_targets[0].url, folder).iterdir()
        manifest.write_bytes(b"damaged")
    with Library(filled) as library:
        for _ in range(2):
            wrong = audit_target(library, target_of(library)).wrong
            assert len(wrong) == 2 and all("the other is lost too" in one["what"] for one in wrong)


def test_an_unplugged_target_is_offline_and_nothing_is_called_missing(filled: Settings, tmp_path: Path) -> None:
    with Library(filled) as library:
        target = target_of(library)
        Path(filled.backup_targets[0].url).rename(tmp_path / "unplugged")
        with pytest.raises(OfflineError):
            audit_target(library, target, share=1.0)
        Path(filled.backup_targets[0].url).mkdir()
        with pytest.raises(OfflineError):
            audit_target(library, target, share=1.0)
        assert all(copy.state == "verified" for copy in library.ledger.copies.oldest(target.target_id))


def test_a_drill_takes_no_original_for_a_database_because_of_its_name(filled: Settings, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more/CAMERA.db").write_bytes(b"no SQLite")
    with Library(filled) as library:
        for batch in claim_paths(library, [tmp_path / "more"], "copy"):
            ingest_batch(library, batch)
        take_snapshot(library, filled.backup_targets[0])
        assert drill(library, target_of(library), seed=1).wrong == []


def test_a_drill_restores_and_compares_and_finds_what_is_damaged(filled: Settings, tmp_path: Path) -> None:
    with Library(filled) as library:
        good = drill(library, target_of(library), seed=1)
        for number in range(10):
            copy_of(filled, number, tmp_path).write_bytes(b"damaged")
        bad = drill(library, target_of(library), seed=1)
        last = library.ledger.copies.last_audit("drill", target_of(library).target_id)
    assert not good.wrong and good.files > 10
    assert len(bad.wrong) == 10 and all(one["good copy"] == "none known" for one in bad.wrong)
    assert last is not None and last.wrong == 10 and "wrong" in last.message


def test_what_a_drill_finds_damaged_counts_no_more_and_is_made_good_by_the_next_snapshot(
    filled: Settings, tmp_path: Path
) -> None:
    damaged = copy_of(filled, 3, tmp_path)
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    settings = filled.model_copy(update={"drill_files": 1000})
    with Library(settings) as library:
        assert len(drill(library, target_of(library)).wrong) == 1
        (copy,) = library.ledger.copies.find([damaged.name])
        assert copy.state == "damaged"
        take_snapshot(library, filled.backup_targets[0])
        assert drill(library, target_of(library)).wrong == []
    assert damaged.read_bytes() == b"3" * 50_000
