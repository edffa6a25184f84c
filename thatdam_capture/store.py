"""Where things are in the store, and the committed recordings in it."""

import contextlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from heapq import merge
from pathlib import Path

from thatdam_capture.manifest import NAME, Manifest, read_manifest

# A clock that was wrong by a time zone may be set right while a camera records.
CLOCK_SET_BACK = timedelta(days=1)


class Store:
    """The folder recordings go to. Everything that is not footage has a name that begins with a dot."""

    def __init__(self, root: Path, recorder: str = "") -> None:
        self.root = root
        self.part = root / ".part"
        self.state = root / (f".state-{recorder}" if recorder else ".state")
        self.aside = root / ".aside"
        self.marker = root / ".marker"
        self.reserve = root / ".reserve"

    def session_folder(self, session_id: str) -> Path:
        """Where a session is written until its segments are committed."""
        return self.part / session_id

    def media_path(self, manifest: Manifest) -> Path:
        return self.root / manifest.folder / manifest.file

    def manifest_path(self, manifest: Manifest) -> Path:
        return self.media_path(manifest).with_suffix(".json")

    def recordings(
        self, limit: int | None = None, before: datetime | None = None, camera_id: str | None = None
    ) -> list[Manifest]:
        """Committed segments, newest first, of one camera or all, that began before a time."""
        found: list[Manifest] = []
        stamp = f"{before:%Y%m%dT%H%M%S}{before.microsecond // 1000:03d}Z" if before else None
        for name, path in self._newest(camera_id):
            if limit is not None and len(found) >= limit:
                break
            if stamp is not None and name > stamp:
                continue
            try:
                manifest = read_manifest(path)
            except (OSError, ValueError):
                continue
            if before is None or manifest.start_utc < before:
                found.append(manifest)
        return found

    def of_sessions(self, camera_id: str, session_ids: Iterable[str], since: datetime) -> list[Manifest]:
        """Committed segments of some sessions of a camera, oldest first, wanted since a time."""
        sessions = set(session_ids)
        short = {one[:8] for one in sessions}
        stamp = f"{since - CLOCK_SET_BACK:%Y%m%dT%H%M%S}"
        found = []
        for name, path in self._newest(camera_id):
            if name < stamp:
                break
            match = NAME.fullmatch(path.name)
            if match and match["session"] in short:
                with contextlib.suppress(OSError, ValueError):
                    manifest = read_manifest(path)
                    if manifest.session_id in sessions:
                        found.append(manifest)
        return sorted(found, key=lambda one: (one.start_utc, one.segment_index))

    def _newest(self, camera_id: str | None) -> Iterator[tuple[str, Path]]:
        """Start stamp and manifest of every segment, newest first; folders are read as they are needed."""
        try:
            folders = [one for one in self.root.iterdir() if one.is_dir() and not one.name.startswith(".")]
        except OSError:
            return iter(())
        chosen = [one for one in folders if camera_id is None or one.name == camera_id]
        return merge(*(_of_camera(one) for one in chosen), reverse=True)


def _of_camera(folder: Path) -> Iterator[tuple[str, Path]]:
    for day in _days(folder):
        stamps = []
        try:
            names = list(day.glob("*.json"))
        except OSError:
            continue
        for path in names:
            match = NAME.fullmatch(path.name)
            if match:
                stamps.append((match["utc"], path))
        yield from sorted(stamps, reverse=True)


def _days(folder: Path, depth: int = 3) -> Iterator[Path]:
    if depth == 0:
        yield folder
        return
    try:
        below = sorted((one for one in folder.iterdir() if one.name.isdigit()), reverse=True)
    except OSError:
        return
    for one in below:
        yield from _days(one, depth - 1)
