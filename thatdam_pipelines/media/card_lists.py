"""Cards that arrive with hash lists (ASC MHL, older ``.mhl``): what ingest took is compared with what they say.

A card's files may come in several batches, its lists in the first, the last or between, and ``move`` takes them away.
So lists are found through the ledger and read where they are now. Every batch compares its own files; the batch that
brings a list also compares what other batches took before it came, and tells of what is missing.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from thatdam_pipelines.errors import MediaError, StoreError
from thatdam_pipelines.library.arrivals import Batch, KnownFile
from thatdam_pipelines.library.checksum import digest_file
from thatdam_pipelines.library.files import escape_name, unescape_name
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.locations import locations_by
from thatdam_pipelines.library.schemas import CARD_HASHES
from thatdam_pipelines.media.hash_lists import CHAIN, FOLDER, FORMAT, CardHistory, copy_small, read_card_history

LIST_SUFFIX = ".mhl"


@dataclass(frozen=True)
class CardLists:
    """The lists that speak of a batch's files.

    Args:
        own: The batch brings one of them itself.
    """

    history: CardHistory
    own: bool


def find_lists(library: Library, batch: Batch, files: Sequence[KnownFile]) -> CardLists:
    """Read the lists that stand above files of a batch, among what has been seen of its folder so far."""
    every = library.ledger.files_ending(batch.root, LIST_SUFFIX)
    above = {folder for file in files for folder in _folders_above(file.rel_path)} if every else set()
    lists = [one for one in every if _top(one.rel_path) in above]
    if not lists:
        return CardLists(CardHistory(), own=False)
    tops = {_top(one.rel_path) for one in lists}
    names = {file.rel_path for top in tops for file in library.ledger.files_below(batch.root, top)}
    chains = {str(Path(one.rel_path).with_name(CHAIN)) for one in lists if _is_asc(one.rel_path)}
    lists += library.ledger.files_at(batch.root, chains).values()
    with TemporaryDirectory(prefix="thatdam-lists-") as folder:
        stage = Path(folder, "card")
        for one in lists:
            _fetch(library, one, stage / one.rel_path)
        folders = {str(Path(one.rel_path).parent) for one in lists}
        history = read_card_history(stage, names, folders)
    return CardLists(history, own=any(one.batch_id == batch.batch_id for one in lists))


def compare(
    library: Library, batch: Batch, files: Sequence[KnownFile], taken: Mapping[str, dict[str, str]]
) -> list[dict[str, Any]]:
    """Rows of table ``card_hashes``: what the lists say of this batch's files, and of others where it brings a list.

    Args:
        files: Of the batch.
        taken: By path below the batch's root: hashes that were taken in the read that stored it.

    Raises:
        OfflineError: The media store cannot be reached.
    """
    lists = find_lists(library, batch, files)
    if not lists.own and not any(lists.history.names(file.rel_path) for file in files):
        return []
    history = lists.history
    named = {*history.asc, *history.legacy}
    if not lists.own:
        named &= {file.rel_path for file in files}
    known = library.ledger.files_at(batch.root, named)
    holders = {file.batch_id for file in known.values() if file.batch_id} | {batch.batch_id}
    done = {row for holder in holders for row in library.tables.read(CARD_HASHES, holder)["source_path"]}
    sources = {_source(batch, path): path for path in named}
    places = locations_by(library.tables, "source_path", [source for source in sources if source not in done])
    rows = [
        _compared(library, history, batch, place, sources[place["source_path"]], taken)
        for place in places.sort("source_path", "batch_id").unique("source_path", keep="last").iter_rows(named=True)
    ]
    if lists.own:
        missing = [path for path in history.missing if not Path(batch.root, path).exists()]
        rows += [_row(batch, _source(batch, path), "missing", "it is listed and did not come") for path in missing]
        if history.problems:
            rows.append(_row(batch, escape_name(batch.root), "unusable", "; ".join(history.problems)))
    return [row for row in rows if row["source_path"] not in done]


def _compared(
    library: Library,
    history: CardHistory,
    batch: Batch,
    place: Mapping[str, Any],
    path: str,
    taken: Mapping[str, dict[str, str]],
) -> dict[str, Any]:
    hashes = taken.get(path)
    if hashes is None:
        wanted = history.hashers(path)
        try:
            with ExitStack() as opened:
                local = Path(unescape_name(place["path"]))
                if place["in_store"]:
                    local = opened.enter_context(library.store.local(place["path"]))
                digest = digest_file(local, wanted)
        except (MediaError, StoreError) as error:
            return _row(batch, place["source_path"], "failed", f"it cannot be read ({error.cause})", place["media_id"])
        hashes = {FORMAT: digest.xxh128, **wanted.digests()}
    verdict = history.verdict(path, hashes)
    differing = ", ".join(history.differing(path, hashes))
    reason = f"it is not what its list says ({differing})" if verdict == "failed" else ""
    return _row(batch, place["source_path"], str(verdict), reason, place["media_id"])


def _row(batch: Batch, source: str, verdict: str, reason: str, media_id: str | None = None) -> dict[str, Any]:
    return {
        "batch_id": batch.batch_id,
        "source_path": source,
        "media_id": media_id,
        "verdict": verdict,
        "reason": reason,
        "compared_utc": datetime.now(UTC),
    }


def _source(batch: Batch, path: str) -> str:
    return escape_name(str(Path(batch.root, path)))


def _top(list_path: str) -> str:
    """Folder, below the root, that the paths in a list start from; '' for the root itself."""
    folder = Path(list_path).parent
    folder = folder.parent if folder.name == FOLDER else folder
    return "" if folder == Path() else folder.as_posix()


def _is_asc(list_path: str) -> bool:
    return Path(list_path).parent.name == FOLDER


def _folders_above(path: str) -> Collection[str]:
    return ["" if folder == Path() else folder.as_posix() for folder in Path(path).parents]


def _fetch(library: Library, one: KnownFile, target: Path) -> None:
    """A copy of a list: from its source, or from where the library keeps it since. None where it is at neither."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        copy_small(Path(one.root, one.rel_path), target)
        return
    except MediaError:
        target.unlink(missing_ok=True)
    kept = locations_by(library.tables, "source_path", [escape_name(str(Path(one.root, one.rel_path)))])
    for key in kept.filter(kept["in_store"])["path"]:
        with library.store.local(key) as path:
            copy_small(path, target)
        return
