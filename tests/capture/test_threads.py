"""What several threads share stays whole: the list of wanted recordings, the log of frames."""

import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from thatdam_capture.progress import FrameLog
from thatdam_capture.sessions import Wanted, new_id
from thatdam_capture.store import Store
from thatdam_capture.wanted import WantedList


@pytest.fixture(autouse=True)
def _restless() -> Iterator[None]:
    """Threads take turns as often as they can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def together(*work: Callable[[], None]) -> None:
    """Run all at once; the first error of any is raised."""
    errors: list[Exception] = []

    def run(one: Callable[[], None]) -> None:
        try:
            one()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=[one]) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def wanted(camera_id: str) -> Wanted:
    return Wanted(
        id=new_id(),
        group_id="take",
        camera_id=camera_id,
        role=None,
        profile="h264",
        segment_s=60,
        max_s=None,
        started_utc=datetime.now(UTC),
    )


def test_cameras_that_begin_together_are_all_written_down(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.state.mkdir()
    listed = WantedList(store)

    def camera(name: str) -> Callable[[], None]:
        def work() -> None:
            for _ in range(40):
                passing = wanted(name)
                listed.put(passing)
                listed.write()
                listed.drop(passing)
            listed.put(wanted(name))
            listed.write()

        return work

    together(*(camera(f"cam{number}") for number in range(4)))
    assert sorted(one.camera_id for one in WantedList(store).read()) == ["cam0", "cam1", "cam2", "cam3"]


def test_frames_that_come_while_a_segment_is_committed_are_kept() -> None:
    log = FrameLog()
    fed = threading.Event()
    frames = 20_000

    def feed() -> None:
        for number in range(frames):
            log.feed(b"%d 1/1000\n" % number)
        fed.set()

    def commit() -> None:
        while not fed.is_set():
            log.clock()
            log.fps()
            log.forget_before(log.last_s - 1)

    together(feed, commit)
    log.forget_before(0)
    assert log.count == frames
    reading = log.clock((frames - 500) / 1000)
    assert reading is not None and log.fps(1000) * 1000 >= 1000
