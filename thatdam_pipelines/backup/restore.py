"""Restore: files of a snapshot, or a whole home, from a target alone; nothing different is ever overwritten."""

import contextlib
import fnmatch
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from thatdam_pipelines.backup.contents import REFERENCED_FOLDER
from thatdam_pipelines.backup.database import (
    EXPORT_FOLDER,
    SQLITE_NAME,
    export_tables,
    load_database,
    require_empty,
)
from thatdam_pipelines.backup.estimate import Estimate, Forecast
from thatdam_pipelines.backup.manifest import Line, SnapshotName, open_manifest, read_lines
from thatdam_pipelines.backup.targets import Target, object_key
from thatdam_pipelines.errors import MediaError, OfflineError, QueryError, StoreError
from thatdam_pipelines.library.checksum import Hasher, digest_file
from thatdam_pipelines.library.files import PART_SUFFIX, fsync_dir, unescape_name
from thatdam_pipelines.library.ledger import Ledger

Progress = Callable[[int, int, str], None]
"""Called with (bytes done, bytes to do, name of the file)."""
RESTORED_KEY = "raw/restored"
"""Where in the media store of a restored home the originals are that had been left by reference."""


@dataclass(frozen=True)
class Wanted:
    """What to restore.

    Args:
        pattern: Shell pattern of paths in the snapshot, or such a path as it is, whatever characters it has; also
            matches the end of a path from a folder on.
        media_id: One content, by its id or its beginning.
    """

    everything: bool = False
    pattern: str | None = None
    media_id: str | None = None

    def __call__(self, line: Line) -> bool:
        if self.media_id is not None:
            return line.media_id is not None and line.media_id.startswith(self.media_id)
        if self.pattern is not None:
            pattern = self.pattern.lstrip("/")
            if line.path == pattern or line.path.endswith(f"/{pattern}"):
                return True
            return fnmatch.fnmatchcase(line.path, pattern) or fnmatch.fnmatchcase(line.path, f"*/{pattern}")
        return self.everything


@dataclass(frozen=True)
class RestoreReport:
    """What was restored, or would be.

    Args:
        there: Files that were there already with the same content.
        problems: Files that could not be restored, each with path and reason.
        not_in_snapshot: Files that were away or damaged when the snapshot was taken, each with path and reason.
        estimate: Of a dry run: how long it would take.
    """

    snapshot_id: str
    target: str
    to: str
    files: int
    bytes: int
    there: int
    elapsed_s: float
    dry_run: bool
    problems: list[dict[str, str]] = field(default_factory=list)
    not_in_snapshot: list[dict[str, str]] = field(default_factory=list)
    estimate: Estimate | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def restore(
    targets: Sequence[Target],
    name: SnapshotName,
    wanted: Wanted,
    to: Path,
    *,
    dry_run: bool = False,
    database: str | None = None,
    progress: Progress | None = None,
) -> RestoreReport:
    """Write files of a snapshot below ``to``, each proven against its hash before it gets its name.

    With everything wanted ``to`` becomes a home: media, tables and library database are where a home has them, and
    what had been left by reference is in its media store.

    Args:
        targets: The first has the snapshot; a content that is damaged there is taken from the others.
        dry_run: Write nothing; say what would be written, and how long it would take.
        database: SQLAlchemy URL of an empty database that becomes the ledger of the home; None: it is in the home.

    Raises:
        OfflineError: The first target, or the database, cannot be reached.
        OverwriteError: The database is not empty.
        QueryError: Nothing of the snapshot is wanted.
        StoreError: The manifest is lost, or ``to`` is no folder or cannot be written.
    """
    if to.exists() and not to.is_dir():
        raise StoreError(to, "it is no folder", "Name a folder, or one that is not there yet.")
    began = time.monotonic()
    files = written = there = chosen = total = passed = 0
    problems: list[dict[str, str]] = []
    missing: list[dict[str, str]] = []
    forecast = Forecast()
    finished = to / f".restored-{name.snapshot_id}"
    if database is not None:
        require_empty(database)
    with open_manifest(targets[0], name) as manifest:
        for line in filter(wanted, read_lines(manifest)):
            chosen += 1
            total += line.size_bytes
        if not chosen:
            raise QueryError(name.snapshot_id, "nothing in it is of that name", "See `thatdam backup list SNAPSHOT`.")
        for line in filter(wanted, read_lines(manifest)):
            if progress is not None:
                progress(passed, total, line.path)
            passed += line.size_bytes
            if line.missing:
                missing.append({"path": line.path, "reason": line.missing})
                continue
            path = to / _place_of(line, wanted.everything)
            try:
                if (path == to / SQLITE_NAME and finished.exists() and path.exists()) or _is_there(path, line):
                    there += 1
                else:
                    forecast.see(line)
                    if not dry_run:
                        _write(targets, line, path)
                    files += 1
                    written += line.size_bytes
            except (MediaError, StoreError) as error:
                problems.append({"path": line.path, "reason": error.cause})
        if progress is not None:
            progress(passed, total, name.snapshot_id)
        if wanted.everything and not dry_run and not problems:
            finished.touch()
            _finish_home(to, database, read_lines(manifest))
    return RestoreReport(
        snapshot_id=name.snapshot_id,
        target=targets[0].name,
        to=str(to),
        files=files,
        bytes=written,
        there=there,
        elapsed_s=time.monotonic() - began,
        dry_run=dry_run,
        problems=problems,
        not_in_snapshot=missing,
        estimate=forecast.estimate(targets[0]) if dry_run else None,
    )


def fetch(targets: Sequence[Target], blake3: str, path: Path) -> Target:
    """Write a content to the new file ``path``, from the first target that has it whole; it is on the disk then.

    Raises:
        MediaError: No target has it whole.
        StoreError: ``path`` cannot be written.
    """
    problems: list[str] = []
    for target in targets:
        hasher = Hasher()
        blocks = target.place.read(object_key(blake3))
        try:
            with _writing(path) as file:
                for block in _told(target, blocks, problems):
                    hasher.update(block)
                    file.write(block)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            raise
        if hasher.digest().blake3 == blake3:
            return target
        path.unlink()
        if not problems or not problems[-1].startswith(f"{target.name}: "):
            problems.append(f"{target.name}: it is damaged there")
    raise MediaError(blake3, f"no good copy is found ({'; '.join(problems)})", "Try another target or snapshot.")


def _told(target: Target, blocks: Iterator[bytes], problems: list[str]) -> Iterator[bytes]:
    """Blocks until the target fails, which another target may make up for."""
    try:
        yield from blocks
    except FileNotFoundError:
        problems.append(f"{target.name}: it is missing there")
    except (OfflineError, StoreError) as error:
        problems.append(f"{target.name}: {error.cause}")


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[Any]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            yield file
    except OSError as error:
        raise StoreError(path, f"it cannot be written ({error.strerror})", "Check the disk and its space.") from error


def _write(targets: Sequence[Target], line: Line, path: Path) -> None:
    part = path.with_name(f".{line.blake3[:32]}.{os.getpid()}{PART_SUFFIX}")
    fetch(targets, line.blake3, part)
    try:
        os.utime(part, ns=(line.mtime_ns, line.mtime_ns)) if line.mtime_ns else None
        part.chmod(0o444 if line.role == "original" else 0o644)
        try:
            os.link(part, path)
        except FileExistsError:
            raise _different(path) from None
        except OSError:
            if os.path.lexists(path):
                raise _different(path) from None
            part.rename(path)
        fsync_dir(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _is_there(path: Path, line: Line) -> bool:
    """Whether the file is there with this very content."""
    if not os.path.lexists(path):
        return False
    if path.is_file() and path.stat().st_size == line.size_bytes and digest_file(path).blake3 == line.blake3:
        return True
    raise _different(path)


def _different(path: Path) -> StoreError:
    return StoreError(path, "different content is there; it was left as it is", "Restore to another folder.")


def _place_of(line: Line, as_home: bool) -> str:
    """Path below the folder that is restored to; of a home, what was left by reference is in its media store."""
    parts = [part for part in unescape_name(line.path).split("/") if part not in ("", ".", "..")]
    if as_home and parts[0] == REFERENCED_FOLDER:
        return f"media/{_restored_key(line)}"
    return "/".join(parts)


def _restored_key(line: Line) -> str:
    name = unescape_name(line.path).rpartition("/")[2]
    return f"{RESTORED_KEY}/{line.blake3[:2]}/{line.blake3[:32]}/{name}"


def _finish_home(home: Path, database: str | None, lines: Iterator[Line]) -> None:
    """Load a database that came as tables, or is to be another; tell it where what was left by reference is now."""
    if database is None:
        database = f"sqlite:///{home / SQLITE_NAME}"
        if (home / EXPORT_FOLDER).is_dir() and not (home / SQLITE_NAME).exists():
            part = home / f".{SQLITE_NAME}{PART_SUFFIX}"
            part.unlink(missing_ok=True)
            load_database(home / EXPORT_FOLDER, f"sqlite:///{part}")
            part.rename(home / SQLITE_NAME)
    elif (home / EXPORT_FOLDER).is_dir():
        load_database(home / EXPORT_FOLDER, database)
    else:
        with TemporaryDirectory(prefix="thatdam-") as scratch:
            export_tables(f"sqlite:///{home / SQLITE_NAME}", Path(scratch))
            load_database(Path(scratch, EXPORT_FOLDER), database)
    ledger = Ledger(database)
    try:
        for line in lines:
            if line.media_id is not None and not line.missing and line.path.startswith(f"{REFERENCED_FOLDER}/"):
                ledger.keep(line.media_id, _restored_key(line))
    finally:
        ledger.close()
