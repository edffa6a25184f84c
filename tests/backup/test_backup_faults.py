"""Faults injected into backups: each is survived by the next try or told precisely; nothing is lost, nothing is called
verified that is not. Seeds are fixed; the table that is printed says how many there were."""

import json
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any, ClassVar

import pytest

from thatdam_pipelines.backup.audit import audit_target
from thatdam_pipelines.backup.manifest import find_snapshot, list_snapshots, open_manifest, read_lines
from thatdam_pipelines.backup.remote_place import RemotePlace
from thatdam_pipelines.backup.restore import Wanted, restore
from thatdam_pipelines.backup.snapshot import take_snapshot
from thatdam_pipelines.backup.targets import Target, object_key, open_target
from thatdam_pipelines.backup.verify import verify_originals
from thatdam_pipelines.errors import OfflineError, StoreError, ThatdamError
from thatdam_pipelines.library.checksum import digest_file
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.settings import BackupTarget, Retention, Settings

LEAST = 200
KINDS = 14
ONE = Retention(keep_last=1, keep_daily=0, keep_weekly=0, keep_monthly=0)
Ask = Callable[..., dict[str, Any]]


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


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    kept = Table()
    yield kept
    sys.__stderr__.write(f"\n{kept}\n")  # type: ignore[union-attr]
    if len(kept.rows) == KINDS:
        assert sum(count for count, _ in kept.rows.values()) >= LEAST


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """Asks a process of its own to snapshot, prune or restore with a fault at one of its system calls."""
    program = [sys.executable, "-m", "thatdam_pipelines.samples.faults"]
    server = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdin and server.stdout

    def asked(
        work: str, settings: Settings, disk: BackupTarget, at: int = 0, to: Path | None = None, **fault: Any
    ) -> Any:
        assert server.stdin and server.stdout
        given = {"home": str(settings.home), "embedder": "descriptor", "disk_reserve_bytes": 0}
        request = {"work": work, "settings": given, "target": disk.model_dump(), "at": at, "to": str(to)}
        server.stdin.write(json.dumps(request | {"fault": fault or {"kind": "none"}}) + "\n")
        server.stdin.flush()
        return json.loads(server.stdout.readline())

    yield asked
    server.stdin.close()
    server.wait(30)


@dataclass
class Case:
    """A library in a folder of its own, and a disk as its target."""

    settings: Settings
    disk: BackupTarget
    contents: dict[str, bytes]

    def target(self) -> Target:
        return open_target(self.settings, self.disk)

    def kept(self) -> list[Path]:
        return sorted(path for path in Path(self.settings.media_url, "raw").rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Six originals in two batches."""
    top = tmp_path_factory.mktemp("template")
    chance = random.Random(7)
    contents = {f"card{n % 2}/A{n}.MOV": chance.randbytes(2_000 * (n + 1)) for n in range(6)}
    settings = Settings(home=top / "home", embedder="descriptor", disk_reserve_bytes=0)
    for name, content in contents.items():
        (top / name).parent.mkdir(exist_ok=True)
        (top / name).write_bytes(content)
    with Library(settings) as library:
        for folder in ("card0", "card1"):
            for batch in claim_paths(library, [top / folder], "copy"):
                ingest_batch(library, batch)
    return Case(settings, BackupTarget(name="disk", url=str(top / "disk"), retention=ONE), contents)


@pytest.fixture
def fresh(template: Case, tmp_path: Path) -> Callable[..., Case]:
    """Gives copies of the template, each in a folder of its own, with as many snapshots as wanted."""
    made = 0

    def copy(snapshots: int = 0) -> Case:
        nonlocal made
        made += 1
        top = tmp_path / str(made)
        shutil.copytree(template.settings.home, top / "home")
        settings = template.settings.model_copy(update={"home": top / "home"})
        case = Case(settings, template.disk.model_copy(update={"url": str(top / "disk")}), template.contents)
        for _ in range(snapshots):
            with Library(settings) as library:
                take_snapshot(library, case.disk)
        return case

    return copy


def false_claims(case: Case) -> list[str]:
    """Copies that the ledger calls verified and that are not good; and what a snapshot names and has not whole."""
    disk = Path(case.disk.url)
    with sqlite3.connect(case.settings.home / "library.db") as ledger:
        claimed = {row[0] for row in ledger.execute("SELECT blake3 FROM copies WHERE state = 'verified'")}
    ledger.close()
    named: set[str] = set()
    if (disk / "thatdam-backup.json").exists():
        target = case.target()
        for name in list_snapshots(target):
            with open_manifest(target, name) as manifest:
                named |= {line.blake3 for line in read_lines(manifest) if not line.missing}
    bad = []
    for blake3 in sorted(claimed | named):
        path = disk / object_key(blake3)
        if not path.exists() or digest_file(path).blake3 != blake3:
            bad.append(blake3)
    return bad


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
            named = [one["path"].endswith(victim.name) for one in verify_originals(library).wrong] == [True]
        told = ended["ended"] == 0 and named and not false_claims(case)
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


class Faulty(BaseHTTPRequestHandler):
    """Passes requests on to an S3 server; some it answers with an error, cuts off or drops, as ``plan`` says."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    behind = ("", 0)
    plan: ClassVar[dict[int, str]] = {}
    lock = Lock()
    seen = 0
    injected = 0

    def _pass(self) -> None:
        with Faulty.lock:
            Faulty.seen += 1
            fault = Faulty.plan.get(Faulty.seen) or Faulty.plan.get(-1)
            Faulty.injected += fault is not None
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if fault == "drop":
            self.close_connection = True
            return
        if fault in ("500", "503"):
            code = {"500": "InternalError", "503": "SlowDown"}[fault]
            self._answer(int(fault), {}, f"<Error><Code>{code}</Code><Message>injected</Message></Error>".encode())
            return
        onward = HTTPConnection(*Faulty.behind)
        onward.request(self.command, self.path, body, dict(self.headers))
        answer = onward.getresponse()
        content = answer.read()
        cut = fault == "cut" and self.command == "GET" and len(content) > 1
        self._answer(answer.status, dict(answer.getheaders()), content, cut=cut)
        onward.close()

    def _answer(self, status: int, headers: dict[str, str], content: bytes, *, cut: bool = False) -> None:
        self.send_response_only(status)
        length = headers.get("Content-Length", str(len(content))) if self.command == "HEAD" else str(len(content))
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def faulty_s3(s3_server: str) -> Iterator[str]:
    """Address of a proxy in front of the S3 server."""
    host, _, port = s3_server.removeprefix("http://").partition(":")
    Faulty.behind, Faulty.plan, Faulty.seen, Faulty.injected = (host, int(port)), {}, 0, 0
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Faulty)
    proxy.daemon_threads = True
    Thread(target=proxy.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{proxy.server_address[1]}"
    proxy.shutdown()


def test_a_server_that_fails_throttles_cuts_and_drops_is_survived_or_told(
    table: Table, fresh: Any, s3_server: str, faulty_s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    monkeypatch.setattr(RemotePlace, "pause_s", 0.01)
    chance = random.Random(11)
    count = good = 0
    for number in range(7):
        case: Case = fresh()
        bucket = f"faulty-{number}"
        s3fs.S3FileSystem(key="key", secret="secret", endpoint_url=s3_server).mkdir(bucket)
        case.settings = case.settings.model_copy(
            update={"s3_endpoint": faulty_s3, "s3_key": "key", "s3_secret": "secret"}
        )
        case.disk = case.disk.model_copy(update={"url": f"s3://{bucket}/backup"})
        dead = number == 6
        Faulty.seen = Faulty.injected = 0
        kinds = ("500", "503", "drop", "cut")
        Faulty.plan = {chance.randrange(4, 110): chance.choice(kinds) for _ in range(9)} if not dead else {-1: "500"}
        told = True
        try:
            with Library(case.settings) as library:
                take_snapshot(library, case.disk)
        except ThatdamError as error:
            told = isinstance(error, (OfflineError, StoreError)) and "does not answer" in str(error)
        count += min(Faulty.injected, 9)
        Faulty.plan = {}
        with Library(case.settings) as library:
            again = take_snapshot(library, case.disk)
            target = open_target(case.settings, case.disk, library.ledger)
            sound = not audit_target(library, target, share=1.0).wrong
        good += min(Faulty.injected, 9) * (told and not again.missing and is_whole(case) and sound)
    table.rows["S3 fails, throttles, cuts off or drops"] = (count, good)
    assert count == good > 30
