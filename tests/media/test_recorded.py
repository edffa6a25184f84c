"""Segments of the recorder on their way into the library: verified against their manifests, known by their facts."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from thatdam_pipelines.library import disk
from thatdam_pipelines.library.catalog import publish, run_sql
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.recordings import scan_recordings
from thatdam_pipelines.library.schemas import CAPTURE_SEGMENTS, LOCATIONS, MEDIA, RAW_MEDIA_FAILURES
from thatdam_pipelines.library.text import TextIndex
from thatdam_pipelines.media.capture import capture_batch, missing_of_batch
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.media.probes import probe_batch
from thatdam_pipelines.samples.recordings import START, commit, commit_take, write_segments

ENDS = (2.0, 4.0, 5.0)


@pytest.fixture(scope="session")
def segments(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_segments(tmp_path_factory.mktemp("segments"), ENDS)


def claim(library: Library) -> str:
    (batch,) = scan_recordings(library.ledger, library.settings, datetime.now(UTC)).batches
    return batch


def the_whole_way(library: Library, batch: str) -> None:
    ingest_batch(library, batch)
    capture_batch(library, batch)
    probe_batch(library, batch)


def test_a_segment_is_moved_without_being_copied_and_its_manifest_stays_with_both(
    library: Library, segments: list[Path]
) -> None:
    (path,) = commit_take(library.settings.capture_dir, segments[:1], ENDS[:1])
    inode, manifest = path.stat().st_ino, path.with_suffix(".json").read_bytes()
    batch = claim(library)
    ingest_batch(library, batch)
    (place,) = library.tables.read(LOCATIONS, batch).to_dicts()
    assert Path(library.store.url(place["path"])).stat().st_ino == inode and not path.exists()
    # The recorder lists its recordings, and tells the gap after a break, by the manifests in its folder.
    assert path.with_suffix(".json").read_bytes() == library.store.read_bytes(place["manifest_path"]) == manifest
    assert (place["mode"], place["album"], place["chapter"]) == ("move", "take-12", 1) and place["take_id"]
    assert scan_recordings(library.ledger, library.settings, datetime.now(UTC)).refused == {}


def test_a_segment_that_is_not_what_its_manifest_says_fails_alone_with_both_hashes_and_stays(
    library: Library, segments: list[Path]
) -> None:
    first, second = commit_take(library.settings.capture_dir, segments[:2], ENDS[:2])
    whole = first.read_bytes()
    first.write_bytes(whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:])
    damaged = first.read_bytes()
    batch = claim(library)
    report = ingest_batch(library, batch)
    (failure,) = report.failures
    manifest = json.loads(first.with_suffix(".json").read_bytes())
    assert manifest["blake3"] in failure["reason"] and failure["reason"].count("BLAKE3") == 1
    assert len([word for word in failure["reason"].replace(",", "").split() if len(word) == 64]) == 2
    assert first.read_bytes() == damaged and not second.exists()
    quarantine = json.loads((library.settings.quarantine_dir / f"{batch}.json").read_text())
    assert [row["path"] for row in quarantine["failed"]] == [str(first)]
    assert not library.store.exists(
        library.store.raw_key(batch, first.relative_to(library.settings.capture_dir).as_posix())
    )
    assert not scan_recordings(library.ledger, library.settings, datetime.now(UTC)).batches
    first.write_bytes(whole)
    (again,) = scan_recordings(library.ledger, library.settings, datetime.now(UTC)).batches
    assert ingest_batch(library, again).failures == [] and not first.exists()


@pytest.mark.parametrize("mode", ["move", "copy"])
def test_the_hash_is_verified_where_the_size_is_ambiguous_and_where_a_copy_is_made(
    library: Library, segments: list[Path], monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    if mode == "copy":
        # As on another disk.
        monkeypatch.setattr(disk.Disk, "_take_over", lambda *_: None)
    else:
        commit(library.settings.capture_dir, b"x" * 50, session_id="a" * 32)
    path = commit(library.settings.capture_dir, b"y" * 50, session_id="b" * 32, blake3="0" * 64)
    report = ingest_batch(library, claim(library))
    assert [row["path"] for row in report.failures] == [str(path)] and path.exists()
    assert "0" * 64 in report.failures[0]["reason"]


def test_a_manifest_that_went_away_after_the_claim_fails_its_segment_which_stays(library: Library) -> None:
    path = commit(library.settings.capture_dir, b"media")
    batch = claim(library)
    manifest = path.with_suffix(".json")
    text = manifest.read_bytes()
    manifest.unlink()
    (failure,) = ingest_batch(library, batch).failures
    assert "manifest is not there" in failure["reason"] and path.exists()
    manifest.write_bytes(text)
    assert ingest_batch(library, batch, retry=True).failures == [] and not path.exists()


def test_a_run_that_was_killed_after_the_move_ends_in_the_same_tables(
    library: Library, segments: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_take(library.settings.capture_dir, segments, ENDS)
    batch = claim(library)

    def dies(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(library.ledger, "claim_contents", dies)
        ingest_batch(library, batch)
    shutil.rmtree(library.settings.capture_dir)
    library.settings.capture_dir.mkdir()
    ingest_batch(library, batch)
    assert library.tables.read(LOCATIONS, batch)["chapter"].sort().to_list() == [1, 2, 3]
    assert capture_batch(library, batch).total == 3


def test_time_camera_and_timecode_come_from_the_manifest_and_are_found(library: Library, segments: list[Path]) -> None:
    commit_take(library.settings.capture_dir, segments, ENDS, camera__serial="SN1")
    batch = claim(library)
    the_whole_way(library, batch)
    publish(library)
    rows = run_sql(
        library.settings,
        "SELECT created_utc, camera_model, camera_serial, timecode, album FROM media ORDER BY created_utc",
    ).to_dicts()
    starts = [START, START + timedelta(seconds=2), START + timedelta(seconds=4)]
    assert [row["created_utc"] for row in rows] == starts
    assert {row["camera_model"] for row in rows} == {"Hero camera"} and {row["camera_serial"] for row in rows} == {
        "SN1"
    }
    assert {row["timecode"] for row in rows} == {"10:00:00:06"}
    with TextIndex(library.settings.text_path) as text:
        text.index_batch(library, batch)
        for words in ("hero camera", "take-12", "cam1"):
            assert len({hit.media_id for hit in text.query(words)}) == 3, words


def test_sessions_are_told_by_their_segments_across_batches(library: Library, segments: list[Path]) -> None:
    folder = library.settings.capture_dir
    commit_take(folder, segments[:2], ENDS[:2], is_last=False)
    first = claim(library)
    the_whole_way(library, first)
    publish(library)
    sql = "SELECT * FROM capture_sessions"
    (session,) = run_sql(library.settings, sql).to_dicts()
    assert (session["segments"], session["finished"], session["reason_end"]) == (2, False, None)
    shift = START + timedelta(seconds=4)
    commit(
        folder, segments[2].read_bytes(), segment_index=2, duration_s=1.0, frames=25,
        start_utc=shift.isoformat(), end_utc=(shift + timedelta(seconds=1)).isoformat(), gap_before_s=0.0,
    )  # fmt: skip
    second = claim(library)
    the_whole_way(library, second)
    publish(library)
    (session,) = run_sql(library.settings, sql).to_dicts()
    assert session["segments"] == 3 and session["finished"] and session["complete"] and session["reason_end"] == "stop"
    assert (session["recorded_s"], session["wall_s"], session["missing_s"]) == (5.0, 5.0, 0.0)
    assert (session["coverage"], session["missing_segments"], session["frames"]) == (1.0, 0, 125)
    assert (session["camera_name"], session["role"], session["start_utc"]) == ("Hero camera", "hero", START)
    assert missing_of_batch(library, second) == []


def recorded_as(library: Library, *segments: dict[str, Any]) -> str:
    for number, changes in enumerate(segments):
        commit(library.settings.capture_dir, b"segment %d" % number, **changes)
    batch = claim(library)
    ingest_batch(library, batch)
    capture_batch(library, batch)
    return batch


def at(begin: float, end: float) -> dict[str, Any]:
    times = {
        name: (START + timedelta(seconds=value)).isoformat() for name, value in (("start_utc", begin), ("end_utc", end))
    }
    return {**times, "duration_s": end - begin, "frames": round((end - begin) * 25)}


def test_a_gap_a_missing_segment_and_dropped_frames_are_named_with_their_time(library: Library) -> None:
    batch = recorded_as(
        library,
        {**at(0, 2), "segment_index": 0, "is_last": False},
        {**at(2.5, 4), "segment_index": 1, "is_last": False, "gap_before_s": 0.5, "dropped": 12},
        {**at(6, 8), "segment_index": 3, "gap_before_s": 0.0, "dropped": 5},
    )
    said = [str(missing) for missing in missing_of_batch(library, batch)]
    assert len(said) == 3
    assert "0.50 s missing from 2026-11-21 10:00:02.25 to 10:00:02.75 UTC" in said[0] and "Hero camera" in said[0]
    assert "2.00 s missing from 2026-11-21 10:00:04.25 to 10:00:06.25 UTC (1 segment" in said[1]
    assert "0.20 s missing" in said[2] and "5 frames" in said[2]
    publish(library)
    (session,) = run_sql(library.settings, "SELECT * FROM capture_sessions").to_dicts()
    assert session["missing_s"] == pytest.approx(2.5) and session["missing_segments"] == 1
    assert session["coverage"] == pytest.approx(5.5 / 8)


def test_a_break_is_told_by_the_session_after_it(library: Library) -> None:
    batch = recorded_as(
        library,
        {**at(0, 2), "session_id": "a" * 32, "reason_end": "source_lost"},
        {**at(5, 7), "session_id": "b" * 32, "gap_before_s": 3.0},
    )
    (missing,) = missing_of_batch(library, batch)
    assert missing.seconds == 3.0 and missing.start_utc == START + timedelta(seconds=2)
    assert "interrupted" in missing.reason


def test_the_beginning_of_a_session_that_is_not_here_is_named(library: Library) -> None:
    batch = recorded_as(library, {**at(4, 6), "segment_index": 2, "gap_before_s": 0.0})
    (missing,) = missing_of_batch(library, batch)
    assert missing.seconds is None and "2 segments before" in str(missing)


def test_recordings_from_another_machine_are_known_too_and_ordinary_files_are_not(
    library: Library, segments: list[Path], tmp_path: Path
) -> None:
    commit_take(tmp_path / "usb", segments, ENDS)
    ordinary = tmp_path / "usb" / "clip.mkv"
    shutil.copy(segments[0], ordinary)
    ordinary.with_suffix(".json").write_text("{}")
    (batch,) = claim_paths(library, [tmp_path / "usb"], "copy")
    the_whole_way(library, batch)
    places = library.tables.read(LOCATIONS, batch)
    assert places["manifest_path"].is_not_null().sum() == 3
    assert places.filter(pl.col("name") == "clip.mkv")["take_id"].is_null().all()
    assert library.tables.read(CAPTURE_SEGMENTS, batch).height == 3
    assert library.tables.read(RAW_MEDIA_FAILURES, batch).is_empty()
    # The same recording again, by reference: a duplicate, with its manifest where it is.
    (again,) = claim_paths(library, [tmp_path / "usb"], "reference")
    ingest_batch(library, again)
    assert library.tables.read(MEDIA, again).is_empty()
    capture_batch(library, again)
    publish(library)
    assert run_sql(library.settings, "SELECT count(*) AS n FROM capture_segments")["n"].to_list() == [3]


def test_a_batch_without_recordings_has_no_file_of_the_table(
    library: Library, clip: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "drop").mkdir()
    shutil.copy(clip("plain.mp4"), tmp_path / "drop")
    (batch,) = claim_paths(library, [tmp_path / "drop"], "copy")
    ingest_batch(library, batch)
    assert capture_batch(library, batch).total == 0
    assert library.tables.batches(CAPTURE_SEGMENTS) == [] and missing_of_batch(library, batch) == []


def test_doing_it_again_changes_nothing(library: Library, segments: list[Path]) -> None:
    commit_take(library.settings.capture_dir, segments, ENDS)
    batch = claim(library)
    the_whole_way(library, batch)
    path = library.tables.path(CAPTURE_SEGMENTS, batch)
    before = path.stat().st_mtime_ns
    report = capture_batch(library, batch)
    assert (report.computed, report.reused) == (0, 3) and path.stat().st_mtime_ns == before
