"""Ticks of the sensor over real folders, with a real ledger and instance, dying at every step of their way."""

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.tags import RUN_KEY_TAG

from thatdam_pipelines.defs.ingest import sensors
from thatdam_pipelines.defs.ingest.sensors import incoming_sensor
from thatdam_pipelines.library.arrivals import Batch
from thatdam_pipelines.library.ledger import Ledger
from thatdam_pipelines.settings import Settings, WatchedFolder, get_settings

ORIGIN = RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("thatdam"), "__repository__"), "ingest")


class Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


@dg.op
def nothing() -> None: ...


@dg.job
def stand_in() -> None:
    nothing()


class Daemon:
    """What Dagster's sensor daemon does with a tick: partitions first, then a run for each run key without one."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.cursor: str | None = None

    def tick(self) -> dg.SensorResult:
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor)
        result = incoming_sensor(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        return result

    def add_partitions(self, result: dg.SensorResult) -> None:
        for request in result.dynamic_partitions_requests or []:
            self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))

    def submit(self, requests: list[dg.RunRequest]) -> None:
        for request in requests:
            if self.instance.get_runs(dg.RunsFilter(tags={RUN_KEY_TAG: request.run_key or ""})):
                continue
            tags = {RUN_KEY_TAG: request.run_key or "", "dagster/partition": request.partition_key or ""}
            queued = dg.DagsterRunStatus.QUEUED
            self.instance.create_run_for_job(stand_in, tags=tags, status=queued, remote_job_origin=ORIGIN)

    def deliver(self, result: dg.SensorResult) -> None:
        self.add_partitions(result)
        self.submit(list(result.run_requests or []))

    def settle(self) -> None:
        """Enough ticks for everything that is there to be claimed and asked for."""
        for _ in range(4):
            self.deliver(self.tick())


@pytest.fixture
def daemon(instance: dg.DagsterInstance) -> Daemon:
    return Daemon(instance)


@pytest.fixture
def drop(home_settings: Settings) -> Callable[..., None]:
    def write(*names: str) -> None:
        for name in names:
            path = home_settings.incoming_dir / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())

    return write


def batches(settings: Settings) -> list[Batch]:
    with closing(Ledger(settings.database_url)) as ledger:
        return ledger.batches(limit=None)


def claimed_files(settings: Settings) -> list[str]:
    with closing(Ledger(settings.database_url)) as ledger:
        return sorted(file.rel_path for batch in ledger.batches() for file in ledger.batch_files(batch.batch_id))


def runs_by_batch(instance: dg.DagsterInstance) -> dict[str, int]:
    counted: dict[str, int] = {}
    for run in instance.get_runs():
        counted[run.tags[RUN_KEY_TAG]] = counted.get(run.tags[RUN_KEY_TAG], 0) + 1
    return counted


def test_a_drop_becomes_a_partition_and_one_run_of_the_ingest_job(
    daemon: Daemon, drop: Callable[..., None], home_settings: Settings, instance: dg.DagsterInstance
) -> None:
    drop("a.mov", "b.mov")
    daemon.settle()
    (batch,) = batches(home_settings)
    assert instance.get_dynamic_partitions("ingest_batch") == [batch.batch_id]
    assert runs_by_batch(instance) == {batch.batch_id: 1}
    assert claimed_files(home_settings) == ["a.mov", "b.mov"]


def test_an_empty_folder_gives_a_reason_not_a_run(daemon: Daemon, home_settings: Settings) -> None:
    result = daemon.tick()
    assert not result.run_requests
    assert "nothing new" in str(result.skip_reason)
    assert home_settings.incoming_dir.is_dir()


def test_files_that_settle_are_counted_in_the_reason(
    daemon: Daemon, drop: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THATDAM_SETTLE_SECONDS", "3600")
    get_settings.cache_clear()
    drop("a.mov", "b.mov", "c.mov")
    daemon.tick()
    assert "3 files settling" in str(daemon.tick().skip_reason)


def test_an_offline_folder_is_named_and_does_not_stop_the_others(
    daemon: Daemon,
    drop: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    home_settings: Settings,
) -> None:
    away = tmp_path / "nas"
    monkeypatch.setenv("THATDAM_WATCHED", f'[{{"path": "{away}", "settle_seconds": 0}}]')
    get_settings.cache_clear()
    assert [request.job_name for request in daemon.tick().run_requests or []] == ["publish_catalog"]
    assert f"{away} is offline" in str(daemon.tick().skip_reason)
    drop("a.mov")
    daemon.settle()
    away.mkdir()
    (away / "b.mov").write_bytes(b"b")
    daemon.settle()
    assert claimed_files(home_settings) == ["a.mov", "b.mov"]


def die_after(monkeypatch: pytest.MonkeyPatch, where: object, name: str) -> None:
    """The first call of a function does its work and never returns."""
    real = getattr(where, name)

    def dies(*args: Any, **named: Any) -> Any:
        monkeypatch.setattr(where, name, real)
        real(*args, **named)
        raise Killed

    monkeypatch.setattr(where, name, dies)


def die_before(monkeypatch: pytest.MonkeyPatch, where: object, name: str) -> None:
    real = getattr(where, name)

    def dies(*args: Any, **named: Any) -> Any:
        monkeypatch.setattr(where, name, real)
        raise Killed

    monkeypatch.setattr(where, name, dies)


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (sensors, "settle_batches"),
        (Ledger, "record_scan"),
        (Ledger, "folder_online"),
        (Ledger, "create_batch"),
        (sensors, "scan_folder"),
        (sensors, "batches_to_offer"),
    ],
)
@pytest.mark.parametrize("die", [die_before, die_after])
def test_a_tick_that_dies_at_any_step_loses_and_doubles_nothing(
    daemon: Daemon,
    drop: Callable[..., None],
    home_settings: Settings,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    die: Callable[[pytest.MonkeyPatch, object, str], None],
    where: object,
    name: str,
) -> None:
    drop("card/DCIM/a.mov", "card/DCIM/b.mov", "c.mov")
    die(monkeypatch, where, name)
    deaths = 0
    for _ in range(5):
        try:
            daemon.deliver(daemon.tick())
        except Killed:
            deaths += 1
    assert deaths == 1
    assert claimed_files(home_settings) == ["c.mov", "card/DCIM/a.mov", "card/DCIM/b.mov"]
    assert runs_by_batch(instance) == {batch.batch_id: 1 for batch in batches(home_settings)}


@pytest.mark.parametrize("delivered", ["nothing", "partitions", "one of two runs", "everything"])
def test_a_tick_whose_answer_is_half_delivered_is_made_good_by_the_next(
    daemon: Daemon, drop: Callable[..., None], home_settings: Settings, instance: dg.DagsterInstance, delivered: str
) -> None:
    drop("one/a.mov", "two/b.mov")
    result = daemon.tick()
    while not result.run_requests:
        result = daemon.tick()
    requests = list(result.run_requests)
    assert len(requests) == 2
    if delivered != "nothing":
        daemon.add_partitions(result)
    if delivered == "one of two runs":
        daemon.submit(requests[:1])
    elif delivered == "everything":
        daemon.submit(requests)
    daemon.cursor = None
    daemon.settle()
    assert runs_by_batch(instance) == {batch.batch_id: 1 for batch in batches(home_settings)}
    assert len(batches(home_settings)) == 2


def test_a_batch_is_offered_no_more_once_its_run_has_begun(
    daemon: Daemon, drop: Callable[..., None], home_settings: Settings, instance: dg.DagsterInstance
) -> None:
    drop("a.mov")
    daemon.settle()
    assert daemon.tick().run_requests
    run = instance.get_runs()[0]
    with closing(Ledger(home_settings.database_url)) as ledger:
        ledger.start_batch(run.tags[RUN_KEY_TAG], run.run_id)
    assert not daemon.tick().run_requests


def test_names_that_are_not_text_are_taken_like_any_other(
    daemon: Daemon, home_settings: Settings, instance: dg.DagsterInstance
) -> None:
    home_settings.incoming_dir.mkdir(parents=True)
    for name in (b"caf\xe9.mov", b"-rf.mov", b"two\nlines.mov", "\N{CLAPPER BOARD}.mov".encode()):
        Path(os.fsdecode(os.fsencode(home_settings.incoming_dir) + b"/" + name)).write_bytes(name)
    daemon.settle()
    assert sum(batch.files for batch in batches(home_settings)) == 4
    assert runs_by_batch(instance) == {batch.batch_id: 1 for batch in batches(home_settings)}


def test_a_folder_that_people_add_is_watched_from_the_next_tick_on(home_settings: Settings, daemon: Daemon) -> None:
    folder = home_settings.home.parent / "nas"
    folder.mkdir()
    (folder / "clip.mov").write_bytes(b"footage")
    daemon.settle()
    with closing(Ledger(home_settings.database_url)) as ledger:
        assert ledger.batches() == []
        ledger.watched.add(WatchedFolder(path=folder, mode="reference", settle_seconds=0), "maria")
        daemon.settle()
        (batch,) = ledger.batches()
        assert (batch.root, batch.mode) == (str(folder), "reference")
        assert ledger.watched.remove(folder)
        (folder / "second.mov").write_bytes(b"footage")
        daemon.settle()
        assert len(ledger.batches()) == 1
