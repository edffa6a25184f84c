"""Recordings as the recorder commits them, for tests that need its folder and no camera."""

import json
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import imageio_ffmpeg
from blake3 import blake3

START = datetime(2026, 11, 21, 10, 0, 0, 250_000, tzinfo=UTC)
RATE = 25
SESSION = "5e55104" + "0" * 25


def manifest_of(media: bytes, **changes: Any) -> dict[str, Any]:
    """A manifest that is true of ``media``; ``changes`` are fields of it, or ``part__field`` of a part of it."""
    made: dict[str, Any] = {
        "schema": "thatdam.capture/1",
        "camera": {"id": "cam1", "name": "Hero camera", "kind": "synthetic", "serial": None},
        "host": "set-1",
        "session_id": SESSION,
        "group_id": "take-12",
        "role": "hero",
        "segment_index": 0,
        "is_last": True,
        "file": "",
        "bytes": len(media),
        "blake3": blake3(media).hexdigest(),
        "start_utc": START.isoformat(),
        "end_utc": (START + timedelta(seconds=2)).isoformat(),
        "clock_error_s": 0.02,
        "ntp_synced": None,
        "start_timecode": "10:00:00:06",
        "frame_rate": f"{RATE}/1",
        "frames": 2 * RATE,
        "dropped": 0,
        "duplicated": 0,
        "duration_s": 2.0,
        "video": {"codec": "h264", "width": 320, "height": 180, "pixel_format": "yuv420p", "bit_rate": 100_000},
        "audio": {"codec": "aac", "sample_rate": 48_000, "channels": 1, "samples": 96_000},
        "complete": True,
        "gap_before_s": None,
        "reason_end": "stop",
        "encoder": ["-c:v", "libx264"],
        "versions": {"thatdam": "0.1.0", "ffmpeg": "9.0"},
    }
    for name, value in changes.items():
        part, _, field = name.partition("__")
        if field:
            made[part] = made[part] | {field: value}
        else:
            made[part] = value
    return made


def commit(folder: Path, media: bytes, **changes: Any) -> Path:
    """Put a segment and its manifest into the recorder's folder, the manifest last; give the segment's path."""
    made = manifest_of(media, **changes)
    start = datetime.fromisoformat(made["start_utc"])
    camera = made["camera"]["id"]
    stamp = f"{start:%Y%m%dT%H%M%S}{start.microsecond // 1000:03d}Z"
    name = f"{camera}_{stamp}_{made['session_id'][:8]}_{made['segment_index']:05d}"
    path = folder / camera / f"{start:%Y}" / f"{start:%m}" / f"{start:%d}" / f"{name}.mkv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(media)
    made["file"] = changes.get("file", path.name)
    path.with_suffix(".json").write_text(json.dumps(made), "utf-8")
    return path


def write_segments(folder: Path, seconds: Sequence[float], codecs: Sequence[str] = ()) -> list[Path]:
    """Footage cut into segments as the recorder cuts it: MKV, times from 0 in each, no frame lost between them.

    Args:
        seconds: Where segments end, the last being the length of all.
        codecs: Arguments of ffmpeg for picture and sound. Default: H.264 and AAC.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keys = ",".join(f"{at:g}" for at in (0, *seconds[:-1]))
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error"]
    command += ["-f", "lavfi", "-i", f"testsrc2=size=320x180:rate={RATE}:duration={seconds[-1]:g}"]
    command += ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={seconds[-1]:g}"]
    command += [*(codecs or ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"))]
    command += ["-force_key_frames", keys, "-f", "segment", "-segment_format", "matroska", "-reset_timestamps", "1"]
    if len(seconds) > 1:
        command += ["-segment_times", ",".join(f"{at:g}" for at in seconds[:-1])]
    else:
        command += ["-segment_time", f"{seconds[-1] + 10:g}"]
    subprocess.run([*command, f"file:{folder}/%05d.mkv"], check=True)
    return sorted(folder.glob("*.mkv"))


def commit_take(
    folder: Path, segments: Sequence[Path], ends: Sequence[float], start: datetime = START, **changes: Any
) -> list[Path]:
    """Commit footage of ``write_segments`` as one session; give the segments' paths in the recorder's folder."""
    begins = (0.0, *ends[:-1])
    last = len(segments) - 1
    return [
        commit(
            folder,
            path.read_bytes(),
            **{
                "segment_index": index,
                "is_last": index == last,
                "reason_end": "stop" if index == last else "segment",
                "start_utc": (start + timedelta(seconds=begin)).isoformat(),
                "end_utc": (start + timedelta(seconds=end)).isoformat(),
                "duration_s": end - begin,
                "frames": round((end - begin) * RATE),
                "gap_before_s": 0.0 if index else None,
                **changes,
            },
        )
        for index, (path, begin, end) in enumerate(zip(segments, begins, ends, strict=True))
    ]
