"""Watched folders: files are seen, settle, and are claimed in batches. All state is in the ledger."""

import json
import os
import stat
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from thatdam_pipelines.errors import OfflineError
from thatdam_pipelines.library.arrivals import KnownFile, Sighting
from thatdam_pipelines.library.files import escape_name, unescape_name
from thatdam_pipelines.library.ledger import Ledger
from thatdam_pipelines.library.ledger_tables import utc_of
from thatdam_pipelines.library.watched import Watched, library_folders, watched_folders
from thatdam_pipelines.settings import Settings, WatchedFolder

MAX_BATCHES = 25
MAX_SECONDS = 20.0
PARTIAL_SUFFIXES = (
    ".part",
    ".partial",
    ".tmp",
    ".temp",
    ".crdownload",
    ".download",
    ".filepart",
    ".opdownload",
    ".aria2",
    ".!ut",
    ".!qb",
    ".swp",
    "~",
)
SYSTEM_NAMES = frozenset(
    {
        "@eadir",
        "#recycle",
        "#snapshot",
        "system volume information",
        "$recycle.bin",
        "recycler",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "lost+found",
        "__macosx",
        "icon\r",
    }
)
Row = tuple[Any, ...]
_FULL_FOLDER_WAITS = 5
"""A folder that never comes to rest is claimed after so many waits, however fast further files settle."""


@dataclass(frozen=True)
class ScanReport:
    """What one look at a watched folder found.

    Args:
        online: The folder could be reached.
        changed: It could not before and now can, or the other way round; said once.
        message: Why it is offline, or what below it cannot be read.
        files: Files that are there, ignored ones left out.
        arrived: New or changed files.
        settled: Files that came to rest.
        gone: Files that are not there any more.
        waiting: Files that are not yet in a batch.
        batches: Batches made.
        complete: False when time ran out; the next scan goes on from there.
    """

    folder: Path
    online: bool
    changed: bool
    message: str = ""
    files: int = 0
    arrived: int = 0
    settled: int = 0
    gone: int = 0
    waiting: int = 0
    batches: list[str] = field(default_factory=list)
    complete: bool = True
    elapsed_s: float = 0.0


def is_ignored(name: str) -> bool:
    """Whether a file or folder of this name is never taken: hidden, half-written, or the system's own."""
    lower = name.lower()
    return name.startswith(".") or lower.endswith(PARTIAL_SUFFIXES) or lower in SYSTEM_NAMES


def plain_path(path: Path) -> str:
    """A path as the ledger names it: absolute, without dots; links stay."""
    return os.path.normpath(path.absolute())


def own_folders(settings: Settings, watched: Watched) -> set[str]:
    """Folders that no scan of another folder goes into: the library's own, and every watched one."""
    folders = [*library_folders(settings), *(folder.path for folder in watched_folders(settings, watched))]
    return {plain_path(path) for path in folders}


def scan_folder(ledger: Ledger, settings: Settings, folder: WatchedFolder, now: datetime) -> ScanReport:
    """Look at a watched folder once, write what changed to the ledger, and claim the batches that are ready.

    At most 25 batches and about 20 seconds; what is left waits for the next call. A folder that cannot be reached,
    or whose disk is not there, is marked offline and nothing else of it changes.

    Args:
        now: Time of this look; aware.
    """
    started = time.monotonic()
    deadline = started + MAX_SECONDS
    root = plain_path(folder.path)
    try:
        identity = folder_identity(ledger, root)
    except OfflineError as error:
        changed = ledger.folder_offline(root, error.cause, now)
        return ScanReport(folder.path, False, changed, error.cause, elapsed_s=time.monotonic() - started)

    known = ledger.folder(root)
    look = _Look(ledger, root, timedelta(seconds=folder.settle_seconds), now)
    look.walk(known.resume if known else None, own_folders(settings, ledger.watched) - {root}, deadline)
    if look.gone and not _is_there(ledger, root, identity):
        # A disk that went away during the walk takes nothing with it; the next scan says that it is offline.
        look.gone = []
    if look.changes:
        ledger.record_scan(
            root,
            now,
            arrived=look.arrived,
            settled=look.settled,
            back=look.back,
            gone=look.gone,
            refused=look.refused,
        )
    changed = ledger.folder_online(root, identity, look.resume, now)

    waiting = ledger.files_in(root, ("seen", "settled")) if look.arrived or look.waiting else []
    batches: list[str] = []
    claimed = 0
    for files in _ready(waiting, settings, now):
        if len(batches) == MAX_BATCHES or (batches and time.monotonic() > deadline):
            break
        made = ledger.create_batch(root, folder.mode, files, now, album=folder.album, category=folder.category)
        if made is not None:
            batches.append(made)
            claimed += len(files)
    return ScanReport(
        folder.path,
        True,
        changed,
        look.message,
        files=look.files,
        arrived=len(look.arrived),
        settled=len(look.settled),
        gone=len(look.gone),
        waiting=len(waiting) - claimed,
        batches=batches,
        complete=look.resume is None,
        elapsed_s=time.monotonic() - started,
    )


def folder_identity(ledger: Ledger, root: str) -> str:
    """What tells a folder from the empty mount point that is left where it was.

    Raises:
        OfflineError: It cannot be reached, or an empty folder stands in its place.
    """
    try:
        found = Path(root).stat()
        with os.scandir(root) as entries:
            empty = next(entries, None) is None
    except OSError as error:
        raise OfflineError(
            root, f"it cannot be reached ({error.strerror})", "Mount the disk; nothing is dropped."
        ) from error
    identity = f"{found.st_ino}{' mount' if os.path.ismount(root) else ''}"
    known = ledger.folder(root)
    if empty and known is not None and known.identity not in (None, identity):
        raise OfflineError(root, "an empty folder stands in its place", "Mount the disk; nothing is dropped.")
    return identity


def _is_there(ledger: Ledger, root: str, identity: str) -> bool:
    try:
        return folder_identity(ledger, root) == identity
    except OfflineError:
        return False


@contextmanager
def _entries(top: str, folder: str) -> Iterator[Iterator[os.DirEntry[str]]]:
    """What is in a folder. Read through the folder itself: its entries are asked for by name, not by their whole path,
    and a folder that was just replaced by a link is not followed."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (os.O_NOFOLLOW if folder else 0)
    # Without the slash at its end, which would follow a link.
    descriptor = os.open(f"{top}/{folder}"[:-1], flags)
    try:
        with os.scandir(descriptor) as entries:
            yield entries
    finally:
        os.close(descriptor)


def walk_files(top: str, skip: set[str]) -> Iterator[tuple[str, os.stat_result]]:
    """Every file below a folder that is not ignored, as (path below it, what the system says of it), in no order.

    Links are never followed and left out. Folders that cannot be read are left out too.
    """
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            with _entries(top, folder) as entries:
                for entry in entries:
                    if is_ignored(entry.name) or entry.is_symlink():
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        if f"{top}/{folder}{entry.name}" not in skip:
                            folders.append(f"{folder}{entry.name}/")
                        continue
                    yield folder + entry.name, entry.stat(follow_symlinks=False)
        except OSError:
            continue


class _Look:
    """One walk over a folder, compared with what the ledger knows of it."""

    def __init__(self, ledger: Ledger, root: str, settle: timedelta, now: datetime) -> None:
        self._ledger = ledger
        self._root = root
        self._settle = settle
        self._now = now
        self.files = 0
        self.waiting = 0
        self.arrived: list[Sighting] = []
        self.settled: list[Sighting] = []
        self.back: list[Sighting] = []
        self.gone: list[str] = []
        self.refused: dict[Sighting, str] = {}
        self.resume: str | None = None
        self.message = ""

    @property
    def changes(self) -> bool:
        return bool(self.arrived or self.settled or self.back or self.gone or self.refused)

    def walk(self, resume: str | None, skip: set[str], deadline: float) -> None:
        """Visit every folder, or, where the last scan ran out of time, the rest."""
        rows = self._ledger.live_files(self._root)
        known = {row[0] if "\\" not in row[0] else unescape_name(row[0]): row for row in rows}
        folders = [unescape_name(folder) for folder in json.loads(resume)] if resume else [""]
        unread = []
        while folders:
            folder = folders.pop()
            try:
                with _entries(self._root, folder) as entries:
                    self._visit(folder, entries, known, folders, skip)
            except FileNotFoundError:
                pass
            except OSError as error:
                unread.append(folder)
                self.message = f"{escape_name(folder) or self._root} cannot be read ({error.strerror})"
            if folders and time.monotonic() > deadline:
                self.resume = json.dumps([escape_name(folder) for folder in folders])
                break
        if self.resume is None and not resume:
            self.gone = [
                path
                for path, row in known.items()
                if (len(row) == 3 or row[3] != "claimed") and not path.startswith(tuple(unread))
            ]
        self.files += len(rows) - len(known)
        self._bring_back()

    def _visit(
        self,
        folder: str,
        entries: Iterator[os.DirEntry[str]],
        known: dict[str, Row],
        folders: list[str],
        skip: set[str],
    ) -> None:
        for entry in entries:
            path = folder + entry.name
            row = known.pop(path, None)
            try:
                if row is not None:
                    found = entry.stat(follow_symlinks=False)
                    if found.st_size == row[1] and found.st_mtime_ns == row[2]:
                        if len(row) > 3:
                            self._unchanged(Sighting(path, row[1], row[2]), row)
                        continue
                    if len(row) > 3 and row[3] == "claimed":
                        # The run that has it finds out.
                        continue
                if is_ignored(entry.name) or entry.is_symlink():
                    if row is not None:
                        known[path] = row
                elif entry.is_dir(follow_symlinks=False):
                    if f"{self._root}/{path}" not in skip:
                        folders.append(path + "/")
                else:
                    self.files += row is None
                    self._new(path, entry.stat(follow_symlinks=False))
            except OSError:
                # It went away, or cannot be asked about, just now: the next scan looks again.
                continue

    def _new(self, path: str, found: os.stat_result) -> None:
        sighting = Sighting(path, found.st_size, found.st_mtime_ns)
        if stat.S_ISREG(found.st_mode):
            self.arrived.append(sighting)
        else:
            self.refused[sighting] = "it is not a regular file"

    def _unchanged(self, sighting: Sighting, row: Row) -> None:
        if row[3] not in ("seen", "settled"):
            return
        self.waiting += 1
        since = utc_of(row[4])
        if row[3] == "seen" and self._now < since:
            # The clock was set back: what was noted in the future would never settle.
            self.arrived.append(sighting)
        elif row[3] == "seen" and self._now - since >= self._settle:
            self.settled.append(sighting)

    def _bring_back(self) -> None:
        if self.arrived:
            before = self._ledger.ingested_before(self._root, [sighting.rel_path for sighting in self.arrived])
            self.back = [sighting for sighting in self.arrived if before.get(sighting.rel_path) == sighting]
            self.arrived = [sighting for sighting in self.arrived if before.get(sighting.rel_path) != sighting]


def _ready(waiting: Sequence[KnownFile], settings: Settings, now: datetime) -> Iterator[list[Sighting]]:
    """The batches that can be made: of each folder at the root, and of the files at the top."""
    groups: dict[str, list[KnownFile]] = defaultdict(list)
    for file in waiting:
        groups[file.rel_path.partition("/")[0] if "/" in file.rel_path else ""].append(file)
    wait = timedelta(seconds=settings.batch_wait_seconds)
    for group in groups.values():
        settled = [file for file in group if file.state == "settled" and file.settled_utc is not None]
        times = [file.settled_utc for file in settled if file.settled_utc is not None]
        if not settled:
            continue
        at_rest = len(settled) == len(group)
        waited = now - max(times) >= wait or now - min(times) >= _FULL_FOLDER_WAITS * wait
        portions = list(portions_of([Sighting(f.rel_path, f.size_bytes, f.mtime_ns) for f in settled], settings))
        # While files still arrive only full batches go.
        yield from portions if at_rest or waited else portions[:-1]


def portions_of(files: Sequence[Sighting], settings: Settings) -> Iterator[list[Sighting]]:
    """Files in portions for one batch each, in their order: neither too many nor too many bytes."""
    portion: list[Sighting] = []
    size = 0
    for file in files:
        full = len(portion) == settings.batch_max_files or size + file.size_bytes > settings.batch_max_bytes
        if portion and full:
            yield portion
            portion, size = [], 0
        portion.append(file)
        size += file.size_bytes
    if portion:
        yield portion
