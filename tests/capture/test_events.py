"""Events are numbered for good; the newest picture never waits for a slow reader; frame times tell the clock."""

import asyncio
import contextlib
import time
from fractions import Fraction
from pathlib import Path

import pytest

from thatdam_capture.events import EventLog
from thatdam_capture.latest_frame import LatestFrame
from thatdam_capture.progress import FrameLog
from thatdam_capture.recording import Backoff
from thatdam_capture.settings import Timing


def test_numbers_rise_over_restarts(tmp_path: Path) -> None:
    path = tmp_path / "events.seq"
    first = EventLog(path)
    numbers = [first.publish("one").seq, first.publish("two").seq]
    again = EventLog(path)
    assert numbers == sorted(numbers) and again.publish("three").seq > numbers[-1]


def test_since_gives_what_memory_holds() -> None:
    log = EventLog(kept=3)
    events = [log.publish("tick", number=number) for number in range(5)]
    assert log.since(0) == events[2:]
    assert log.since(events[3].seq) == events[4:]
    assert log.since(99) == []


def test_a_subscriber_gets_the_missed_and_the_new() -> None:
    async def story() -> list[int]:
        log = EventLog()
        for number in range(3):
            log.publish("tick", number=number)
        seen = []

        async def read() -> None:
            async for event in log.subscribe(since=1):
                seen.append(event.data["number"])

        reader = asyncio.create_task(read())
        await asyncio.sleep(0.01)
        log.publish("tick", number=3)
        await asyncio.sleep(0.01)
        reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reader
        return seen

    assert asyncio.run(story()) == [1, 2, 3]


def test_a_store_that_is_gone_is_not_made_again_for_a_number(tmp_path: Path) -> None:
    EventLog(tmp_path / "gone" / "events.seq").publish("tick")
    assert not (tmp_path / "gone").exists()


def test_a_slow_reader_gets_the_newest_picture_and_misses_the_others() -> None:
    async def story() -> list[bytes]:
        frame = LatestFrame()
        waiting = asyncio.create_task(frame.next())
        await asyncio.sleep(0)
        for number in range(100):
            frame.put(b"%d" % number)
        first = await waiting
        for number in range(100, 200):
            frame.put(b"%d" % number)
        return [first.jpeg, (await frame.next(first.number)).jpeg]

    assert asyncio.run(story()) == [b"99", b"199"]


class Clock:
    """Monotonic time as a test sets it."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_earliest_arrivals_tell_the_wall_clock() -> None:
    clock = Clock()
    log = FrameLog(Fraction(25), clock)
    for number in range(100):
        clock.now = 1000 + number / 25 + (0.3 if number % 7 == 0 else 0.002)
        log.feed(b"%d 1/25\n" % number)
    reading = log.clock()
    assert reading is not None
    start = time.time() - clock.now + 1000
    assert reading.zero_utc_s == pytest.approx(start, abs=0.02)
    assert log.count == 100 and log.dropped == 0
    log.forget_before(3.0)
    assert log.count == 100 and log.clock(0, 2.9) is None


def test_times_that_jump_are_counted_as_dropped_frames() -> None:
    log = FrameLog(Fraction(25))
    log.feed(b"0 1/25\n1 1/25\n4 1/25\n5 1/2")
    log.feed(b"5\n")
    assert (log.count, log.dropped) == (4, 2)


def test_lines_of_framecrc_are_read_as_well() -> None:
    log = FrameLog()
    log.feed(b"#software: Lavf\n#tb 0: 1/90000\n0, 0, 9000, 3600, 100, 0x0\nnonsense\n0, x\n")
    assert (log.count, log.last_s) == (1, 0.1)


def test_waits_double_and_begin_small_again_after_good_data() -> None:
    backoff = Backoff(Timing())
    assert [backoff.after(0) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert backoff.after(31) == 0.5
