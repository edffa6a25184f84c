"""The Dagster instance of a home: its folder, its configuration, the limits of its pools."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
from dagster._core.instance.ref import InstanceRef

from thatdam_pipelines.library.files import replacing
from thatdam_pipelines.settings import Settings, project_file

# Runs at once are two light and one heavy (dagster.yaml). ffmpeg is used by heavy runs alone and model by all three,
# so that only vector_writer is ever waited for, and shortly: a step that waits in Dagster's in-process executor
# takes a whole core (its sleep is never longer than zero in 1.13).
POOL_LIMITS = {"ffmpeg": 1, "model": 3, "vector_writer": 1}

_UNHEARD = {
    "compute_logs": {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
        "config": {},
    }
}


def prepare_instance(settings: Settings) -> Path:
    """Make ``settings.dagster_dir`` a ``DAGSTER_HOME``: the shipped ``dagster.yaml`` in it, pools limited.

    Limits set by hand in the UI are left as they are. Safe to call at every start.
    """
    folder = settings.dagster_dir
    folder.mkdir(parents=True, exist_ok=True)
    shipped = project_file("dagster.yaml").read_bytes()
    target = folder / "dagster.yaml"
    if not target.exists() or target.read_bytes() != shipped:
        with replacing(target) as part:
            part.write_bytes(shipped)
    with (folder / "prepare.lock").open("w") as lock, contextlib.ExitStack() as opened:
        # Two that begin at once would both find a limit missing, and one would fail to set it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        instance = opened.enter_context(dg.DagsterInstance.from_config(str(folder)))
        limited = {pool.name for pool in instance.event_log_storage.get_pool_limits() if not pool.from_default}
        for pool, limit in POOL_LIMITS.items():
            if pool not in limited:
                instance.event_log_storage.set_concurrency_slots(pool, limit)
    return folder


@contextlib.contextmanager
def open_instance(settings: Settings, *, capture_output: bool = True) -> Iterator[dg.DagsterInstance]:
    """The prepared instance of ``settings.dagster_dir``, whatever ``DAGSTER_HOME`` says.

    Args:
        capture_output: False: what runs in this process prints goes where it would, not into the instance's files.
    """
    ref = InstanceRef.from_dir(str(prepare_instance(settings)), overrides=None if capture_output else _UNHEARD)
    with dg.DagsterInstance.from_ref(ref) as instance:
        yield instance
