"""Audits: copies at a target re-read and compared, the longest unread first; and restore drills."""

import pickle
import random
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

import polars as pl

from thatdam_pipelines.backup.database import check_sqlite
from thatdam_pipelines.backup.manifest import (
    Line,
    find_snapshot,
    list_snapshots,
    mend_manifest,
    open_manifest,
    read_lines,
)
from thatdam_pipelines.backup.restore import fetch
from thatdam_pipelines.backup.sample import Sample
from thatdam_pipelines.backup.targets import Target
from thatdam_pipelines.errors import MediaError, StoreError
from thatdam_pipelines.library.copies import Audit, AuditKind, Copy
from thatdam_pipelines.library.home import Library

Progress = Callable[[int, int, str], None]
"""Called with (bytes done, bytes to do, name or hash of the content)."""
_RECORD_AT_ONCE = 100


@dataclass(frozen=True)
class AuditReport:
    """What a re-reading found.

    Args:
        files: Contents that were read.
        wrong: What is not as it should be, each with what, reason and where a good copy is.
        overdue: Copies at the target that were not verified within the policy's days, after this audit.
    """

    kind: AuditKind
    target: str
    files: int
    bytes: int
    elapsed_s: float
    wrong: list[dict[str, str]] = field(default_factory=list)
    overdue: int = 0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def audit_target(
    library: Library, target: Target, *, share: float | None = None, progress: Progress | None = None
) -> AuditReport:
    """Re-read a share of the copies at a target, and every manifest; one that is damaged is put back from its spare.

    Damaged and missing ones are remembered as such: they count no more, and the next snapshot replaces them.

    Args:
        share: Share of its bytes, 0 to 1. None: as much as must be read today for all to be read within the
            settings' ``audit_days``: what is due tomorrow or earlier, and at least the daily share.

    Raises:
        OfflineError: The target cannot be reached. What was read before is remembered.
    """
    started, began = datetime.now(UTC), time.monotonic()
    copies = library.ledger.copies
    days = timedelta(days=library.settings.audit_days)
    _, total = copies.amount(target.target_id)
    budget = total * share if share is not None else total / library.settings.audit_days
    due = started - days + timedelta(days=1) if share is None else None
    wrong = [
        {"what": problem, "reason": "a manifest is damaged or missing", "good copy": "its spare or another snapshot"}
        for name in list_snapshots(target)
        for problem in mend_manifest(target, name)
    ]
    found: list[Copy] = []
    files = size = 0
    try:
        for copy in _spooled(_to_read(copies.oldest(target.target_id), budget, due, started)):
            found.append(checked := _checked(target, copy))
            files += 1
            size += copy.size_bytes
            if checked.state != "verified":
                wrong.append({"what": copy.blake3, "reason": checked.reason, "good copy": ""})
            if len(found) >= _RECORD_AT_ONCE:
                copies.record(found)
                found = []
            if progress is not None:
                progress(size, max(int(budget), size), copy.blake3[:16])
    finally:
        copies.record(found)
    wrong = [one if one["good copy"] else one | {"good copy": where_good(library, one["what"])} for one in wrong]
    remember(library, "audit", target.target_id, target.name, started, files, size, wrong)
    overdue = copies.overdue(target.target_id, started - days, datetime.now(UTC))
    return AuditReport("audit", target.name, files, size, time.monotonic() - began, wrong, overdue)


def drill(
    library: Library, target: Target, *, seed: int | None = None, progress: Progress | None = None
) -> AuditReport:
    """Restore a random sample of the newest snapshot, with all of its database, to a throwaway folder and compare.

    Every file must equal its hash, the database must be sound, and tables must be readable. A copy that is damaged or
    missing is remembered as such: it counts no more, and the next snapshot replaces it.

    Args:
        seed: Chooses the sample; None: another one each time.

    Raises:
        OfflineError: The target cannot be reached.
        QueryError: There is no snapshot yet.
        StoreError: Its manifest is lost.
    """
    started, began = datetime.now(UTC), time.monotonic()
    name = find_snapshot(target, "latest", library.ledger.get_setting("library_id"))
    wrong: list[dict[str, str]] = []
    size = 0
    with open_manifest(target, name) as manifest, TemporaryDirectory(prefix="thatdam-drill-") as scratch:
        lines = _sample(read_lines(manifest), library.settings.drill_files, random.Random(seed))
        total = sum(line.size_bytes for line in lines)
        for line in lines:
            path = Path(scratch, f"restored{Path(line.path).suffix}")
            problem = _restored_wrongly(target, line, path)
            path.unlink(missing_ok=True)
            if problem:
                _doubt(library, target, line.blake3)
                wrong.append({"what": line.path, "reason": problem, "good copy": where_good(library, line.blake3)})
            size += line.size_bytes
            if progress is not None:
                progress(size, total, line.path)
    remember(library, "drill", target.target_id, target.name, started, len(lines), size, wrong)
    return AuditReport("drill", target.name, len(lines), size, time.monotonic() - began, wrong)


def where_good(library: Library, blake3: str, but: str = "") -> str:
    """The places where the last reading found a content to be good, in words.

    Args:
        but: Id of the place where it was just found not to be, and that is not written down yet.
    """
    names = {row["target_id"]: row["target"] for row in library.ledger.copies.targets()} | {"library": "the library"}
    found = library.ledger.copies.find([blake3])
    good = [
        names.get(copy.target_id, copy.target_id)
        for copy in found
        if copy.state == "verified" and copy.target_id != but
    ]
    return ", ".join(sorted(good)) or "none known"


def _spooled(copies: Iterable[Copy]) -> Iterator[Copy]:
    """The same from a file without a name: nothing holds the ledger while they are read and written down anew."""
    with TemporaryFile(prefix="thatdam-") as file:
        for copy in copies:
            pickle.dump(copy, file)
        end = file.tell()
        file.seek(0)
        while file.tell() < end:
            yield pickle.load(file)


def _to_read(copies: Iterable[Copy], budget: float, due: datetime | None, now: datetime) -> Iterator[Copy]:
    """The copies in their order until the budget is spent and nothing is due any more."""
    spent = 0.0
    for copy in copies:
        late = due is not None and (copy.verified_utc is None or not due <= copy.verified_utc <= now)
        if spent >= budget and not late and copy.state == "verified":
            return
        spent += copy.size_bytes
        yield copy


def _checked(target: Target, copy: Copy) -> Copy:
    try:
        found = target.digest(copy.blake3)
    except StoreError as error:
        return replace(copy, state="damaged", reason=f"it cannot be read ({error.cause})")
    if found is None:
        target.require_same()
        return replace(copy, state="missing", reason="it is missing there")
    if found.blake3 != copy.blake3:
        return replace(copy, state="damaged", reason=f"its BLAKE3 is {found.blake3[:16]} there")
    return replace(copy, state="verified", reason="", verified_utc=datetime.now(UTC))


def _doubt(library: Library, target: Target, blake3: str) -> None:
    """Read a copy once more that could not be restored, so that it counts no more if it is what is wrong."""
    copies = library.ledger.copies
    copies.record([_checked(target, copy) for copy in copies.find([blake3]) if copy.target_id == target.target_id])


def _sample(lines: Iterable[Line], count: int, choice: random.Random) -> list[Line]:
    """The database, and ``count`` others."""
    database: list[Line] = []
    others = Sample(count, choice)
    for line in lines:
        if line.role == "database":
            database.append(line)
        elif not line.missing:
            others.see(line)
    return database + others.lines


def _restored_wrongly(target: Target, line: Line, path: Path) -> str | None:
    try:
        fetch([target], line.blake3, path)
    except MediaError as error:
        return error.cause
    if path.stat().st_size != line.size_bytes:
        return f"it has {path.stat().st_size} bytes, not {line.size_bytes}"
    if path.suffix == ".db" and line.role == "database":
        return check_sqlite(path)
    if path.suffix == ".parquet" and line.role in ("table", "database"):
        try:
            pl.read_parquet(path, memory_map=False)
        except pl.exceptions.PolarsError as error:
            return f"it is no table ({error})"
    return None


def remember(
    library: Library,
    kind: AuditKind,
    target_id: str,
    target: str,
    started: datetime,
    files: int,
    size: int,
    wrong: list[dict[str, str]],
) -> None:
    """Write an audit down for the views and checks."""
    said = f"{len(wrong)} wrong, the first: {wrong[0]['what']}: {wrong[0]['reason']}" if wrong else "all good"
    audit_id = f"{started:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
    audit = Audit(audit_id, kind, target_id, target, started, datetime.now(UTC), files, size, len(wrong), said)
    library.ledger.copies.record_audit(audit)
