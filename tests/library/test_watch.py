"""A file of a watched folder is taken once, when it has come to rest."""

import os

import pytest

from thatdam_pipelines.samples.watched import Watched


def test_a_file_is_taken_when_two_looks_find_it_unchanged(watched: Watched) -> None:
    watched.drop("clip.mov")

    assert watched.tick().batches == []
    report = watched.tick()

    assert len(report.batches) == 1
    assert watched.batches() == [{"clip.mov"}]
    assert (report.online, report.changed, report.files, report.settled, report.waiting) == (True, False, 1, 1, 0)


def test_a_file_is_not_taken_before_it_has_settled_for_long_enough(watched: Watched) -> None:
    watched.drop("clip.mov")
    watched.tick()

    assert watched.tick(seconds=2).batches == []
    assert watched.tick(seconds=2).batches == []
    assert len(watched.tick(seconds=2).batches) == 1


def test_a_growing_file_is_not_taken(watched: Watched) -> None:
    for size in range(1, 6):
        watched.drop("clip.mov", b"x" * size)
        assert watched.tick().batches == []

    assert len(watched.tick().batches) == 1


def test_a_file_rewritten_at_the_same_size_is_not_taken(watched: Watched) -> None:
    for second in range(4):
        path = watched.drop("clip.mov", b"same size")
        os.utime(path, (second, second))
        assert watched.tick().batches == []


@pytest.mark.parametrize("year", [-100, 1, 60 * 365 * 86400, 250 * 365 * 86400], ids=["1969", "1970", "2030", "2220"])
def test_the_modification_time_may_be_anything(watched: Watched, year: int) -> None:
    path = watched.drop("clip.mov")
    os.utime(path, (year, year))

    watched.tick()

    assert len(watched.tick().batches) == 1


def test_a_clock_that_is_set_back_delays_and_loses_nothing(watched: Watched) -> None:
    watched.drop("clip.mov")
    watched.tick()

    assert watched.tick(seconds=-86400).batches == []
    assert len(watched.tick().batches) == 1


def test_a_known_file_is_not_taken_twice(watched: Watched) -> None:
    watched.drop("clip.mov")
    watched.tick()
    watched.tick()
    watched.ingest()

    reports = [watched.tick() for _ in range(3)]

    assert [report.batches for report in reports] == [[], [], []]
    assert [report.arrived for report in reports] == [0, 0, 0]
    assert watched.states() == {"clip.mov": "done"}


def test_a_known_file_that_changes_is_a_new_arrival(watched: Watched) -> None:
    watched.drop("clip.mov")
    watched.tick()
    watched.tick()
    watched.ingest()

    watched.drop("clip.mov", b"a new version")

    assert watched.tick().arrived == 1
    assert len(watched.tick().batches) == 1


def test_a_moved_file_that_is_dropped_again_is_a_new_arrival(watched: Watched) -> None:
    watched.mode = "move"
    path = watched.drop("clip.mov")
    os.utime(path, (5, 5))
    watched.tick()
    watched.tick()
    watched.ingest(moved=True)
    assert watched.tick().gone == 0

    os.utime(watched.drop("clip.mov"), (5, 5))

    watched.tick()
    assert len(watched.tick().batches) == 1


@pytest.mark.parametrize("name", ["a\nb.mov", 'it\'s "x".mov', "🎬.mov", "-rf.mov", "caf\udce9.mov", r"caf\xe9.mov"])
def test_any_name_is_taken(watched: Watched, name: str) -> None:
    watched.drop(f"x{name}/{name}")

    watched.tick()
    watched.tick()

    assert watched.batches() == [{f"x{name}/{name}"}]
    watched.ingest()
    assert watched.tick().arrived == 0


def test_a_file_that_failed_and_went_away_is_a_new_arrival_when_it_is_back(watched: Watched) -> None:
    path = watched.drop("clip.mov")
    os.utime(path, (5, 5))
    watched.tick()
    [batch] = watched.tick().batches
    watched.ledger.mark_files(batch, failed={"clip.mov": "it cannot be read (Permission denied)"})
    watched.ledger.finish_batch(batch, "done")
    path.unlink()
    assert watched.tick().gone == 1

    os.utime(watched.drop("clip.mov"), (5, 5))
    watched.tick()

    [again] = watched.tick().batches
    assert again != batch
