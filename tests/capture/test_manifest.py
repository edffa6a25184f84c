"""Manifests, names and timecode: written once, read by others."""

import json
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from thatdam_capture.clock import ntp_synced, timecode
from thatdam_capture.manifest import NAME, Manifest, segment_name
from thatdam_capture.store import Store

START = datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)


def manifest(start: datetime = START, camera: str = "cam1", index: int = 0, **changes: Any) -> Manifest:
    values: dict[str, Any] = {
        "schema": "thatdam.capture/1",
        "camera": {"id": camera, "name": "Camera 1", "kind": "synthetic", "serial": None},
        "host": "here",
        "session_id": "0123456789abcdef0123456789abcdef",
        "group_id": "take",
        "role": "hero",
        "segment_index": index,
        "is_last": False,
        "file": f"{segment_name(camera, start, '0123456789abcdef', index)}.mkv",
        "bytes": 1,
        "blake3": "0" * 64,
        "start_utc": start,
        "end_utc": start + timedelta(seconds=10),
        "clock_error_s": 0.04,
        "ntp_synced": True,
        "start_timecode": "12:00:00:03",
        "frame_rate": "25/1",
        "frames": 250,
        "dropped": 0,
        "duplicated": 0,
        "duration_s": 10.0,
        "video": {"codec": "h264", "width": 320, "height": 180, "pixel_format": "yuv420p", "bit_rate": 1},
        "audio": None,
        "complete": True,
        "gap_before_s": None,
        "reason_end": "segment",
        "encoder": [],
        "versions": {},
    }
    return Manifest.model_validate(values | changes)


def write(store: Store, one: Manifest) -> None:
    path = store.manifest_path(one)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(one.to_json())


def test_a_manifest_reads_back_as_it_was_written() -> None:
    one = manifest()
    data = json.loads(one.to_json())
    assert data["schema"] == "thatdam.capture/1"
    assert data["start_utc"] == "2026-03-01T12:00:00.123456Z"
    assert Manifest.model_validate(data) == one


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "thatdam.capture/2"},
        {"blake3": "x"},
        {"bytes": -1},
        {"more": 1},
        {"file": "../../elsewhere.mkv"},
        {"camera": {"id": "../elsewhere", "name": "", "kind": "v4l2"}},
    ],
)
def test_what_is_no_manifest_of_this_version_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        manifest(**change)


def test_names_sort_by_time_and_say_what_they_are() -> None:
    name = segment_name("stage-left", START, "0123456789abcdef", 7)
    assert name == "stage-left_20260301T120000123Z_01234567_00007"
    match = NAME.fullmatch(f"{name}.json")
    assert match and match["camera"] == "stage-left" and match["index"] == "00007"


def test_recordings_are_listed_newest_first_over_cameras_and_days(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for day in range(3):
        for camera in ("cam1", "cam2"):
            for index in range(2):
                start = START + timedelta(days=day, seconds=10 * index + (camera == "cam2"))
                write(store, manifest(start, camera, index))
    (tmp_path / "cam1" / "2026" / "03" / "01" / "notes.json").write_text("{}")
    everything = store.recordings()
    assert len(everything) == 12
    starts = [one.start_utc for one in everything]
    assert starts == sorted(starts, reverse=True)
    assert store.recordings(limit=3) == everything[:3]
    assert store.recordings(before=starts[4]) == everything[5:]
    assert {one.camera.id for one in store.recordings(camera_id="cam2")} == {"cam2"}
    assert store.recordings(camera_id="cam9") == []
    assert Store(tmp_path / "gone").recordings() == []


@pytest.mark.parametrize(
    ("rate", "seconds", "text"),
    [
        ("25", 3661.48, "01:01:01:12"),
        ("24000/1001", 0, "00:00:00:00"),
        ("30000/1001", 60.06, "00:01:00;02"),
        ("30000/1001", 59.9933, "00:00:59;28"),
        ("30000/1001", 600.6001, "00:10:00;18"),
        ("60000/1001", 60.06, "00:01:00;04"),
        ("30", 86399.999, "23:59:59:29"),
    ],
)
def test_timecode_is_time_of_day(rate: str, seconds: float, text: str) -> None:
    moment = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    assert timecode(moment, Fraction(rate)) == text


def test_the_kernel_says_whether_its_clock_is_disciplined() -> None:
    assert ntp_synced() in (True, False, None)
