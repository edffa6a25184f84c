"""Checks of backups: they block nothing and shout."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import dagster as dg

from thatdam_pipelines.backup.policy import overdue_targets, shortfalls, stale_targets
from thatdam_pipelines.defs.report import plain
from thatdam_pipelines.library.home import Library

OF_BACKUPS = {
    "every_target_done": "Every target of the settings got its snapshot, with every file of the library in it.",
    "enough_copies": "Every original has the verified copies that the settings require, on as many volumes and in as "
    "many other buildings (the 3-2-1 rule).",
    "fresh": "The newest snapshot at each target is younger than the target's max_age_hours.",
}
OF_AUDIT = {
    "copies_sound": "Every copy and manifest that was re-read equalled its hash.",
    "not_overdue": "Every copy at every target was verified within THATDAM_AUDIT_DAYS.",
}
OF_DRILL = {"drill_passed": "Every file of the sample was restored and equalled its hash, and the database is sound."}
OF_OFFLOADS = {
    "safe_to_format": "The newest offload of every card, from here or by `thatdam offload`, ended SAFE TO FORMAT: "
    "every file has its verified copy at every destination asked for."
}
_SHOWN = 20


def specs(asset: str, checks: dict[str, str]) -> list[dg.AssetCheckSpec]:
    """Specifications of in-asset checks of an asset without partitions."""
    return [dg.AssetCheckSpec(name, asset=asset, description=description) for name, description in checks.items()]


def told(name: str, wrong: Sequence[str], *, more: int = 0) -> dg.AssetCheckResult:
    """Fails with the first of what is wrong, in words.

    Args:
        more: How many more there are than are given.
    """
    count = len(wrong) + more
    metadata: dict[str, Any] = {"wrong": count}
    if wrong:
        lines = [f"- {plain(line)}" for line in wrong[:_SHOWN]]
        if rest := count - len(lines):
            lines.append(f"- ... and {rest} more")
        metadata["what is wrong"] = dg.MetadataValue.md("\n".join(lines))
    return dg.AssetCheckResult(
        check_name=name,
        passed=not count,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{count} are wrong, the first: {plain(wrong[0])}" if wrong else None,
        metadata=metadata,
    )


def enough_copies(library: Library) -> dg.AssetCheckResult:
    """Counts the verified copies of every original."""
    short = iter(shortfalls(library))
    shown = [str(one) for one in islice(short, _SHOWN)]
    return told("enough_copies", shown, more=sum(1 for _ in short))


def fresh(library: Library) -> dg.AssetCheckResult:
    """Looks at the age of each target's newest snapshot."""
    return told("fresh", stale_targets(library, datetime.now(UTC)))


def not_overdue(library: Library) -> dg.AssetCheckResult:
    """Looks at when each copy was last verified."""
    return told("not_overdue", overdue_targets(library, datetime.now(UTC)))
