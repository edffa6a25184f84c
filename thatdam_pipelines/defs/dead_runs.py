"""Runs whose process died: Dagster's embedded launcher does not look after them, so we do."""

import logging
import os
import socket
import time
from pathlib import Path

import dagster as dg
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

WORKER_TAG = "thatdam/worker"
UNMARKED_S = 300.0
"""A run that started so long ago and has not yet said which process it is in died before it could."""

# Not yet started are those of commands, which have their tag from the beginning.
_BEGUN = [
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


def worker_tag() -> dict[str, str]:
    """A run tag that names this process: host, process id, and when it started (ids are used again)."""
    return {WORKER_TAG: f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"}


def fail_dead_runs(instance: DagsterInstance) -> list[dg.DagsterRun]:
    """Mark runs as failed whose process, on this host, is gone, and free their places in pools.

    Dagster's daemon then retries those it launched (``run_retries`` in ``dagster.yaml``).
    """
    failed = []
    for record in instance.get_run_records(RunsFilter(statuses=_BEGUN)):
        run = record.dagster_run
        launched = record.update_timestamp.timestamp() if run.status == DagsterRunStatus.STARTING else record.start_time
        if _is_dead(instance, run, launched):
            instance.report_run_failed(run, "The process of this run is gone: killed, or the machine went down.")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            logging.getLogger(__name__).warning("run %s: its process is gone, marked as failed", run.run_id)
            failed.append(run)
    return failed


def _is_dead(instance: DagsterInstance, run: dg.DagsterRun, started: float | None) -> bool:
    tag = run.tags.get(WORKER_TAG)
    parent = instance.get_run_by_id(run.parent_run_id) if tag and run.parent_run_id else None
    if tag and not (parent and parent.tags.get(WORKER_TAG) == tag):
        return not _alive(tag)
    # A retry has its parent's tags. What has no tag of its own has not opened its resources, which takes seconds.
    return started is not None and time.time() - started > UNMARKED_S


def _alive(tag: str) -> bool:
    host, _, process = tag.partition(":")
    pid, _, started = process.partition(":")
    return host != socket.gethostname() or _started(int(pid)) == started


def _started(pid: int) -> str:
    """Start time of a process in clock ticks since boot, with the boot's id; empty when there is no such process."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # The name, in parentheses, may hold anything; state, then 18 more fields, then the start time follow it.
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else f"{boot[:8]}.{fields[18]}"
