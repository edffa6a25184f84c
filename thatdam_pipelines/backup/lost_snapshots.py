"""Snapshots whose manifest and its spare are both lost: nobody knows what they name, until they are given up."""

import contextlib
import secrets
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from thatdam_pipelines.backup.leases import Lease
from thatdam_pipelines.backup.manifest import FOLDER, SPARE, SnapshotName, list_snapshots, open_manifest
from thatdam_pipelines.backup.targets import Target
from thatdam_pipelines.errors import QueryError, StoreError
from thatdam_pipelines.library.home import Library


@contextmanager
def proven_manifest(target: Target, name: SnapshotName) -> Iterator[Path]:
    """``open_manifest``, with the way out where it is lost."""
    with contextlib.ExitStack() as opened:
        try:
            path = opened.enter_context(open_manifest(target, name))
        except StoreError as error:
            give_up = f"`thatdam backup prune --target {target.name} --give-up {name.snapshot_id}`"
            next_step = f"Put one of them back, or give that snapshot up with {give_up}; see docs/backup.md."
            raise StoreError(name.snapshot_id, error.cause, next_step) from error
        yield path


def lost_snapshots(library: Library, target: Target, snapshot_ids: Collection[str]) -> list[SnapshotName]:
    """The snapshots at a target that are to be given up, each found to be lost.

    One that this library did not take, or does not remember, cannot be: the ledger would not know which originals it
    has, and they would be removed as nobody's.

    Raises:
        OfflineError: The target cannot be reached.
        QueryError: There is no such snapshot, it can be read, or the library does not know it.
    """
    if not snapshot_ids:
        return []
    there = {name.snapshot_id: name for name in list_snapshots(target)}
    known = {row.snapshot_id for row in library.ledger.copies.snapshots(target.target_id)}
    for snapshot_id in snapshot_ids:
        if snapshot_id not in there:
            cause = f"there is no such snapshot at {target.name}"
            raise QueryError(snapshot_id, cause, "Give its whole id; see `thatdam backup list`.")
        if snapshot_id not in known:
            cause = "this library does not know what was in it, so that originals could be removed with it"
            raise QueryError(snapshot_id, cause, "Keep that target as it is, and begin a new one.")
        if _is_whole(target, there[snapshot_id]):
            cause = "its manifest is whole, so that there is nothing to give up"
            raise QueryError(snapshot_id, cause, "Leave it to the target's retention.")
    return sorted(there[snapshot_id] for snapshot_id in set(snapshot_ids))


def set_aside(library: Library, target: Target, lease: Lease, lost: Sequence[SnapshotName]) -> None:
    """Take what is left of the manifests out of the way, and write down that the snapshots are gone."""
    lease.require()
    for name in lost:
        for folder in (SPARE, FOLDER):
            if target.place.size(f"{folder}/{name.file}") is not None:
                aside = f"damaged/{name.snapshot_id}.{folder}.{secrets.token_hex(2)}"
                target.place.move(f"{folder}/{name.file}", aside)
    library.ledger.copies.prune_snapshots([name.snapshot_id for name in lost], datetime.now(UTC))


def _is_whole(target: Target, name: SnapshotName) -> bool:
    try:
        with open_manifest(target, name):
            return True
    except StoreError:
        return False
