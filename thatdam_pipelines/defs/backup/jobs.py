"""When backups run: every night, and the drill every week, once a target is set."""

from datetime import UTC, datetime

import dagster as dg

from thatdam_pipelines.backup.policy import due_targets
from thatdam_pipelines.defs.automation import BACKUP_TAGS
from thatdam_pipelines.defs.backup.assets import DUE
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.settings import get_settings

backup = dg.define_asset_job(
    "backup",
    selection=dg.AssetSelection.assets("backups"),
    tags=BACKUP_TAGS,
    description="Takes a snapshot at every target and applies its retention.",
)

audit_backups = dg.define_asset_job(
    "audit_backups",
    selection=dg.AssetSelection.assets("backup_audit"),
    tags=BACKUP_TAGS,
    description="Re-reads tonight's share of every target.",
)

drill_restore = dg.define_asset_job(
    "drill_restore",
    selection=dg.AssetSelection.assets("restore_drill"),
    tags=BACKUP_TAGS,
    description="Restores a random sample of every target and compares it.",
)

offload_card = dg.define_asset_job(
    "offload_card",
    selection=dg.AssetSelection.assets("offloads"),
    tags=BACKUP_TAGS,
    description="Copies a camera card to the disks that the launchpad asks for, and says whether it may be formatted.",
)


def _when_set() -> dg.RunRequest | dg.SkipReason:
    if get_settings().backup_targets:
        return dg.RunRequest()
    return dg.SkipReason("No backup target is set: see THATDAM_BACKUP_TARGETS.")


_RUNNING = dg.DefaultScheduleStatus.RUNNING


@dg.schedule(job=backup, cron_schedule="0 2 * * *", default_status=_RUNNING)
def backup_daily() -> dg.RunRequest | dg.SkipReason:
    """Takes snapshots at 02:00 at the targets that are due, see every_days; skips while none is set or due."""
    settings = get_settings()
    due = [target.name for target in settings.backup_targets]
    with Library(settings) as library:
        if due and library.has_begun:
            due = due_targets(library, datetime.now(UTC))
            if not due:
                return dg.SkipReason("No target is due tonight.")
    return dg.RunRequest(tags={DUE: " ".join(due)}) if due else _when_set()


@dg.schedule(job=audit_backups, cron_schedule="0 4 * * *", default_status=_RUNNING)
def audit_nightly() -> dg.RunRequest | dg.SkipReason:
    """Re-reads a share of every target every night at 04:00; skips while no target is set."""
    return _when_set()


@dg.schedule(job=drill_restore, cron_schedule="0 6 * * 0", default_status=_RUNNING)
def drill_weekly() -> dg.RunRequest | dg.SkipReason:
    """Restores a sample of every target on Sundays at 06:00; skips while no target is set."""
    return _when_set()
