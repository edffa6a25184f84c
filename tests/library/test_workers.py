"""Worker processes: what they begin with, and what a job that goes wrong costs."""

import os
from collections.abc import Iterator

import pytest

from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.library.workers import NICENESS, Job, Workers


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers(1, 2**30)
    yield made
    made.close()


def job(payload: int) -> Job:
    return Job(f"m{payload}", f"{payload}.mov", payload, timeout_s=120)


def niceness(more: int) -> int:
    return os.nice(more)


def crash_on_one(payload: int) -> int:
    if payload == 1:
        os._exit(1)
    return payload


def test_decoding_gives_way_to_whoever_waits_for_an_answer(workers: Workers) -> None:
    [(_, found)] = workers.run(niceness, [job(0)])
    assert found == min(19, os.nice(0) + NICENESS)


def test_a_worker_that_dies_costs_its_own_file_only(workers: Workers) -> None:
    found = {done.media_id: result for done, result in workers.run(crash_on_one, [job(0), job(1), job(2)])}
    assert (found["m0"], found["m2"]) == (0, 2) and isinstance(found["m1"], MediaError)
