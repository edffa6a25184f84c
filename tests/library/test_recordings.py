"""The recorder's folder: what is committed is claimed once, by groups; what is wrong waits and is named."""

import json
import os
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from thatdam_pipelines.library import recordings
from thatdam_pipelines.library.arrivals import Sighting
from thatdam_pipelines.library.ledger import Ledger
from thatdam_pipelines.library.recordings import RecordingsReport, scan_recordings
from thatdam_pipelines.samples.recordings import commit
from thatdam_pipelines.settings import Settings

Scan = Callable[[], RecordingsReport]


@pytest.fixture
def ledger(settings: Settings) -> Any:
    opened = Ledger(settings.database_url)
    yield opened
    opened.close()


@pytest.fixture
def scan(ledger: Ledger, settings: Settings) -> Scan:
    return lambda: scan_recordings(ledger, settings, datetime.now(UTC))


@pytest.fixture
def folder(settings: Settings) -> Path:
    settings.capture_dir.mkdir(parents=True)
    return settings.capture_dir


def files_of(ledger: Ledger, batches: list[str]) -> list[list[str]]:
    return [[Path(file.rel_path).name for file in ledger.batch_files(batch)] for batch in batches]


def rel(settings: Settings, path: Path) -> str:
    return path.relative_to(settings.capture_dir).as_posix()


def age(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an hour pass: folders are at rest."""
    now = time.time_ns()
    monkeypatch.setattr(recordings.time, "time_ns", lambda: now + 3600 * 10**9)


def test_all_cameras_of_a_group_are_one_batch_and_each_group_its_own(folder: Path, ledger: Ledger, scan: Scan) -> None:
    for index in (0, 1):
        commit(folder, b"a%d" % index, segment_index=index, camera__id="cam1", session_id="a" * 32)
        commit(folder, b"b%d" % index, segment_index=index, camera__id="cam2", session_id="b" * 32)
    commit(folder, b"c", camera__id="cam3", session_id="c" * 32, group_id="f" * 32)
    report = scan()
    assert report.found == 5 and not report.refused
    sizes = {}
    for batch_id in report.batches:
        batch = ledger.batch(batch_id)
        assert batch is not None and batch.mode == "move"
        sizes[batch.album] = batch.files
    assert sizes == {"take-12": 4, None: 1}
    assert not scan().batches


def test_segments_are_taken_while_the_recording_goes_on(folder: Path, ledger: Ledger, scan: Scan) -> None:
    first = commit(folder, b"1", segment_index=0, is_last=False)
    assert files_of(ledger, scan().batches) == [[first.name]]
    second = commit(folder, b"2", segment_index=1, is_last=False)
    third = commit(folder, b"3", segment_index=2)
    assert files_of(ledger, scan().batches) == [[second.name, third.name]]


def test_what_is_not_committed_is_not_looked_at(folder: Path, scan: Scan) -> None:
    (folder / ".part" / "5e551040").mkdir(parents=True)
    commit(folder / ".part", b"media")
    commit(folder / ".aside", b"media")
    uncommitted = commit(folder, b"media")
    uncommitted.with_suffix(".json").unlink()
    report = scan()
    assert report.batches == [] and report.refused == {} and report.found == 0


@pytest.mark.parametrize(
    ("trouble", "said"),
    [("damaged", "damaged"), ("cut off", "has 3 bytes"), ("missing", "cannot be reached"), ("folder", "not a regular")],
)
def test_one_bad_segment_costs_only_itself_is_named_and_is_looked_at_again(
    folder: Path,
    settings: Settings,
    ledger: Ledger,
    scan: Scan,
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
    said: str,
) -> None:
    good = commit(folder, b"media", session_id="a" * 32)
    bad = commit(folder, b"media2", session_id="b" * 32)
    manifest = bad.with_suffix(".json")
    whole = manifest.read_bytes()
    match trouble:
        case "damaged":
            manifest.write_bytes(whole[:100])
        case "cut off":
            bad.write_bytes(b"med")
        case "missing":
            bad.unlink()
        case "folder":
            bad.unlink()
            bad.mkdir()
    age(folder, monkeypatch)
    report = scan()
    assert files_of(ledger, report.batches) == [[good.name]]
    (reason,) = report.refused.values()
    assert said in reason
    again = scan()
    assert again.refused == report.refused and not again.batches
    (row,) = ledger.files_in(str(folder), ("failed",))
    assert (row.rel_path, row.reason) == (rel(settings, manifest), reason)
    if bad.is_dir():
        bad.rmdir()
    bad.write_bytes(b"media2")
    manifest.write_bytes(whole)
    mended = scan()
    assert files_of(ledger, mended.batches) == [[bad.name]] and not mended.refused
    assert ledger.files_in(str(folder), ("failed",)) == []


def test_a_tick_that_died_after_its_claim_is_made_good(
    folder: Path, ledger: Ledger, scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(folder, b"1", session_id="a" * 32)
    commit(folder, b"2", session_id="b" * 32, group_id="other")
    real = Ledger.create_batch

    def dies(self: Ledger, *args: Any, **named: Any) -> Any:
        real(self, *args, **named)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Ledger, "create_batch", dies)
        scan()
    assert len(scan().batches) == 1
    assert sorted(batch.album or "" for batch in ledger.batches()) == ["other", "take-12"]


def test_a_segment_that_was_taken_is_not_missed_when_it_is_moved_away(
    folder: Path, settings: Settings, ledger: Ledger, scan: Scan
) -> None:
    path = commit(folder, b"media")
    (batch,) = scan().batches
    path.unlink()
    seen = ledger.files_at(str(folder), [rel(settings, path)])[rel(settings, path)]
    ledger.mark_files(batch, moved=[Sighting(seen.rel_path, seen.size_bytes, seen.mtime_ns)])
    report = scan()
    assert not report.refused and not report.batches


def test_a_file_that_changed_under_its_run_is_claimed_anew(
    folder: Path, settings: Settings, ledger: Ledger, scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = commit(folder, b"media")
    age(folder, monkeypatch)
    (first,) = scan().batches
    scan()
    found = path.stat()
    ledger.release_files(first, [Sighting(rel(settings, path), found.st_size, found.st_mtime_ns)], datetime.now(UTC))
    assert files_of(ledger, scan().batches) == [[path.name]]


def test_a_folder_at_rest_is_not_read_again_until_it_changes(
    folder: Path, ledger: Ledger, scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(folder, b"1")
    age(folder, monkeypatch)
    scan()
    read: list[str] = []
    real = os.scandir

    def counted(path: Any) -> Any:
        read.append(str(path))
        return real(path)

    monkeypatch.setattr(recordings.os, "scandir", counted)
    scan()
    # The folder itself is asked whether it is empty, its disk being away.
    assert read.count(str(folder)) == len(read) == 1
    commit(folder, b"2", camera__id="cam2", session_id="b" * 32)
    assert len(scan().batches) == 1


def test_recordings_that_come_with_old_dates_are_found(folder: Path, scan: Scan, tmp_path: Path) -> None:
    """As from another machine, with a tool that keeps the times of folders too."""
    commit(folder, b"1")
    scan()
    commit(tmp_path / "other", b"2", camera__id="cam2", session_id="b" * 32)
    shutil.copytree(tmp_path / "other" / "cam2", folder / "cam2")
    for place in [*(folder / "cam2").rglob("*"), folder / "cam2", folder]:
        os.utime(place, (10**9, 10**9))
    assert len(scan().batches) == 1


def test_a_look_that_ran_out_of_time_goes_on_where_it_was(
    folder: Path, ledger: Ledger, scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 5):
        commit(folder, b"%d" % number, camera__id=f"cam{number}", session_id=f"{number}" * 32, group_id=f"g{number}")
    ticks = iter(range(10**6))
    monkeypatch.setattr(recordings.time, "monotonic", lambda: next(ticks))
    monkeypatch.setattr(recordings, "MAX_SECONDS", 6)
    reports = [scan() for _ in range(6)]
    assert not reports[0].complete
    monkeypatch.setattr(recordings, "MAX_SECONDS", 10**6)
    scan()
    assert len(ledger.batches()) == 4


def test_more_groups_than_one_look_may_claim_wait_for_the_next(
    folder: Path, ledger: Ledger, scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordings, "MAX_BATCHES", 2)
    age(folder, monkeypatch)
    for number in range(5):
        commit(folder, b"%d" % number, session_id=f"{number}" * 32, group_id=f"g{number}")
    assert [len(scan().batches) for _ in range(4)] == [2, 2, 1, 0]


def test_before_the_first_recording_nothing_is_offline(settings: Settings, ledger: Ledger, scan: Scan) -> None:
    report = scan()
    assert not report.online and not report.changed and ledger.folders() == []


def test_a_disk_that_is_away_is_said_once_and_nothing_is_dropped(folder: Path, ledger: Ledger, scan: Scan) -> None:
    path = commit(folder, b"1", segment_index=0)
    scan()
    away = folder.with_name("unmounted")
    folder.rename(away)
    folder.mkdir()
    gone = scan()
    assert not gone.online and gone.changed and not scan().changed
    folder.rmdir()
    away.rename(folder)
    commit(folder, b"2", segment_index=1)
    back = scan()
    assert back.online and back.changed and len(back.batches) == 1
    assert path.exists()


def test_names_that_are_no_text_are_passed_over(folder: Path, scan: Scan) -> None:
    good = commit(folder, b"media")
    odd = os.fsencode(good.parent) + b"/caf\xe9\n.json"
    Path(os.fsdecode(odd)).write_text(json.dumps({"schema": "no"}))
    report = scan()
    assert len(report.batches) == 1 and len(report.refused) == 1
