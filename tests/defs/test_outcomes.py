"""The ledger's batches follow what Dagster's runs say, whatever was lost in between."""

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.events.log import EventLogEntry
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.tags import PARENT_RUN_ID_TAG, ROOT_RUN_ID_TAG, RUN_KEY_TAG

from thatdam_pipelines.defs.dead_runs import UNMARKED_S, WORKER_TAG, fail_dead_runs, worker_tag
from thatdam_pipelines.defs.ingest.outcomes import LEFT_TO_COMMANDS, MAX_OFFERED, batches_to_offer, settle_batches
from thatdam_pipelines.library.arrivals import Sighting
from thatdam_pipelines.library.ledger import Ledger
from thatdam_pipelines.settings import Settings


@dg.op
def nothing() -> None: ...


@dg.job
def ingest_stand_in() -> None:
    nothing()


DEAD = {WORKER_TAG: worker_tag()[WORKER_TAG].rpartition(".")[0] + ".1"}
DAEMONS = RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("thatdam"), "__repository__"), "ingest")


@pytest.fixture
def ledger(home_settings: Settings) -> Iterator[Ledger]:
    home_settings.home.mkdir(parents=True, exist_ok=True)
    opened = Ledger(home_settings.database_url)
    yield opened
    opened.close()


def claim(ledger: Ledger, name: str = "clip.mov") -> str:
    batch = ledger.create_batch("/drop", "copy", [Sighting(name, 1, 1)], datetime.now(UTC), settled=False)
    assert batch is not None
    return batch


def run_of(
    instance: dg.DagsterInstance,
    status: dg.DagsterRunStatus,
    tags: dict[str, str],
    origin: RemoteJobOrigin | None = None,
) -> str:
    """A run as the daemon would have made it, in ``status``."""
    made = instance.create_run_for_job(ingest_stand_in, tags=tags, status=status, remote_job_origin=origin)
    return made.run_id


def state(ledger: Ledger, batch: str) -> str:
    found = ledger.batch(batch)
    assert found is not None
    return found.state


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (dg.DagsterRunStatus.STARTED, "running"),
        (dg.DagsterRunStatus.SUCCESS, "done"),
        (dg.DagsterRunStatus.FAILURE, "failed"),
        (dg.DagsterRunStatus.CANCELED, "failed"),
    ],
)
def test_a_batch_ends_as_its_run_ends(
    ledger: Ledger, instance: dg.DagsterInstance, status: dg.DagsterRunStatus, expected: str
) -> None:
    batch = claim(ledger)
    ledger.start_batch(batch, run_of(instance, status, {}))
    settle_batches(ledger, instance)
    assert state(ledger, batch) == expected


def test_a_batch_whose_run_was_deleted_is_closed_as_failed(ledger: Ledger, instance: dg.DagsterInstance) -> None:
    batch = claim(ledger)
    ledger.start_batch(batch, "11111111-1111-1111-1111-111111111111")
    settle_batches(ledger, instance)
    assert state(ledger, batch) == "failed"


def test_a_killed_command_gives_its_batch_back(ledger: Ledger, instance: dg.DagsterInstance) -> None:
    batch = claim(ledger)
    ledger.start_batch(batch, run_of(instance, dg.DagsterRunStatus.STARTED, DEAD))
    settle_batches(ledger, instance)
    assert state(ledger, batch) == "claimed"
    assert [offered.batch_id for offered in batches_to_offer(ledger, instance, {"/drop"})] == [batch]


def test_a_killed_run_of_the_daemon_is_left_to_its_retry(ledger: Ledger, instance: dg.DagsterInstance) -> None:
    batch = claim(ledger)
    run_id = run_of(instance, dg.DagsterRunStatus.STARTED, DEAD, DAEMONS)
    ledger.start_batch(batch, run_id)
    settle_batches(ledger, instance)
    assert state(ledger, batch) == "running"
    run = instance.get_run_by_id(run_id)
    assert run is not None and run.status == dg.DagsterRunStatus.FAILURE
    assert run.tags["dagster/will_retry"] == "true"


def test_a_claimed_batch_is_offered_until_its_run_begins(ledger: Ledger, instance: dg.DagsterInstance) -> None:
    batch = claim(ledger)
    for status in (None, dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING):
        if status is not None:
            run_of(instance, status, {RUN_KEY_TAG: batch}, DAEMONS)
        assert [offered.batch_id for offered in batches_to_offer(ledger, instance, {"/drop"})] == [batch]
    ledger.start_batch(batch, run_of(instance, dg.DagsterRunStatus.STARTED, {RUN_KEY_TAG: batch}))
    assert batches_to_offer(ledger, instance, {"/drop"}) == []


def test_a_batch_whose_run_failed_before_it_began_is_closed_not_lost(
    ledger: Ledger, instance: dg.DagsterInstance
) -> None:
    batch = claim(ledger)
    run_of(instance, dg.DagsterRunStatus.FAILURE, {RUN_KEY_TAG: batch, "dagster/will_retry": "false"})
    assert batches_to_offer(ledger, instance, {"/drop"}) == []
    assert state(ledger, batch) == "failed"


@pytest.mark.parametrize(
    ("retry", "expected"),
    [
        (dg.DagsterRunStatus.QUEUED, "running"),
        (dg.DagsterRunStatus.STARTED, "running"),
        (dg.DagsterRunStatus.CANCELED, "failed"),
        (dg.DagsterRunStatus.FAILURE, "failed"),
        (dg.DagsterRunStatus.SUCCESS, "done"),
    ],
)
def test_a_batch_ends_as_the_last_retry_of_its_run_ends(
    ledger: Ledger, instance: dg.DagsterInstance, retry: dg.DagsterRunStatus, expected: str
) -> None:
    batch = claim(ledger)
    died = run_of(instance, dg.DagsterRunStatus.FAILURE, {"dagster/will_retry": "true"}, DAEMONS)
    ledger.start_batch(batch, died)
    # It goes on after the asset that writes its id down, or ends before that.
    run_of(instance, retry, {PARENT_RUN_ID_TAG: died, ROOT_RUN_ID_TAG: died}, DAEMONS)
    settle_batches(ledger, instance)
    assert state(ledger, batch) == expected


@pytest.mark.parametrize("first", [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED])
def test_a_batch_given_back_after_its_run_key_was_used_up_is_offered_under_another(
    ledger: Ledger, instance: dg.DagsterInstance, first: dg.DagsterRunStatus
) -> None:
    batch = claim(ledger)
    run_of(instance, first, {RUN_KEY_TAG: batch}, DAEMONS)
    ledger.start_batch(batch, run_of(instance, dg.DagsterRunStatus.STARTED, DEAD))
    settle_batches(ledger, instance)
    (offered,) = batches_to_offer(ledger, instance, {"/drop"})
    assert offered.batch_id == batch and offered.run_key not in {batch, ""}
    (again,) = batches_to_offer(ledger, instance, {"/drop"})
    assert again.run_key == offered.run_key
    run_of(instance, dg.DagsterRunStatus.FAILURE, {RUN_KEY_TAG: offered.run_key, "dagster/will_retry": "false"})
    assert batches_to_offer(ledger, instance, {"/drop"}) == []
    assert state(ledger, batch) == "failed"


def test_a_claimed_batch_of_which_dagster_says_it_was_done_is_done_again(
    ledger: Ledger, instance: dg.DagsterInstance
) -> None:
    batch = claim(ledger)
    run_of(instance, dg.DagsterRunStatus.SUCCESS, {RUN_KEY_TAG: batch}, DAEMONS)
    batches_to_offer(ledger, instance, {"/drop"})
    (offered,) = batches_to_offer(ledger, instance, {"/drop"})
    assert offered.batch_id == batch and offered.run_key != batch


def test_the_oldest_batches_are_offered_first_and_not_all_at_once(ledger: Ledger, instance: dg.DagsterInstance) -> None:
    claimed = sorted(claim(ledger, f"{number}.mov") for number in range(MAX_OFFERED + 3))
    assert [offered.batch_id for offered in batches_to_offer(ledger, instance, {"/drop"})] == claimed[:MAX_OFFERED]


def test_a_process_that_is_killed_leaves_a_failed_run_and_no_pool_slot(
    home_settings: Settings, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    program = tmp_path / "killed.py"
    program.write_text(KILLED_IN_A_POOL)
    done = subprocess.run([sys.executable, str(program)], capture_output=True, check=False)
    assert done.returncode == -9, done.stderr[-2000:]
    assert instance.event_log_storage.get_concurrency_info("vector_writer").active_run_ids

    (failed,) = fail_dead_runs(instance)

    assert instance.get_runs()[0].run_id == failed.run_id
    assert instance.get_runs()[0].status == dg.DagsterRunStatus.FAILURE
    assert not instance.event_log_storage.get_concurrency_info("vector_writer").active_run_ids


def test_a_command_that_is_killed_before_its_run_starts_leaves_a_failed_run(instance: dg.DagsterInstance) -> None:
    run_id = run_of(instance, dg.DagsterRunStatus.NOT_STARTED, DEAD)
    assert [run.run_id for run in fail_dead_runs(instance)] == [run_id]


def test_a_retry_is_not_taken_for_the_dead_run_whose_tags_it_has(instance: dg.DagsterInstance) -> None:
    dead = run_of(instance, dg.DagsterRunStatus.FAILURE, DEAD)
    retry = instance.create_run_for_job(ingest_stand_in, tags=DEAD, parent_run_id=dead, root_run_id=dead)
    instance.handle_new_event(_started(retry.run_id, time.time()))
    assert fail_dead_runs(instance) == []


def test_a_run_that_never_said_where_it_is_counts_as_dead_after_minutes(instance: dg.DagsterInstance) -> None:
    now = time.time()
    runs = [run_of(instance, dg.DagsterRunStatus.NOT_STARTED, {}) for _ in range(2)]
    for run_id, ago_s in zip(runs, (UNMARKED_S / 2, UNMARKED_S * 2), strict=True):
        instance.handle_new_event(_started(run_id, now - ago_s))
    assert [run.run_id for run in fail_dead_runs(instance)] == [runs[1]]


def _started(run_id: str, at: float) -> EventLogEntry:
    event = DagsterEvent(DagsterEventType.RUN_START.value, ingest_stand_in.name)
    return EventLogEntry(None, 10, "", run_id, at, job_name=ingest_stand_in.name, dagster_event=event)


def test_a_run_that_goes_on_is_left_alone(instance: dg.DagsterInstance) -> None:
    run_of(instance, dg.DagsterRunStatus.STARTED, worker_tag())
    run_of(instance, dg.DagsterRunStatus.STARTED, {WORKER_TAG: "another-host:1:1"})
    assert fail_dead_runs(instance) == []


KILLED_IN_A_POOL = """
import os, signal
import dagster as dg
from thatdam_pipelines.defs.resources import library_of
from thatdam_pipelines.instance import open_instance
from thatdam_pipelines.settings import get_settings

@dg.asset(pool="vector_writer", required_resource_keys={"library"})
def dies():
    os.kill(os.getpid(), signal.SIGKILL)

with open_instance(get_settings(), capture_output=False) as instance:
    job = dg.Definitions(assets=[dies], jobs=[dg.define_asset_job("j")], resources={"library": library_of()})
    job.resolve_job_def("j").execute_in_process(instance=instance)
"""


def test_a_fresh_batch_of_a_command_is_left_to_the_command_and_an_old_one_is_offered(
    ledger: Ledger, instance: dg.DagsterInstance
) -> None:
    long_ago = datetime.now(UTC) - 2 * LEFT_TO_COMMANDS
    fresh = claim(ledger)
    old = ledger.create_batch("/drop", "copy", [Sighting("old.mov", 1, 1)], long_ago, settled=False)
    assert [offered.batch_id for offered in batches_to_offer(ledger, instance, {"/watched"})] == [old]
    assert fresh not in {offered.batch_id for offered in batches_to_offer(ledger, instance, {"/watched"})}
