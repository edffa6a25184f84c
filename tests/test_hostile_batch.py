"""Everything bad in one drop, through real runs: each file is ingested or refused with a reason, and that is all."""

import contextlib
import os
import shutil
import stat
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import imageio_ffmpeg
import polars as pl
import pytest

from thatdam_pipelines.defs.ingest.outcomes import settle_batches
from thatdam_pipelines.defs.ingest.sensors import incoming_sensor
from thatdam_pipelines.instance import open_instance
from thatdam_pipelines.library.catalog import run_sql
from thatdam_pipelines.library.checksum import digest_file
from thatdam_pipelines.library.files import escape_name, unescape_name
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.ledger import Ledger
from thatdam_pipelines.library.schemas import FAILURE_TABLES, LOCATIONS, PROBES, RAW_MEDIA_FAILURES, TABLES
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.runs import RunsReport, run_batches
from thatdam_pipelines.samples.bad_files import BadFile, make_canary, write_bad_files
from thatdam_pipelines.samples.traps import Listener, Watch
from thatdam_pipelines.search.search import Query, Searcher
from thatdam_pipelines.settings import Settings, get_settings

CRASHES = ("crashed", "unexpectedly", "took longer", "more memory")
GOOD = ("lighthouse at noon.mp4", "ferry.mov")
FINE = {
    "either": {"ingested", "quarantined"},
    "ignored": {"ignored", "quarantined"},
    # Two have the same bytes as a bad file with the name of a video.
    "sidecar": {"sidecar", "quarantined"},
}
MARK = "TEST_OF_A_HOSTILE_BATCH"

HOSTILE_NAMES = [
    "new\nline.mp4",
    'it\'s "quoted".mp4',
    "🎬 Überflug.mp4",
    "-i.mp4",
    "n" * 246 + ".mp4",
    "not-utf8-\udcff\udcfe.mp4",
    "concat:a.mp4|b.mp4",
    "back\\slash.mp4",
]


@dataclass
class Drop:
    """One batch with everything bad, and what became of it."""

    settings: Settings
    folder: Path
    corpus: list[BadFile]
    batch: str
    before: dict[Path, str]
    report: RunsReport
    canary: Path
    canary_events: int
    listener: Listener
    processes: list[str]
    failures: pl.DataFrame = field(default_factory=pl.DataFrame)
    kept: dict[Path, dict[str, Any]] = field(default_factory=dict)

    def reasons(self, path: Path) -> list[str]:
        """Why a file could not be read; files of the same content fail as one."""
        content = self.kept[path]["media_id"] if path in self.kept else ""
        about = (pl.col("path") == escape_name(str(path))) | (pl.col("media_id") == content)
        return self.failures.filter(about)["reason"].to_list()


def descendants() -> list[str]:
    """Commands of processes that this one or its children started and that still run, pytest's own left out."""
    deadline = time.monotonic() + 20
    while (found := list(_marked())) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def _marked() -> Iterator[str]:
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            environment = (entry / "environ").read_bytes().split(b"\0")
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            # Python starts one tracker of shared memory a process, which ends with it.
            if f"{MARK}={os.getpid()}".encode() in environment and "resource_tracker" not in command:
                yield command


def write_clip(path: Path, hue: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error"]
    command += ["-f", "lavfi", "-i", f"testsrc2=size=160x90:rate=25:duration=2,hue=h={hue}"]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", f"file:{path}"]
    subprocess.run(command, check=True)
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings from the environment, as the sensor reads them; ffmpeg and workers inherit a mark from it."""
    environment = {
        "THATDAM_HOME": str(tmp_path_factory.mktemp("hostile") / "home"),
        "THATDAM_EMBEDDER": "descriptor",
        "THATDAM_WORKERS": "2",
        "THATDAM_SETTLE_SECONDS": "0",
        "THATDAM_BATCH_WAIT_SECONDS": "0",
        "THATDAM_BATCH_MAX_FILES": "500",
        "THATDAM_DISK_RESERVE_BYTES": "0",
        "THATDAM_PROBE_TIMEOUT_S": "15",
        "THATDAM_DECODE_TIMEOUT_S": "30",
        "THATDAM_PROXY_TIMEOUT_MIN_S": "30",
        "THATDAM_PROXY_TIMEOUT_FACTOR": "1",
        MARK: str(os.getpid()),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        get_settings.cache_clear()
        yield get_settings()
    get_settings.cache_clear()


@pytest.fixture(scope="module")
def drop(home: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drop]:
    top = tmp_path_factory.mktemp("drop")
    listener, canary = Listener(), make_canary(top)
    folder = top / "card"
    corpus = write_bad_files(folder, canary, listener.url)
    for number, name in enumerate(GOOD):
        write_clip(folder / name, 60 + 90 * number)
    gone, replaced = folder / "gone.mp4", folder / "replaced.mp4"
    for path in (gone, replaced):
        shutil.copyfile(folder / GOOD[0], path)
    with Library(home) as library:
        (batch,) = claim_paths(library, [folder], "copy")
    gone.unlink()
    replaced.unlink()
    replaced.symlink_to(canary)
    before = {path: digest_file(path).blake3 for path in _regular_files(folder) if os.access(path, os.R_OK)}

    watch = Watch(canary)
    report = run_batches(home, [batch], understand=True)
    done = Drop(home, folder, corpus, batch, before, report, canary, watch.events(), listener, descendants())
    watch.close()
    with Library(home) as library:
        done.failures = pl.concat([library.tables.read(table, batch) for table in FAILURE_TABLES])
        places = library.tables.read(LOCATIONS, batch).to_dicts()
    done.kept = {Path(unescape_name(row["source_path"])): row for row in places}
    yield done
    (folder / "locked.mp4").chmod(0o600)


def test_every_run_succeeds(drop: Drop) -> None:
    assert drop.report.success and drop.report.failed == [] and len(drop.report.run_ids) == 3


def test_the_good_clips_among_them_are_searchable(drop: Drop) -> None:
    with Searcher(drop.settings) as searcher:
        for name in GOOD:
            (best, *_) = searcher.search(Query(name.partition(".")[0])).moments
            assert Path(best.path).name == name
    levels = run_sql(
        drop.settings,
        "SELECT DISTINCT m.name, e.level FROM embeddings e JOIN media m USING (media_id) "
        f"WHERE m.name IN {GOOD} ORDER BY ALL",
    )
    assert levels.rows() == [(name, level) for name in sorted(GOOD) for level in ("l0", "l1", "l2")]


def test_every_file_is_ingested_or_refused_as_expected(drop: Drop) -> None:
    with Library(drop.settings) as library:
        probed = set(library.tables.read(PROBES, drop.batch)["media_id"])
    wrong = {}
    for bad in drop.corpus:
        row, reasons = drop.kept.get(bad.path), drop.reasons(bad.path)
        if row is None:
            became = "quarantined" if reasons else "ignored"
        elif row["media_id"] in probed:
            became = "ingested"
        else:
            became = "quarantined" if reasons else "sidecar"
        if became not in FINE.get(bad.expected, {bad.expected}):
            wrong[bad.path.name] = f"{became}, not {bad.expected} ({reasons})"
    assert wrong == {}


def test_every_failure_has_a_reason_and_a_next_step_and_none_is_a_crash(drop: Drop) -> None:
    assert drop.failures.height > 90
    for row in drop.failures.iter_rows(named=True):
        assert row["reason"] and row["next_step"].endswith("."), row
    assert [row for row in drop.failures.to_dicts() if any(word in row["reason"] for word in CRASHES)] == []
    shown = run_sql(drop.settings, "SELECT count(*) AS n FROM failures WHERE reason IS NOT NULL")
    assert shown["n"].to_list() == [drop.failures.height]


def test_no_byte_of_any_file_is_lost(drop: Drop) -> None:
    now = {path: digest_file(path).blake3 for path in drop.before}
    assert now == drop.before
    with Library(drop.settings) as library:
        kept = {path: digest_file(Path(library.store.url(row["path"]))).blake3 for path, row in drop.kept.items()}
    assert kept == drop.before


def test_a_file_that_went_or_was_replaced_by_a_link_since_it_was_claimed_costs_only_itself(drop: Drop) -> None:
    assert drop.reasons(drop.folder / "gone.mp4") == ["it is not there any more"]
    assert drop.reasons(drop.folder / "replaced.mp4") == ["it is not a regular file"]


def test_nobody_opens_the_file_they_point_at_and_nobody_calls_the_address(drop: Drop) -> None:
    assert drop.canary_events == 0
    assert drop.listener.calls == 0


def test_nothing_of_the_file_they_point_at_is_in_the_library(drop: Drop) -> None:
    title = b"CANARY"
    assert title in drop.canary.read_bytes()
    assert [path for path in _regular_files(drop.settings.home) if title in path.read_bytes()] == []
    # Parquet files are compressed.
    with Library(drop.settings) as library:
        assert [
            name for name, table in TABLES.items() if "CANARY" in _text(library.tables.read(table, drop.batch))
        ] == []
    canary = digest_file(drop.canary).media_id
    assert canary not in {row["media_id"] for row in drop.kept.values()}


def _regular_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if stat.S_ISREG(path.lstat().st_mode)]


def _text(frame: pl.DataFrame) -> str:
    return repr(frame.select(pl.exclude("vector")).to_dicts())


def test_no_process_is_left_running(drop: Drop) -> None:
    assert drop.processes == []


def test_nothing_half_written_is_left(drop: Drop) -> None:
    assert not [path for path in drop.settings.home.rglob("*") if ".part" in path.name]
    assert not list(drop.settings.work_dir.glob("*"))
    assert not list(Path(drop.settings.media_url).rglob("pwned"))


def test_a_decoder_that_hangs_is_ended_at_its_limit_and_told(home: Settings, drop: Drop, tmp_path: Path) -> None:
    hanging = tmp_path / "ffmpeg"
    hanging.write_text("#!/bin/sh\nsleep 1000 & sleep 1000\n")
    hanging.chmod(0o755)
    hasty = home.model_copy(
        update={"ffmpeg": str(hanging), "proxy_timeout_min_s": 1.0, "proxy_timeout_factor": 0.01},
    )
    for number in range(3):
        write_clip(tmp_path / "slow" / f"{number}.mp4", 200 + number)
    with Library(hasty) as library:
        (batch,) = claim_paths(library, [tmp_path / "slow"], "copy")
    assert run_batches(hasty, [batch], understand=True).success
    told = run_sql(hasty, "SELECT stage, reason FROM failures WHERE batch_id = ?", [batch]).rows()
    assert told == [("proxies", "making its proxy took longer than 1 s")] * 3
    assert descendants() == []


def test_hostile_names_go_from_the_watched_folder_into_the_library(home: Settings, drop: Drop) -> None:
    home.incoming_dir.mkdir(exist_ok=True)
    expected: dict[str, str] = {}
    for number, name in enumerate(HOSTILE_NAMES):
        clip = write_clip(home.incoming_dir / "clip.mp4", 300 + number)
        expected[name] = digest_file(clip.rename(home.incoming_dir / name)).media_id
    os.mkfifo(home.incoming_dir / "pipe.mp4")
    (home.incoming_dir / "loop-a.mp4").symlink_to("loop-b.mp4")
    (home.incoming_dir / "loop-b.mp4").symlink_to("loop-a.mp4")

    with open_instance(home, capture_output=False) as instance:
        batch = _asked_for(instance)
        assert run_batches(home, [batch], understand=False).success
        with closing(Ledger(home.database_url)) as ledger:
            settle_batches(ledger, instance)
            assert [known.state for known in ledger.batches(limit=None)].count("done") == 3
            refused = {
                file.rel_path: file.reason for file in ledger.files_at(str(home.incoming_dir), ["pipe.mp4"]).values()
            }
        assert not _tick(instance).run_requests

    with Library(home) as library:
        places = library.tables.read(LOCATIONS, batch).to_dicts()
        assert library.tables.read(RAW_MEDIA_FAILURES, batch).height == 0
        assert library.tables.read(PROBES, batch).height == len(HOSTILE_NAMES)
        for row in places:
            assert digest_file(Path(library.store.url(row["path"]))).media_id == row["media_id"]
    assert {unescape_name(row["name"]): row["media_id"] for row in places} == expected
    assert refused == {"pipe.mp4": "it is not a regular file"}
    left = Counter(path.name for path in home.incoming_dir.iterdir())
    assert set(left) == {"pipe.mp4", "loop-a.mp4", "loop-b.mp4"}
    assert descendants() == []


def _asked_for(instance: dg.DagsterInstance) -> str:
    for _ in range(5):
        asked = _tick(instance).run_requests
        if asked:
            return str(asked[0].partition_key)
    raise AssertionError("no run was asked for")


def _tick(instance: dg.DagsterInstance) -> dg.SensorResult:
    result = incoming_sensor(dg.build_sensor_context(instance=instance))
    assert isinstance(result, dg.SensorResult)
    return result
