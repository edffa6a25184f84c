"""What came to rest in a watched folder is claimed in batches of one folder, bounded in size and number."""

import pytest

from thatdam_pipelines.library import watch
from thatdam_pipelines.samples.watched import Watched


def test_each_folder_at_the_top_is_a_batch_and_so_are_the_files_beside_them(watched: Watched) -> None:
    for name in ("A/DCIM/1.mov", "A/DCIM/2.mov", "B/1.mov", "1.mov", "2.mov"):
        watched.drop(name)

    watched.tick()
    watched.tick()

    assert sorted(map(sorted, watched.batches())) == [
        ["1.mov", "2.mov"],
        ["A/DCIM/1.mov", "A/DCIM/2.mov"],
        ["B/1.mov"],
    ]


def test_a_folder_waits_for_its_last_file_and_holds_no_other_up(watched: Watched) -> None:
    watched.drop("A/1.mov")
    watched.drop("B/1.mov")
    for number in range(3):
        watched.drop("A/2.mov", b"x" * number)
        watched.tick()

    assert watched.batches() == [{"B/1.mov"}]
    watched.tick()
    assert {frozenset(batch) for batch in watched.batches()} == {
        frozenset({"B/1.mov"}),
        frozenset({"A/1.mov", "A/2.mov"}),
    }


def test_a_folder_in_which_a_file_never_stops_growing_is_taken_without_it_in_the_end(watched: Watched) -> None:
    watched.drop("A/done.mov")
    ticks = 0
    while not watched.batches():
        watched.drop("A/growing.mov", b"x" * (ticks + 1))
        watched.tick()
        ticks += 1

    assert watched.batches() == [{"A/done.mov"}]
    assert ticks * 6 <= watched.settings.batch_wait_seconds + 3 * 6


def test_a_file_that_vanishes_while_it_settles_holds_nobody_up(watched: Watched) -> None:
    watched.drop("A/1.mov")
    watched.drop("A/2.mov")
    watched.tick()
    (watched.path / "A" / "2.mov").unlink()

    assert watched.tick().gone == 1
    assert watched.batches() == [{"A/1.mov"}]


def test_batches_are_bounded_in_files_and_bytes(watched: Watched) -> None:
    watched.settings = watched.settings.model_copy(update={"batch_max_files": 3, "batch_max_bytes": 10})
    for number in range(5):
        watched.drop(f"A/{number}.mov", b"x")
    for number in range(4):
        watched.drop(f"B/{number}.mov", b"x" * 4)
    watched.drop("C/large.mov", b"x" * 100)
    watched.drop("C/small.mov", b"x")

    watched.tick()
    watched.tick()

    assert sorted(len(batch) for batch in watched.batches()) == [1, 1, 2, 2, 2, 3]
    assert {"C/large.mov"} in watched.batches()


def test_full_batches_go_while_further_files_arrive(watched: Watched) -> None:
    watched.settings = watched.settings.model_copy(update={"batch_max_files": 3})
    for number in range(4):
        watched.drop(f"A/{number}.mov")
    watched.tick()
    watched.drop("A/5.mov")

    watched.tick()

    assert watched.batches() == [{"A/0.mov", "A/1.mov", "A/2.mov"}]


def test_one_call_makes_at_most_25_batches_and_the_next_goes_on(watched: Watched) -> None:
    for number in range(30):
        watched.drop(f"card {number}/1.mov")

    watched.tick()

    assert len(watched.tick().batches) == 25
    assert len(watched.tick().batches) == 5
    assert len({frozenset(batch) for batch in watched.batches()}) == 30


def test_a_scan_that_runs_out_of_time_goes_on_in_the_next(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        watched.drop(f"card {number}/1.mov")
    monkeypatch.setattr(watch, "MAX_SECONDS", -1.0)
    reports = [watched.tick() for _ in range(7)]

    assert [report.complete for report in reports] == [False] * 6 + [True]
    assert [report.files for report in reports] == [0, 1, 1, 1, 1, 1, 1]
    assert set(watched.states().values()) == {"seen"}
    monkeypatch.undo()
    assert len(watched.tick().batches) == 6
