"""A folder, NAS mount or phone export into an album and a category, again and again without doubles."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from thatdam_pipelines.curation.changing import make_findable
from thatdam_pipelines.ingest_command import is_done, run_claimed
from thatdam_pipelines.library.albums import album_name
from thatdam_pipelines.library.curation import change_of
from thatdam_pipelines.library.curation_rows import Author
from thatdam_pipelines.library.files import escape_name, unescape_name
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import LOCATIONS
from thatdam_pipelines.media.claim import claim_paths, given_path
from thatdam_pipelines.settings import Settings

Category = Literal["edit", "digital"]


@dataclass(frozen=True)
class Synced:
    """What became of the files below a folder.

    Args:
        synced: Files that were not in the library before; of ``claim_album`` those that are about to be.
        skipped: Files that were, here or under another name: they are in the album now, and nothing is twice.
        dest: Where the files are: the media store, or the folder itself.
        batches: Batches that bring what is new.
        errors: Files that could not be read.
        finished: False when a run itself failed; the sync can be repeated.
    """

    category: Category
    album: str
    synced: int
    skipped: int
    dest: str
    batches: list[str]
    errors: int = 0
    finished: bool = True

    def as_dict(self) -> dict[str, Any]:
        names = ("category", "album", "synced", "skipped", "dest", "errors")
        return {name: getattr(self, name) for name in names}


def sync_album(
    settings: Settings,
    root: Path,
    album: str | None = None,
    category: Category = "edit",
    *,
    copy: bool = True,
    console: Console | None = None,
) -> Synced:
    """Take what is new below a folder into an album, and put into it what is known already.

    Times, and extended attributes of the user where both disks keep them, come with a copy; AAE files are kept.

    Args:
        root: The folder; whatever its structure is.
        album: Default: the folder's name.
        copy: False leaves the files where they are.

    Raises:
        SettingsError: There is no such folder, or it is part of the library itself.
        CurationError: The album's name is none.
    """
    with Library(settings) as library:
        claimed = claim_album(library, root, album, category, copy=copy)
    result = run_claimed(settings, claimed.batches, console=console or Console(quiet=True))
    below = given_path(root.absolute())
    with Library(settings) as library:
        places = [
            place
            for batch in claimed.batches
            for place in library.tables.read(LOCATIONS, batch).iter_rows(named=True)
            if Path(unescape_name(place["source_path"])).is_relative_to(below)
        ]
    new = sum(not place["duplicate"] for place in places)
    return replace(
        claimed,
        synced=new,
        skipped=claimed.skipped + len(places) - new,
        errors=claimed.synced - len(places),
        finished=result.finished,
    )


def claim_album(
    library: Library, root: Path, album: str | None = None, category: Category = "edit", *, copy: bool = True
) -> Synced:
    """The part of ``sync_album`` that is done at once: new files are claimed, known ones are put into the album.

    Raises:
        SettingsError: There is no such folder, or it is part of the library itself.
        CurationError: The album's name is none.
    """
    given = given_path(root.absolute())
    name = album_name(album or given.name)
    batches = claim_paths(library, [given], "copy" if copy else "reference", name, category, again=False)
    done = [batch for batch in batches if is_done(library, batch)]
    todo = [batch for batch in batches if batch not in done]
    known = {path for batch in done for path in _paths_below(library, batch, given)}
    _put_into(library, name, given, done, known)
    new = sum(1 for batch in todo for _ in _paths_below(library, batch, given))
    dest = library.settings.media_url if copy else str(given)
    return Synced(category, name, new, len(known), dest, todo)


def _paths_below(library: Library, batch_id: str, folder: Path) -> Iterator[str]:
    for file in library.ledger.batch_files(batch_id):
        path = Path(file.root, file.rel_path)
        if path.is_relative_to(folder) and path.exists():
            yield escape_name(str(path))


def _put_into(library: Library, album: str, folder: Path, batches: list[str], paths: set[str]) -> None:
    """Put media that came earlier into an album; what a person took out of it stays out."""
    media_ids = {
        media_id
        for batch in batches
        for path, media_id in library.tables.read(LOCATIONS, batch).select("source_path", "media_id").iter_rows()
        if path in paths
    }
    if media_ids:
        change = change_of(add_albums=[album])
        by = Author.now(escape_name(str(folder)), "folder")
        library.ledger.curation.propose(dict.fromkeys(sorted(media_ids), change), by)
        make_findable(library)
