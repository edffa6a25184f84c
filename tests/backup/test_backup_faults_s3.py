"""Faults of S3 servers, of the network, and of the power amid an upload; see ``test_backup_faults``."""

import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.backup.cases import Ask, Case, Table, completes, false_claims, points
from tests.backup.faulty_server import EVERY, FaultyServer
from thatdam_pipelines.backup.remote_place import PART_BYTES, RemotePlace
from thatdam_pipelines.backup.snapshot import take_snapshot
from thatdam_pipelines.errors import OfflineError, StoreError, ThatdamError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch


@pytest.fixture
def server(s3_server: str) -> Iterator[FaultyServer]:
    """A proxy in front of the S3 server."""
    proxy = FaultyServer(s3_server)
    yield proxy
    proxy.shutdown()
    proxy.server_close()


@pytest.fixture
def in_s3(fresh: Callable[..., Case], s3_server: str, server: FaultyServer, tmp_path: Path) -> Callable[[], Case]:
    """Gives copies of the template, each with a bucket of its own as target."""
    import s3fs

    numbers = itertools.count()

    def made() -> Case:
        case = fresh()
        bucket = f"faulty-{abs(hash(tmp_path)):x}-{next(numbers)}"
        s3fs.S3FileSystem(key="key", secret="secret", endpoint_url=s3_server).mkdir(bucket)
        access = {"s3_endpoint": server.address, "s3_key": "key", "s3_secret": "secret"}
        case.settings = case.settings.model_copy(update=access)
        case.disk = case.disk.model_copy(update={"url": f"s3://{bucket}/backup"})
        return case

    return made


def told_or_done(case: Case) -> bool:
    """Take a snapshot; whether it ends, or says that the server does not answer."""
    try:
        with Library(case.settings) as library:
            take_snapshot(library, case.disk)
    except ThatdamError as error:
        return isinstance(error, (OfflineError, StoreError)) and "does not answer" in str(error)
    return True


def test_a_server_that_fails_throttles_cuts_and_drops_is_survived_or_told(
    table: Table, in_s3: Callable[[], Case], server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RemotePlace, "pause_s", 0.01)
    chance = random.Random(11)
    count = good = 0
    for number in range(7):
        case = in_s3()
        kinds = ("500", "503", "drop", "cut")
        dead = number == 6
        server.begin({chance.randrange(4, 110): chance.choice(kinds) for _ in range(9)} if not dead else {EVERY: "500"})
        told = told_or_done(case)
        injected = min(server.injected, 9)
        server.begin({})
        count += injected
        good += injected * (told and not false_claims(case) and completes(case))
    table.rows["S3 fails, throttles, cuts off or drops"] = (count, good)
    assert count == good > 30


@pytest.mark.parametrize("fault", ["trickle", "stall"])
def test_a_network_that_trickles_or_stalls_is_survived_or_told(
    table: Table, in_s3: Callable[[], Case], server: FaultyServer, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    chance = random.Random(12)
    count = good = 0
    for _ in range(3):
        case = in_s3()
        many = {"trickle": 10, "stall": 3}[fault]
        server.begin(dict.fromkeys(chance.sample(range(4, 80), many), fault))
        with monkeypatch.context() as hasty:
            if fault == "stall":
                hasty.setattr(RemotePlace, "time_limit_s", 1.0)
            told = told_or_done(case)
        injected = server.injected
        server.begin({})
        count += injected
        good += injected * (told and not false_claims(case) and completes(case))
    table.rows[{"trickle": "network trickles", "stall": "network stalls past the time limit"}[fault]] = (count, good)
    assert count == good >= 6


def test_killed_amid_an_upload_it_goes_on(
    table: Table, ask: Ask, in_s3: Callable[[], Case], server: FaultyServer, tmp_path: Path
) -> None:
    (tmp_path / "large").mkdir()
    large = random.Random(13).randbytes(PART_BYTES + 2**20)
    (tmp_path / "large/B.MOV").write_bytes(large)

    def begin() -> Case:
        case = in_s3()
        with Library(case.settings) as library:
            for batch in claim_paths(library, [tmp_path / "large"], "copy"):
                ingest_batch(library, batch)
        case.contents = case.contents | {"large/B.MOV": large}
        return case

    server.kill = ask.kill_child
    server.begin({})
    case = begin()
    assert ask("snapshot", case.settings, case.disk)["ended"] == 0
    outcomes = []
    for at in points(14, server.seen, 8):
        case = begin()
        server.begin({at: "kill"})
        ended = ask("snapshot", case.settings, case.disk)["ended"]
        server.begin({})
        outcomes.append(ended in (-9, 0) and not false_claims(case) and completes(case))
    table.rows["kill -9 amid requests to S3"] = (len(outcomes), sum(outcomes))
    assert all(outcomes) and len(outcomes) >= 6
