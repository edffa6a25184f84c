"""What the pages Status, Backups and Cameras show, gathered from where it is kept."""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from thatdam_pipelines.library import catalog
from thatdam_pipelines.library.arrivals import Batch
from thatdam_pipelines.library.copies import LIBRARY, Audit, SnapshotRow
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.settings import Settings

LATEST = 12
RECORDER_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class Disk:
    """Room where something is kept.

    Args:
        free_bytes: None where it is no disk of this machine.
        low: Whether ingest leaves it alone.
    """

    what: str
    where: str
    free_bytes: int | None
    total_bytes: int
    low: bool


@dataclass(frozen=True)
class Overview:
    """How the library is.

    Args:
        embedder: Who answers searches; None before anything was indexed.
        waiting: Batches that no run has begun.
        latest: The newest batches of all others that are not running.
        failures: Rows of the query ``failures_by_reason``.
    """

    embedder: str | None
    files: int
    bytes: int
    waiting: list[Batch]
    running: list[Batch]
    latest: list[Batch]
    failures: list[dict[str, Any]]
    disks: list[Disk]


@dataclass(frozen=True)
class TargetOverview:
    """A backup target as it is known here.

    Args:
        snapshot: The newest that was not pruned.
        stale: Whether that is older than the target's settings allow.
        drill: The last restore drill.
        audit: The last re-reading.
    """

    name: str
    url: str
    offsite: bool | None
    contents: int
    bytes: int
    snapshots: int
    snapshot: SnapshotRow | None
    stale: bool
    drill: Audit | None
    audit: Audit | None


def overview(library: Library) -> Overview:
    """How the library is now."""
    from thatdam_pipelines.embed.spaces import served

    settings, ledger = library.settings, library.ledger
    serving = served(ledger)
    published = settings.catalog_path.exists()
    totals = [(0, 0)]
    if published:
        totals = catalog.run_sql(settings, "SELECT count(*), coalesce(sum(size_bytes), 0)::BIGINT FROM media").rows()
    return Overview(
        embedder=serving.embedder if serving else None,
        files=totals[0][0],
        bytes=totals[0][1],
        waiting=ledger.pending_batches(),
        running=ledger.batches(state="running"),
        latest=[batch for batch in ledger.batches(LATEST) if batch.state in ("done", "failed")],
        failures=_failures(settings) if published else [],
        disks=_disks(settings, is_local=library.store.is_local),
    )


def backups(library: Library, now: datetime) -> list[TargetOverview]:
    """The targets of the settings, then others that hold something of this library."""
    copies = library.ledger.copies
    known = {row["target"]: row for row in copies.targets() if row["target_id"] != LIBRARY}
    wanted = {target.name: target for target in library.settings.backup_targets}
    shown = []
    for name in dict.fromkeys([*wanted, *known]):
        row, target = known.get(name), wanted.get(name)
        target_id = row["target_id"] if row else ""
        snapshots = [one for one in copies.snapshots(target_id) if one.pruned_utc is None] if row else []
        newest = snapshots[-1] if snapshots else None
        limit = timedelta(hours=target.max_age_hours) if target else None
        contents, size = copies.amount(target_id) if row else (0, 0)
        shown.append(
            TargetOverview(
                name=name,
                url=target.url if target else row["url"] if row else "",
                offsite=row["offsite"] if row else None,
                contents=contents,
                bytes=size,
                snapshots=len(snapshots),
                snapshot=newest,
                stale=limit is not None and (newest is None or now - _aware(newest.finished_utc) > limit),
                drill=copies.last_audit("drill", target_id),
                audit=copies.last_audit("audit", target_id),
            )
        )
    return shown


def recorder_status(settings: Settings) -> dict[str, Any] | None:
    """What the recorder that ``thatdam up`` runs says of itself; None when none answers."""
    import httpx

    try:
        answer = httpx.get(f"{recorder_url(settings)}/v1/status", timeout=RECORDER_TIMEOUT_S)
        answer.raise_for_status()
        status: dict[str, Any] = answer.json()
    except (httpx.HTTPError, ValueError):
        return None
    return status


def recorder_url(settings: Settings) -> str:
    """Address of the recorder and its viewer."""
    return f"http://{settings.host}:{settings.capture_port}"


def _failures(settings: Settings) -> list[dict[str, Any]]:
    query = next(query for query in catalog.list_queries() if query.name == "failures_by_reason")
    return catalog.run_sql(settings, query.sql).to_dicts()


def _disks(settings: Settings, *, is_local: bool) -> list[Disk]:
    media = _disk("Originals and proxies", settings.media_url, settings) if is_local else None
    remote = Disk("Originals and proxies", settings.media_url, None, 0, False)
    return [_disk("Home", str(settings.home), settings), media or remote]


def _disk(what: str, where: str, settings: Settings) -> Disk:
    path = Path(where)
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    usage = shutil.disk_usage(existing)
    return Disk(what, where, usage.free, usage.total, usage.free < settings.disk_reserve_bytes)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
