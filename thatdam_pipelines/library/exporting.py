"""Copying the ledger to Parquet for the catalogue, no more often than what it costs allows."""

import contextlib
import fcntl
import time
from collections.abc import Sequence

import sqlalchemy as sa

from thatdam_pipelines.library.curation_tables import CURATED
from thatdam_pipelines.library.exports import EXPORT_FOLDER
from thatdam_pipelines.library.files import replacing
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.ledger_tables import EXPORTED

EXPORT_FREE_S = 0.25
EXPORT_SHARE = 20
"""What takes longer than EXPORT_FREE_S to copy is copied again only when its last copy is older than EXPORT_SHARE times
what copying took."""
SMALL_CURATION = 50_000
"""Changes of fields up to which what people say is always copied, however slow the disk is now."""


def export_ledger(library: Library) -> bool:
    """Copy the whole ledger, which takes time in proportion to all that was ever seen, in a twentieth of the time."""
    return _export(library, EXPORTED, "seconds", always=False)


def export_curation(library: Library) -> bool:
    """Copy what people say of media, so that SQL answers with it before the next catalogue is published.

    Nothing is copied where nothing was published yet, or where the disk with the tables is away.
    """
    if not (library.tables.root / EXPORT_FOLDER).is_dir():
        return False
    small = library.ledger.curation.count_changes() <= SMALL_CURATION
    return _export(library, CURATED, "curation_seconds", always=small)


def _export(library: Library, tables: Sequence[sa.Table], name: str, *, always: bool) -> bool:
    """Copy tables, unless ``always`` in at most a twentieth of the time; ``name`` of the file that says how long."""
    folder = library.tables.root / EXPORT_FOLDER
    took = folder / name
    with contextlib.suppress(FileNotFoundError, ValueError):
        seconds = float(took.read_text())
        if not always and seconds > EXPORT_FREE_S and time.time() - took.stat().st_mtime < EXPORT_SHARE * seconds:
            return False
    folder.mkdir(parents=True, exist_ok=True)
    # One after another: an older copy must not take the place of a newer one.
    with (folder / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        started = time.monotonic()
        library.ledger.export(folder, tables)
        with replacing(took) as part:
            part.write_text(str(time.monotonic() - started))
    return True
