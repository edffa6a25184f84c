"""What the manifests of a batch say of its segments, as rows; and what is missing from the sessions they are of."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

import polars as pl

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.locations import rows_by
from thatdam_pipelines.library.manifests import Manifest
from thatdam_pipelines.library.recipes import Recipe
from thatdam_pipelines.library.schemas import CAPTURE_SEGMENTS
from thatdam_pipelines.library.stage import StageReport
from thatdam_pipelines.media.recorded import recorded

CAPTURE_RECIPE = Recipe("capture", "1")
NOTABLE_S = 0.1
"""Less is within the error of the clocks that tell when segments begin and end."""


@dataclass(frozen=True)
class Missing:
    """Footage that a session should have and has not.

    Args:
        seconds: How much; None where nothing says.
        start_utc: From when; None where nothing says.
    """

    camera: str
    session_id: str
    seconds: float | None
    start_utc: datetime | None
    end_utc: datetime | None
    reason: str

    def __str__(self) -> str:
        much = "unknown time" if self.seconds is None else f"{self.seconds:.2f} s"
        when = "" if self.start_utc is None else f" from {self.start_utc:%Y-%m-%d %H:%M:%S.%f}"[:-4]
        until = "" if self.end_utc is None else f" to {self.end_utc:%H:%M:%S.%f}"[:-4]
        return f"{self.camera}: {much} missing{when}{until} UTC ({self.reason}), session {self.session_id[:8]}"


def capture_batch(library: Library, batch_id: str) -> StageReport:
    """Write ``capture_segments`` for a batch: a row for every file of it that the recorder committed.

    Facts of the report: ``sessions``, ``seconds`` recorded, ``dropped`` frames.

    Raises:
        OfflineError: The media store cannot be reached.
        StoreError: A manifest is missing from it.
    """
    started = time.monotonic()
    before = library.tables.read(CAPTURE_SEGMENTS, batch_id).filter(pl.col("recipe") == CAPTURE_RECIPE.id)
    manifests = recorded(library, batch_id)
    kept = before.filter(pl.col("media_id").is_in(list(manifests)))
    new = [
        _row(manifest, media_id, batch_id)
        for media_id, manifest in manifests.items()
        if media_id not in set(kept["media_id"])
    ]
    # Two files that claim to be one segment are one segment here.
    known = {tuple(row[name] for name in CAPTURE_SEGMENTS.key): row for row in [*reversed(new), *kept.to_dicts()]}
    rows = CAPTURE_SEGMENTS.frame([*known.values()])
    # Most batches come from elsewhere: they have no file of this table.
    if rows.height or library.tables.path(CAPTURE_SEGMENTS, batch_id).exists():
        library.tables.write(CAPTURE_SEGMENTS, batch_id, rows)
    return StageReport(
        stage="capture_sessions",
        batch_id=batch_id,
        recipe=CAPTURE_RECIPE.id,
        total=len(manifests),
        computed=len(new),
        reused=len(manifests) - len(new),
        skipped=0,
        elapsed_s=time.monotonic() - started,
        failures=[],
        facts={
            "sessions": rows["session_id"].n_unique(),
            "seconds": float(rows["duration_s"].sum()),
            "dropped": int(rows["dropped"].sum()),
        },
    )


def missing_of_batch(library: Library, batch_id: str) -> list[Missing]:
    """What is missing from the sessions that have a segment in the batch, as far as the library knows them now."""
    sessions = library.tables.read(CAPTURE_SEGMENTS, batch_id)["session_id"].unique().to_list()
    if not sessions:
        return []
    rows = rows_by(library.tables, CAPTURE_SEGMENTS, "session_id", sessions)
    rows = rows.unique(("session_id", "camera_id", "segment_index"), keep="any")
    rows = rows.sort("start_utc", "camera_id", "segment_index")
    return [
        missing
        for (_, _), segments in rows.group_by("session_id", "camera_id", maintain_order=True)
        for missing in _missing(segments.sort("segment_index").to_dicts())
    ]


def _missing(segments: list[dict[str, Any]]) -> Iterator[Missing]:
    """What is missing from one session of one camera, of which these are the segments, in order."""
    first = segments[0]
    camera, session = first["camera_name"], first["session_id"]
    if first["segment_index"] > 0:
        reason = f"{_segments(first['segment_index'])} before the first one that is here"
        yield Missing(camera, session, None, None, first["start_utc"], reason)
    elif (first["gap_before_s"] or 0.0) > NOTABLE_S:
        yield _gap(first, "the recording was interrupted")
    for before, after in pairwise(segments):
        absent = after["segment_index"] - before["segment_index"] - 1
        if absent:
            seconds = (after["start_utc"] - before["end_utc"]).total_seconds()
            span = before["end_utc"], after["start_utc"]
            yield Missing(camera, session, seconds, *span, f"{_segments(absent)} not in the library")
        elif (after["gap_before_s"] or 0.0) > NOTABLE_S:
            yield _gap(after, "frames were lost between two segments")
    for segment in segments:
        rate = float(Fraction(segment["frame_rate"])) if segment["frame_rate"] else 0.0
        # Those that were lost between the segment before and this one are in its gap, and counted as dropped too.
        between = round((segment["gap_before_s"] or 0.0) * rate) if segment["segment_index"] else 0
        inside = segment["dropped"] - (between if (segment["gap_before_s"] or 0.0) > NOTABLE_S else 0)
        if inside > 0:
            span = segment["start_utc"], segment["end_utc"]
            reason = f"{inside} frames were dropped in {segment['file']}"
            yield Missing(camera, session, inside / rate if rate else None, *span, reason)


def _gap(segment: dict[str, Any], reason: str) -> Missing:
    seconds = segment["gap_before_s"]
    start = segment["start_utc"]
    return Missing(
        segment["camera_name"], segment["session_id"], seconds, start - timedelta(seconds=seconds), start, reason
    )


def _segments(count: int) -> str:
    return "1 segment" if count == 1 else f"{count} segments"


def _row(manifest: Manifest, media_id: str, batch_id: str) -> dict[str, Any]:
    camera, audio = manifest.camera, manifest.audio
    same = (
        "host", "session_id", "group_id", "role", "take_id", "segment_index", "is_last", "file", "blake3", "start_utc",
        "end_utc", "clock_error_s", "ntp_synced", "start_timecode", "frame_rate", "frames", "dropped", "duplicated",
        "gap_before_s", "duration_s", "complete", "reason_end", "encoder",
    )  # fmt: skip
    return {
        "media_id": media_id,
        "batch_id": batch_id,
        "recipe": CAPTURE_RECIPE.id,
        "camera_id": camera.id,
        "camera_name": camera.name,
        "camera_kind": camera.kind,
        "camera_serial": camera.serial,
        **{name: getattr(manifest, name) for name in same},
        "size_bytes": manifest.bytes,
        "video_codec": manifest.video.codec,
        "width": manifest.video.width,
        "height": manifest.video.height,
        "audio_codec": audio.codec if audio else None,
        "versions": [f"{name} {version}" for name, version in sorted(manifest.versions.items())],
    }
