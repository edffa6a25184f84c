"""Writing XMP sidecars: into a folder of their own, or beside originals that were left where they are."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from thatdam_pipelines.errors import CurationError, OfflineError
from thatdam_pipelines.library.files import replacing, unescape_name
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.locations import locations_by
from thatdam_pipelines.media.xmp import is_ours, write_xmp


@dataclass(frozen=True)
class Written:
    """A sidecar. ``state``: written, unchanged (it said that already), or kept (another program's stands there)."""

    media_id: str
    path: str
    state: str


def write_sidecars(
    library: Library, media_ids: Iterable[str], to: Path | None, *, force: bool = False
) -> list[Written]:
    """Write ``<file>.xmp`` for media of which anything is said. No original is touched, nor anything in the store.

    Args:
        to: Folder to write into, in the folders the files came in; None: beside originals that stay at their source.
        force: Also over the sidecar of another program.

    Raises:
        CurationError: ``to`` is None, and an original is in the store.
        OfflineError: ``to`` is None, and an original cannot be reached.
    """
    said = {media_id: one for media_id, one in library.ledger.curation.get_many(media_ids).items() if one.version}
    places = locations_by(library.tables, "media_id", said).sort("duplicate", "batch_id", "source_path")
    written = []
    for media_id, one in said.items():
        place = next((row for row in places.iter_rows(named=True) if row["media_id"] == media_id), None)
        if place is None:
            continue
        if to is None and place["in_store"]:
            cause = "its original is kept in the store, beside which nothing is written"
            raise CurationError(place["source_path"], cause, "Give a folder with --to.")
        target = Path(unescape_name(place["path"])) if to is None else to / _below(place["folder"], place["name"])
        if to is None and not target.exists():
            raise OfflineError(target, "the original is not there now", "Mount its disk, or give a folder with --to.")
        path = target.with_name(f"{target.name}.xmp")
        written.append(Written(media_id, str(path), _write(path, write_xmp(one), force=force)))
    return written


def _below(folder: str, name: str) -> Path:
    parts = [part for part in PurePosixPath(unescape_name(folder)).parts if part not in ("/", "..")]
    return Path(*parts, unescape_name(name))


def _write(path: Path, packet: bytes, *, force: bool) -> str:
    if path.exists():
        there = path.read_bytes()
        if there == packet:
            return "unchanged"
        if not is_ours(there) and not force:
            return "kept"
    with replacing(path) as part:
        part.write_bytes(packet)
    return "written"
