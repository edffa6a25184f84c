"""Faults around the ASC MHL of an offload: killed while it is written, bits flipped in it, a clock that was moved."""

import datetime as calendar
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import ascmhl.commands
import ascmhl.hashlist
import ascmhl.utils
import pytest
from click.testing import CliRunner

from thatdam_pipelines.backup import mhl, offload_part
from thatdam_pipelines.backup import offload as offloading
from thatdam_pipelines.backup.offload import OffloadResult, Progress, offload
from thatdam_pipelines.backup.offload_account import record_offload
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.media.hash_lists import CHAIN
from thatdam_pipelines.samples.cards import contents, put_files, write_card
from thatdam_pipelines.settings import Settings

CLIP = "DCIM/100TEST/C0001.MOV"
KILLED = """
import os, signal, sys
from pathlib import Path
import ascmhl.generator
from thatdam_pipelines.backup import mhl, offload
from thatdam_pipelines.samples.faults import Trap

def write_generation(*arguments):
    with Trap(int(at), lambda: os.kill(os.getpid(), signal.SIGKILL)):
        mhl.write_generation(*arguments)
    os._exit(7)

offload.write_generation = write_generation
for line in sys.stdin:
    at, card, root = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if child == 0:
        offload.offload(Path(card), [Path(root)])
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Kills an offload at a call of the system while it writes the history; ended by 7 when that was written by then."""


@pytest.fixture
def card(tmp_path: Path) -> Path:
    write_card(tmp_path / "A001", clips=2, clip_bytes=3000)
    return tmp_path / "A001"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "ssd").mkdir()
    return tmp_path / "ssd"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the clock of the machine, as far as an offload looks at it, so many days off."""
    off = calendar.timedelta()

    class Clock(calendar.datetime):
        @classmethod
        def now(cls, tz: calendar.tzinfo | None = None) -> "Clock":
            return cls.fromtimestamp((calendar.datetime.now(calendar.UTC) + off).timestamp(), tz)

    for module in (offloading, offload_part, ascmhl.hashlist):
        monkeypatch.setattr(module, "datetime", Clock)
    named = SimpleNamespace(datetime=Clock, timedelta=calendar.timedelta, timezone=calendar.timezone)
    monkeypatch.setattr(ascmhl.utils, "datetime", named)

    def move(days: float) -> None:
        nonlocal off
        off = calendar.timedelta(days=days)

    return move


def require_accepted(folder: Path) -> None:
    for command in (ascmhl.commands.diff, ascmhl.commands.verify):
        done = CliRunner().invoke(command, [str(folder)])
        assert done.exit_code == 0, (command.name, done.output, done.exception)


def folder_of(result: OffloadResult) -> Path:
    found = result.copies[0].folder
    assert found is not None
    return found


def manifests(folder: Path) -> list[Path]:
    """Of the history of a copy, oldest first; there is nothing else in it but the chain."""
    assert {path.suffix for path in (folder / "ascmhl").iterdir()} == {".mhl", ".xml"}
    return sorted((folder / "ascmhl").glob("*.mhl"))


@pytest.mark.parametrize("generation", [1, 2])
def test_killed_before_within_or_after_the_manifest_it_ends_with_a_valid_history(
    generation: int, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", KILLED]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        for call in count(1):
            card, target = tmp_path / f"{call}/A001", tmp_path / f"{call}/ssd"
            write_card(card, clips=2, clip_bytes=3000)
            target.mkdir()
            if generation == 2:
                offload(card, [target])
                put_files(card, {"late.MOV": b"late"})
            process.stdin.write(f"{call}\t{card}\t{target}\n")
            process.stdin.flush()
            ended = int(process.stdout.readline())
            assert ended in (-signal.SIGKILL, 7)
            result = offload(card, [target])
            assert result.is_safe and contents(folder_of(result)) == contents(card), call
            # Killed after it was written and before that was noted, it is written once more.
            assert len(manifests(folder_of(result))) in (generation, generation + 1), call
            require_accepted(folder_of(result))
            if ended == 7:
                break
        assert call > 6
        process.stdin.close()


@pytest.mark.parametrize("more", [{}, {"late.MOV": b"late"}], ids=["nothing new", "a new file"])
@pytest.mark.parametrize("name", ["*.mhl", CHAIN])
def test_a_bit_flipped_in_the_history_at_a_destination_is_told_of_and_nothing_is_overwritten(
    name: str, more: dict[str, bytes], card: Path, target: Path, tmp_path: Path
) -> None:
    (tmp_path / "nas").mkdir()
    folder = folder_of(offload(card, [target, tmp_path / "nas"]))
    put_files(card, {"DCIM/second.MOV": b"second"})
    offload(card, [target, tmp_path / "nas"])
    put_files(card, more)
    sound = {path: path.read_bytes() for path in (folder / "ascmhl").iterdir()}
    damaged = min((folder / "ascmhl").glob(name))
    bits = random.Random(f"{name} {more}")
    # Not all that a chain consists of says something.
    says = [at for found in re.finditer(b"<(path|c4)>(.+)</", sound[damaged]) for at in range(*found.span(2))]
    struck = says if name == CHAIN else range(len(sound[damaged]))
    for _ in range(12):
        content = bytearray(sound[damaged])
        content[bits.choice(struck)] ^= 1 << bits.randrange(7)
        damaged.write_bytes(content)
        result = offload(card, [target, tmp_path / "nas"])
        assert not result.is_safe and not result.problems and result.copies[1].is_whole
        (reason,) = result.reasons
        assert reason.startswith(f"ascmhl at {target}: ") and ("000" in reason or CHAIN in reason)
        kept = {path: path.read_bytes() for path in (folder / "ascmhl").iterdir()}
        assert kept == sound | {damaged: content}
    damaged.write_bytes(sound[damaged])
    assert offload(card, [target, tmp_path / "nas"]).is_safe
    require_accepted(folder)


def test_a_history_that_is_damaged_and_moved_away_is_begun_anew(card: Path, target: Path, tmp_path: Path) -> None:
    folder = folder_of(offload(card, [target]))
    (manifest,) = manifests(folder)
    manifest.write_bytes(b"rotten")
    assert not offload(card, [target]).is_safe
    (folder / "ascmhl").rename(tmp_path / "away")
    assert offload(card, [target]).is_safe and len(manifests(folder)) == 1
    require_accepted(folder)


def test_a_manifest_that_does_not_read_back_as_it_was_written_is_told_of(
    card: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copyfile(source: Path, part: Path) -> None:
        part.write_bytes(source.read_bytes().replace(b"thatdam", b"thatdan"))

    with monkeypatch.context() as patched:
        patched.setattr(mhl.shutil, "copyfile", copyfile)
        result = offload(card, [target])
    assert not result.is_safe and "is not what ascmhl_chain.xml says" in result.reasons[0]


@pytest.mark.parametrize("days", [-4000.0, -1 / 24, 1 / 24, 4000.0])
def test_a_clock_that_is_moved_between_runs_changes_neither_folder_nor_verdict(
    days: float, card: Path, target: Path, clock: Callable[..., None]
) -> None:
    folder = folder_of(offload(card, [target]))
    put_files(card, {"late.MOV": b"late"})
    clock(days)
    result = offload(card, [target])
    assert (
        result.is_safe and folder_of(result) == folder and len(result.copies[0].earlier) == len(result.card.files) - 1
    )
    assert contents(folder) == contents(card)
    assert [path.name[:5] for path in manifests(folder)] == ["0001_", "0002_"]
    clock(0)
    put_files(card, {"later.MOV": b"later"})
    assert folder_of(offload(card, [target])) == folder and len(manifests(folder)) == 3
    require_accepted(folder)


@pytest.mark.parametrize("days", [-4000.0, 4000.0])
def test_a_clock_that_is_moved_while_a_card_is_read_changes_nothing(
    days: float, card: Path, target: Path, clock: Callable[..., None]
) -> None:
    def on_progress(progress: Progress) -> None:
        if progress.file == CLIP:
            clock(days)

    result = offload(card, [target], on_progress=on_progress)
    assert result.is_safe and contents(folder_of(result)) == contents(card)
    assert 0 < result.seconds < 3600
    assert offload(card, [target]).copies[0].earlier == set(contents(card))
    require_accepted(folder_of(result))


def test_two_cards_that_a_clock_gives_the_same_second_are_both_kept(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(calendar.datetime):
        @classmethod
        def now(cls, tz: calendar.tzinfo | None = None) -> "Stopped":
            return cls(2000, 1, 1, tzinfo=tz)

    monkeypatch.setattr(offloading, "datetime", Stopped)
    cards = [tmp_path / "x/A001", tmp_path / "y/A001"]
    made = [write_card(card, seed=seed, clips=1) for seed, card in enumerate(cards)]
    assert [contents(folder_of(offload(card, [target]))) for card in cards] == made
    assert [contents(folder_of(offload(card, [target]))) for card in cards] == made


def test_a_card_that_ended_not_safe_is_told_of_though_the_clock_was_ahead_when_it_was_safe(
    card: Path, target: Path, settings: Settings, clock: Callable[..., None]
) -> None:
    with Library(settings) as library:
        clock(4000)
        record_offload(library, offload(card, [target]))
        clock(0)
        (card / "link").symlink_to(card)
        record_offload(library, offload(card, [target]))
        (row,) = library.ledger.offloads.unsafe()
        assert row.reasons.startswith("link")
        (card / "link").unlink()
        record_offload(library, offload(card, [target]))
        assert library.ledger.offloads.unsafe() == []
