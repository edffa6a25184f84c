"""Claiming files at once, as the command line does: no waiting for them to settle."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from thatdam_pipelines.errors import SettingsError
from thatdam_pipelines.library.arrivals import KnownFile, Sighting
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.ledger_tables import MOVED
from thatdam_pipelines.library.watch import is_ignored, own_folders, plain_path, portions_of, walk_files
from thatdam_pipelines.library.watched import is_own
from thatdam_pipelines.settings import IngestMode


def claim_paths(
    library: Library,
    paths: Iterable[Path],
    mode: IngestMode,
    album: str | None = None,
    category: str | None = None,
    *,
    again: bool = True,
) -> list[str]:
    """Claim files, and all files below folders, for batches of bounded size.

    Hidden, partial and system files are passed over as in watched folders. A file that is unchanged since it was
    claimed or ingested in the same mode, album and category is not claimed again: the batch that has it is named.

    Args:
        again: False: nor is one that was in the same mode, whatever album and category it came into.

    Returns:
        Ids of the batches that hold the files, oldest first.

    Raises:
        SettingsError: A path does not exist, or is part of the library itself.
    """
    batches: set[str] = set()
    for root, sightings in _by_root(library, paths).items():
        batches |= _claim(library, root, sorted(sightings.values()), mode, album, category, again=again)
    return sorted(batches)


def given_path(path: Path) -> Path:
    """The path that the files at or below ``path`` are known by: a link to them is followed."""
    return path.resolve() if path.is_symlink() else Path(plain_path(path))


def _by_root(library: Library, paths: Iterable[Path]) -> dict[str, dict[str, Sighting]]:
    settings = library.settings
    watched = [Path(plain_path(folder.path)) for folder in library.watched_folders]
    own = [Path(folder).resolve() for folder in own_folders(settings, library.ledger.watched)]
    roots: dict[str, dict[str, Sighting]] = {}
    for path in paths:
        given = given_path(path)
        if not given.exists():
            raise SettingsError(path, "there is no such file or folder", "Check the name.")
        real = given.resolve()
        if is_own(settings, real):
            raise SettingsError(path, "it is part of the library itself", "Give footage, or home/incoming.")
        # Below a watched folder the ledger knows the file by that folder, so that no scan takes it a second time.
        roots_above = [folder for folder in watched if given.is_relative_to(folder)]
        root = max(roots_above, key=lambda folder: len(folder.parts), default=given if given.is_dir() else given.parent)
        below = "" if given == root else given.relative_to(root).as_posix()
        if given.is_dir():
            prefix = f"{below}/" if below else ""
            # However the folder was reached: the library's own folders below it, spelled as the walk will meet them.
            inside = [folder for folder in own if folder != real and folder.is_relative_to(real)]
            skip = {str(given / folder.relative_to(real)) for folder in inside}
            files = [(prefix + rel, found) for rel, found in walk_files(str(given), skip)]
        else:
            files = [] if is_ignored(given.name) else [(below, given.lstat())]
        sightings = roots.setdefault(str(root), {})
        sightings.update({rel: Sighting(rel, found.st_size, found.st_mtime_ns) for rel, found in files})
    return roots


def _claim(
    library: Library,
    root: str,
    sightings: Sequence[Sighting],
    mode: IngestMode,
    album: str | None,
    category: str | None,
    *,
    again: bool,
) -> set[str]:
    ledger = library.ledger
    known = ledger.files_at(root, [sighting.rel_path for sighting in sightings])
    holders: dict[str, bool] = {}
    batches: set[str] = set()
    todo = []
    for sighting in sightings:
        batch_id = _held_by(known.get(sighting.rel_path), sighting)
        if batch_id is not None and batch_id not in holders:
            batch = ledger.batch(batch_id)
            into = (album, category)
            holders[batch_id] = (
                batch is not None and batch.mode == mode and (not again or (batch.album, batch.category) == into)
            )
        if batch_id is not None and (holders[batch_id] or known[sighting.rel_path].state == "claimed"):
            batches.add(batch_id)
        else:
            todo.append(sighting)
    for portion in portions_of(todo, library.settings):
        made = ledger.create_batch(
            root, mode, portion, datetime.now(UTC), album=album, category=category, settled=False
        )
        # A scan claimed some of them just now: what is left is claimed, the rest is named by its batch.
        batches |= {made} if made else _claim(library, root, portion, mode, album, category, again=again)
    return batches


def _held_by(known: KnownFile | None, sighting: Sighting) -> str | None:
    if known is None or known.batch_id is None:
        return None
    if known.state == "claimed":
        return known.batch_id
    unchanged = (known.size_bytes, known.mtime_ns) == (sighting.size_bytes, sighting.mtime_ns)
    return known.batch_id if unchanged and known.state == "done" and known.reason != MOVED else None
