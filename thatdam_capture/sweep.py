"""What a recorder that died left in ``.part``: finish what was intended, commit what is whole, save what was cut."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from thatdam_capture.command import SEGMENT_LIST
from thatdam_capture.commit import digest, finish, set_aside, write_intent
from thatdam_capture.errors import SegmentError
from thatdam_capture.manifest import Manifest
from thatdam_capture.segments import Row, inspect, is_readable, read_rows, remux
from thatdam_capture.session_record import SESSION_FILE, SessionRecord, read_session_record
from thatdam_capture.store import Store

DEATH_TIMEOUT_S = 5.0


@dataclass
class SweepReport:
    """Manifests that were committed, files that were set aside with the reason, and sessions left for another try."""

    committed: list[Manifest] = field(default_factory=list)
    aside: list[tuple[Path, str]] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)

    def put_aside(self, store: Store, path: Path, reason: str) -> None:
        if (aside := set_aside(store, path)) is not None:
            self.aside.append((aside, reason))

    @contextlib.contextmanager
    def each(self, folder: Path) -> Iterator[None]:
        """One session that cannot be saved keeps no other from it."""
        try:
            yield
        except (OSError, ValueError, SegmentError) as error:
            self.failed.append((folder, str(error)))


def session_folders(store: Store) -> list[Path]:
    """Every session folder in ``.part``, living and dead."""
    return sorted(one for one in store.part.glob("*") if one.is_dir())


def sweep(store: Store, ffmpeg: str, recorder: str, folders: Sequence[Path]) -> SweepReport:
    """Clear session folders of a recorder.

    Args:
        recorder: Name of this recorder; sessions of others, where a store is shared, are theirs.
        folders: Folders of sessions that nobody writes any more.
    """
    report = SweepReport()
    found: list[tuple[Path, SessionRecord]] = []
    for folder in folders:
        try:
            found.append((folder, read_session_record(folder)))
        except (FileNotFoundError, ValueError):
            with report.each(folder):
                _without_record(store, folder, report)
        except OSError as error:
            report.failed.append((folder, str(error)))
    # Earlier sessions of a recording first: the gap before each is told by the one before.
    for folder, record in sorted(found, key=lambda one: len(one[1].chain)):
        if record.recorder == recorder:
            with report.each(folder):
                _sweep_session(store, ffmpeg, folder, record, report)
    return report


def _without_record(store: Store, folder: Path, report: SweepReport) -> None:
    """A session that died before it wrote down what it is has recorded nothing."""
    for one in sorted(folder.iterdir()):
        if one.suffix == ".tmp":
            one.unlink()
        else:
            report.put_aside(store, one, "it belongs to no session")
    folder.rmdir()


def _sweep_session(store: Store, ffmpeg: str, folder: Path, record: SessionRecord, report: SweepReport) -> None:
    _end_leftover(record)
    for beside in folder.glob("*.tmp"):
        beside.unlink()
    for intent in sorted(folder.glob("[0-9]*.json")):
        try:
            report.committed.append(finish(store, intent))
        except (SegmentError, FileExistsError, ValueError) as error:
            report.put_aside(store, intent, str(error))
    rows = {row.index: row for row in read_rows(folder / SEGMENT_LIST)}
    parts = sorted(folder.glob("[0-9]*.mkv"))
    for part in [one for one in parts if not is_readable(one)]:
        report.put_aside(store, part, "no frame of it can be read")
        parts.remove(part)
    for part in parts:
        report.committed.append(_save(store, ffmpeg, part, record, rows, is_last=part == parts[-1]))
    for name in (SEGMENT_LIST, SESSION_FILE):
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _save(
    store: Store, ffmpeg: str, part: Path, record: SessionRecord, rows: dict[int, Row], *, is_last: bool
) -> Manifest:
    """Commit one segment from what the disk knows of it."""
    index = int(part.stem)
    row = rows.get(index)
    written = part.stat().st_mtime
    facts = inspect(part)
    closed = row is not None and row.holds(facts)
    if not closed:
        facts = remux(ffmpeg, part)
    before = rows.get(index - 1)
    start = (row.start_s if row else before.end_s if before else 0.0) + facts.first_s
    # Flushed as it came: the file was last written when its last frame arrived.
    zero = record.zero_utc_s if record.zero_utc_s is not None else written - start - facts.duration_s
    error = record.clock_error_s if record.zero_utc_s is not None else facts.step_s + 0.3
    size, blake3 = digest(part)
    manifest = record.manifest(
        facts,
        index=index,
        size=size,
        blake3=blake3,
        start_s=start,
        zero_utc_s=zero,
        clock_error_s=error,
        is_last=is_last,
        complete=closed,
        reason_end="killed" if is_last else "segment",
        gap_before_s=_gap(store, record, index, zero + start),
    )
    return finish(store, write_intent(part, manifest))


def _gap(store: Store, record: SessionRecord, index: int, start_utc_s: float) -> float | None:
    """Seconds between the segment before of this recording and one that begins at a time; none for the first."""
    sessions = {*record.chain, record.session_id}
    for manifest in store.recordings(limit=50, camera_id=record.camera.id):
        if manifest.session_id in sessions and manifest.end_utc.timestamp() <= start_utc_s + 0.5:
            gap = start_utc_s - manifest.end_utc.timestamp()
            same = manifest.session_id == record.session_id and manifest.segment_index == index - 1
            return 0.0 if same and abs(gap) < 0.05 else max(0.0, gap)
    return None


def _end_leftover(record: SessionRecord) -> None:
    """Make sure that the ffmpeg of a dead session is gone: it dies with its recorder, but not in no time."""
    if record.pid is None:
        return
    try:
        process = psutil.Process(record.pid)
        if process.create_time() != record.pid_started:
            return
        process.kill()
        process.wait(DEATH_TIMEOUT_S)
    except (psutil.NoSuchProcess, psutil.TimeoutExpired):
        return
