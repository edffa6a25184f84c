"""Asset checks: each looks at the facts of one batch and says what it found, file by file."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from thatdam_pipelines.defs.partitions import INGEST_BATCH
from thatdam_pipelines.defs.report import failed_table, plain
from thatdam_pipelines.library.files import unescape_name
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import AUDIO, CARD_HASHES, LOCATIONS, MEDIA, PROBES, PROXIES, SYNCS
from thatdam_pipelines.library.schemas_motion import MOTION
from thatdam_pipelines.library.stage import StageReport
from thatdam_pipelines.library.table import Table
from thatdam_pipelines.media.capture import Missing

EVERY_FILE_DONE = {
    "every_file_done": "No file failed. A failed file costs only itself; the list says why and what to do."
}
ORIGINALS_VERIFIED = {
    "originals_verified": "Every original was read back where it is kept, with its hash, and has not changed since: "
    "it is there, of that size and that time."
}
CARD_AS_LISTED = {
    "card_as_listed": "Every file that the card's own hash list (ASC MHL, .mhl) names came, and is what the list says. "
    "One that is not is kept as it came."
}
PROXIES_COMPLETE = {"proxy_durations": "Every clip has a proxy, as long as the clip within half a second or 1 %."}
SOUND_HEALTHY = {
    "sound_healthy": "No clip's sound is clipped, has a dead channel, inverted phase, the same on both channels, or "
    "a DC offset. It was recorded so: the list says what to listen to."
}
MOTION_FOLLOWED = {
    "motion_followed": "Of no clip most shows nothing that the camera's path can be followed by: walls, sky, darkness."
}
CAMERAS_IN_SYNC = {
    "cameras_in_sync": "Every camera of a group is aligned with the first. What is not sure is refused, with why."
}
VECTORS_SOUND = {"vectors_sound": "Every vector is finite, of unit length and of the length its row declares."}
INDEX_COMPLETE = {"index_complete": "The index holds as many entries of the batch as the tables have for it."}
EVERY_SECOND_THERE = {
    "every_second_there": "No second is missing from the recorded sessions that the batch has segments of: no gap, no "
    "segment that is not there, no dropped frame."
}

_UNIT_TOLERANCE = 1e-3
_TIME_TOLERANCE_S = 2.0
"""As coarse as the times of any file system are: FAT's."""
_SHOWN = 20
_VECTORS_AT_ONCE = 4096


def check_specs(asset: str, checks: Mapping[str, str]) -> list[dg.AssetCheckSpec]:
    """Specifications of in-asset checks; each batch keeps its own result."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(name, asset=asset, description=description, partitions_def=INGEST_BATCH)
            for name, description in checks.items()
        ]


def every_file_done(report: StageReport) -> dg.AssetCheckResult:
    """Warns with the list of failed files and their share."""
    failed = len(report.failures)
    tried = max(report.total, failed)
    metadata: dict[str, Any] = {"failed": failed, "share failed": round(failed / tried, 4) if tried else 0.0}
    if failed:
        metadata["failed files"] = failed_table(report.failures)
    return dg.AssetCheckResult(
        check_name="every_file_done",
        passed=failed == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{failed} of {tried} files failed" if failed else None,
        metadata=metadata,
    )


def originals_verified(library: Library, batch_id: str) -> dg.AssetCheckResult:
    """Holds each original of the batch to what ingest read back: in the store, or at its source if kept by reference.

    It reads no bytes: a change that keeps size and time is for the audit to find.
    """
    locations = library.tables.read(LOCATIONS, batch_id)
    media = library.tables.read(MEDIA, batch_id)
    hashes = dict(media.select("media_id", "blake3").iter_rows())
    wrong = [
        f"{plain(place['name'])}: {cause}"
        for place in locations.iter_rows(named=True)
        if (cause := _unproven(place, hashes) or _changed(library, place))
    ]
    unplaced = media.join(locations, on="media_id", how="anti")["name"]
    wrong += [f"{plain(name)}: has no location" for name in unplaced]
    return listed("originals_verified", wrong, looked_at=locations.height)


def _unproven(place: Mapping[str, Any], hashes: Mapping[str, str]) -> str | None:
    """What is wrong with the record of its reading back; None when it proves the content, of whichever batch."""
    read = place["verified_blake3"]
    if read is None:
        return "no record of its being read back"
    content = hashes.get(place["media_id"], place["media_id"])
    return None if read.startswith(content) else f"what was read back is {read[:32]}, not {content[:32]}"


def _changed(library: Library, place: Mapping[str, Any]) -> str | None:
    if place["in_store"]:
        size, modified_ns = library.store.size(place["path"]), library.store.modified_ns(place["path"])
    else:
        path = Path(unescape_name(place["path"]))
        found = path.stat() if path.exists() else None
        size, modified_ns = (found.st_size, found.st_mtime_ns) if found else (None, None)
    if size is None or modified_ns is None:
        return f"not found at {plain(place['path'])}"
    if size != place["size_bytes"]:
        return f"{size} bytes instead of {place['size_bytes']}"
    # A duplicate's time is its own; what is kept has that of the file that came first.
    kept_time = None if place["duplicate"] and place["in_store"] else place["modified_utc"]
    if kept_time is not None and abs(modified_ns / 1e9 - kept_time.timestamp()) > _TIME_TOLERANCE_S:
        return "written to since it was read back"
    return None


def card_as_listed(library: Library, batch_id: str) -> dg.AssetCheckResult:
    """Tells what the comparison with the card's own hash lists found; cards without one pass."""
    rows = library.tables.read(CARD_HASHES, batch_id)
    wrong = [
        f"{plain(row['source_path'])}: {row['verdict']}: {plain(row['reason'])}"
        for row in rows.filter(pl.col("verdict") != "verified").iter_rows(named=True)
    ]
    return listed("card_as_listed", wrong, looked_at=rows.height)


def proxy_durations(library: Library, batch_id: str, report: StageReport) -> dg.AssetCheckResult:
    """Compares each proxy's duration with its probe's; a clip that failed is told by ``every_file_done`` alone."""
    probes = library.tables.read(PROBES, batch_id).join(
        library.tables.read(MEDIA, batch_id).select("media_id", "name"), on="media_id", how="left"
    )
    proxies = library.tables.read(PROXIES, batch_id).select("media_id", pl.col("duration_s").alias("proxy_s"), "recipe")
    failed = {row["media_id"] for row in report.failures}
    wrong = []
    for clip in probes.join(proxies, on="media_id", how="left", suffix="_proxy").iter_rows(named=True):
        if clip["media_id"] in failed:
            continue
        name, duration, proxy = plain(clip["name"] or clip["media_id"]), clip["duration_s"], clip["proxy_s"]
        if clip["recipe_proxy"] is None:
            wrong.append(f"{name}: has no proxy")
        elif duration is not None and (proxy is None or abs(proxy - duration) > max(0.5, duration / 100)):
            wrong.append(f"{name}: {duration:.2f} s, its proxy {'nothing' if proxy is None else f'{proxy:.2f} s'}")
    return listed("proxy_durations", wrong, looked_at=probes.height)


def sound_healthy(library: Library, batch_id: str) -> dg.AssetCheckResult:
    """Tells which clips' sound has a fault. Nothing can be done about it here, so it stops nothing."""
    names = library.tables.read(MEDIA, batch_id).select("media_id", "name")
    rows = library.tables.read(AUDIO, batch_id).join(names, on="media_id", how="left")
    faulty = rows.filter(pl.col("faults").list.len() > 0).select("name", "faults").sort("name")
    lines = [f"{plain(name)}: {', '.join(faults)}" for name, faults in faulty.iter_rows()]
    return listed("sound_healthy", lines, looked_at=rows.height, severity=dg.AssetCheckSeverity.WARN)


def motion_followed(library: Library, batch_id: str) -> dg.AssetCheckResult:
    """Tells of which clips the camera's motion is not known. They are as they were shot, so it stops nothing."""
    names = library.tables.read(MEDIA, batch_id).select("media_id", "name")
    rows = library.tables.read(MOTION, batch_id).join(names, on="media_id", how="left")
    lines = [plain(name) for name in rows.filter(pl.col("camera").is_null())["name"].sort()]
    return listed("motion_followed", lines, looked_at=rows.height, severity=dg.AssetCheckSeverity.WARN)


def cameras_in_sync(library: Library, batch_id: str) -> dg.AssetCheckResult:
    """Tells which pairs of cameras were refused. The recordings are as they are, so it stops nothing."""
    rows = library.tables.read(SYNCS, batch_id)
    refused = rows.filter(~pl.col("sure")).select("media_id", "reference_id", "reason")
    lines = [
        f"{media_id} with {reference_id}: {plain(reason)}" for media_id, reference_id, reason in refused.iter_rows()
    ]
    return listed("cameras_in_sync", lines, looked_at=rows.height, severity=dg.AssetCheckSeverity.WARN)


def vectors_sound(library: Library, batch_id: str, table: Table) -> dg.AssetCheckResult:
    """Measures every vector of the batch."""
    wrong: list[str] = []
    rows = library.tables.read(table, batch_id)
    for (dimensions,), group in rows.group_by("dimensions"):
        whole = group.filter(pl.col("vector").list.len() == dimensions)
        short = group.filter(pl.col("vector").list.len() != dimensions)
        wrong += [f"{item}: not {dimensions} values" for item in _items(short, table)]
        for part in whole.iter_slices(_VECTORS_AT_ONCE):
            vectors = part["vector"].list.to_array(int(dimensions)).to_numpy().astype(np.float64)
            lengths = np.linalg.norm(vectors, axis=1)
            unsound = ~(np.abs(lengths - 1) <= _UNIT_TOLERANCE)
            items = _items(part.filter(pl.Series(unsound)), table)
            wrong += [f"{item}: length {length:.4f}" for item, length in zip(items, lengths[unsound], strict=True)]
    return listed("vectors_sound", wrong, looked_at=rows.height)


def every_second_there(missing: Sequence[Missing], *, looked_at: int) -> dg.AssetCheckResult:
    """Tells what is missing from recordings. Nothing can bring it back, so it stops nothing.

    Args:
        looked_at: Sessions that the batch has segments of.
    """
    lines = [plain(str(one)) for one in missing]
    seconds = sum(one.seconds or 0.0 for one in missing)
    said = f"{seconds:.2f} s are missing in {len(missing)} places, the first: {lines[0]}" if lines else None
    severity = dg.AssetCheckSeverity.WARN
    return listed("every_second_there", lines, looked_at=looked_at, severity=severity, said=said)


def _items(rows: pl.DataFrame, table: Table) -> list[str]:
    return ["/".join(map(str, key)) for key in rows.select(table.key).iter_rows()]


def index_complete(expected: int, present: int) -> dg.AssetCheckResult:
    """Compares what the tables have for the index with what was counted in it afterwards."""
    wrong = [] if expected == present else [f"{present} entries in the index, {expected} in the tables"]
    return listed("index_complete", wrong, looked_at=expected)


def listed(
    name: str,
    wrong: Sequence[str],
    *,
    looked_at: int,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
    said: str | None = None,
) -> dg.AssetCheckResult:
    """The result of a check that lists what is wrong, the first of it in the UI."""
    metadata: dict[str, Any] = {"looked at": looked_at, "wrong": len(wrong)}
    if wrong:
        shown = [f"- {line}" for line in wrong[:_SHOWN]]
        more = [f"- ... and {len(wrong) - _SHOWN} more"] if len(wrong) > _SHOWN else []
        metadata["what is wrong"] = dg.MetadataValue.md("\n".join(shown + more))
    return dg.AssetCheckResult(
        check_name=name,
        passed=not wrong,
        severity=severity,
        description=said or (f"{len(wrong)} of {looked_at} are wrong" if wrong else None),
        metadata=metadata,
    )
