"""Faults injected into backups: each is survived by the next try or told precisely; nothing is lost, nothing is called
verified that is not. Seeds are fixed; the table that is printed says how many there were."""

import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.backup.cases import Ask, Case, Table, completes, false_claims, is_whole, points
from thatdam_pipelines.backup.audit import audit_target
from thatdam_pipelines.backup.manifest import find_snapshot, list_snapshots
from thatdam_pipelines.backup.restore import Wanted, restore
from thatdam_pipelines.backup.snapshot import take_snapshot
from thatdam_pipelines.backup.targets import open_target
from thatdam_pipelines.backup.verify import verify_originals
from thatdam_pipelines.errors import StoreError
from thatdam_pipelines.library.checksum import digest_file
from thatdam_pipelines.library.home import Library


def struck(ask: Ask, fresh: Any, work: str, seed: int, count: int, snapshots: int = 0, **fault: Any) -> Iterator[Any]:
    """Cases in which the fault struck at calls spread over the whole of the work, with what came of it."""

    def begin() -> tuple[Case, Path]:
        case = fresh(snapshots)
        return case, case.settings.home.parent / "restored"

    case, to = begin()
    total = int(ask(work, case.settings, case.disk, to=to)["said"])
    for at in points(seed, total, count):
        case, to = begin()
        yield case, ask(work, case.settings, case.disk, at, to=to, **fault)


def test_killed_while_copying_hashing_or_writing_the_manifest(table: Table, ask: Ask, fresh: Any) -> None:
    outcomes = [
        ended["ended"] in (-9, 0) and not false_claims(case) and completes(case)
        for case, ended in struck(ask, fresh, "snapshot", 1, 60, kind="kill")
    ]
    table.rows["kill -9 in a first snapshot"] = (len(outcomes), sum(outcomes))
    assert all(outcomes) and len(outcomes) >= 50


def test_killed_in_a_later_snapshot(table: Table, ask: Ask, fresh: Any) -> None:
    outcomes = [
        ended["ended"] in (-9, 0) and is_whole(case) and not false_claims(case) and completes(case)
        for case, ended in struck(ask, fresh, "snapshot", 2, 15, snapshots=1, kind="kill")
    ]
    table.rows["kill -9 in a later snapshot"] = (len(outcomes), sum(outcomes))
    assert all(outcomes) and len(outcomes) >= 10


def test_killed_while_pruning(table: Table, ask: Ask, fresh: Any) -> None:
    outcomes = []
    for case, ended in struck(ask, fresh, "prune", 3, 15, snapshots=2, kind="kill"):
        again = ask("prune", case.settings, case.disk)
        left = len(list_snapshots(case.target()))
        outcomes.append(ended["ended"] in (-9, 0) and again["ended"] == 0 and left == 1 and completes(case))
    table.rows["kill -9 in pruning"] = (len(outcomes), sum(outcomes))
    assert all(outcomes) and len(outcomes) >= 8


def test_killed_while_restoring_a_home(table: Table, ask: Ask, fresh: Any) -> None:
    outcomes = []
    for case, ended in struck(ask, fresh, "restore", 4, 15, snapshots=1, kind="kill"):
        to = case.settings.home.parent / "restored"
        half = [path for path in to.rglob("*.MOV") if path.read_bytes() not in case.contents.values()]
        target = case.target()
        done = restore([target], find_snapshot(target, "latest"), Wanted(everything=True), to)
        found = sorted(path.read_bytes() for path in to.rglob("*.MOV"))
        whole = found == sorted(case.contents.values()) and not done.problems
        outcomes.append(ended["ended"] in (-9, 0) and not half and whole)
    table.rows["kill -9 in a restore"] = (len(outcomes), sum(outcomes))
    assert all(outcomes) and len(outcomes) >= 10


@pytest.mark.parametrize(("kind", "says"), [("full", "No space left"), ("io", "Input/output")])
def test_a_target_that_is_full_or_fails_is_told_and_nothing_is_claimed(
    table: Table, ask: Ask, fresh: Any, kind: str, says: str
) -> None:
    outcomes = []
    for case, ended in struck(ask, fresh, "snapshot", 5, 15, kind=kind):
        told = ended["ended"] == 0 or (
            ended["ended"] == 1 and any(said in ended["said"] for said in (says, "is full", "cannot be read"))
        )
        outcomes.append(told and not false_claims(case) and completes(case))
    table.rows[{"full": "disk full", "io": "disk fails"}[kind] + " at a call"] = (len(outcomes), sum(outcomes))
    assert all(outcomes) and len(outcomes) >= 10


@pytest.mark.parametrize("other", [False, True])
def test_unplugged_or_swapped_in_the_middle_is_told_and_nothing_is_claimed(
    table: Table, ask: Ask, fresh: Any, other: bool
) -> None:
    def begin() -> Case:
        case: Case = fresh()
        with Library(case.settings) as library:
            open_target(case.settings, case.disk, library.ledger, create=True)
        return case

    stranger, case = fresh(1), begin()
    total = int(ask("snapshot", case.settings, case.disk)["said"])
    outcomes = []
    for at in points(6, total, 15):
        case = begin()
        disk, away, swap = (Path(f"{case.disk.url}{end}") for end in ("", ".away", ".other"))
        names = [[str(disk), str(away)]]
        if other:
            shutil.copytree(stranger.disk.url, swap)
            names.append([str(swap), str(disk)])
        ended = ask("snapshot", case.settings, case.disk, at, kind="rename", names=names)
        told = ended["ended"] == 0 or ended["said"].startswith(("OfflineError", "StoreError"))
        if away.exists():
            shutil.rmtree(disk, ignore_errors=True)
            away.rename(disk)
        outcomes.append(told and not false_claims(case) and completes(case))
    table.rows["another disk mounted meanwhile" if other else "unplugged meanwhile"] = (len(outcomes), sum(outcomes))
    assert all(outcomes) and len(outcomes) >= 10


def flip(path: Path, chance: random.Random) -> None:
    """Turn one bit."""
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.chmod(0o644)
    path.write_bytes(content)


def test_a_bit_that_flips_at_the_target_is_named_never_restored_and_made_good(table: Table, fresh: Any) -> None:
    chance, outcomes = random.Random(8), []
    for _ in range(30):
        case = fresh(1)
        victim = chance.choice(sorted(path for path in Path(case.disk.url, "objects").rglob("*") if path.is_file()))
        flip(victim, chance)
        to = case.settings.home.parent / "restored"
        target = case.target()
        done = restore([target], find_snapshot(target, "latest"), Wanted(everything=True), to)
        with Library(case.settings) as library:
            named = [one["what"] for one in audit_target(library, target, share=1.0).wrong]
        kept_out = len(done.problems) >= 1 and all("damaged there" in one["reason"] for one in done.problems)
        # What was the database of then is in no library any more, and cannot be made good.
        original = victim.name in {digest_file(path).blake3 for path in case.kept()}
        outcomes.append(named == [victim.name] and kept_out and (completes(case) or not original))
    table.rows["bit flipped in a copy"] = (len(outcomes), sum(outcomes))
    assert all(outcomes)


def test_a_bit_that_flips_in_a_manifest_is_named_and_costs_nothing_while_its_spare_is_good(
    table: Table, fresh: Any
) -> None:
    chance, outcomes = random.Random(9), []
    for number in range(12):
        case = fresh(1)
        folders = (["snapshots"], ["spare"], ["snapshots", "spare"])[number % 3]
        for folder in folders:
            (manifest,) = Path(case.disk.url, folder).iterdir()
            flip(manifest, chance)
        with Library(case.settings) as library:
            named = audit_target(library, case.target(), share=0.01).wrong
        told = sum("hash" in one["what"] for one in named) == len(folders)
        if len(folders) == 1:
            outcomes.append(told and is_whole(case))
        else:
            with pytest.raises(StoreError, match="lost"):
                is_whole(case)
            with Library(case.settings) as library:
                take_snapshot(library, case.disk)
            outcomes.append(told and is_whole(case))
    table.rows["bit flipped in a manifest"] = (len(outcomes), sum(outcomes))
    assert all(outcomes)


def test_a_bit_that_flips_in_an_original_is_never_counted_and_is_healed(table: Table, fresh: Any) -> None:
    chance, outcomes = random.Random(10), []
    for number in range(20):
        case = fresh(number % 2)
        victim = chance.choice(case.kept())
        flip(victim, chance)
        with Library(case.settings) as library:
            report = take_snapshot(library, case.disk)
            told = len(report.missing) == (0 if number % 2 else 1)
            targets = [open_target(case.settings, case.disk, library.ledger)]
            wrong = verify_originals(library, heal_from=targets)
            named = [one["path"].endswith(victim.name) for one in wrong.wrong] == [True]
        healed = not wrong.unhealed and is_whole(case) if number % 2 else wrong.unhealed == 1
        outcomes.append(told and named and healed and not false_claims(case))
    table.rows["bit flipped in an original"] = (len(outcomes), sum(outcomes))
    assert all(outcomes)


def test_an_original_that_is_written_to_while_it_is_read_is_never_counted_as_it_was(
    table: Table, ask: Ask, fresh: Any
) -> None:
    case = fresh()
    total = int(ask("snapshot", case.settings, case.disk)["said"])
    outcomes = []
    for number, at in enumerate(points(12, total, 15)):
        case = fresh()
        victim = case.kept()[number % len(case.kept())]
        before = victim.read_bytes()
        ended = ask("snapshot", case.settings, case.disk, at, kind="append", path=str(victim))
        with Library(case.settings) as library:
            named = [Path(one["path"]).name for one in verify_originals(library).wrong]
        # How many calls a snapshot takes differs by a few: the last points may lie behind its end.
        struck = int(ended["said"]) >= at
        told = ended["ended"] == 0 and named == [victim.name] * struck and not false_claims(case)
        victim.write_bytes(before)
        outcomes.append(told and completes(case))
    table.rows["original written to while read"] = (len(outcomes), sum(outcomes))
    assert all(outcomes) and len(outcomes) >= 10


def test_a_disk_that_really_is_full_is_told_and_goes_on_when_it_has_space(
    table: Table, fresh: Any, disk: Callable[..., Path]
) -> None:
    outcomes = []
    for size_kb in (16, 32, 64):
        case: Case = fresh()
        root = disk(Path(case.disk.url), f"{size_kb}k")
        with Library(case.settings) as library, pytest.raises(StoreError, match="full"):
            take_snapshot(library, case.disk)
        claimed = false_claims(case)
        subprocess.run(["mount", "-o", "remount,size=8m", str(root)], check=True)
        outcomes.append(not claimed and completes(case))
    table.rows["disk really full (tmpfs)"] = (len(outcomes), sum(outcomes))
    assert all(outcomes)
