"""What XMP sidecars say of the media they lie beside: ``clip.mov.xmp`` and ``clip.xmp``, proposed to the ledger."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.library.curation import Change
from thatdam_pipelines.library.curation_rows import Author
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.locations import locations_by
from thatdam_pipelines.library.schemas import LOCATIONS
from thatdam_pipelines.media.kinds import AUDIO_EXTENSIONS, IMAGE_EXTENSIONS, VIDEO_EXTENSIONS
from thatdam_pipelines.media.whereabouts import original, whereabouts
from thatdam_pipelines.media.xmp import MOST_BYTES, read_xmp

_MEDIA_EXTENSIONS = VIDEO_EXTENSIONS | AUDIO_EXTENSIONS | IMAGE_EXTENSIONS


@dataclass(frozen=True)
class _Sidecar:
    """A sidecar and the medium it lies beside. ``names_file``: its name has the whole name of the file."""

    media_id: str
    batch_id: str
    source_path: str
    of_media_id: str
    names_file: bool


def read_sidecars(library: Library, batch_id: str) -> list[str]:
    """Propose what sidecars say: those of a batch, of whatever batch their media are, and those of its media.

    ``clip.mov.xmp`` outweighs ``clip.xmp``, which is of every file ``clip`` there. A person's word stays.

    Returns:
        Why sidecars could not be read, a line each.
    """
    problems = []
    for sidecar in sorted(_pairs(library, batch_id), key=lambda one: (one.names_file, one.source_path)):
        try:
            change = _read(library, sidecar)
        except MediaError as error:
            problems.append(str(error))
            continue
        by = Author.now(sidecar.source_path, "sidecar")
        library.ledger.curation.propose({sidecar.of_media_id: change}, by, free_tags=library.settings.free_tags)
    return problems


def _pairs(library: Library, batch_id: str) -> Iterator[_Sidecar]:
    places = library.tables.read(LOCATIONS, batch_id)
    arrived = dict(places.select("source_path", "media_id").iter_rows())
    wanted = {path: _beside(path) for path in arrived}
    beside = {path for paths in wanted.values() for path in paths}
    known = locations_by(library.tables, "source_path", beside) if beside else places.clear()
    # Of a path at which several contents were, the one that came last.
    rows = {row["source_path"]: row for row in known.sort("batch_id").iter_rows(named=True)}
    batches = {row["source_path"]: row["batch_id"] for row in rows.values()}
    made = set()
    for path, others in wanted.items():
        for other in others:
            if other not in rows:
                continue
            xmp, clip = (path, other) if _is_xmp(path) else (other, path)
            ids = {path: arrived[path], other: rows[other]["media_id"]}
            names_file = _stem(xmp) == clip
            batch = batch_id if xmp == path else batches[xmp]
            made.add(_Sidecar(ids[xmp], batch, xmp, ids[clip], names_file))
    yield from made


def _beside(path: str) -> list[str]:
    """Paths of the files that a sidecar may be of, or of the sidecars that a file may have."""
    if not _is_xmp(path):
        stem = _stem(path)
        return [f"{name}.{ext}" for name in dict.fromkeys((path, stem)) for ext in ("xmp", "XMP")]
    stem = _stem(path)
    return [stem, *(f"{stem}.{case}" for ext in sorted(_MEDIA_EXTENSIONS) for case in (ext, ext.upper()))]


def _is_xmp(path: str) -> bool:
    return path.lower().endswith(".xmp")


def _stem(path: str) -> str:
    return path.removesuffix(PurePosixPath(path).suffix)


def _read(library: Library, sidecar: _Sidecar) -> Change:
    owner = library.ledger.content_batch(sidecar.media_id) or sidecar.batch_id
    found = whereabouts(library, owner)[sidecar.media_id]
    if found.size_bytes > MOST_BYTES:
        raise MediaError(sidecar.source_path, f"it is larger than {MOST_BYTES} bytes", "Is it an XMP sidecar?")
    with original(library, found) as path:
        return read_xmp(path.read_bytes(), sidecar.source_path)
