"""What the settings ask of backups, and where the library falls short of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from thatdam_pipelines.backup.targets import disk_of
from thatdam_pipelines.library.copies import LIBRARY, Copy
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import MEDIA


@dataclass(frozen=True)
class Shortfall:
    """An original with fewer good copies than the settings ask for.

    Args:
        copies: Verified copies, the original included.
        volumes: Distinct volumes these are on.
        offsite: How many of them are in another building.
    """

    media_id: str
    name: str
    copies: int
    volumes: int
    offsite: int

    def __str__(self) -> str:
        copies = "copy" if self.copies == 1 else "copies"
        volumes = "volume" if self.volumes == 1 else "volumes"
        where = f"{self.copies} verified {copies} on {self.volumes} {volumes}"
        return f"{self.name}: {where}, {self.offsite} in another building"


def shortfalls(library: Library) -> Iterator[Shortfall]:
    """The originals that have not as many copies as the settings require (3-2-1 by default)."""
    settings = library.settings
    places = {row["target_id"]: (row["volume"], row["offsite"]) for row in library.ledger.copies.targets()}
    at_home = disk_of(Path(settings.media_url)) if library.store.is_local else settings.media_url.split("/")[2]
    for batch_id in library.tables.batches(MEDIA):
        rows = library.tables.read(MEDIA, batch_id).select("media_id", "name", "blake3")
        copies: dict[str, list[Copy]] = {}
        for copy in library.ledger.copies.find(rows["blake3"].to_list()):
            copies.setdefault(copy.blake3, []).append(copy)
        for media_id, name, blake3 in rows.iter_rows():
            found = copies.get(blake3, [])
            bad_at_home = any(copy.target_id == LIBRARY and copy.state != "verified" for copy in found)
            good = [] if bad_at_home else [(at_home, False)]
            good += [places[copy.target_id] for copy in found if copy.state == "verified" and copy.target_id in places]
            short = Shortfall(media_id, name, len(good), len({volume for volume, _ in good}), sum(o for _, o in good))
            if (
                short.copies < settings.copies_required
                or short.volumes < settings.volumes_required
                or short.offsite < settings.offsite_required
            ):
                yield short


def due_targets(library: Library, now: datetime) -> list[str]:
    """Names of the targets of the settings at which the schedule is to take a snapshot this night."""
    newest = _newest_snapshots(library, now)
    return [
        wanted.name
        for wanted in library.settings.backup_targets
        # Every night is every night, whatever was taken by hand. Half a day: last time it may have taken its time.
        if wanted.every_days == 1
        or wanted.name not in newest
        or now - newest[wanted.name] > timedelta(days=wanted.every_days - 0.5)
    ]


def stale_targets(library: Library, now: datetime) -> list[str]:
    """In words, the targets of the settings whose newest snapshot is older than their policy."""
    stale = []
    newest = _newest_snapshots(library, now)
    for wanted in library.settings.backup_targets:
        if wanted.name not in newest:
            stale.append(f"{wanted.name}: no snapshot yet")
        elif now - newest[wanted.name] > timedelta(hours=wanted.max_age_hours):
            hours = (now - newest[wanted.name]).total_seconds() / 3600
            said = f"{hours:.0f} hours old, more than {wanted.max_age_hours:g}"
            stale.append(f"{wanted.name}: the newest snapshot is {said}")
    return stale


def overdue_targets(library: Library, now: datetime) -> list[str]:
    """In words, the targets of the settings with copies that were not verified for longer than ``audit_days``."""
    days = library.settings.audit_days
    names = {target.name for target in library.settings.backup_targets}
    overdue = []
    for row in library.ledger.copies.targets():
        # The nights have a share each: a day more is theirs.
        late = library.ledger.copies.overdue(row["target_id"], now - timedelta(days=days + 1), now)
        if late and row["target"] in names:
            overdue.append(f"{row['target']}: {late} copies are damaged, missing or unread for {days:g} days")
    return overdue


def _newest_snapshots(library: Library, now: datetime) -> dict[str, datetime]:
    """When the newest snapshot that is still at each target was begun, by the target's name."""
    newest: dict[str, datetime] = {}
    for row in library.ledger.copies.snapshots():
        # A time to come is of a clock that was wrong.
        if row.pruned_utc is None and row.started_utc <= now:
            newest[row.target] = max(row.started_utc, newest.get(row.target, row.started_utc))
    return newest
