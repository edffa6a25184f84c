"""Verification of the originals themselves: re-read in the library, named when they changed, healed from a copy."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from thatdam_pipelines.backup.audit import Progress, remember, where_good
from thatdam_pipelines.backup.contents import Source
from thatdam_pipelines.backup.reading_order import ReadingOrder
from thatdam_pipelines.backup.restore import fetch
from thatdam_pipelines.backup.store_history import continue_histories
from thatdam_pipelines.backup.targets import Target
from thatdam_pipelines.errors import MediaError, OfflineError, StoreError
from thatdam_pipelines.library.checksum import Digest, read_back
from thatdam_pipelines.library.copies import LIBRARY, Copy
from thatdam_pipelines.library.files import unescape_name
from thatdam_pipelines.library.home import Library

_RECORD_AT_ONCE = 100
_APPEND_AT_ONCE = 2_000


@dataclass(frozen=True)
class VerifyReport:
    """What re-reading the originals found.

    Args:
        wrong: Originals that changed or are missing, each with path, media_id, reason, where a good copy is, and
            whether it was healed.
        away: Originals by reference whose disk cannot be reached now: nothing is known against them.
        unwritten: ASC MHL histories that could not be continued with what was re-read, with the reason.
    """

    files: int
    bytes: int
    elapsed_s: float
    wrong: list[dict[str, Any]] = field(default_factory=list)
    away: list[str] = field(default_factory=list)
    unwritten: list[str] = field(default_factory=list)

    @property
    def unhealed(self) -> int:
        return sum(not one["healed"] for one in self.wrong)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def verify_originals(
    library: Library, *, share: float = 1.0, heal_from: Sequence[Target] = (), progress: Progress | None = None
) -> VerifyReport:
    """Re-read a share of the originals, those read longest ago first, and compare each with its hash.

    Args:
        share: Share of their bytes, 0 to 1.
        heal_from: Targets from which what is wrong in the media store is put back. The damaged file is kept in the
            quarantine folder. What was left by reference is never touched.

    Raises:
        OfflineError: The media store cannot be reached.
    """
    started, began = datetime.now(UTC), time.monotonic()
    if not library.store.is_online():
        raise OfflineError(
            library.settings.media_url, "the media store is not there", "Mount its disk, then try again."
        )
    copies = library.ledger.copies
    order = ReadingOrder(library)
    budget = order.bytes() * share
    wrong: list[dict[str, Any]] = []
    away: list[str] = []
    found: list[Copy] = []
    sound: dict[str, Digest] = {}
    unwritten: list[str] = []
    files = size = 0
    try:
        for source in order:
            if size >= budget and share < 1:
                break
            reason = _what_is_wrong(library, source, away, sound)
            files += 1
            size += source.size_bytes
            if reason is None and source.path in away:
                continue
            healed = bool(reason) and _heal(library, source, heal_from)
            if reason:
                good = where_good(library, str(source.blake3), but=LIBRARY)
                told = {"path": source.path, "media_id": source.media_id, "reason": reason}
                wrong.append(told | {"good copy": good, "healed": healed})
            found.append(_row(source, None if healed else reason))
            if len(found) >= _RECORD_AT_ONCE:
                copies.record(found)
                found = []
            if len(sound) >= _APPEND_AT_ONCE:
                unwritten += continue_histories(library, sound)
                sound.clear()
            if progress is not None:
                progress(size, max(int(budget), size), source.path)
    finally:
        order.close()
        copies.record(found)
    unwritten += continue_histories(library, sound)
    listed = [{"what": one["path"], "reason": one["reason"]} for one in wrong if not one["healed"]]
    remember(library, "verify", LIBRARY, LIBRARY, started, files, size, listed)
    return VerifyReport(files, size, time.monotonic() - began, wrong, away, unwritten)


def _what_is_wrong(library: Library, source: Source, away: list[str], sound: dict[str, Digest]) -> str | None:
    try:
        if source.in_store:
            digest = library.store.digest(source.place)
        else:
            path = Path(unescape_name(source.place))
            if _is_away(path):
                away.append(source.path)
                return None
            digest = read_back(path)
    except (MediaError, StoreError) as error:
        if source.in_store and not library.store.is_online():
            raise OfflineError(source.path, error.cause, error.next_step) from error
        return error.cause
    if digest.blake3 != source.blake3:
        return f"it changed: its BLAKE3 is {digest.blake3[:16]}, it was {str(source.blake3)[:16]}"
    if source.in_store:
        sound[source.place] = digest
    return None


def _is_away(path: Path) -> bool:
    """Whether the folder of a file is not there, or its disk fails when it is asked, as one that was torn out."""
    try:
        return not path.exists() and not path.parent.exists()
    except OSError:
        return True


def _row(source: Source, reason: str | None) -> Copy:
    now = datetime.now(UTC)
    return Copy(
        LIBRARY,
        str(source.blake3),
        source.media_id,
        "original",
        source.size_bytes,
        now,
        None if reason else now,
        "damaged" if reason else "verified",
        reason or "",
    )


def _heal(library: Library, source: Source, targets: Sequence[Target]) -> bool:
    """Put a good copy in the place of a damaged or missing original; False where there is none."""
    if not targets or not source.in_store:
        return False
    with _scratch(library) as folder:
        good = folder / "good"
        try:
            fetch(targets, str(source.blake3), good)
        except MediaError:
            return False
        if library.store.size(source.place) is not None:
            aside = library.settings.quarantine_dir / "damaged" / f"{source.media_id}.{datetime.now(UTC):%Y%m%dT%H%M%S}"
            aside.parent.mkdir(parents=True, exist_ok=True)
            library.store.take_out(source.place, aside)
        library.store.put(good, source.place, move=True, blake3=source.blake3)
        library.store.flush()
    return True


@contextlib.contextmanager
def _scratch(library: Library) -> Iterator[Path]:
    library.settings.work_dir.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="heal-", dir=library.settings.work_dir) as folder:
        yield Path(folder)
