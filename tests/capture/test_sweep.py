"""A recorder may die anywhere between a frame and its manifest: the next one finishes, nothing is lost or doubled."""

import itertools
import os
import shutil
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from thatdam_capture import atomic, commit, sweep
from thatdam_capture.command import record_command
from thatdam_capture.disk import Disk
from thatdam_capture.ffmpeg import ffmpeg_exe
from thatdam_capture.manifest import CameraFacts, Manifest
from thatdam_capture.segments import inspect, read_rows
from thatdam_capture.session_record import SessionRecord
from thatdam_capture.settings import PROFILES, CameraSettings, Preview, Settings, Timing
from thatdam_capture.sources import source_of
from thatdam_capture.store import Store

SESSION = "0123456789abcdef0123456789abcdef"
RATE = 25


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session folder as a kill leaves it: two closed segments and one cut off."""
    folder = tmp_path_factory.mktemp("left") / SESSION
    folder.mkdir()
    camera = CameraSettings(id="cam1", kind="synthetic", size="320x180", rate="25")
    source = source_of(camera, None, Timing())  # type: ignore[arg-type]
    read, write = os.pipe()
    command = record_command(ffmpeg_exe(Settings()), source, PROFILES["h264"], folder, 1, Preview(height=90), write)
    process = subprocess.Popen(command.argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=[write])
    os.close(write)
    said = b""
    while said.count(b"\n") < 2.7 * RATE:
        said += os.read(read, 65536)
    process.kill()
    process.wait()
    os.close(read)
    SessionRecord(
        session_id=SESSION,
        recorder="",
        camera=CameraFacts(id="cam1", name="cam1", kind="synthetic"),
        host="here",
        group_id="take",
        role=None,
        chain=[],
        rate="25",
        encoder=list(command.public),
        versions={},
        zero_utc_s=1_700_000_000.25,
        clock_error_s=0.01,
    ).write(folder)
    assert len(list(folder.glob("*.mkv"))) == 3
    return folder


@pytest.fixture
def store(bench: Any, left: Path) -> Store:
    one = Store(bench.store)
    Disk(one, bench.settings()).check()
    shutil.copytree(left, one.session_folder(SESSION))
    return one


def run(store: Store) -> sweep.SweepReport:
    return sweep.sweep(store, ffmpeg_exe(Settings()), "", sweep.session_folders(store))


def assert_all_there(bench: Any) -> list[Manifest]:
    bench.assert_whole()
    manifests: list[Manifest] = bench.manifests()
    assert [one.complete for one in manifests] == [True, True, False]
    assert [one.is_last for one in manifests] == [False, False, True]
    assert [one.reason_end for one in manifests] == ["segment", "segment", "killed"]
    return manifests


def test_closed_segments_are_committed_and_the_cut_one_is_saved(bench: Any, store: Store) -> None:
    run(store)
    manifests = assert_all_there(bench)
    counters = [frame.code.counter for one in manifests for frame in bench.frames(one)]
    assert counters == list(range(len(counters)))
    assert [one.frames for one in manifests[:2]] == [RATE, RATE]
    assert manifests[2].frames > 0.3 * RATE
    assert all(one.gap_before_s in (None, 0) for one in manifests)
    assert manifests[0].start_utc.timestamp() == pytest.approx(1_700_000_000.25, abs=0.05)
    for before, after in itertools.pairwise(manifests):
        assert (after.start_utc - before.end_utc).total_seconds() == pytest.approx(0, abs=0.005)


class Crash(BaseException):
    """The recorder dies here."""


STEPS = ("digest", "write_intent", "make_folder", "rename_new", "sync_folder", "replace_text", "sync_file")


def crash_at(monkeypatch: pytest.MonkeyPatch, number: int, after: bool) -> None:
    """Die at the so-manieth step of committing, before or after it is done."""
    count = itertools.count()

    def wrap(step: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*args: Any, **kwargs: Any) -> Any:
            now = next(count) == number
            if now and not after:
                raise Crash
            value = step(*args, **kwargs)
            if now:
                raise Crash
            return value

        return stepped

    for module in (commit, sweep, atomic):
        for step in STEPS:
            if hasattr(module, step):
                monkeypatch.setattr(module, step, wrap(getattr(module, step)))
    monkeypatch.setattr(Path, "replace", wrap(Path.replace))
    monkeypatch.setattr(Path, "unlink", wrap(Path.unlink))


@pytest.mark.parametrize("after", [False, True])
def test_dying_at_any_step_of_any_commit_is_made_good(
    bench: Any, store: Store, left: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    steps = 0
    frames = [inspect(one).frames for one in sorted(left.glob("*.mkv"))]
    for number in itertools.count():
        with monkeypatch.context() as patch:
            crash_at(patch, number, after)
            try:
                run(store)
            except Crash:
                steps += 1
            else:
                break
        run(store)
        assert [one.frames for one in assert_all_there(bench)] == frames
        shutil.rmtree(store.root / "cam1")
        shutil.copytree(left, store.session_folder(SESSION))
    assert steps > 20


def test_a_row_that_promises_more_than_the_file_holds_is_not_believed(bench: Any, store: Store) -> None:
    part = store.session_folder(SESSION) / "00001.mkv"
    frames = inspect(part).frames
    with part.open("r+b") as file:
        file.truncate(part.stat().st_size * 2 // 3)
    run(store)
    bench.assert_whole()
    manifests = bench.manifests()
    assert [one.complete for one in manifests] == [True, False, False]
    assert 0 < manifests[1].frames < frames
    assert manifests[2].gap_before_s > 0


def test_what_cannot_be_read_is_set_aside_and_the_rest_committed(bench: Any, store: Store) -> None:
    (store.session_folder(SESSION) / "00002.mkv").write_bytes(b"\x1aE\xdf\xa3 not much more")
    report = run(store)
    assert [path.name for path, _ in report.aside] == ["00002.mkv"]
    assert (store.aside / SESSION / "00002.mkv").read_bytes().startswith(b"\x1aE")
    bench.assert_whole()
    assert [one.is_last for one in bench.manifests()] == [False, True]


def test_a_session_whose_record_is_broken_is_set_aside_whole(bench: Any, store: Store) -> None:
    (store.session_folder(SESSION) / "session.json").write_text('{"session_id": ')
    report = run(store)
    assert len(report.aside) == 5
    assert bench.manifests() == []
    assert len(list((store.aside / SESSION).iterdir())) == 5


def test_a_session_that_cannot_be_saved_keeps_no_other_from_it(bench: Any, store: Store, left: Path) -> None:
    stuck = store.session_folder("00000000000000000000000000000000")
    shutil.copytree(left, stuck)
    (stuck / "00009.json").mkdir()  # Reading it is an OSError, as on a bad block.
    report = run(store)
    assert [folder for folder, _ in report.failed] == [stuck]
    assert len(bench.manifests()) == 3
    assert not store.session_folder(SESSION).exists() and len(list(stuck.glob("*.mkv"))) == 3


def test_without_a_clock_the_time_of_the_file_tells_when_it_was_taken(bench: Any, store: Store) -> None:
    folder = store.session_folder(SESSION)
    record = SessionRecord.model_validate_json((folder / "session.json").read_bytes())
    record.model_copy(update={"zero_utc_s": None}).write(folder)
    run(store)
    for manifest in bench.manifests():
        errors = bench.clock_errors(manifest)
        assert abs(errors[0]) < 0.5
        assert abs(errors[0]) <= manifest.clock_error_s + 0.1


def test_sessions_of_another_recorder_are_left_to_it(bench: Any, store: Store) -> None:
    folder = store.session_folder(SESSION)
    record = SessionRecord.model_validate_json((folder / "session.json").read_bytes())
    record.model_copy(update={"recorder": "stage-left"}).write(folder)
    assert run(store) == sweep.SweepReport()
    assert len(list(folder.glob("*.mkv"))) == 3


def test_half_a_row_of_the_list_is_no_row(tmp_path: Path) -> None:
    path = tmp_path / "segments.csv"
    path.write_text("00000.mkv,0.000000,1.021000\n00001.mkv,1.021000,2.0")
    assert [(row.index, row.end_s) for row in read_rows(path)] == [(0, 1.021)]
    assert read_rows(tmp_path / "none.csv") == []


def test_missing_and_doubled_frames_are_counted_from_the_times() -> None:
    from thatdam_capture.segments import missing_frames

    assert missing_frames([0.0, 0.04, 0.16, 0.2, 0.2], Fraction(25)) == (2, 1)
    assert missing_frames([0.0, 0.033, 0.067, 0.1], Fraction(30)) == (0, 0)
    assert missing_frames([0.0], None) == (0, 0)
