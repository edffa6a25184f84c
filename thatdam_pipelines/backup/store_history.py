"""ASC MHL histories in the media store: one for each batch's folder, begun at ingest, continued when files are re-read.

Only ``ascmhl/`` is added to a folder; originals are never touched, and nothing is written outside of the store.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from thatdam_pipelines.backup.mhl import write_generation
from thatdam_pipelines.backup.offload_journal import Record
from thatdam_pipelines.errors import ThatdamError
from thatdam_pipelines.library.checksum import Digest, digest_file
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import LOCATIONS, MEDIA
from thatdam_pipelines.library.store import raw_folder
from thatdam_pipelines.media.hash_lists import CHAIN, FOLDER, is_history, read_card_history


def begin_history(library: Library, batch_id: str) -> str:
    """Write down what ingest has just read back in a batch's folder, as far as its history does not have it.

    Returns:
        ``written``, ``unchanged``, or why there is no history. Nothing that goes wrong here fails an ingest.
    """
    if not library.store.is_local:
        return "not written: the media store is a bucket"
    folder = Path(library.store.url(raw_folder(batch_id)))
    if not folder.is_dir():
        return "not written: nothing is kept in the batch's own folder"
    try:
        with library.store.exclusive(raw_folder(batch_id)):
            return _begin(library, batch_id, folder)
    except (ThatdamError, OSError) as error:
        return f"not written: {error}"


def continue_histories(library: Library, reread: Mapping[str, Digest]) -> list[str]:
    """Append a generation to each batch's history with what was re-read of its folder and is as it was.

    A folder without a history, or with one that came with the card, gets none.

    Args:
        reread: What was read, by key in the store.

    Returns:
        What could not be written, in words.
    """
    batches: dict[str, dict[str, Digest]] = {}
    for key, digest in reread.items() if library.store.is_local else ():
        batch_id, _, path = key.removeprefix("raw/").split("/", 3)[3].partition("/")
        batches.setdefault(batch_id, {})[path] = digest
    problems = []
    for batch_id, digests in batches.items():
        folder = Path(library.store.url(raw_folder(batch_id)))
        if not (folder / FOLDER / CHAIN).exists() or _brought(library, batch_id):
            continue
        try:
            with library.store.exclusive(raw_folder(batch_id)):
                records = [_record(folder, path, digest) for path, digest in digests.items()]
                write_generation(folder, records, None, "re-read in the library")
        except (ThatdamError, OSError) as error:
            problems.append(f"{folder / FOLDER}: {error}")
    return problems


def history_keys(library: Library, batch_id: str) -> Iterator[str]:
    """Keys of the files of a batch's history, the chain first: what is appended meanwhile is not named by it."""
    folder_key = raw_folder(batch_id)
    if not library.store.is_local:
        return
    history = Path(library.store.url(folder_key)) / FOLDER
    if (history / CHAIN).exists() and not _brought(library, batch_id):
        yield f"{folder_key}/{FOLDER}/{CHAIN}"
        yield from (f"{folder_key}/{FOLDER}/{path.name}" for path in sorted(history.glob("*.mhl")))


def _begin(library: Library, batch_id: str, folder: Path) -> str:
    files, folders = _listed(folder)
    if _brought(library, batch_id):
        return "not written: the card's own history is kept there as it came"
    asc = read_card_history(folder, files, [FOLDER] if (folder / FOLDER).is_dir() else []).asc
    new = [path for path in files if path not in asc]
    if not new:
        return "unchanged"
    digests = _known(library, batch_id)
    records = [_record(folder, path, digests.get(path) or digest_file(folder / path)) for path in new]
    # What an earlier generation names was not read now; nor is a folder whole that is only added to.
    write_generation(folder, records, None if asc else folders, f"ingest of batch {batch_id}")
    return "written"


def _known(library: Library, batch_id: str) -> dict[str, Digest]:
    """What ingest read back, by path below the batch's folder."""
    media = {row["media_id"]: row for row in library.tables.read(MEDIA, batch_id).iter_rows(named=True)}
    prefix = f"{raw_folder(batch_id)}/"
    return {
        row["path"].removeprefix(prefix): Digest(one["media_id"], one["blake3"], one["xxh128"], one["size_bytes"])
        for row in library.tables.read(LOCATIONS, batch_id).iter_rows(named=True)
        if row["path"].startswith(prefix) and (one := media.get(row["media_id"])) is not None
    }


def _listed(folder: Path) -> tuple[list[str], list[str]]:
    """Files and folders below a batch's folder, without its history."""
    files: list[str] = []
    folders: list[str] = []
    for at, below, names in os.walk(folder):
        here = Path(at).relative_to(folder)
        files += [str(here / name) for name in names]
        folders += [str(here / name) for name in below]
    return sorted(one for one in files if not is_history(one)), sorted(one for one in folders if not is_history(one))


def _brought(library: Library, batch_id: str) -> bool:
    """Whether a history is among the batch's originals."""
    keys = library.tables.read(LOCATIONS, batch_id)["path"].to_list()
    return any(key.startswith(f"{raw_folder(batch_id)}/") and is_history(key) for key in keys)


def _record(folder: Path, path: str, digest: Digest) -> Record:
    mtime_ns = (folder / path).lstat().st_mtime_ns
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Record(path, digest.size_bytes, mtime_ns, mtime_ns, digest.blake3, digest.xxh128, "", now)
