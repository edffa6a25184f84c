"""Faults while a card is offloaded: each completes on the next try or is told of precisely; never a false verdict."""

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from thatdam_pipelines.backup import offload_destination, offload_part
from thatdam_pipelines.backup.offload import OffloadResult, Progress, offload
from thatdam_pipelines.library.checksum import Digest
from thatdam_pipelines.samples.cards import contents, put_files, write_card

CLIP = "DCIM/100TEST/C0003.MOV"
OFFLOAD = """
import sys
from pathlib import Path
from thatdam_pipelines.backup.offload import offload
print("begun", flush=True)
result = offload(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
print("safe" if result.is_safe else result.reasons, flush=True)
"""


@pytest.fixture
def card(tmp_path: Path) -> Path:
    write_card(tmp_path / "A001", clips=8)
    return tmp_path / "A001"


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    roots = [tmp_path / "one", tmp_path / "two"]
    for root in roots:
        root.mkdir()
    return roots


def at_file(name: str, act: Callable[[], object]) -> Callable[[Progress], None]:
    """Do something once, when a file of the card is being read."""
    done: list[bool] = []

    def on_progress(progress: Progress) -> None:
        if progress.file == name and not done:
            done.append(True)
            act()

    return on_progress


def whole(result: OffloadResult, card: Path) -> list[bool]:
    """Of each copy, whether it is said to be whole; and it is."""
    for copy in result.copies:
        if copy.is_whole:
            assert copy.folder is not None and contents(copy.folder) == contents(card)
    return [copy.is_whole for copy in result.copies]


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_and_run_again_it_ends_safe_and_whole(seed: int, tmp_path: Path, two: list[Path]) -> None:
    card = tmp_path / "A001"
    write_card(card, seed=seed, clips=60, clip_bytes=1_500_000)
    moments, killed = random.Random(seed), 0
    command = [sys.executable, "-c", OFFLOAD, str(card), *map(str, two)]
    for _ in range(6):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None and process.stdout.readline() == "begun\n"
            time.sleep(moments.uniform(0.0, 0.35))
            process.send_signal(signal.SIGKILL)
            killed += process.wait() == -signal.SIGKILL
        for root in two:
            for folder in root.glob("A001_*Z"):
                kept = {name for name in contents(folder) if not name.endswith(".part")}
                assert all((folder / name).read_bytes() == (card / name).read_bytes() for name in kept)
    assert killed
    result = offload(card, two)
    assert result.is_safe and whole(result, card) == [True, True]
    assert [len(list(root.iterdir())) for root in two] == [2, 2]


def test_what_an_interrupted_run_verified_is_not_read_again(card: Path, two: list[Path]) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    put_files(card, {f"big/{number}.MOV": os.urandom(70 * 2**20) for number in range(3)})
    with pytest.raises(KeyboardInterrupt):
        offload(card, two, on_progress=at_file("big/2.MOV", interrupt))
    assert not [path for root in two for path in root.rglob("*.part")]
    result = offload(card, two)
    assert result.is_safe and whole(result, card) == [True, True]
    for copy in result.copies:
        assert "big/0.MOV" in copy.earlier and "big/2.MOV" not in copy.earlier


def test_a_full_destination_costs_only_itself_and_completes_when_there_is_room(
    card: Path, two: list[Path], disk: Callable[..., Path]
) -> None:
    disk(two[0], "3m")
    filler = two[0] / "filler"

    def fill() -> None:
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError as error:
                assert error.errno == errno.ENOSPC

    result = offload(card, two, on_progress=at_file(CLIP, fill))
    assert not result.is_safe and whole(result, card) == [False, True]
    assert "No space left" in str(result.copies[0].failure)
    filler.unlink()
    assert whole(offload(card, two), card) == [True, True]


def test_a_destination_that_is_too_small_is_told_of_before_anything_is_read(
    card: Path, two: list[Path], disk: Callable[..., Path]
) -> None:
    disk(two[0], "1m")
    result = offload(card, two)
    assert whole(result, card) == [False, True] and "free" in str(result.copies[0].failure)


def test_an_unplugged_destination_costs_only_itself(card: Path, two: list[Path], disk: Callable[..., Path]) -> None:
    disk(two[0])

    def unplug() -> None:
        subprocess.run(["umount", "-l", str(two[0])], check=True)

    result = offload(card, two, on_progress=at_file(CLIP, unplug))
    assert not result.is_safe and whole(result, card) == [False, True]
    assert result.copies[0].failure == "the disk that was there is gone" and not result.copies[0].records
    assert not any(two[0].iterdir())


def test_unplugged_at_the_very_end_it_is_not_safe(card: Path, two: list[Path], disk: Callable[..., Path]) -> None:
    disk(two[0])
    total = sum(len(content) for content in contents(card).values())
    done: list[bool] = []

    def on_progress(progress: Progress) -> None:
        if progress.done_bytes == total and not done:
            done.append(True)
            subprocess.run(["umount", "-l", str(two[0])], check=True)

    result = offload(card, two, on_progress=on_progress)
    assert done and not result.is_safe and whole(result, card) == [False, True]


def test_another_disk_at_its_path_is_not_taken_for_the_destination(
    card: Path, two: list[Path], disk: Callable[..., Path]
) -> None:
    disk(two[0])
    result = offload(card, two, on_progress=at_file(CLIP, lambda: disk(two[0])))
    assert not result.is_safe and whole(result, card) == [False, True]
    assert result.copies[0].failure == "the disk that was there is gone"
    assert not any(two[0].iterdir())
    again = offload(card, two)
    assert whole(again, card) == [True, True] and not again.copies[0].resumed


def test_a_read_only_destination_costs_only_itself(card: Path, two: list[Path], disk: Callable[..., Path]) -> None:
    disk(two[0])
    subprocess.run(["mount", "-o", "remount,ro", str(two[0])], check=True)
    result = offload(card, two)
    assert whole(result, card) == [False, True] and "Read-only" in str(result.copies[0].failure)


def test_when_every_destination_fails_nothing_is_safe(card: Path, two: list[Path], disk: Callable[..., Path]) -> None:
    for root in two:
        disk(root, "1m")
    assert whole(offload(card, two), card) == [False, False]


@pytest.mark.parametrize("seed", range(5))
def test_a_byte_flipped_between_write_and_read_back_is_found(
    seed: int, card: Path, two: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    bits = random.Random(seed)
    real, flipped = offload_part.read_back, []

    def read_back(path: Path) -> Digest:
        if not flipped and path.is_relative_to(two[0]) and path.stat().st_size > 1000 and bits.random() < 0.3:
            content = bytearray(path.read_bytes())
            content[bits.randrange(len(content))] ^= 1 << bits.randrange(8)
            path.write_bytes(content)
            flipped.append(path)
        return real(path)

    monkeypatch.setattr(offload_part, "read_back", read_back)
    result = offload(card, two)
    assert flipped and not result.is_safe and whole(result, card) == [False, True]
    assert list(result.copies[0].failures.values()) == ["what the disk gives back is not what was read from the card"]
    assert whole(offload(card, two), card) == [True, True]


def test_a_file_that_is_written_while_it_is_read_is_told_of_and_completes_later(card: Path, two: list[Path]) -> None:
    def grow() -> None:
        with (card / CLIP).open("ab") as file:
            file.write(b"more")

    result = offload(card, two, on_progress=at_file(CLIP, grow))
    assert list(result.problems) == [CLIP] and not result.is_safe
    assert all(CLIP not in copy.records for copy in result.copies)
    assert whole(offload(card, two), card) == [True, True]


def test_a_file_that_is_replaced_by_another_of_its_size_and_time_is_told_of(card: Path, two: list[Path]) -> None:
    first = "DCIM/100TEST/C0000.MOV"

    def replace() -> None:
        found = (card / first).stat()
        (card / "new").write_bytes(os.urandom(found.st_size))
        (card / "new").replace(card / first)

    result = offload(card, two, on_progress=at_file(CLIP, replace))
    assert first in result.problems and not result.is_safe


def test_a_file_that_appears_or_goes_during_the_offload_makes_it_unsafe(card: Path, two: list[Path]) -> None:
    def change() -> None:
        (card / "late.MOV").write_bytes(b"late")
        (card / "DCIM/100TEST/C0000.MOV").unlink()

    result = offload(card, two, on_progress=at_file(CLIP, change))
    assert set(result.problems) == {"late.MOV", "DCIM/100TEST/C0000.MOV"}


def test_a_card_that_is_pulled_out_is_not_safe(tmp_path: Path, two: list[Path], disk: Callable[..., Path]) -> None:
    card = disk(tmp_path / "slot")
    write_card(card)
    result = offload(card, two, on_progress=at_file(CLIP, lambda: subprocess.run(["umount", "-l", str(card)])))
    assert not result.is_safe and result.problems["."] == "the card is gone"


@pytest.mark.parametrize("seed", range(5))
def test_a_journal_with_a_flipped_bit_never_vouches_for_more_than_there_is(
    seed: int, card: Path, two: list[Path]
) -> None:
    bits = random.Random(seed)
    offload(card, two)
    (journal,) = two[0].glob("*.offload/journal.jsonl")
    content = bytearray(journal.read_bytes())
    content[bits.randrange(len(content))] ^= 1 << bits.randrange(8)
    journal.write_bytes(content)
    result = offload(card, two)
    assert result.is_safe and whole(result, card) == [True, True]


def test_a_copy_removed_while_the_offload_goes_on_is_found_missing(card: Path, two: list[Path]) -> None:
    offload(card, two)
    put_files(card, {"late.MOV": b"late"})

    def remove() -> None:
        (next(two[0].glob("A001_*Z")) / CLIP).unlink()

    result = offload(card, two, on_progress=at_file("late.MOV", remove))
    assert whole(result, card) == [False, True] and CLIP in result.copies[0].failures


def test_an_offload_that_goes_on_elsewhere_is_not_joined(card: Path, two: list[Path]) -> None:
    offload(card, two)
    put_files(card, {"late.MOV": b"late"})
    inner: list[OffloadResult] = []
    result = offload(card, two, on_progress=at_file("late.MOV", lambda: inner.append(offload(card, two))))
    assert result.is_safe
    assert all("another offload is writing" in str(copy.failure) for copy in inner[0].copies)


def test_destinations_on_one_disk_are_warned_of(card: Path, two: list[Path], disk: Callable[..., Path]) -> None:
    assert "on one disk" in offload(card, two).warnings[0]
    disk(two[0])
    (warning,) = offload(card, two).warnings
    assert str(two[0]) not in warning


class Share:
    """The calls of the system on files of one destination, as of a share whose server can stall or go.

    What is read of an open file comes from memory, as it may of a real one; everything else meets ``before``.
    """

    CALLS = ("open", "write", "fsync", "link", "stat", "lstat", "unlink", "mkdir", "utime")

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = str(root)
        self.before: Callable[[str], None] = lambda name: None
        for name in self.CALLS:
            monkeypatch.setattr(os, name, self._meeting(name, getattr(os, name)))

    def _meeting(self, name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            path = arguments[0]
            if isinstance(path, int):
                path = os.readlink(f"/proc/self/fd/{path}")  # noqa: PTH115 - may be no path
            if os.fsdecode(path).startswith(self.root):  # type: ignore[arg-type]
                self.before(name)
            return real(*arguments, **options)

        return call

    def break_off(self, code: int) -> None:
        def fail(_name: str) -> None:
            raise OSError(code, os.strerror(code))

        self.before = fail

    def come_back(self) -> None:
        self.before = lambda name: None


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOTCONN, errno.ESTALE, errno.EHOSTDOWN, errno.ETIMEDOUT])
def test_a_share_that_breaks_off_while_it_is_written_costs_only_itself_and_completes_when_it_is_back(
    card: Path, two: list[Path], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(offload_destination, "_GROUP_FILES", 2)
    share = Share(two[0], monkeypatch)
    result = offload(card, two, on_progress=at_file(CLIP, lambda: share.break_off(code)))
    assert not result.is_safe and whole(result, card) == [False, True]
    assert os.strerror(code) in str(result.copies[0].failure) and not result.copies[0].records
    share.come_back()
    again = offload(card, two)
    assert again.is_safe and whole(again, card) == [True, True] and again.copies[0].resumed


def test_one_write_that_the_network_loses_is_told_of_and_made_good(
    card: Path, two: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    share = Share(two[0], monkeypatch)

    def lose(name: str) -> None:
        if name == "write":
            share.come_back()
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))

    def begin_to_lose() -> None:
        share.before = lose

    result = offload(card, two, on_progress=at_file(CLIP, begin_to_lose))
    assert whole(result, card) == [False, True]
    assert "not connected" in str(result.copies[0].failure)
    assert whole(offload(card, two), card) == [True, True]


def test_a_slow_destination_is_waited_for_and_the_reading_is_never_far_ahead_of_it(
    tmp_path: Path, two: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    card = tmp_path / "A001"
    write_card(card, clips=40, clip_bytes=50_000)
    share, written, read = Share(two[0], monkeypatch), 0, 0
    ahead: list[int] = []

    def slowly(name: str) -> None:
        nonlocal written
        if name == "write":
            time.sleep(0.01)
            written += 1

    def count(progress: Progress) -> None:
        nonlocal read
        read += bool(progress.file)
        ahead.append(read // 2 - written)

    share.before = slowly
    result = offload(card, two, on_progress=count)
    assert result.is_safe and whole(result, card) == [True, True]
    assert written >= 40 and max(ahead) <= offload_destination.QUEUE_BLOCKS + 8


def test_a_destination_that_stalls_is_waited_for(card: Path, two: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    share, stalls = Share(two[0], monkeypatch), {"write", "fsync", "link", "lstat"}

    def stall(name: str) -> None:
        if name in stalls:
            stalls.remove(name)
            time.sleep(0.5)

    share.before = stall
    result = offload(card, two)
    assert not stalls and result.is_safe and whole(result, card) == [True, True]


def test_an_offload_whose_destination_stalls_can_be_ended_and_goes_on_later(
    card: Path, two: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offload_destination, "_LET_GO_S", 0.2)
    share, stalled, goes_on = Share(two[0], monkeypatch), threading.Event(), threading.Event()

    def stall(_name: str) -> None:
        if threading.current_thread() is threading.main_thread():
            return
        if not stalled.is_set():
            stalled.set()
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        goes_on.wait(60)

    share.before = stall
    with pytest.raises(KeyboardInterrupt):
        offload(card, two)
    assert offload(card, two[1:]).is_safe
    share.come_back()
    goes_on.set()
    (left,) = (thread for thread in threading.enumerate() if thread.name == f"offload to {two[0]}")
    left.join(60)
    assert not left.is_alive() and whole(offload(card, two), card) == [True, True]


def test_a_disk_without_hard_links_gets_everything_and_overwrites_nothing(
    card: Path, two: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*arguments: object, **options: object) -> None:
        raise PermissionError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", link)
    result = offload(card, two)
    assert whole(result, card) == [True, True]
    folder = next(two[0].glob("A001_*Z"))
    (folder / CLIP).write_bytes(b"somebody else's")
    assert whole(offload(card, two), card) == [False, True]
    assert (folder / CLIP).read_bytes() == b"somebody else's"
