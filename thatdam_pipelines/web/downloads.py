"""Originals of many clips as one ZIP file that is made while it is sent."""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from io import RawIOBase
from itertools import chain
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import polars as pl
from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from thatdam_pipelines.errors import OfflineError, StoreError, ThatdamError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.locations import locations_by
from thatdam_pipelines.media.whereabouts import LeftFiles, Place, Whereabouts, at_first_place
from thatdam_pipelines.web.context import Shared
from thatdam_pipelines.web.problems import not_found, problems
from thatdam_pipelines.web.stored_files import Files, blocks

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MOST = 500
"""Clips of one file: their ids stand in the address, which servers and proxies limit."""
LEFT_OUT = "LEFT OUT.txt"
EARLIEST = (1980, 1, 1, 0, 0, 0)
LATEST = (2107, 12, 31, 23, 59, 58)
"""The first and the last time that ZIP can tell."""

router = APIRouter(prefix="/api/v1", tags=["files"])


class _Sent(RawIOBase):
    """A file that can only be written to; what was written is taken away to be sent."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, piece: "ReadableBuffer") -> int:
        self._pieces.append(bytes(piece))
        return len(self._pieces[-1])

    def taken(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


@router.get("/download", response_class=Response, responses=problems(404, 409, 422, 503))
def download(
    shared: Shared,
    media_id: Annotated[list[Annotated[str, Query(pattern=r"^[0-9a-f]{32}$")]], Query(min_length=1, max_length=MOST)],
) -> Response:
    """The originals of clips as they came, in one ZIP file. What cannot be had is told in a list inside, with why."""
    rows = locations_by(shared.library.tables, "media_id", media_id).sort("name", "media_id", "source_path")
    if not rows.height:
        raise not_found("none of these is in the library", "GET /api/v1/media lists them.")
    library = shared.library
    if rows["in_store"].any() and not library.store.is_online():
        raise OfflineError(library.settings.media_url, "the media store cannot be reached", "Mount its disk.")
    clips = rows.partition_by("media_id", maintain_order=True)
    found = (_found(library, places) for places in clips)
    left_out: list[ThatdamError] = []
    for first in found:
        if isinstance(first, _Original):
            break
        left_out.append(first)
    else:
        raise left_out[0]
    name = f"thatdam {len(clips)} files.zip" if len(clips) > 1 else f"{first.name}.zip"
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name.encode('utf-8', 'replace'), safe='')}"}
    pieces = _zipped(chain([first], found), left_out)
    return StreamingResponse(pieces, media_type="application/zip", headers=headers)


@dataclass(frozen=True)
class _Original:
    """An original that can be read.

    Args:
        files: Where it is read from by its key.
    """

    name: str
    modified: datetime
    files: Files
    key: str
    size_bytes: int


def _found(library: Library, places: pl.DataFrame) -> _Original | ThatdamError:
    """A clip at the first of its places that has it, the store first; else why none has."""
    rows = places.sort("in_store", descending=True, maintain_order=True).to_dicts()
    first = rows[0]
    keys = tuple(dict.fromkeys(Place(row["path"], row["in_store"]) for row in rows))
    clip = Whereabouts(first["media_id"], first["name"], first["source_path"], first["size_bytes"], keys)

    def look(place: Place) -> _Original:
        files: Files = library.store if place.in_store else LeftFiles(clip.size_bytes)
        size = files.size(place.path)
        if size is None:
            raise StoreError(clip.source_path, "it is missing from the media store", "Restore it from a backup.")
        return _Original(clip.name, first["modified_utc"], files, place.path, size)

    try:
        return at_first_place(library, clip, look)
    except ThatdamError as error:
        return error


def _zipped(found: Iterator[_Original | ThatdamError], left_out: list[ThatdamError]) -> Iterator[bytes]:
    """Footage does not get smaller: it is stored, not compressed."""
    sent = _Sent()
    taken: set[str] = set()
    with zipfile.ZipFile(sent, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for one in found:
            if isinstance(one, ThatdamError):
                left_out.append(one)
                continue
            modified = min(max(one.modified.timetuple()[:6], EARLIEST), LATEST)
            info = zipfile.ZipInfo(_name(one.name, taken), modified)
            with archive.open(info, "w", force_zip64=True) as member:
                for block in blocks(one.files, one.key, 0, one.size_bytes):
                    member.write(block)
                    yield sent.taken()
        if left_out:
            said = "\n".join(["These are not in here:", *map(str, left_out), ""])
            archive.writestr(LEFT_OUT, said.encode("utf-8", "replace"))
    yield sent.taken()


def _name(name: str, taken: set[str]) -> str:
    """A name that no other file has, on disks that tell no case apart either."""
    path = PurePath(name.replace("\\", "_").replace("/", "_").lstrip(".") or "file")
    made, number = path.name, 2
    while made.lower() in taken:
        made, number = f"{path.stem} ({number}){path.suffix}", number + 1
    taken.add(made.lower())
    return made
