"""What the fault suites share: libraries to break, the table of what was injected, and what must hold afterwards."""

import json
import random
import sqlite3
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from thatdam_pipelines.backup.manifest import find_snapshot, list_snapshots, open_manifest, read_lines
from thatdam_pipelines.backup.snapshot import take_snapshot
from thatdam_pipelines.backup.targets import Target, object_key, open_target
from thatdam_pipelines.errors import OfflineError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.settings import BackupTarget, Settings


class Ask:
    """Asks a process of its own to snapshot, prune or restore with a fault at one of its system calls."""

    def __init__(self) -> None:
        program = [sys.executable, "-m", "thatdam_pipelines.samples.faults"]
        self._server = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(
        self, work: str, settings: Settings, disk: BackupTarget, at: int = 0, to: Path | None = None, **fault: Any
    ) -> Any:
        """Number of the call at which the fault strikes; what is answered is in ``samples.faults``."""
        assert self._server.stdin and self._server.stdout
        names = {"home", "embedder", "disk_reserve_bytes", "s3_endpoint", "s3_key", "s3_secret"}
        given = settings.model_dump(mode="json", include=names)
        request = {"work": work, "settings": given, "target": disk.model_dump(mode="json"), "at": at, "to": str(to)}
        self._server.stdin.write(json.dumps(request | {"fault": fault or {"kind": "none"}}) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())

    def kill_child(self) -> None:
        """Kill the process that is at work."""
        for child in psutil.Process(self._server.pid).children():
            child.kill()

    def end(self) -> None:
        assert self._server.stdin
        self._server.stdin.close()
        self._server.wait(30)


@dataclass
class Table:
    """What was injected and what became of it: by kind, faults and those survived."""

    rows: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{'fault':<44}{'injected':>9}{'survived':>9}{'lost':>6}"]
        total = (sum(count for count, _ in self.rows.values()), sum(good for _, good in self.rows.values()))
        for kind, (count, good) in [*self.rows.items(), ("all", total)]:
            lines.append(f"{kind:<44}{count:>9}{good:>9}{count - good:>6}")
        return "\n".join(lines)


@dataclass
class Case:
    """A library in a folder of its own, and its target: a disk unless told otherwise."""

    settings: Settings
    disk: BackupTarget
    contents: dict[str, bytes]

    def target(self) -> Target:
        return open_target(self.settings, self.disk)

    def kept(self) -> list[Path]:
        return sorted(path for path in Path(self.settings.media_url, "raw").rglob("*") if path.is_file())


def false_claims(case: Case) -> list[str]:
    """Copies that the ledger calls verified and that are not good; and what a snapshot names and has not whole."""
    with sqlite3.connect(case.settings.home / "library.db") as ledger:
        claimed = {row[0] for row in ledger.execute("SELECT blake3 FROM copies WHERE state = 'verified'")}
    ledger.close()
    try:
        target = case.target()
    except OfflineError:
        return sorted(claimed)
    named: set[str] = set()
    for name in list_snapshots(target):
        with open_manifest(target, name) as manifest:
            named |= {line.blake3 for line in read_lines(manifest) if not line.missing}
    return [blake3 for blake3 in sorted(claimed | named) if not target.holds(blake3)]


def is_whole(case: Case) -> bool:
    """Whether every original is in the library, and at the target in the newest snapshot."""
    if sorted(path.read_bytes() for path in case.kept()) != sorted(case.contents.values()):
        return False
    target = case.target()
    with open_manifest(target, find_snapshot(target, "latest")) as manifest:
        lines = [line for line in read_lines(manifest) if line.role == "original"]
    found = [b"".join(target.place.read(object_key(line.blake3))) for line in lines]
    return sorted(found) == sorted(case.contents.values())


def completes(case: Case) -> bool:
    """Whether the next try ends with a whole snapshot, and nothing is claimed that is not so."""
    with Library(case.settings) as library:
        report = take_snapshot(library, case.disk)
    return not report.missing and is_whole(case) and not false_claims(case)


def points(seed: int, total: int, count: int) -> list[int]:
    """Calls to strike at: spread over all of them, the last included."""
    chance = random.Random(seed)
    step = total / count
    return sorted({*(max(1, int(step * n + chance.random() * step)) for n in range(count - 1)), total})
