"""The ledger's account of backups: targets, snapshots, copies and when each was last proven, audits."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa

from thatdam_pipelines.library.ledger_tables import AUDITS, COPIES, SNAPSHOTS, TARGETS, portions

LIBRARY = "library"
"""Stands for a target in the rows about originals that were re-read in the library itself."""

CopyState = Literal["verified", "damaged", "missing"]
AuditKind = Literal["audit", "verify", "drill"]
_ROWS_AT_ONCE = 1_000


@dataclass(frozen=True)
class Copy:
    """A content at a target.

    Args:
        target_id: Identity of the target, or ``LIBRARY``.
        media_id: None for what is not an original.
        role: original, table, database or derived.
        verified_utc: When it was last read back and equalled its hash; None when it never was.
        reason: What is wrong with it; '' when nothing is.
    """

    target_id: str
    blake3: str
    media_id: str | None
    role: str
    size_bytes: int
    copied_utc: datetime
    verified_utc: datetime | None
    state: CopyState
    reason: str = ""


@dataclass(frozen=True)
class SnapshotRow:
    """A snapshot as it was taken; columns as in view ``snapshots``."""

    snapshot_id: str
    target_id: str
    target: str
    started_utc: datetime
    finished_utc: datetime
    files: int
    bytes: int
    new_files: int
    new_bytes: int
    known_files: int
    known_bytes: int
    missing: int
    manifest_blake3: str
    pruned_utc: datetime | None = None


@dataclass(frozen=True)
class Audit:
    """A re-reading that was done; columns as in view ``audits``."""

    audit_id: str
    kind: AuditKind
    target_id: str
    target: str
    started_utc: datetime
    finished_utc: datetime
    files: int
    bytes: int
    wrong: int
    message: str


class Copies:
    """Rows about backups in an open ledger. A write is one transaction."""

    def __init__(self, engine: sa.Engine, writer: sa.Engine, insert: Callable[[sa.Table], Any]) -> None:
        self._engine = engine
        self._writer = writer
        self._insert = insert

    def record(self, copies: Collection[Copy]) -> None:
        """Write down the state of copies; of one that is known already, when it was made stays."""
        self._upsert(COPIES, [asdict(copy) for copy in copies], keep=("copied_utc",))

    def states(self, target_id: str, prefix: str) -> dict[str, CopyState]:
        """State by BLAKE3 of the copies at a target whose BLAKE3 begins with ``prefix``."""
        query = sa.select(COPIES.c.blake3, COPIES.c.state).where(
            COPIES.c.target_id == target_id, COPIES.c.blake3 >= prefix, COPIES.c.blake3 < f"{prefix}g"
        )
        with self._engine.connect() as connection:
            return dict(connection.execute(query).tuples().all())

    def find(self, blake3s: Iterable[str]) -> list[Copy]:
        """Every copy of these contents, at any target and in the library."""
        # By place and content: that is what the table's key is made of.
        places = sa.union_all(sa.select(TARGETS.c.target_id), sa.select(sa.literal(LIBRARY)))
        query = sa.select(COPIES).where(COPIES.c.target_id.in_(places))
        with self._engine.connect() as connection:
            return [
                Copy(**row)
                for some in portions(blake3s)
                for row in connection.execute(query.where(COPIES.c.blake3.in_(some))).mappings()
            ]

    def oldest(self, target_id: str) -> Iterator[Copy]:
        """The copies at a target: never verified or damaged first, then those verified longest ago."""
        verified = COPIES.c.state == "verified"
        order = (verified, COPIES.c.verified_utc.is_not(None), COPIES.c.verified_utc, COPIES.c.blake3)
        with self._engine.connect().execution_options(yield_per=_ROWS_AT_ONCE) as connection:
            for row in connection.execute(sa.select(COPIES).where(COPIES.c.target_id == target_id).order_by(*order)):
                yield Copy(**row._mapping)

    def forget(self, target_id: str, blake3s: Iterable[str]) -> None:
        """Contents that were removed from a target."""
        with self._writer.begin() as connection:
            for some in portions(blake3s):
                connection.execute(sa.delete(COPIES).where(COPIES.c.target_id == target_id, COPIES.c.blake3.in_(some)))

    def amount(self, target_id: str) -> tuple[int, int]:
        """How many contents there are at a target, and their bytes."""
        query = sa.select(sa.func.count(), sa.func.sum(COPIES.c.size_bytes)).where(COPIES.c.target_id == target_id)
        with self._engine.connect() as connection:
            files, size = connection.execute(query).one()
        return int(files), int(size or 0)

    def overdue(self, target_id: str, before: datetime, now: datetime) -> int:
        """Copies at a target that were not verified since ``before``; a time to come proves nothing."""
        late = COPIES.c.verified_utc.is_(None) | (COPIES.c.verified_utc < before) | (COPIES.c.verified_utc > now)
        query = sa.select(sa.func.count()).where(COPIES.c.target_id == target_id, late | (COPIES.c.state != "verified"))
        with self._engine.connect() as connection:
            return int(connection.scalar(query) or 0)

    def record_target(self, **row: Any) -> None:
        """Write down a target as it is now; columns of table ``targets``."""
        self._upsert(TARGETS, [row])

    def targets(self) -> list[dict[str, Any]]:
        """Every target that snapshots were written to, as rows of table ``targets``."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(TARGETS).order_by(TARGETS.c.target)).mappings()
            return [dict(row) for row in rows]

    def record_snapshot(self, row: SnapshotRow) -> None:
        self._upsert(SNAPSHOTS, [asdict(row)])

    def snapshots(self, target_id: str | None = None) -> list[SnapshotRow]:
        """The snapshots that were taken, oldest first, with those that were pruned."""
        query = sa.select(SNAPSHOTS).order_by(SNAPSHOTS.c.snapshot_id)
        if target_id is not None:
            query = query.where(SNAPSHOTS.c.target_id == target_id)
        with self._engine.connect() as connection:
            return [SnapshotRow(**row) for row in connection.execute(query).mappings()]

    def prune_snapshots(self, snapshot_ids: Iterable[str], now: datetime) -> None:
        """Write down that snapshots were removed."""
        with self._writer.begin() as connection:
            for some in portions(snapshot_ids):
                connection.execute(
                    sa.update(SNAPSHOTS).where(SNAPSHOTS.c.snapshot_id.in_(some)).values(pruned_utc=now.astimezone(UTC))
                )

    def record_audit(self, audit: Audit) -> None:
        self._upsert(AUDITS, [asdict(audit)])

    def last_audit(self, kind: AuditKind, target_id: str) -> Audit | None:
        """The newest audit of a kind; None when there was none."""
        query = (
            sa.select(AUDITS)
            .where(AUDITS.c.kind == kind, AUDITS.c.target_id == target_id)
            .order_by(AUDITS.c.finished_utc.desc())
            .limit(1)
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).mappings().first()
        return Audit(**row) if row else None

    def _upsert(self, table: sa.Table, rows: list[dict[str, Any]], keep: tuple[str, ...] = ()) -> None:
        if not rows:
            return
        insert = self._insert(table)
        keys = [column.name for column in table.primary_key]
        changes = {column.name: insert.excluded[column.name] for column in table.c if column.name not in (*keys, *keep)}
        statement = insert.on_conflict_do_update(index_elements=keys, set_=changes)
        with self._writer.begin() as connection:
            connection.execute(statement, rows)
