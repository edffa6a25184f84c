"""The recorder's folder: segments that are committed become batches. All state is in the ledger."""

import json
import os
import re
import stat
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from thatdam_pipelines.errors import MediaError, OfflineError
from thatdam_pipelines.library.arrivals import KnownFile, Sighting
from thatdam_pipelines.library.files import escape_name, unescape_name
from thatdam_pipelines.library.ledger import Ledger
from thatdam_pipelines.library.manifests import MANIFEST_SUFFIX, MEDIA_SUFFIX, Manifest, load_manifest
from thatdam_pipelines.library.watch import MAX_BATCHES, MAX_SECONDS, folder_identity, plain_path, portions_of
from thatdam_pipelines.settings import Settings

_AT_REST_NS = 2 * 10**9
"""A folder that changed less than this ago may change again without its time saying so."""
_UNNAMED = re.compile(r"[0-9a-f]{32}")
"""The group of a take that nobody gave a name."""
_UNREAD = 0


@dataclass(frozen=True)
class RecordingsReport:
    """What one look at the recorder's folder found.

    Args:
        online: The folder could be reached.
        changed: It could not before and now can, or the other way round; said once.
        message: Why it is offline.
        found: Segments that were not known yet.
        refused: Manifests whose segment cannot be taken now, and why; each is looked at again.
        batches: Batches made.
        complete: False when time ran out; the next look goes on from there.
    """

    folder: Path
    online: bool
    changed: bool = False
    message: str = ""
    found: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    batches: list[str] = field(default_factory=list)
    complete: bool = True


@dataclass(frozen=True)
class _Segment:
    sighting: Sighting
    manifest: Manifest


def scan_recordings(ledger: Ledger, settings: Settings, now: datetime) -> RecordingsReport:
    """Look at the recorder's folder once and claim the segments committed since the last look.

    Only manifests are looked for: a segment has its manifest last, so what has none is not finished. The segments of
    all cameras of a group go into one batch. A folder is read again only when something in it changed or waits; at
    most 25 batches and about 20 seconds, what is left waits for the next call.

    Args:
        now: Time of this look; aware.
    """
    root = plain_path(settings.capture_dir)
    if settings.capture is None and ledger.folder(root) is None and not Path(root).exists():
        return RecordingsReport(settings.capture_dir, False, message="nothing was recorded here yet")
    try:
        identity = folder_identity(ledger, root)
    except OfflineError as error:
        changed = ledger.folder_offline(root, error.cause, now)
        return RecordingsReport(settings.capture_dir, False, changed, error.cause)
    changed = ledger.folder_online(root, identity, None, now)

    look = _Look(ledger, root, time.monotonic() + MAX_SECONDS)
    look.walk()
    batches: list[str] = []
    left = False
    for name, sightings in _ready(look.segments, settings):
        if len(batches) == MAX_BATCHES:
            left = True
            break
        album = None if _UNNAMED.fullmatch(name) else name
        made = ledger.create_batch(root, "move", sightings, now, album=album, settled=False)
        batches += [made] if made else []
        # None: somebody else claims some of them just now.
        left = left or made is None
    look.write_down(now, forget=left)
    return RecordingsReport(
        settings.capture_dir,
        True,
        changed,
        found=len(look.segments),
        refused=look.refused,
        batches=batches,
        complete=look.complete and not left,
    )


def _ready(segments: Iterable[_Segment], settings: Settings) -> Iterator[tuple[str, list[Sighting]]]:
    """What goes into one batch each, with its group, the oldest first."""
    groups: dict[str, list[_Segment]] = defaultdict(list)
    for segment in sorted(segments, key=lambda one: (one.manifest.start_utc, one.sighting.rel_path)):
        groups[segment.manifest.group_id].append(segment)
    for group, members in groups.items():
        for portion in portions_of([segment.sighting for segment in members], settings):
            yield group, portion


class _Look:
    """One walk over the recorder's folder, compared with what the ledger knows of it."""

    def __init__(self, ledger: Ledger, root: str, deadline: float) -> None:
        self._ledger = ledger
        self._root = root
        self._deadline = deadline
        self._key = f"recordings {escape_name(root)}"
        # Every folder there is, and when it last changed if it holds nothing new: that time no copying sets back.
        self._before: dict[str, int] = {
            unescape_name(folder): changed
            for folder, changed in json.loads(ledger.get_setting(self._key) or "{}").items()
        }
        self._rest = dict(self._before)
        failed = ledger.files_in(root, ["failed"])
        self._refused_before = {file.rel_path: file for file in failed if _is_manifest(file.rel_path)}
        self._awaited = {_folder_of(file.rel_path) for file in ledger.files_in(root, ("seen", "settled"))}
        self._mended: list[str] = []
        self._sightings: dict[str, Sighting] = {}
        self.segments: list[_Segment] = []
        self.refused: dict[str, str] = {}
        self.complete = True

    def walk(self) -> None:
        below: dict[str, list[str]] = defaultdict(list)
        for folder in self._before:
            if folder:
                below[_folder_of(folder[:-1])].append(folder)
        folders = [""]
        while folders:
            if time.monotonic() > self._deadline:
                self.complete = False
                break
            folder = folders.pop()
            try:
                changed = Path(self._root, folder).stat(follow_symlinks=not folder).st_ctime_ns
                if self._before.get(folder) == changed and folder not in self._awaited:
                    folders += below[folder]
                    continue
                folders += self._visit(folder)
            except FileNotFoundError:
                self._forget(folder)
                continue
            except OSError as error:
                self.refused[folder] = f"it cannot be read ({error.strerror})"
                self._rest[folder] = _UNREAD
                continue
            at_rest = time.time_ns() - changed > _AT_REST_NS
            waits = any(_folder_of(path) == folder for path in self.refused)
            self._rest[folder] = changed if at_rest and not waits else _UNREAD

    def write_down(self, now: datetime, *, forget: bool) -> None:
        """Tell the ledger what is refused, what no longer is, and which folders need not be read again.

        Args:
            forget: Not all that was found could be claimed: every folder is read again.
        """
        refused = {
            seen: self.refused[path]
            for path, seen in self._sightings.items()
            if not _is_same(self._refused_before.get(path), seen, self.refused[path])
        }
        if refused or self._mended:
            self._ledger.record_scan(self._root, now, gone=self._mended, refused=refused)
        rest = {} if forget else self._rest
        if rest != self._before:
            text = json.dumps({escape_name(folder): changed for folder, changed in sorted(rest.items())})
            self._ledger.set_setting(self._key, text)

    def _visit(self, folder: str) -> list[str]:
        """Read one folder; give the folders in it."""
        inside: list[str] = []
        manifests: list[str] = []
        with os.scandir(f"{self._root}/{folder}"[:-1] or "/") as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.is_symlink():
                    continue
                if entry.is_dir(follow_symlinks=False):
                    inside.append(f"{folder}{entry.name}/")
                elif _is_manifest(entry.name):
                    manifests.append(folder + entry.name)
        for found in inside:
            self._rest.setdefault(found, _UNREAD)
        self._compare(folder, manifests)
        return inside

    def _compare(self, folder: str, manifests: Sequence[str]) -> None:
        media = {path: path.removesuffix(MANIFEST_SUFFIX) + MEDIA_SUFFIX for path in manifests}
        known = self._ledger.files_at(self._root, media.values())
        for path in manifests:
            try:
                segment = self._segment(path, media[path], known)
            except MediaError as error:
                self.refused[path] = error.cause
                self._sightings[path] = self._sighting(path)
            else:
                self._mended += [path] if path in self._refused_before else []
                self.segments += [segment] if segment else []
        there = set(manifests)
        self._mended += [path for path in self._refused_before if _folder_of(path) == folder and path not in there]

    def _segment(self, path: str, media: str, known: Mapping[str, KnownFile]) -> _Segment | None:
        """The segment of a manifest, as it is to be claimed; None when it was."""
        file = known.get(media)
        if file is not None and file.state == "claimed":
            return None
        try:
            found = os.lstat(f"{self._root}/{media}")
        except OSError as error:
            if file is not None and file.state == "done":
                return None
            load_manifest(Path(self._root, path))
            raise MediaError(media, f"its segment cannot be reached ({error.strerror})", "Put it back.") from error
        sighting = Sighting(media, found.st_size, found.st_mtime_ns)
        if file is not None and file.state in ("done", "failed") and _is_same(file, sighting, file.reason):
            return None
        manifest = load_manifest(Path(self._root, path))
        if not stat.S_ISREG(found.st_mode):
            raise MediaError(media, "its segment is not a regular file", "Remove it.")
        if found.st_size != manifest.bytes:
            cause = f"its segment has {found.st_size} bytes, the manifest says {manifest.bytes}"
            raise MediaError(media, cause, "Copy it from the recording machine again.")
        return _Segment(sighting, manifest)

    def _sighting(self, path: str) -> Sighting:
        try:
            found = os.lstat(f"{self._root}/{path}")
        except OSError:
            return Sighting(path, 0, 0)
        return Sighting(path, found.st_size, found.st_mtime_ns)

    def _forget(self, folder: str) -> None:
        for known in [known for known in self._rest if known.startswith(folder)]:
            del self._rest[known]


def _is_manifest(path: str) -> bool:
    return path.endswith(MANIFEST_SUFFIX)


def _folder_of(path: str) -> str:
    """The folder a path is in, with a slash at its end; '' at the top."""
    return path[: path.rfind("/") + 1]


def _is_same(file: KnownFile | None, sighting: Sighting, reason: str) -> bool:
    if file is None:
        return False
    return (file.size_bytes, file.mtime_ns, file.reason) == (sighting.size_bytes, sighting.mtime_ns, reason)
