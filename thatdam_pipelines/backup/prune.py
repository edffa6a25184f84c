"""Pruning: snapshots that no rule keeps are removed, then the contents that no snapshot has any more."""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from thatdam_pipelines.backup.leases import leased
from thatdam_pipelines.backup.manifest import FOLDER, SPARE, SnapshotName, list_snapshots, open_manifest, read_lines
from thatdam_pipelines.backup.snapshot import library_id
from thatdam_pipelines.backup.targets import Target, object_key
from thatdam_pipelines.errors import ThatdamError
from thatdam_pipelines.library.copies import Copy
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.settings import Retention

GRACE_S = 24 * 3600.0
"""A content younger than this is never removed: a snapshot that is being taken may be about to name it."""


@dataclass(frozen=True)
class PruneReport:
    """What was removed, or would be.

    Args:
        kept_last: Contents that no snapshot names and that stay: no other good copy of them is known.
        unfinished: Copies that were broken off and that nobody goes on with.
    """

    target: str
    kept: list[str]
    removed: list[str]
    objects: int
    bytes: int
    kept_last: int
    elapsed_s: float
    dry_run: bool
    unfinished: int = 0
    kept_last_contents: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def prune(
    library: Library, target: Target, *, dry_run: bool = False, grace_s: float = GRACE_S, now: datetime | None = None
) -> PruneReport:
    """Remove what the target's retention does not keep of this library's snapshots, and what nothing names then.

    A content that any snapshot at the target names, of whichever library, stays; so does an original of which no
    other verified copy is known. Killed at any point it leaves snapshots whole: manifests go before contents.

    Raises:
        OfflineError: The target cannot be reached.
        StoreError: A snapshot is being taken; or a manifest is lost, so that nobody knows what it names.
    """
    began = time.monotonic()
    with leased(target, "prune"):
        snapshots = list_snapshots(target)
        own = [name for name in snapshots if name.library == library_id(library)[:8]]
        gone = [name for name in own if name not in kept_by(target.wanted.retention, own)]
        stay = [name for name in snapshots if name not in gone]
        with closing(_named_by(target, stay)) as named, closing(_named_by(target, gone)) as freed:
            doomed, last = _unnamed(library, target, named, freed, grace_s)
            if not dry_run:
                _remove(library, target, gone, doomed, now or datetime.now(UTC))
        unfinished = target.place.clean(dry_run=dry_run)
    return PruneReport(
        target=target.name,
        kept=[name.snapshot_id for name in stay],
        removed=[name.snapshot_id for name in gone],
        objects=len(doomed),
        bytes=sum(size for _, size in doomed),
        kept_last=len(last),
        elapsed_s=time.monotonic() - began,
        dry_run=dry_run,
        unfinished=unfinished,
        kept_last_contents=last[:100],
    )


def kept_by(retention: Retention, snapshots: Sequence[SnapshotName]) -> set[SnapshotName]:
    """The snapshots that a rule of the retention keeps; the newest always."""
    newest_first = sorted(snapshots, reverse=True)
    kept = set(newest_first[: retention.keep_last])
    for count, period in (
        (retention.keep_daily, "%Y-%m-%d"),
        (retention.keep_weekly, "%G-%V"),
        (retention.keep_monthly, "%Y-%m"),
    ):
        newest: dict[str, SnapshotName] = {}
        for name in newest_first:
            newest.setdefault(name.created_utc.strftime(period), name)
        kept |= set(list(newest.values())[:count])
    return kept


def _named_by(target: Target, snapshots: Sequence[SnapshotName]) -> sqlite3.Connection:
    """The contents that snapshots name, in a database that grows on disk."""
    database = sqlite3.connect("", isolation_level=None)
    database.execute("CREATE TABLE named (blake3 TEXT PRIMARY KEY, media_id) WITHOUT ROWID")
    for name in snapshots:
        with open_manifest(target, name) as manifest:
            rows = ((line.blake3, line.media_id) for line in read_lines(manifest))
            database.executemany("INSERT OR REPLACE INTO named VALUES (?, ?)", rows)
    return database


def _unnamed(
    library: Library, target: Target, named: sqlite3.Connection, freed: sqlite3.Connection, grace_s: float
) -> tuple[list[tuple[str, int]], list[str]]:
    """Contents that can go, with their sizes, and those that nothing names but that are the last good copy."""
    doomed: list[tuple[str, int]] = []
    last: list[str] = []
    for prefix in (f"{byte:02x}" for byte in range(256)):
        for blake3, size, modified in target.place.list(f"objects/{prefix}"):
            if named.execute("SELECT 1 FROM named WHERE blake3 = ?", (blake3,)).fetchone():
                continue
            if time.time() - modified < grace_s:
                continue
            copies = library.ledger.copies.find([blake3])
            row = freed.execute("SELECT media_id FROM named WHERE blake3 = ?", (blake3,)).fetchone()
            media_id = (row[0] if row else None) or next((copy.media_id for copy in copies if copy.media_id), None)
            if media_id is not None and not _is_elsewhere(library, target, media_id, copies):
                last.append(blake3)
            else:
                doomed.append((blake3, size))
    return doomed, last


def _is_elsewhere(library: Library, target: Target, media_id: str, copies: Sequence[Copy]) -> bool:
    """Whether another good copy of an original is known: at another target, or whole in the media store."""
    if any(copy.state == "verified" and copy.target_id not in (target.target_id, "library") for copy in copies):
        return True
    if any(copy.target_id == "library" and copy.state != "verified" for copy in copies):
        return False
    content = library.ledger.contents([media_id]).get(media_id)
    if content is None or content.kept_key is None:
        return False
    try:
        return library.store.size(content.kept_key) == content.size_bytes
    except ThatdamError:
        return False


def _remove(
    library: Library,
    target: Target,
    gone: Sequence[SnapshotName],
    doomed: Sequence[tuple[str, int]],
    now: datetime,
) -> None:
    target.require_same()
    for name in gone:
        # The one that is looked at first goes last, so that a kill leaves a snapshot that still can be read.
        for folder in (SPARE, FOLDER):
            target.place.remove(f"{folder}/{name.file}")
    library.ledger.copies.prune_snapshots([name.snapshot_id for name in gone], now)
    for some in _hundreds(doomed):
        # Forgotten first: what a kill leaves is read back by the next snapshot before it counts.
        library.ledger.copies.forget(target.target_id, some)
        for blake3 in some:
            target.place.remove(object_key(blake3))


def _hundreds(doomed: Sequence[tuple[str, int]]) -> Iterator[list[str]]:
    for start in range(0, len(doomed), 100):
        yield [blake3 for blake3, _ in doomed[start : start + 100]]
