"""A run killed with SIGKILL again and again, then run to its end: the same library as if nothing had happened."""

import contextlib
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest

from thatdam_pipelines.instance import POOL_LIMITS, open_instance, prepare_instance
from thatdam_pipelines.library.catalog import run_sql
from thatdam_pipelines.library.checksum import digest_file
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.ledger import Ledger
from thatdam_pipelines.library.schemas import AUDIO, FAILURE_TABLES, LOCATIONS, MEDIA, PROXIES, TABLES, TRANSCRIPTS
from thatdam_pipelines.library.schemas_motion import MOTION
from thatdam_pipelines.library.store import raw_folder
from thatdam_pipelines.library.table import Table
from thatdam_pipelines.library.vectors import VectorIndex
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.runs import run_batches
from thatdam_pipelines.search.search import Query, Searcher
from thatdam_pipelines.settings import IngestMode, Settings

MARK = "TEST_OF_KILLS"

CLOCKS = {
    MEDIA.name: {"first_seen_utc"},
    LOCATIONS.name: {"verified_utc"},
    PROXIES.name: {"elapsed_s"},
    AUDIO.name: {"cpu_s"},
    MOTION.name: {"cpu_s"},
    TRANSCRIPTS.name: {"cpu_s"},
    **{table.name: {"failed_utc"} for table in FAILURE_TABLES},
}
"""Columns that say when something was done or how long it took, which no two runs share. All others must be equal,
with the batch's own id and folder, and the folder of the drop, written as BATCH, RAW and DROP."""

TIMED_NAME = re.compile(r"(?<=fingerprint_keys/)\d+-[0-9a-f]+|(?<=_)\d{4}-\d\d-\d\d_\d{6}Z")
"""What a segment of the index of fingerprints, and a generation of an ASC MHL history, are called by."""

VICTIM = """
import itertools, os, signal, sys, threading, time
from dagster import DagsterInstance
from thatdam_pipelines.library.text import TextIndex
from thatdam_pipelines.library.vectors import VectorIndex
from thatdam_pipelines.runs import run_batches
from thatdam_pipelines.settings import get_settings

batch, stage, least, operations, after_s = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:5]), float(sys.argv[5])
CHANGES = {"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "sqlite3.connect"}
seen = itertools.count(1)
armed = False

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def count(event, arguments):
    if event in CHANGES and next(seen) > operations:
        die()

def reached(name, done):
    global armed
    if armed or name != stage or done < least:
        return
    armed = True
    if operations:
        sys.addaudithook(count)
    elif not after_s:
        die()
    else:
        threading.Thread(target=lambda: (time.sleep(after_s), die()), daemon=True).start()

def announcing(kind, method, name):
    call = getattr(kind, method)
    def announced(*arguments):
        reached(name, 0)
        return call(*arguments)
    setattr(kind, method, announced)

def progress(doing, done, total):
    print(doing, flush=True)
    reached(doing.rpartition(": ")[2], done)

announcing(DagsterInstance, "add_run_tags", "just begun")
announcing(VectorIndex, "index_batch", "vector_index")
announcing(TextIndex, "index_batch", "text_index")
run_batches(get_settings(), [batch], understand=True, on_progress=progress)
"""


@dataclass(frozen=True)
class Kill:
    """When a run dies by its own hand.

    Args:
        stage: After this stage announced ``least`` files done,
        operations: at the first file operation after so many, or, if 0,
        after_s: after this time; at once if 0.
    """

    stage: str
    least: int = 0
    operations: int = 0
    after_s: float = 0.0


def kills(chance: random.Random) -> list[Kill]:
    """One in each stage, in their order: between two files, between two file operations, or at any time."""
    return [
        Kill("ingesting 1/1", operations=chance.randint(1, 40)),
        Kill("just begun"),
        Kill("raw_media", operations=chance.randint(1, 60)),
        Kill("raw_media", least=chance.randint(2, 6)),
        Kill("probes", least=chance.randint(1, 6)),
        Kill("embeddings_l0", least=chance.randint(1, 5)),
        Kill("vector_index", after_s=chance.uniform(0, 0.4)),
        Kill("text_index", operations=chance.randint(1, 4)),
        Kill("proxies", least=chance.randint(1, 5)),
        Kill("proxies", after_s=chance.uniform(0, 0.5)),
        Kill("embeddings_l1", least=chance.randint(1, 5)),
        Kill("embeddings_l2", after_s=chance.uniform(0, 0.1)),
        Kill("tags", operations=chance.randint(1, 12)),
        Kill("vector_index", after_s=chance.uniform(0, 0.4)),
        Kill("publishing", operations=chance.randint(1, 60)),
    ]


@dataclass
class Home:
    """A home with one claimed batch, and what is found in it in the end."""

    settings: Settings
    drop: Path
    batch: str
    mode: IngestMode
    scratch: Path
    survived: list[Kill] = field(default_factory=list)
    died: int = 0
    left_running: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def environment(self) -> dict[str, str]:
        chosen = {
            "THATDAM_HOME": str(self.settings.home),
            "THATDAM_EMBEDDER": "descriptor",
            "THATDAM_WORKERS": "2",
            "THATDAM_DISK_RESERVE_BYTES": "0",
            "HF_HUB_OFFLINE": "1",
            "TMPDIR": str(self.scratch),
            MARK: self.settings.home.name,
        }
        return {**os.environ, **chosen}

    @contextlib.contextmanager
    def victim(self, kill: Kill) -> Iterator[subprocess.Popen[bytes]]:
        arguments = [self.batch, kill.stage, str(kill.least), str(kill.operations), str(kill.after_s)]
        errors = self.scratch.parent / "errors.txt"
        with (
            errors.open("wb") as log,
            subprocess.Popen(
                [sys.executable, "-c", VICTIM, *arguments],
                env=self.environment(),
                cwd=self.scratch,
                stdout=subprocess.PIPE,
                stderr=log,
            ) as process,
        ):
            yield process
        assert process.returncode in (0, -signal.SIGKILL), errors.read_text(errors="replace")[-3000:]
        self.died += process.returncode != 0
        self.left_running += left_running(self.settings.home.name)

    def die(self, kill: Kill) -> None:
        """Run until ``kill`` strikes."""
        with self.victim(kill) as process:
            process.communicate(timeout=300)
        if not process.returncode:
            self.survived.append(kill)

    def die_within(self, seconds: float) -> None:
        """Run and be killed from outside, so long after the work began; not if it has ended by then."""
        with self.victim(Kill("never")) as process:
            assert process.stdout is not None
            process.stdout.readline()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
            process.kill()

    def run_to_the_end(self) -> None:
        started = time.monotonic()
        report = run_batches(self.settings, [self.batch], understand=True)
        assert report.success, report.failed
        self.seconds = time.monotonic() - started


def left_running(mark: str) -> list[str]:
    """Processes with this mark that are still there seconds after their ancestor died."""
    deadline = time.monotonic() + 20
    while (found := list(_marked(f"{MARK}={mark}".encode()))) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def _marked(mark: bytes) -> Iterator[str]:
    for entry in Path("/proc").glob("[0-9]*"):
        # One that has ended but was not waited for has no environment any more.
        with contextlib.suppress(OSError):
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                yield (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five clips of two seconds and two shots, one of them twice, a still, and a clip that lost its end."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "B").mkdir()
    sources = ("testsrc2", "mandelbrot", "smptebars", "rgbtestsrc", "life=mold=10:life_color=blue")
    for number, source in enumerate(sources):
        first = f"{source}{':' if '=' in source else '='}size=160x90:rate=25"
        cut = f"[0:v]trim=duration=1[a];[1:v]trim=duration={1 + number / 25}[b];[a][b]concat"
        inputs = ["-f", "lavfi", "-i", first, "-f", "lavfi", "-i", "testsrc=size=160x90:rate=25"]
        inputs += ["-f", "lavfi", "-i", f"sine=frequency={300 + 100 * number}:duration=2"]
        encode = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest"]
        _ffmpeg([*inputs, "-filter_complex", cut, *encode, str(folder / f"harbour {number}.mp4")])
    _ffmpeg(["-f", "lavfi", "-i", "yuvtestsrc=size=320x180", "-frames:v", "1", str(folder / "still.jpg")])
    whole = (folder / "harbour 0.mp4").read_bytes()
    (folder / "B" / "again.mp4").write_bytes(whole)
    (folder / "cut off.mp4").write_bytes(whole[: len(whole) // 2])
    return folder


def _ffmpeg(arguments: list[str]) -> None:
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", *arguments], check=True)


@pytest.fixture(scope="module")
def homes(files: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Home]:
    """Three homes of the same drop: never disturbed; killed in every stage; killed at random times, files moved."""
    prepared = prepare_instance(Settings(home=tmp_path_factory.mktemp("prepared")))

    def home(name: str, mode: IngestMode) -> Home:
        top = tmp_path_factory.mktemp(name)
        drop = shutil.copytree(files, top / "drop")
        (top / "scratch").mkdir()
        settings = Settings(
            home=top / f"home-{uuid.uuid4().hex}", embedder="descriptor", workers=2, disk_reserve_bytes=0
        )
        shutil.copytree(prepared, settings.dagster_dir)
        with Library(settings) as library:
            (batch,) = claim_paths(library, [drop], mode)
        return Home(settings, drop, batch, mode, top / "scratch")

    undisturbed, staged, timed = home("undisturbed", "copy"), home("staged", "copy"), home("timed", "move")
    undisturbed.run_to_the_end()

    def killed_in_every_stage() -> None:
        for kill in kills(random.Random(7)):
            staged.die(kill)

    def killed_at_random_times() -> None:
        chance = random.Random(8)
        for part in range(4):
            timed.die_within(chance.uniform(part / 4, (part + 1) / 4) * undisturbed.seconds)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(killed_in_every_stage), pool.submit(killed_at_random_times)]:
            done.result()
    staged.run_to_the_end()
    timed.run_to_the_end()
    return {"undisturbed": undisturbed, "staged": staged, "timed": timed}


@pytest.fixture(params=["staged", "timed"])
def killed(request: pytest.FixtureRequest, homes: dict[str, Home]) -> Home:
    return homes[request.param]


@pytest.fixture
def undisturbed(homes: dict[str, Home]) -> Home:
    return homes["undisturbed"]


def plainly(home: Home, value: Any) -> str:
    """A value as text that does not tell which home it is from."""
    text = repr(value).replace(raw_folder(home.batch), "RAW").replace(home.batch, "BATCH")
    return text.replace(str(home.drop), "DROP").replace(str(home.settings.home), "HOME")


def rows_of(home: Home, table: Table) -> list[str]:
    with Library(home.settings) as library:
        rows = library.tables.read(table, home.batch).drop(CLOCKS.get(table.name, set())).to_dicts()
    if table is LOCATIONS:
        rows = [row | {"mode": "any"} for row in rows]
    return [plainly(home, row) for row in rows]


def vectors_of(home: Home) -> dict[tuple[str, str], list[str]]:
    found = {}
    with VectorIndex(home.settings) as index:
        for collection in index._connection.client.list_collections():
            kept = collection.get(include=["embeddings", "metadatas"])
            rows = zip(kept["ids"], kept["metadatas"], kept["embeddings"].tolist(), strict=True)
            key = (collection.metadata["space"], collection.metadata["level"])
            assert key not in found
            found[key] = sorted(plainly(home, (item, sorted(facts.items()), vector)) for item, facts, vector in rows)
    return found


def documents_of(home: Home) -> list[str]:
    with closing(sqlite3.connect(home.settings.text_path)) as con:
        rows = con.execute(
            "SELECT d.item_id, d.media_id, d.level, d.start_s, d.end_s, d.path, w.*, n.name FROM documents d "
            "JOIN words w ON w.rowid = d.id LEFT JOIN names n ON n.rowid = d.id ORDER BY d.item_id, d.path"
        ).fetchall()
        counted = {name: con.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("documents", "words")}
    assert set(counted.values()) == {len(rows)}
    return [plainly(home, row) for row in rows]


def files_of(home: Home) -> set[str]:
    """Everything in the home but what Dagster and Chroma name anew in each run; times in names are left out."""
    own = home.settings.home
    return {
        TIMED_NAME.sub("TIME", plainly(home, str(path)))
        for path in own.rglob("*")
        if path.relative_to(own).parts[0] not in ("dagster", "vectors") and not path.name.endswith(".id")
    }


def test_every_stage_was_killed_in_at_least_once(homes: dict[str, Home]) -> None:
    assert homes["staged"].survived == []
    assert homes["staged"].died >= 12


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_are_those_of_an_undisturbed_run(killed: Home, undisturbed: Home, name: str) -> None:
    assert rows_of(killed, TABLES[name]) == rows_of(undisturbed, TABLES[name])


def test_the_undisturbed_run_has_rows_to_compare(undisturbed: Home) -> None:
    counted = {name: len(rows_of(undisturbed, table)) for name, table in TABLES.items()}
    assert (counted["media"], counted["locations"], counted["probes"], counted["proxies"]) == (7, 8, 6, 6)
    assert counted["probes_failures"] == 1
    assert all(counted[name] >= 6 for name in ("embeddings_l0", "embeddings_l1", "embeddings_l2", "scenes", "tags"))


def test_the_vector_index_is_that_of_an_undisturbed_run(killed: Home, undisturbed: Home) -> None:
    expected = vectors_of(undisturbed)
    assert {level: len(rows) for (_, level), rows in expected.items()}.keys() == {"l0", "l1", "l2"}
    assert vectors_of(killed) == expected


def test_the_text_index_is_that_of_an_undisturbed_run(killed: Home, undisturbed: Home) -> None:
    expected = documents_of(undisturbed)
    assert len(expected) >= 8
    assert documents_of(killed) == expected


def test_the_ledger_says_what_that_of_an_undisturbed_run_says(killed: Home, undisturbed: Home) -> None:
    def told(home: Home) -> list[str]:
        with closing(Ledger(home.settings.database_url)) as ledger:
            batch = ledger.batch(home.batch)
            assert batch is not None
            # A file that was moved is known as such; that is no difference of the runs.
            states = [(file.rel_path, file.state) for file in ledger.batch_files(home.batch)]
            contents = ledger.contents([row["media_id"] for row in _read(home, MEDIA)])
            kept = sorted((content.media_id, content.kept_key) for content in contents.values())
            return [batch.state, *(plainly(home, row) for row in [*states, *kept])]

    assert told(killed) == told(undisturbed)
    assert told(killed)[0] == "done"


def _read(home: Home, table: Table) -> list[dict[str, Any]]:
    with Library(home.settings) as library:
        return library.tables.read(table, home.batch).to_dicts()


def test_originals_are_whole_and_sources_as_their_mode_says(homes: dict[str, Home], files: Path) -> None:
    names = {str(path.relative_to(files)): path for path in files.rglob("*") if path.is_file()}
    for home in homes.values():
        with Library(home.settings) as library:
            kept = {
                str(Path(row["source_path"]).relative_to(home.drop)): Path(library.store.url(row["path"]))
                for row in _read(home, LOCATIONS)
            }
        assert {name: digest_file(path) for name, path in kept.items()} == {
            name: digest_file(path) for name, path in names.items()
        }
        left = {str(path.relative_to(home.drop)): path for path in home.drop.rglob("*") if path.is_file()}
        if home.mode == "move":
            assert left == {}
        else:
            assert {name: path.read_bytes() for name, path in left.items()} == {
                name: path.read_bytes() for name, path in names.items()
            }


def test_nothing_is_left_behind(killed: Home, undisturbed: Home) -> None:
    assert files_of(killed) == files_of(undisturbed)
    everything = [*killed.settings.home.rglob("*"), *killed.drop.rglob("*")]
    assert not [path for path in everything if ".part" in path.name]
    assert not list(killed.settings.work_dir.glob("*"))
    assert not list(killed.scratch.iterdir())


def test_no_process_outlives_its_run(killed: Home) -> None:
    assert killed.left_running == []


def test_no_run_is_left_going_and_no_place_in_a_pool_taken(killed: Home) -> None:
    with open_instance(killed.settings) as instance:
        assert {run.status.value for run in instance.get_runs()} <= {"SUCCESS", "FAILURE", "CANCELED"}
        for pool in POOL_LIMITS:
            assert not instance.event_log_storage.get_concurrency_info(pool).active_run_ids


def test_catalogue_and_search_answer(killed: Home, undisturbed: Home) -> None:
    question = "SELECT m.media_id, m.name, s.start_s, s.end_s FROM media m JOIN scenes s USING (media_id) ORDER BY ALL"
    answer = run_sql(killed.settings, question)
    assert answer.height >= 6
    assert answer.equals(run_sql(undisturbed.settings, question))
    assert run_sql(killed.settings, "SELECT count(*) AS n FROM failures")["n"].to_list() == [1]
    with Searcher(killed.settings) as searcher:
        assert len({moment.media_id for moment in searcher.search(Query("harbour")).moments}) == 5
        (best, *_) = searcher.search(Query(image=killed.settings.home / _still(killed))).moments
    assert Path(best.path).name == "still.jpg"


def _still(home: Home) -> str:
    (row,) = [row for row in _read(home, LOCATIONS) if row["name"] == "still.jpg"]
    return f"media/{row['path']}"
