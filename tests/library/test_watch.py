import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from thatdam_pipelines.library import watch
from thatdam_pipelines.library.ledger import Ledger
from thatdam_pipelines.library.watch import ScanReport, scan_folder
from thatdam_pipelines.settings import IngestMode, Settings, WatchedFolder

NOW = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
ALL_STATES = ("seen", "settled", "claimed", "done", "failed", "gone")


class Watched:
    """A watched folder with a clock of its own: each tick is six seconds after the last."""

    def __init__(self, settings: Settings, path: Path) -> None:
        self.settings = settings.model_copy(update={"watched": [*settings.watched, WatchedFolder(path=path)]})
        self.ledger = Ledger(settings.database_url)
        self.path = path
        self.mode: IngestMode = "copy"
        self.now = NOW
        path.mkdir(parents=True)

    def drop(self, name: str, content: bytes = b"frames") -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def tick(self, seconds: float = 6) -> ScanReport:
        self.now += timedelta(seconds=seconds)
        folder = WatchedFolder(path=self.path, mode=self.mode, settle_seconds=5)
        return scan_folder(self.ledger, self.settings, folder, self.now)

    def batches(self) -> list[set[str]]:
        pending = self.ledger.pending_batches()
        return [{file.rel_path for file in self.ledger.batch_files(batch.batch_id)} for batch in pending]

    def states(self) -> dict[str, str]:
        return {file.rel_path: file.state for file in self.ledger.files_in(str(self.path), ALL_STATES)}

    def ingest(self, *, moved: bool = False) -> None:
        """What a run does to the pending batches, as the ledger sees it."""
        from thatdam_pipelines.library.arrivals import Sighting

        for batch in self.ledger.pending_batches():
            files = [Sighting(f.rel_path, f.size_bytes, f.mtime_ns) for f in self.ledger.batch_files(batch.batch_id)]
            if moved:
                for file in files:
                    (self.path / file.rel_path).unlink()
            self.ledger.mark_files(batch.batch_id, done=[] if moved else files, moved=files if moved else [])
            self.ledger.finish_batch(batch.batch_id, "done")


@pytest.fixture
def watched(settings: Settings, tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(settings, tmp_path / "watched")
    yield watched
    watched.ledger.close()


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


@pytest.mark.parametrize(
    "name",
    [
        ".hidden.mov",
        "clip.mov.part",
        "clip.mov.tmp",
        "clip.MOV.TMP",
        "clip.mov.crdownload",
        "clip.mov.filepart",
        "clip.mov~",
        "@eaDir/clip.mov",
        ".Trash-1000/clip.mov",
        ".Trashes/clip.mov",
        "System Volume Information/clip.mov",
        "$RECYCLE.BIN/clip.mov",
        "lost+found/clip.mov",
        ".DS_Store",
        "Thumbs.db",
        "CARD/.Spotlight-V100/clip.mov",
    ],
)
def test_hidden_partial_and_system_files_are_ignored(watched: Watched, name: str) -> None:
    watched.drop(name)
    watched.drop("clip.mov")

    watched.tick()
    watched.tick()

    assert watched.states() == {"clip.mov": "claimed"}


@pytest.mark.parametrize("name", ["a\nb.mov", 'it\'s "x".mov', "🎬.mov", "-rf.mov", "caf\udce9.mov", r"caf\xe9.mov"])
def test_any_name_is_taken(watched: Watched, name: str) -> None:
    watched.drop(f"x{name}/{name}")

    watched.tick()
    watched.tick()

    assert watched.batches() == [{f"x{name}/{name}"}]
    watched.ingest()
    assert watched.tick().arrived == 0


def test_links_are_never_followed_and_loops_do_no_harm(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.mov").write_bytes(b"secret")
    (watched.path / "file.mov").symlink_to(tmp_path / "outside" / "secret.mov")
    (watched.path / "folder").symlink_to(tmp_path / "outside")
    (watched.path / "loop").symlink_to(watched.path)
    (watched.path / "broken.mov").symlink_to("nowhere")
    watched.drop("clip.mov")

    watched.tick()
    watched.tick()

    assert watched.states() == {"clip.mov": "claimed"}


def test_a_folder_that_is_replaced_by_a_link_just_now_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "A").symlink_to(tmp_path / "outside")

    with pytest.raises(NotADirectoryError), watch._entries(str(tmp_path / "top"), "A/"):
        pass


def test_what_is_not_a_regular_file_is_refused_once_with_a_reason(watched: Watched) -> None:
    os.mkfifo(watched.path / "pipe.mov")
    with socket.socket(socket.AF_UNIX) as listening:
        with contextlib.chdir(watched.path):
            listening.bind("socket.mov")
        watched.tick()
        (pipe, sock) = watched.ledger.files_in(str(watched.path), ["failed"])
        assert {pipe.reason, sock.reason} == {"it is not a regular file"}

        for _ in range(3):
            watched.tick()

    assert watched.states() == {"pipe.mov": "failed", "socket.mov": "failed"}
    assert watched.ledger.files_in(str(watched.path), ["failed"])[0].first_seen_utc == pipe.first_seen_utc


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


def test_an_unreachable_folder_is_reported_once_and_resumes(watched: Watched) -> None:
    watched.drop("A/1.mov")
    watched.tick()
    watched.path.rename(watched.path.with_name("unplugged"))

    reports = [watched.tick() for _ in range(3)]

    assert [(report.online, report.changed) for report in reports] == [(False, True), (False, False), (False, False)]
    assert "No such file" in reports[0].message
    folder = watched.ledger.folder(str(watched.path))
    assert folder is not None
    assert not folder.online
    assert watched.states() == {"A/1.mov": "seen"}
    watched.path.with_name("unplugged").rename(watched.path)
    back = watched.tick()
    assert (back.online, back.changed) == (True, True)
    assert watched.batches() == [{"A/1.mov"}]


def test_an_unmounted_disk_takes_nothing_with_it(watched: Watched) -> None:
    watched.mode = "reference"
    watched.drop("A/1.mov")
    watched.tick()
    watched.tick()
    watched.ingest()
    watched.path.rename(watched.path.with_name("unplugged"))
    watched.path.mkdir()

    report = watched.tick()

    assert (report.online, report.changed, report.gone) == (False, True, 0)
    assert "empty folder" in report.message
    assert watched.states() == {"A/1.mov": "done"}
    watched.path.rmdir()
    watched.path.with_name("unplugged").rename(watched.path)
    assert watched.tick().changed
    assert watched.tick().arrived == 0


def test_a_disk_below_the_folder_that_is_unmounted_and_mounted_again_is_not_ingested_again(watched: Watched) -> None:
    watched.drop("disk/1.mov")
    watched.drop("here.mov")
    watched.tick()
    watched.tick()
    watched.ingest()
    (watched.path / "disk").rename(watched.path.with_name("unplugged"))
    assert watched.tick().gone == 1
    watched.path.with_name("unplugged").rename(watched.path / "disk")

    reports = [watched.tick() for _ in range(3)]

    assert [report.batches for report in reports] == [[], [], []]
    assert watched.states() == {"disk/1.mov": "done", "here.mov": "done"}


def test_a_disk_that_goes_during_the_walk_takes_nothing_with_it(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.drop("A/1.mov")
    watched.tick()
    scandir = os.scandir
    looks = 0

    def pulled_out_in_between(path: object) -> object:
        nonlocal looks
        looks += 1
        if looks == 3:
            shutil.rmtree(watched.path)
        return scandir(path)  # type: ignore[call-overload]

    monkeypatch.setattr(watch.os, "scandir", pulled_out_in_between)

    assert watched.tick().gone == 0
    assert watched.states() == {"A/1.mov": "seen"}


def test_a_folder_that_is_truly_emptied_is_not_offline(watched: Watched) -> None:
    path = watched.drop("1.mov")
    watched.tick()
    watched.tick()
    watched.ingest()
    path.unlink()

    report = watched.tick()

    assert (report.online, report.gone) == (True, 1)


def test_a_folder_below_that_cannot_be_read_takes_nothing_with_it_and_is_named(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.drop("A/1.mov")
    watched.drop("B/1.mov")
    watched.tick()
    open_ = os.open

    def refuse(path: str, flags: int, *args: object, **kwargs: object) -> int:
        if path == str(watched.path / "A"):
            raise PermissionError(13, "Permission denied", path)
        return open_(path, flags, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(watch.os, "open", refuse)
    report = watched.tick()

    assert report.message == "A/ cannot be read (Permission denied)"
    assert report.gone == 0
    assert {"B/1.mov"} in watched.batches()


def test_the_library_never_takes_its_own_files(settings: Settings, tmp_path: Path) -> None:
    watched = Watched(settings, tmp_path / "all")
    inner = watched.path / "inner"
    home = watched.path / "home"
    watched.settings = settings.model_copy(
        update={"home": home, "watched": [WatchedFolder(path=watched.path), WatchedFolder(path=inner)]}
    )
    for name in ("home/library.db", "home/media/raw/1.mov", "inner/1.mov", "mine.mov"):
        watched.drop(name)

    watched.tick()

    assert set(watched.states()) == {"mine.mov"}
    watched.ledger.close()


def test_two_scanners_at_once_take_each_file_once(watched: Watched) -> None:
    for number in range(40):
        watched.drop(f"card {number % 8}/{number}.mov")
    program = (
        "import sys\n"
        "from datetime import datetime, timedelta, UTC\n"
        "from pathlib import Path\n"
        "from thatdam_pipelines.library.ledger import Ledger\n"
        "from thatdam_pipelines.library.watch import scan_folder\n"
        "from thatdam_pipelines.settings import Settings, WatchedFolder\n"
        "settings = Settings(home=Path(sys.argv[1]))\n"
        "folder = WatchedFolder(path=Path(sys.argv[2]), settle_seconds=0)\n"
        "ledger = Ledger(settings.database_url)\n"
        "for tick in range(30):\n"
        "    scan_folder(ledger, settings, folder, datetime.now(UTC))\n"
    )
    scanners = [
        subprocess.Popen([sys.executable, "-c", program, str(watched.settings.home), str(watched.path)])
        for _ in range(2)
    ]

    assert [scanner.wait(timeout=60) for scanner in scanners] == [0, 0]
    taken = [path for batch in watched.batches() for path in batch]
    assert len(taken) == len(set(taken)) == 40


def test_ticks_killed_at_any_point_lose_and_double_nothing(watched: Watched) -> None:
    for number in range(300):
        watched.drop(f"card {number % 20}/{number}.mov")
    program = (
        "import sys\n"
        "from datetime import datetime, timedelta, UTC\n"
        "from pathlib import Path\n"
        "from thatdam_pipelines.library.ledger import Ledger\n"
        "from thatdam_pipelines.library.watch import scan_folder\n"
        "from thatdam_pipelines.settings import Settings, WatchedFolder\n"
        "settings = Settings(home=Path(sys.argv[1]), batch_max_files=4)\n"
        "folder = WatchedFolder(path=Path(sys.argv[2]), settle_seconds=0)\n"
        "print('ready', flush=True)\n"
        "ledger = Ledger(settings.database_url)\n"
        "for tick in range(int(sys.argv[3])):\n"
        "    scan_folder(ledger, settings, folder, datetime.now(UTC))\n"
    )
    arguments = [sys.executable, "-c", program, str(watched.settings.home), str(watched.path)]
    chance = random.Random(4)
    for _ in range(6):
        with subprocess.Popen([*arguments, "1000"], stdout=subprocess.PIPE) as scanner:
            assert scanner.stdout is not None
            scanner.stdout.readline()
            time.sleep(chance.uniform(0.02, 0.12))
            scanner.send_signal(signal.SIGKILL)
    subprocess.run([*arguments, "6"], check=True, stdout=subprocess.DEVNULL)

    taken = [path for batch in watched.batches() for path in batch]
    assert len(taken) == len(set(taken)) == 300
    assert set(watched.states().values()) == {"claimed"}
