"""Snapshots: the library as of now at a target, each content once, each copy read back before it counts."""

import contextlib
import secrets
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

from thatdam_pipelines.backup.contents import Source, Stamps, derived, local_path, originals, tables
from thatdam_pipelines.backup.copying import Copying, Progress
from thatdam_pipelines.backup.database import export_database
from thatdam_pipelines.backup.leases import leased
from thatdam_pipelines.backup.manifest import SnapshotName, list_snapshots, publish_manifest, write_manifest
from thatdam_pipelines.backup.plan import Plan
from thatdam_pipelines.backup.targets import open_target, target_setting
from thatdam_pipelines.errors import MediaError, StoreError
from thatdam_pipelines.library.copies import SnapshotRow
from thatdam_pipelines.library.files import escape_name, unescape_name
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.settings import BackupTarget


@dataclass(frozen=True)
class SnapshotReport:
    """What a snapshot did.

    Args:
        verified: Contents that were read back at the target now; those known were at an earlier time.
        missing: Files of the library that are not in it, and why; each has path and reason.
    """

    snapshot_id: str
    target: str
    url: str
    files: int
    bytes: int
    new_files: int
    new_bytes: int
    known_files: int
    known_bytes: int
    verified: int
    elapsed_s: float
    missing: list[dict[str, str]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def library_id(library: Library) -> str:
    """What tells the snapshots of this library from those of others at one target: 32 hex digits."""
    library.ledger.set_first_setting("library_id", secrets.token_hex(16))
    return str(library.ledger.get_setting("library_id"))


def take_snapshot(library: Library, wanted: BackupTarget, *, progress: Progress | None = None) -> SnapshotReport:
    """Copy to a target what it does not have of the library, and publish the manifest of all of it.

    Nothing that is there is overwritten. Begun again after a break it goes on with what is not there yet. A file of
    the library that is away or damaged, and not at the target from before, is named in the report and the manifest.

    Raises:
        OfflineError: The target or the media store cannot be reached. What was copied stays and counts.
        StoreError: The target is full or does not work; likewise.
    """
    started, began = datetime.now(UTC), time.monotonic()
    own = library_id(library)
    target = open_target(library.settings, wanted, library.ledger, create=True)
    target.place.clean()
    library.ledger.copies.record_target(
        target_id=target.target_id,
        target=target.name,
        url=target.place.url,
        volume=target.volume,
        offsite=target.offsite,
        price_per_tb_month=wanted.price_per_tb_month,
        seen_utc=started,
    )
    with leased(target, "snapshot") as lease, _scratch() as scratch:
        plan = Plan()
        stamps = Stamps(library.settings.backup_dir)
        try:
            # The database comes last: it knows of every content that the tables tell of.
            _list(plan, library, stamps, chain(tables(library), originals(library), derived(library)))
            exported = export_database(library.settings.database_url, Path(scratch))
            _list(plan, library, stamps, _database(Path(scratch), exported))
        finally:
            stamps.close()
        copying = Copying(library, target, plan, progress)
        copying.run()
        target.require_same()
        number = max((name.number for name in list_snapshots(target)), default=0) + 1
        snapshot_id = f"{started:%Y%m%dT%H%M%S}-{number:06d}-{own[:8]}-{secrets.token_hex(2)}"
        manifest = Path(scratch, "manifest.jsonl.gz")
        name = SnapshotName(
            number, snapshot_id, started, own[:8], target.target_id[:8], write_manifest(manifest, plan.lines())
        )
        lease.require()
        publish_manifest(target, name, manifest)
        target.require_same()
    files, size = plan.amount()
    row = SnapshotRow(
        snapshot_id=snapshot_id,
        target_id=target.target_id,
        target=target.name,
        started_utc=started,
        finished_utc=datetime.now(UTC),
        files=files,
        bytes=size,
        new_files=copying.new_files,
        new_bytes=copying.new_bytes,
        known_files=copying.known_files,
        known_bytes=copying.known_bytes,
        missing=plan.count_missing(),
        manifest_blake3=name.blake3,
    )
    library.ledger.copies.record_snapshot(row)
    return SnapshotReport(
        snapshot_id=snapshot_id,
        target=target.name,
        url=target.place.url,
        files=files,
        bytes=size,
        new_files=copying.new_files,
        new_bytes=copying.new_bytes,
        known_files=copying.known_files,
        known_bytes=copying.known_bytes,
        verified=copying.verified,
        elapsed_s=time.monotonic() - began,
        missing=plan.missing(),
    )


def preview_snapshot(library: Library, wanted: BackupTarget) -> tuple[int, int]:
    """Contents that a snapshot would copy to a target, and those that it has; the database's copy is not counted.

    Nothing is written there. What the ledger knows of a target counts, whether it can be reached now or not.

    Raises:
        OfflineError: The media store cannot be reached.
    """
    target_id = library.ledger.get_setting(target_setting(wanted.name))
    plan = Plan()
    stamps = Stamps(library.settings.backup_dir)
    try:
        _list(plan, library, stamps, chain(tables(library), originals(library), derived(library)))
    finally:
        stamps.close()
    new = known = 0
    for prefix in plan.prefixes():
        states = library.ledger.copies.states(target_id, prefix) if target_id else {}
        there = [states.get(str(source.blake3)) == "verified" for source in plan.contents(prefix)]
        known += sum(there)
        new += len(there) - sum(there)
    return new, known


@contextlib.contextmanager
def _scratch() -> Iterator[str]:
    """A folder of this machine for the database's copy and the manifest.

    Raises:
        StoreError: This machine's disk is full or fails.
    """
    try:
        with TemporaryDirectory(prefix="thatdam-") as folder:
            yield folder
    except OSError as error:
        cause = f"work in progress cannot be written there ({error.strerror})"
        raise StoreError(gettempdir(), cause, "Check that disk and its space, then run it again.") from error


def _list(plan: Plan, library: Library, stamps: Stamps, sources: Iterable[Source]) -> None:
    """Write down the files, with the hash of each: as ingest proved it, as remembered, or read now."""
    plan.add(_hashed(library, stamps, source) for source in sources)


def _hashed(library: Library, stamps: Stamps, source: Source) -> tuple[Source, int, str]:
    if source.blake3 is None:
        try:
            with local_path(library, source) as path:
                blake3, size_bytes = stamps.blake3(path)
        except MediaError as error:
            return source._replace(blake3=""), 0, error.cause
        source = source._replace(blake3=blake3, size_bytes=size_bytes)
    return source, _modified_ns(library, source), ""


def _modified_ns(library: Library, source: Source) -> int:
    if source.in_store:
        return (library.store.modified_ns(source.place) or 0) if library.store.is_local else 0
    with contextlib.suppress(OSError):
        return Path(unescape_name(source.place)).stat().st_mtime_ns
    return 0


def _database(folder: Path, exported: Iterable[Path]) -> Iterator[Source]:
    for path in exported:
        yield Source(path.as_posix(), "database", None, None, 0, escape_name(str(folder / path)), False)
