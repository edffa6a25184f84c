"""Pruning: snapshots that no rule keeps are removed, then the contents that no snapshot has any more."""

import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from thatdam_pipelines.backup.leases import Lease, leased
from thatdam_pipelines.backup.lost_snapshots import lost_snapshots, proven_manifest, set_aside
from thatdam_pipelines.backup.manifest import FOLDER, SPARE, SnapshotName, list_snapshots, read_lines
from thatdam_pipelines.backup.snapshot import library_id
from thatdam_pipelines.backup.targets import Target, object_key
from thatdam_pipelines.errors import ThatdamError
from thatdam_pipelines.library.copies import Copy
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.settings import Retention

GRACE_S = 24 * 3600.0
"""A content younger than this is never removed: a snapshot that is being taken may be about to name it."""
_NAMED_AT_MOST = 100
"""Last copies that a report names; it counts them all."""
_REMOVED_AT_ONCE = 100


@dataclass(frozen=True)
class PruneReport:
    """What was removed, or would be.

    Args:
        kept_last: Contents that no snapshot names and that stay: no other good copy of them is known.
        unfinished: Copies that were broken off and that nobody goes on with.
        given_up: Snapshots whose manifests are lost, and that were given up as was wanted.
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
    given_up: list[str] = field(default_factory=list)
    kept_last_contents: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def prune(
    library: Library,
    target: Target,
    *,
    dry_run: bool = False,
    give_up: Collection[str] = (),
    grace_s: float = GRACE_S,
    now: datetime | None = None,
) -> PruneReport:
    """Remove what the target's retention does not keep of this library's snapshots, and what nothing names then.

    A content that any snapshot at the target names, of whichever library, stays; so does an original of which no
    other verified copy is known. Killed at any point it leaves snapshots whole: manifests go before contents.

    Args:
        give_up: Ids of snapshots whose manifest and spare are both lost: they count as removed, and what is left of the
            manifests is kept aside.

    Raises:
        OfflineError: The target cannot be reached.
        QueryError: What is to be given up is not lost, or this library does not know what was in it.
        StoreError: A snapshot is being taken, or may have begun while this process was stopped; or a manifest is lost,
            so that nobody knows what it names.
    """
    began = time.monotonic()
    with leased(target, "prune") as lease:
        lost = lost_snapshots(library, target, give_up)
        snapshots = [name for name in list_snapshots(target) if name not in lost]
        own = [name for name in snapshots if name.library == library_id(library)[:8]]
        gone = [name for name in own if name not in kept_by(target.wanted.retention, own)]
        stay = [name for name in snapshots if name not in gone]
        with closing(_Found()) as found:
            found.read("named", target, stay)
            found.read("freed", target, gone)
            _look_for_unnamed(library, target, found, grace_s)
            objects, size = found.amount()
            if not dry_run:
                set_aside(library, target, lease, lost)
                _remove(library, target, lease, gone, found.doomed(), now or datetime.now(UTC))
        unfinished = target.place.clean(dry_run=dry_run)
    return PruneReport(
        target=target.name,
        kept=[name.snapshot_id for name in stay],
        removed=[name.snapshot_id for name in gone],
        objects=objects,
        bytes=size,
        kept_last=found.last,
        elapsed_s=time.monotonic() - began,
        dry_run=dry_run,
        unfinished=unfinished,
        given_up=[name.snapshot_id for name in lost],
        kept_last_contents=found.first_last,
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


class _Found:
    """What is at a target, in a database that grows on disk: contents that are named, were named, and can go."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("")
        for table in ("named (blake3 TEXT PRIMARY KEY, media_id)", "freed (blake3 TEXT PRIMARY KEY, media_id)"):
            self._database.execute(f"CREATE TABLE {table} WITHOUT ROWID")
        self._database.execute("CREATE TABLE doomed (blake3 TEXT, media_id TEXT, size_bytes INTEGER)")
        self.last = 0
        self.first_last: list[str] = []

    def read(self, table: Literal["named", "freed"], target: Target, snapshots: Sequence[SnapshotName]) -> None:
        for name in snapshots:
            with proven_manifest(target, name) as manifest:
                rows = ((line.blake3, line.media_id) for line in read_lines(manifest))
                self._database.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?)", rows)

    def is_named(self, blake3: str) -> bool:
        return self._database.execute("SELECT 1 FROM named WHERE blake3 = ?", (blake3,)).fetchone() is not None

    def media_id(self, blake3: str) -> str | None:
        """The original that a snapshot which goes has this content for; None: it is none's, or unknown."""
        row = self._database.execute("SELECT media_id FROM freed WHERE blake3 = ?", (blake3,)).fetchone()
        return row[0] if row else None

    def doom(self, blake3: str, media_id: str | None, size_bytes: int) -> None:
        self._database.execute("INSERT INTO doomed VALUES (?, ?, ?)", (blake3, media_id, size_bytes))

    def keep_last(self, blake3: str) -> None:
        self.last += 1
        if len(self.first_last) < _NAMED_AT_MOST:
            self.first_last.append(blake3)

    def doomed(self) -> Iterator[dict[str, str | None]]:
        """The contents that can go, some at a time, each with the original that it is."""
        rows = self._database.execute("SELECT blake3, media_id FROM doomed ORDER BY rowid")
        while some := rows.fetchmany(_REMOVED_AT_ONCE):
            yield dict(some)

    def amount(self) -> tuple[int, int]:
        """How many contents can go, and their bytes."""
        files, size = self._database.execute("SELECT count(*), coalesce(sum(size_bytes), 0) FROM doomed").fetchone()
        return files, size

    def close(self) -> None:
        self._database.close()


def _look_for_unnamed(library: Library, target: Target, found: _Found, grace_s: float) -> None:
    """Sort the contents that nothing names into those that can go and those that are the last good copy."""
    for prefix in (f"{byte:02x}" for byte in range(256)):
        for blake3, size, modified in target.place.list(f"objects/{prefix}"):
            if found.is_named(blake3) or time.time() - modified < grace_s:
                continue
            copies = library.ledger.copies.find([blake3])
            media_id = found.media_id(blake3) or next((copy.media_id for copy in copies if copy.media_id), None)
            if media_id is not None and not _is_elsewhere(library, target, media_id, copies):
                found.keep_last(blake3)
            else:
                found.doom(blake3, media_id, size)


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
    lease: Lease,
    gone: Sequence[SnapshotName],
    doomed: Iterable[dict[str, str | None]],
    now: datetime,
) -> None:
    target.require_same()
    lease.require()
    for name in gone:
        # The one that is looked at first goes last, so that a kill leaves a snapshot that still can be read.
        for folder in (SPARE, FOLDER):
            target.place.remove(f"{folder}/{name.file}")
    library.ledger.copies.prune_snapshots([name.snapshot_id for name in gone], now)
    for some in doomed:
        # A machine that slept meanwhile knows nothing of the snapshots that others began.
        lease.require()
        for blake3 in _forgotten(library, target, some):
            target.place.remove(object_key(blake3))


def _forgotten(library: Library, target: Target, some: dict[str, str | None]) -> Iterator[str]:
    """Forget copies, and give those that may be removed then: what a kill leaves is read back before it counts.

    First forgotten, then looked: when two targets are pruned at once and each would leave a last copy to the other, at
    least one of them sees that the other has forgotten its own.
    """
    before = {copy.blake3: copy for copy in library.ledger.copies.find(some) if copy.target_id == target.target_id}
    library.ledger.copies.forget(target.target_id, some)
    others: dict[str, list[Copy]] = {}
    for copy in library.ledger.copies.find(some):
        others.setdefault(copy.blake3, []).append(copy)
    for blake3, media_id in some.items():
        if media_id is None or _is_elsewhere(library, target, media_id, others.get(blake3, [])):
            yield blake3
        elif blake3 in before:
            library.ledger.copies.record([before[blake3]])
