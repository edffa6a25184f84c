"""Worker processes that read untrusted media: limited in time and memory, and gone when their parent is."""

import ctypes
import os
import resource
import signal
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from pebble import ProcessExpired, ProcessPool

from thatdam_pipelines.errors import MediaError, ModelError, OfflineError, StoreError

_PR_SET_PDEATHSIG = 1

NICENESS = 10
"""Added to that of the program: whoever waits for an answer comes before decoding, which alone still has all cores."""


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when its parent dies (Linux; elsewhere pipes closing end it).

    Args:
        parent: Its process id. Where it is dead already, this process ends at once.
    """
    if hasattr(os, "pidfd_open"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def start_worker(parent: int, memory_bytes: int) -> None:
    """What a worker begins with: it dies with ``parent``, may take ``memory_bytes`` more, and gives way to searches."""
    die_with_parent(parent)
    os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    base = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (base + memory_bytes, base + memory_bytes))


class _WorkerProcess(SpawnProcess):
    """A spawned process that does not import the program it comes from: in a Dagster run that is a second of CPU."""

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:
        program = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            return SpawnProcess._Popen(process_obj)
        finally:
            sys.modules["__main__"] = program


class WorkerContext(SpawnContext):
    """Starts such processes."""

    Process = _WorkerProcess


@dataclass(frozen=True)
class Job:
    """One file's work.

    Args:
        media_id: Content it is about.
        name: The file as people know it, for messages.
        payload: Picklable argument of the work function.
        timeout_s: Longest time it may take.
    """

    media_id: str
    name: str
    payload: Any
    timeout_s: float


class Workers:
    """A pool of spawned processes, started when first used."""

    def __init__(self, count: int, memory_bytes: int) -> None:
        self._count = count or os.cpu_count() or 1
        self._memory_bytes = memory_bytes
        self._pool: ProcessPool | None = None

    def close(self) -> None:
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()
            self._pool = None

    def run(self, work: Callable[[Any], Any], jobs: Iterable[Job]) -> Iterator[tuple[Job, Any]]:
        """Run ``work(job.payload)`` for each job; yield each job with its result, or with a ``MediaError``.

        At most four jobs a worker are in flight, so results that wait to be taken stay few. A job that crashes, hangs
        past its limit or raises anything costs only itself.

        Raises:
            OfflineError: A disk or server that jobs need cannot be reached.
            StoreError: The media store does not work.
        ModelError: A model that jobs need cannot be had.
        """
        if self._pool is None:
            self._pool = ProcessPool(
                max_workers=self._count,
                initializer=start_worker,
                initargs=(os.getpid(), self._memory_bytes),
                context=WorkerContext(),
            )
        pending: list[tuple[Job, Any]] = []
        try:
            for job in jobs:
                pending.append((job, self._pool.schedule(work, args=(job.payload,), timeout=job.timeout_s)))
                if len(pending) >= 4 * self._count:
                    yield _outcome(*pending.pop(0))
            while pending:
                yield _outcome(*pending.pop(0))
        finally:
            for _, future in pending:
                future.cancel()


def _outcome(job: Job, future: Any) -> tuple[Job, Any]:
    try:
        return job, future.result()
    except MediaError as error:
        return job, error
    except (OfflineError, StoreError, ModelError):
        # Not about one file: what was done is kept, the rest is tried again when it is back.
        raise
    except FutureTimeoutError:
        cause = f"reading it took longer than {job.timeout_s:.0f} s"
        return job, MediaError(job.name, cause, "Check the file, or raise the time limit and run `thatdam retry`.")
    except ProcessExpired as error:
        cause = f"the decoder crashed (exit code {error.exitcode})"
        return job, MediaError(job.name, cause, "The file is probably damaged: copy it from the card again.")
    except MemoryError:
        cause = "decoding it needs more memory than a worker may use"
        return job, MediaError(job.name, cause, "Check the file, or raise THATDAM_WORKER_MEMORY_BYTES and retry.")
    except Exception as error:
        cause = f"reading it failed unexpectedly ({type(error).__name__}: {error})"
        return job, MediaError(job.name, cause, "Run `thatdam retry`; if it stays, report it with the file.")
