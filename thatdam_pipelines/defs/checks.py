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
from thatdam_pipelines.library.schemas import LOCATIONS, MEDIA, PROBES, PROXIES, Table
from thatdam_pipelines.library.stage import StageReport

EVERY_FILE_DONE = {
    "every_file_done": "No file failed. A failed file costs only itself; the list says why and what to do."
}
ORIGINALS_VERIFIED = {
    "originals_verified": "Every original is at its location and of its size; ingest read it back equal to its hash."
}
PROXIES_COMPLETE = {"proxy_durations": "Every clip has a proxy, as long as the clip within half a second or 1 %."}
VECTORS_SOUND = {"vectors_sound": "Every vector is finite, of unit length and of the length its row declares."}
INDEX_COMPLETE = {"index_complete": "The index holds as many entries of the batch as the tables have for it."}

_UNIT_TOLERANCE = 1e-3
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
    """Looks at each original of the batch in the store, or at its source where it is kept by reference."""
    locations = library.tables.read(LOCATIONS, batch_id)
    media = library.tables.read(MEDIA, batch_id)
    wrong: list[str] = []
    for place in locations.iter_rows(named=True):
        size = _size_at(library, place)
        if size is None:
            wrong.append(f"{plain(place['name'])}: not found at {plain(place['path'])}")
        elif size != place["size_bytes"]:
            wrong.append(f"{plain(place['name'])}: {size} bytes instead of {place['size_bytes']}")
    unplaced = media.join(locations, on="media_id", how="anti")["name"]
    wrong += [f"{plain(name)}: has no location" for name in unplaced]
    return _listed("originals_verified", wrong, looked_at=locations.height)


def _size_at(library: Library, place: Mapping[str, Any]) -> int | None:
    if place["in_store"]:
        return library.store.size(place["path"]) if library.store.exists(place["path"]) else None
    path = Path(unescape_name(place["path"]))
    return path.stat().st_size if path.exists() else None


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
    return _listed("proxy_durations", wrong, looked_at=probes.height)


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
    return _listed("vectors_sound", wrong, looked_at=rows.height)


def _items(rows: pl.DataFrame, table: Table) -> list[str]:
    return ["/".join(map(str, key)) for key in rows.select(table.key).iter_rows()]


def index_complete(expected: int, present: int) -> dg.AssetCheckResult:
    """Compares what the tables have for the index with what was counted in it afterwards."""
    wrong = [] if expected == present else [f"{present} entries in the index, {expected} in the tables"]
    return _listed("index_complete", wrong, looked_at=expected)


def _listed(name: str, wrong: Sequence[str], *, looked_at: int) -> dg.AssetCheckResult:
    metadata: dict[str, Any] = {"looked at": looked_at, "wrong": len(wrong)}
    if wrong:
        shown = [f"- {line}" for line in wrong[:_SHOWN]]
        more = [f"- ... and {len(wrong) - _SHOWN} more"] if len(wrong) > _SHOWN else []
        metadata["what is wrong"] = dg.MetadataValue.md("\n".join(shown + more))
    return dg.AssetCheckResult(
        check_name=name,
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(wrong)} of {looked_at} are wrong" if wrong else None,
        metadata=metadata,
    )
