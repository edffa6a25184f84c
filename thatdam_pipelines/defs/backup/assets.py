"""Backups as assets: snapshots, the nightly re-reading of a share of them, the weekly restore drill."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg

from thatdam_pipelines.backup.audit import audit_target, drill
from thatdam_pipelines.backup.prune import prune
from thatdam_pipelines.backup.snapshot import take_snapshot
from thatdam_pipelines.backup.targets import Target, open_target
from thatdam_pipelines.backup.turns import at_each
from thatdam_pipelines.backup.verify import verify_originals
from thatdam_pipelines.defs.backup.checks import (
    OF_AUDIT,
    OF_BACKUPS,
    OF_DRILL,
    enough_copies,
    fresh,
    not_overdue,
    specs,
    told,
)
from thatdam_pipelines.defs.report import markdown_table
from thatdam_pipelines.defs.stages import LOG_EVERY_S, RUN_PROBLEMS
from thatdam_pipelines.errors import ThatdamError
from thatdam_pipelines.library.copies import LIBRARY
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.settings import BackupTarget

_SHARED: dict[str, Any] = {
    "group_name": "backup",
    "owners": ["team:backup"],
    "code_version": "1",
    "retry_policy": RUN_PROBLEMS,
}
Progress = Callable[[int, int, str], None]
DUE = "thatdam/due"
"""Tag of a run that is for some targets only: their names."""


@dg.asset(
    deps=[
        *["raw_media", "capture_sessions", "probes", "embeddings_l0"],
        *["proxies", "audio", "transcripts", "motion", "sync"],
        *["embeddings_l1", "embeddings_l2", "tags", "rewraps"],
        *["fingerprints", "embeddings_l3"],
    ],
    kinds={"file", "s3"},
    check_specs=specs("backups", OF_BACKUPS),
    **_SHARED,
)
def backups(context: dg.AssetExecutionContext, library: dg.ResourceParam[Library]) -> dg.MaterializeResult:
    """A snapshot of the library at every target: originals, proxies, tables, database. Then what retention drops goes.

    A content that is at the target and was verified there is not copied again; a new one counts when it was read back.
    """

    def back_up(wanted: BackupTarget, progress: Progress) -> dict[str, Any]:
        report = take_snapshot(library, wanted, progress=progress)
        pruned = prune(library, open_target(library.settings, wanted, library.ledger))
        return report.as_dict() | {"removed": len(pruned.removed), "wrong": report.missing}

    done, failed = _work_at_each(context, library, back_up)
    missing = [f"{one['path']}: {one['reason']}" for row in done for one in row["missing"]]
    columns = ("target", "files", "bytes", "new_files", "new_bytes", "known_files", "verified", "removed", "elapsed_s")
    return dg.MaterializeResult(
        metadata=_metadata(context, done, columns) | {"bytes copied": sum(row["new_bytes"] for row in done)},
        check_results=[told("every_target_done", failed + missing), enough_copies(library), fresh(library)],
    )


@dg.asset(deps=["backups"], kinds={"file", "s3"}, check_specs=specs("backup_audit", OF_AUDIT), **_SHARED)
def backup_audit(context: dg.AssetExecutionContext, library: dg.ResourceParam[Library]) -> dg.MaterializeResult:
    """A share of every target and of the originals re-read, so that all of it is read within THATDAM_AUDIT_DAYS.

    What was read longest ago comes first. Originals that are as they were get a generation in their ASC MHL history.
    """
    done, failed = _work_at_each(
        context,
        library,
        lambda wanted, progress: audit_target(library, _opened(library, wanted), progress=progress).as_dict(),
    )
    try:
        done.append(_originals(context, library))
    except ThatdamError as error:
        context.log.error(str(error))
        failed.append(f"{LIBRARY}: {error}")
    return dg.MaterializeResult(
        metadata=_metadata(context, done, ("target", "files", "bytes", "overdue", "elapsed_s")),
        check_results=[told("copies_sound", failed + _wrong(done)), not_overdue(library)],
    )


def _originals(context: dg.AssetExecutionContext, library: Library) -> dict[str, Any]:
    """Re-read tonight's share of the originals; what was found, as of a target."""
    share = min(1.0, 1 / library.settings.audit_days)
    report = verify_originals(library, share=share, progress=_logged(context, LIBRARY))
    for problem in report.unwritten:
        context.log.warning(f"ASC MHL not continued: {problem}")
    wrong = [{"what": one["path"], "reason": one["reason"], "good copy": one["good copy"]} for one in report.wrong]
    return report.as_dict() | {"target": LIBRARY, "overdue": 0, "wrong": wrong}


@dg.asset(deps=["backups"], kinds={"file", "s3"}, check_specs=specs("restore_drill", OF_DRILL), **_SHARED)
def restore_drill(context: dg.AssetExecutionContext, library: dg.ResourceParam[Library]) -> dg.MaterializeResult:
    """A random sample of the newest snapshot at every target, and the database, restored and compared."""
    done, failed = _work_at_each(
        context, library, lambda wanted, progress: drill(library, _opened(library, wanted), progress=progress).as_dict()
    )
    return dg.MaterializeResult(
        metadata=_metadata(context, done, ("target", "files", "bytes", "elapsed_s")),
        check_results=[told("drill_passed", failed + _wrong(done))],
    )


def _work_at_each(
    context: dg.AssetExecutionContext, library: Library, work: Callable[[BackupTarget, Progress], dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[str]]:
    """What ``work`` gives for each target of the settings, or of the run's tag, and in words where it failed.

    Raises:
        Failure: There is no target, or none could be worked on; only that is worth another try.
    """
    due = context.run.tags.get(DUE)
    targets = [one for one in library.settings.backup_targets if due is None or one.name in due.split()]
    if not targets:
        raise dg.Failure("No backup target is set: see THATDAM_BACKUP_TARGETS.", allow_retries=False)
    done: list[dict[str, Any]] = []
    failed: list[str] = []
    worked = at_each(library.settings, targets, lambda wanted: work(wanted, _logged(context, wanted.name)))
    for wanted, outcome in worked:
        if isinstance(outcome, ThatdamError):
            context.log.error(f"{wanted.name}: {outcome}")
            failed.append(f"{wanted.name}: {outcome}")
        else:
            done.append(outcome)
    if not done:
        raise dg.Failure("; ".join(failed))
    return done, failed


def _opened(library: Library, wanted: BackupTarget) -> Target:
    return open_target(library.settings, wanted, library.ledger)


def _logged(context: dg.AssetExecutionContext, name: str) -> Progress:
    """Progress as log lines, at most one in ten seconds."""
    last = time.monotonic()

    def progress(done: int, total: int, _file: str) -> None:
        nonlocal last
        if time.monotonic() - last >= LOG_EVERY_S:
            last = time.monotonic()
            context.log.info(f"{name}: {done / 1e9:.2f} of {total / 1e9:.2f} GB")

    return progress


def _wrong(done: Sequence[dict[str, Any]]) -> list[str]:
    return [
        f"{row['target']}: {one['what']}: {one['reason']} (good copy: {one['good copy']})"
        for row in done
        for one in row["wrong"]
    ]


def _metadata(
    context: dg.AssetExecutionContext, done: Sequence[dict[str, Any]], columns: Sequence[str]
) -> dict[str, Any]:
    rows = [[f"{row[name]:.1f}" if isinstance(row[name], float) else row[name] for name in columns] for row in done]
    return {
        "targets": markdown_table([name.replace("_", " ") for name in columns], rows),
        "files": sum(row["files"] for row in done),
        "bytes": sum(row["bytes"] for row in done),
        "wrong": sum(len(row["wrong"]) for row in done),
        "seconds": round(sum(row["elapsed_s"] for row in done), 3),
        "run": dg.MetadataValue.dagster_run(context.run_id),
    }
