"""Backups as Dagster assets: what they tell, and what their checks shout about."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from thatdam_pipelines.backup.policy import due_targets, stale_targets
from thatdam_pipelines.defs.backup.assets import backup_audit, backups, restore_drill
from thatdam_pipelines.defs.backup.jobs import backup_daily
from thatdam_pipelines.defs.resources import library_of
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.settings import BackupTarget, Settings, get_settings


@pytest.fixture
def filled(settings: Settings, tmp_path: Path) -> Settings:
    """Two originals, and two targets that are said to be on volumes of their own."""
    (tmp_path / "card").mkdir()
    for name in ("A.MOV", "B.MOV"):
        (tmp_path / "card" / name).write_bytes(name.encode() * 1000)
    targets = [
        BackupTarget(name="nas", url=str(tmp_path / "nas"), volume="nas"),
        BackupTarget(name="away", url=str(tmp_path / "away"), volume="away", offsite=True),
    ]
    settings = settings.model_copy(update={"backup_targets": targets})
    with Library(settings) as library:
        for batch in claim_paths(library, [tmp_path / "card"], "copy"):
            ingest_batch(library, batch)
    return settings


def made(settings: Settings, asset: dg.AssetsDefinition) -> dg.ExecuteInProcessResult:
    # What is upstream of a backup is in the tables already.
    return dg.materialize([asset], resources={"library": library_of(settings)}, raise_on_error=False)


def failed_checks(result: dg.ExecuteInProcessResult) -> set[str]:
    return {each.check_name for each in result.get_asset_check_evaluations() if not each.passed}


def test_all_is_well_with_two_targets_on_volumes_of_their_own(filled: Settings) -> None:
    for asset in (backups, backup_audit, restore_drill):
        result = made(filled, asset)
        assert result.success and failed_checks(result) == set()
    (event,) = made(filled, backups).get_asset_materialization_events()
    told = event.materialization.metadata
    assert "nas" in str(told["targets"].value) and told["wrong"].value == 0


def test_too_few_copies_shout_and_name_the_originals(filled: Settings) -> None:
    one = filled.model_copy(update={"backup_targets": filled.backup_targets[:1]})
    result = made(one, backups)
    assert result.success and failed_checks(result) == {"enough_copies"}
    (check,) = [each for each in result.get_asset_check_evaluations() if not each.passed]
    assert "A.MOV: 2 verified copies on 2 volumes, 0 in another building" in str(check.description).replace("\\", "")


def test_two_targets_of_one_volume_count_as_one_volume(filled: Settings) -> None:
    same = [target.model_copy(update={"volume": None}) for target in filled.backup_targets]
    result = made(filled.model_copy(update={"backup_targets": same}), backups)
    assert failed_checks(result) == {"enough_copies"}
    (check,) = [each for each in result.get_asset_check_evaluations() if not each.passed]
    assert "A.MOV: 3 verified copies on 1 volume, 1 in another building" in str(check.description).replace("\\", "")


def test_a_target_that_is_gone_shouts_and_the_other_gets_its_snapshot(filled: Settings, tmp_path: Path) -> None:
    made(filled, backups)
    shutil.rmtree(tmp_path / "nas")
    result = made(filled.model_copy(update={"backup_targets": filled.backup_targets}), backups)
    assert result.success and failed_checks(result) == {"every_target_done"}


def test_a_damaged_copy_fails_the_audit_and_the_count_of_copies(filled: Settings, tmp_path: Path) -> None:
    made(filled, backups)
    for copy in (tmp_path / "nas/objects").rglob("*"):
        if copy.is_file():
            copy.write_bytes(b"rotten")
    fast = filled.model_copy(update={"audit_days": 0.5})
    assert failed_checks(made(fast, backup_audit)) == {"copies_sound", "not_overdue"}
    assert failed_checks(made(fast, restore_drill)) == {"drill_passed"}


def test_the_schedule_takes_snapshots_only_where_they_are_due(
    filled: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    nas, away = filled.backup_targets
    weekly = BackupTarget(**{**away.model_dump(exclude={"max_age_hours"}), "every_days": 7})
    assert (nas.max_age_hours, weekly.max_age_hours) == (36, 180)
    settings = filled.model_copy(update={"backup_targets": [nas, weekly]})
    monkeypatch.setattr("thatdam_pipelines.defs.backup.jobs.get_settings", lambda: settings)

    def night(days: float) -> dict[str, str] | None:
        now = datetime.now(UTC) + timedelta(days=days)
        monkeypatch.setattr("thatdam_pipelines.defs.backup.jobs.datetime", SimpleNamespace(now=lambda _zone: now))
        asked = backup_daily(dg.build_schedule_context())
        return asked.tags if isinstance(asked, dg.RunRequest) else None

    assert night(0) == {"thatdam/due": "nas away"}
    assert made(settings, backups).success
    # What is taken by hand in the afternoon does not take the place of the night's.
    assert night(0.1) == night(1) == {"thatdam/due": "nas"} and night(7) == {"thatdam/due": "nas away"}
    resources = {"library": library_of(settings)}
    (event,) = dg.materialize(
        [backups], resources=resources, tags={"thatdam/due": "nas"}
    ).get_asset_materialization_events()
    with Library(settings) as library:
        assert [row.target for row in library.ledger.copies.snapshots()].count("nas") == 2
    assert "nas" in str(event.materialization.metadata["targets"].value)
    assert "away" not in str(event.materialization.metadata["targets"].value)


def test_a_snapshot_that_is_not_there_any_more_is_neither_fresh_nor_keeps_the_next_from_being_due(
    filled: Settings,
) -> None:
    weekly = [target.model_copy(update={"every_days": 7}) for target in filled.backup_targets]
    settings = filled.model_copy(update={"backup_targets": weekly})
    assert made(settings, backups).success
    with Library(settings) as library:
        now = datetime.now(UTC)
        assert (due_targets(library, now), stale_targets(library, now)) == ([], [])
        copies = library.ledger.copies
        copies.prune_snapshots([row.snapshot_id for row in copies.snapshots() if row.target == "nas"], now)
        assert due_targets(library, now) == ["nas"]
        assert stale_targets(library, now) == ["nas: no snapshot yet"]


def test_a_library_without_targets_fails_plainly_and_its_schedules_skip(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not made(settings, backups).success
    get_settings.cache_clear()
    assert isinstance(backup_daily(dg.build_schedule_context()), dg.SkipReason)
    monkeypatch.setenv("THATDAM_BACKUP_TARGETS", '[{"name": "nas", "url": "/mnt/nas"}]')
    get_settings.cache_clear()
    assert isinstance(backup_daily(dg.build_schedule_context()), dg.RunRequest)
    get_settings.cache_clear()
