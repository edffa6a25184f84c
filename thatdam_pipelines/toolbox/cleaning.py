"""Cleaning: media whose only file is gone are put aside. No file, and nothing that is known, is ever removed."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from thatdam_pipelines.curation.changing import change_media
from thatdam_pipelines.errors import OfflineError
from thatdam_pipelines.library import catalog
from thatdam_pipelines.library.curation import NEXT_STATES, change_of
from thatdam_pipelines.library.files import unescape_name
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.watch import folder_identity

_LEFT_OUTSIDE = """
    SELECT c.media_id, c.backed_up, o.paths, o.roots
    FROM clips c JOIN (
        SELECT l.media_id, list(l.path) AS paths, list(b.root) AS roots
        FROM locations l JOIN batches b USING (batch_id)
        GROUP BY l.media_id HAVING NOT bool_or(l.in_store)
    ) o USING (media_id)
    ORDER BY c.media_id
"""


@dataclass(frozen=True)
class Missing:
    """A medium that was left where it was, and is not there any more though its folder is.

    Args:
        path: Where it was.
        backed_up: A backup holds a proven copy: `thatdam backup restore` brings it back.
    """

    media_id: str
    path: str
    backed_up: bool


@dataclass(frozen=True)
class Cleaned:
    """What was found, and done where it was confirmed.

    Args:
        confirmed: Whether anything was done.
        missing: Media of which no file is left in the library, nor where it came from.
        archived: How many of them that no backup holds were archived, or unconfirmed would be.
    """

    confirmed: bool
    missing: list[Missing]
    archived: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def clean(library: Library, by: str, *, confirm: bool = False) -> Cleaned:
    """Archive media whose only file is gone; unconfirmed, only tell of them.

    A folder that cannot be reached, or stands empty, is away and not gone: nothing of it is touched. What is archived
    keeps all that is known of it, and goes back to its state before like any other.

    Args:
        by: Who does it; written into the history of each.

    Raises:
        OfflineError: The disk with the tables cannot be reached.
    """
    missing = list(_missing(library))
    said = library.ledger.curation.get_many([one.media_id for one in missing if not one.backed_up])
    dead = [media_id for media_id, known in said.items() if "archived" in NEXT_STATES[known.state]]
    if confirm and dead:
        change_media(library, dead, change_of(state="archived"), by)
    return Cleaned(confirm, missing, len(dead))


def _missing(library: Library) -> Iterator[Missing]:
    settings = library.settings
    rows = catalog.run_sql(settings, _LEFT_OUTSIDE) if settings.catalog_path.exists() else None
    for row in rows.iter_rows(named=True) if rows is not None else ():
        places = zip(map(unescape_name, row["roots"]), map(unescape_name, row["paths"]), strict=True)
        if all(_is_gone(library, Path(root), Path(path)) for root, path in places):
            yield Missing(row["media_id"], row["paths"][0], row["backed_up"])


def _is_gone(library: Library, root: Path, path: Path) -> bool:
    """Whether a file is not there, and the folder it came from is: neither away nor an empty mount point.

    Nor is the nearest folder above the file that is there: a root may have several disks below it.
    """
    try:
        if path.exists() or path.is_symlink():
            return False
        folder_identity(library.ledger, str(root))
        nearest = next(folder for folder in path.parents if folder.exists())
        return any(root.iterdir()) and any(nearest.iterdir())
    except (OfflineError, OSError):
        return False
