"""From claimed files to proven originals: what the raw_media asset does."""

import contextlib
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from thatdam_pipelines.errors import StoreError, ThatdamError
from thatdam_pipelines.library.arrivals import Batch, KnownFile, Sighting
from thatdam_pipelines.library.curation import LONGEST_NAME, change_of, tidied
from thatdam_pipelines.library.curation_rows import Author
from thatdam_pipelines.library.files import escape_name
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.quarantine import report_failures
from thatdam_pipelines.library.recipes import Recipe
from thatdam_pipelines.library.schemas import CARD_HASHES, LOCATIONS, MEDIA, RAW_MEDIA_FAILURES
from thatdam_pipelines.library.stage import Progress, StageReport, failure_row
from thatdam_pipelines.library.store import raw_folder
from thatdam_pipelines.media.card_lists import compare, find_lists
from thatdam_pipelines.media.cards import read_structure
from thatdam_pipelines.media.taking import VANISHED, Taken, Taking, source_text, unsettled

INGEST_RECIPE = Recipe("ingest", "1")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def ingest_batch(
    library: Library, batch_id: str, *, retry: bool = False, progress: Progress | None = None
) -> StageReport:
    """Store the files of a batch, prove them, and write tables ``media``, ``locations`` and ``raw_media_failures``.

    A card's own hash lists are compared with what was read; what they say goes to table ``card_hashes``.

    What the tables already hold is not touched again. After a kill at any point, running it again ends in the same
    tables as if nothing had happened. A file of a watched folder that was replaced since it was claimed and is still
    new goes back to the ledger as a new arrival; one that is gone will be one when it is back.

    Args:
        retry: Try files again that failed before.
        progress: Called with (files done, files to do, name of the file).

    Raises:
        OfflineError: The folder the files are in, or the store, cannot be reached.
        StoreError: A copy cannot be written or proven (disk full, faulty disk); the sources are untouched.
        ThatdamError: There is no such batch.
    """
    started = time.monotonic()
    batch = library.ledger.batch(batch_id)
    if batch is None:
        raise ThatdamError(batch_id, "there is no such batch", "See `thatdam sql recent_batches`.")
    alone = library.store.exclusive(raw_folder(batch_id)) if batch.mode != "reference" else nullcontext()
    with alone:
        return _ingest(library, batch, retry, progress, started)


def _ingest(library: Library, batch: Batch, retry: bool, progress: Progress | None, started: float) -> StageReport:
    places = library.tables.read(LOCATIONS, batch.batch_id)
    contents = library.tables.read(MEDIA, batch.batch_id)
    failures = library.tables.read(RAW_MEDIA_FAILURES, batch.batch_id)

    files = library.ledger.batch_files(batch.batch_id)
    done = set(places["source_path"])
    failed = set() if retry else set(failures["path"])
    todo = [file for file in files if source_text(file) not in done | failed]
    failures = failures.filter(~pl.col("path").is_in([source_text(file) for file in todo]))
    failures = unsettled(library, batch, failures)

    taking = Taking(library, batch, find_lists(library, batch, todo).history, progress)
    taken = taking.take(todo)
    library.store.flush()
    owned = library.ledger.claim_contents(batch.batch_id, [file.content(batch.batch_id) for file in taken])

    # A killed run may have written the contents and not yet their places: those are placed now.
    contents = contents.filter(pl.col("media_id").is_in(places["media_id"].to_list()))
    firsts = set(contents["media_id"])
    new_contents, new_places = [], []
    cards = read_structure([escape_name(file.rel_path) for file in files], escape_name(batch.root))
    for file in taken:
        first = owned[file.media_id].batch_id == batch.batch_id and file.media_id not in firsts
        if first:
            firsts.add(file.media_id)
            new_contents.append(_media_row(batch, file))
        card = cards.get(escape_name(file.found.rel_path))
        place = _location_row(batch, file, duplicate=not first)
        new_places.append(place | (_card_columns(card) if card else {}) | _recorded_columns(file))
    new_failures = [
        failure_row("raw_media", batch.batch_id, INGEST_RECIPE, source_text(file), error, None)
        for file, error in taking.failed.items()
    ]

    contents = pl.concat([contents, MEDIA.frame(new_contents)])
    places = pl.concat([places, LOCATIONS.frame(new_places)])
    failures = pl.concat([failures, RAW_MEDIA_FAILURES.frame(new_failures)])
    library.ledger.disown_contents(batch.batch_id, contents["media_id"].to_list())
    library.tables.write(MEDIA, batch.batch_id, contents)
    library.tables.write(LOCATIONS, batch.batch_id, places)
    library.tables.write(RAW_MEDIA_FAILURES, batch.batch_id, failures)
    report_failures(library, batch.batch_id)
    _add_to_album(library, batch, places)
    lists = _compare_with_lists(library, batch, files, taken)
    _settle_accounts(library, batch, files, places, failures, taking)
    return StageReport(
        stage="raw_media",
        batch_id=batch.batch_id,
        recipe=INGEST_RECIPE.id,
        total=len(files),
        computed=len(todo),
        reused=len(done & {source_text(file) for file in files}),
        skipped=len(failed & {source_text(file) for file in files}),
        elapsed_s=time.monotonic() - started,
        failures=failures.to_dicts(),
        facts={
            "bytes": int(places["size_bytes"].sum()),
            "bytes_now": sum(file.digest.size_bytes for file in taken),
            "contents": contents.height,
            "duplicates": int(places["duplicate"].sum()),
            "returned": len(taking.returned),
            "card_lists": ", ".join(f"{count} {verdict}" for verdict, count in sorted(lists.items())) or None,
        },
    )


def _add_to_album(library: Library, batch: Batch, places: pl.DataFrame) -> None:
    """Put what came into the album of its folder; what a person took out of it stays out."""
    if album := tidied(batch.album or "", LONGEST_NAME):
        change = change_of(add_albums=[album])
        by = Author.now(escape_name(batch.root), "folder")
        library.ledger.curation.propose(dict.fromkeys(places["media_id"], change), by)


def _compare_with_lists(library: Library, batch: Batch, files: list[KnownFile], taken: list[Taken]) -> Counter[str]:
    """Write table ``card_hashes`` where hash lists came with the card; how many files got which verdict."""
    rows = library.tables.read(CARD_HASHES, batch.batch_id)
    read = {file.file.rel_path: file.hashes for file in taken if file.hashes is not None}
    if new := compare(library, batch, files, read):
        rows = pl.concat([rows, CARD_HASHES.frame(new)])
        library.tables.write(CARD_HASHES, batch.batch_id, rows)
    return Counter(rows["verdict"])


def _settle_accounts(
    library: Library,
    batch: Batch,
    files: list[KnownFile],
    places: pl.DataFrame,
    failures: pl.DataFrame,
    taking: Taking,
) -> None:
    """With the tables written: take away what was to be moved, and tell the ledger what became of each file."""
    rows = {row["source_path"]: row for row in places.iter_rows(named=True)}
    done: list[Sighting] = []
    moved: list[Sighting] = []
    emptied: set[Path] = set()
    for file in files:
        row = rows.get(source_text(file))
        if row is None or file.rel_path in taking.returned or file.state == "done":
            continue
        source = Path(file.root, file.rel_path)
        found = taking.sightings.get(file.rel_path, Sighting(file.rel_path, file.size_bytes, file.mtime_ns))
        if batch.mode == "move":
            if row["duplicate"]:
                _remove_duplicate(library, row, source, found, taking.proven)
            emptied.add(source.parent)
        (moved if batch.mode == "move" and not source.is_symlink() and not source.exists() else done).append(found)
    _remove_emptied(Path(batch.root), emptied)
    reasons = {row["path"]: row["reason"] for row in failures.iter_rows(named=True)}
    failed = {
        file.rel_path: reasons[source_text(file)]
        for file in files
        if source_text(file) in reasons and (file.state == "claimed" or file in taking.failed)
    }
    gone = [path for path, reason in failed.items() if reason == VANISHED and taking.is_watched]
    if done or moved or failed:
        library.ledger.mark_files(batch.batch_id, done=done, moved=moved, failed=failed, gone=gone)
    if taking.returned:
        library.ledger.release_files(batch.batch_id, taking.returned.values(), datetime.now(UTC))


def _remove_duplicate(
    library: Library, row: Mapping[str, Any], source: Path, found: Sighting, proven: set[str]
) -> None:
    """Remove the source of a file whose content is kept elsewhere, if it is as it was and the kept copy is proven."""
    key = row["path"]
    with contextlib.suppress(OSError):
        if library.store.is_local and Path(library.store.url(key)).samefile(source):
            return
    if key not in proven:
        try:
            if library.store.digest(key).media_id != row["media_id"]:
                return
        except StoreError:
            return
    # Looked at after the long read of the kept copy: what was saved under this name meanwhile is a new arrival.
    with contextlib.suppress(OSError):
        now = source.lstat()
        if (now.st_size, now.st_mtime_ns) == (found.size_bytes, found.mtime_ns):
            source.unlink()


def _remove_emptied(root: Path, folders: set[Path]) -> None:
    for folder in folders:
        while folder != root and root in folder.parents:
            try:
                folder.rmdir()
            except FileNotFoundError:
                pass
            except OSError:
                break
            folder = folder.parent


def _media_row(batch: Batch, file: Taken) -> dict[str, Any]:
    return {
        "media_id": file.media_id,
        "batch_id": batch.batch_id,
        "name": escape_name(Path(file.found.rel_path).name),
        "kind": file.kind,
        "size_bytes": file.digest.size_bytes,
        "blake3": file.digest.blake3,
        "xxh128": file.digest.xxh128,
        "first_seen_utc": batch.created_utc,
    }


def _location_row(batch: Batch, file: Taken, *, duplicate: bool) -> dict[str, Any]:
    folder, _, name = escape_name(file.found.rel_path).rpartition("/")
    return {
        "media_id": file.media_id,
        "batch_id": batch.batch_id,
        "path": file.key if file.key is not None else source_text(file.file),
        "in_store": file.key is not None,
        "source_path": source_text(file.file),
        "folder": folder,
        "name": name,
        "mode": batch.mode,
        "duplicate": duplicate,
        "album": batch.album,
        "category": batch.category,
        "size_bytes": file.digest.size_bytes,
        "modified_utc": _time_of(file.found.mtime_ns),
        "verified_utc": file.verified_utc,
        "verified_blake3": file.digest.blake3,
    }


def _card_columns(card: Any) -> dict[str, Any]:
    return {
        "card_id": card.card_id,
        "card_type": card.card_type,
        "take_id": card.take_id,
        "chapter": card.chapter,
    }


def _recorded_columns(file: Taken) -> dict[str, Any]:
    if file.recorded is None:
        return {}
    manifest = file.recorded.manifest
    return {"take_id": manifest.take_id, "chapter": manifest.chapter, "manifest_path": file.recorded.path}


def _time_of(nanoseconds: int) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:
        # A file system can hold times that no calendar does.
        return (datetime.min if nanoseconds < 0 else datetime.max).replace(tzinfo=UTC)
