"""Batches by the name that people know: their id, or the folder that they came in."""

from pathlib import Path
from typing import Any

from thatdam_pipelines.errors import QueryError
from thatdam_pipelines.library import catalog
from thatdam_pipelines.library.files import escape_name
from thatdam_pipelines.library.home import Library


def list_batches(library: Library, limit: int | None = None) -> list[dict[str, Any]]:
    """The batches, newest first, as ``{"batch", "count", "bytes", "root", "state", "album", "created_utc"}``."""
    return [
        {
            "batch": batch.batch_id,
            "count": batch.files,
            "bytes": batch.bytes,
            "root": escape_name(batch.root),
            "state": batch.state,
            "album": batch.album,
            "created_utc": batch.created_utc,
        }
        for batch in library.ledger.batches(limit)
    ]


def show_batch(library: Library, name: str) -> list[dict[str, Any]]:
    """The files of the batches of a name, as ``{"batch", "path", "size_bytes", "state", "reason"}``.

    Args:
        name: Id of a batch; or the folder, or the path of a folder, that some came in.

    Raises:
        QueryError: There is none of that name.
    """
    found = batches_named(library, name)
    if not found:
        raise QueryError(name, "there is no such batch, and none came in such a folder", "See `thatdam batches list`.")
    return [
        {
            "batch": batch_id,
            "path": escape_name(str(Path(file.root, file.rel_path))),
            "size_bytes": file.size_bytes,
            "state": file.state,
            "reason": file.reason,
        }
        for batch_id in found
        for file in library.ledger.batch_files(batch_id)
    ]


def batches_named(library: Library, name: str) -> list[str]:
    """Ids of the batches that a name means, oldest first."""
    if library.ledger.batch(name):
        return [name]
    path = name.rstrip("/")
    found = {
        batch.batch_id for batch in library.ledger.batches(limit=None) if path in (batch.root, Path(batch.root).name)
    }
    if path and library.settings.catalog_path.exists():
        below = "SELECT DISTINCT batch_id FROM locations WHERE folder = $name OR starts_with(folder, $name || '/')"
        found |= set(catalog.run_sql(library.settings, below, {"name": escape_name(path)})["batch_id"])
    return sorted(found)
