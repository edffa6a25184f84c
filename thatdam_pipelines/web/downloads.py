"""Originals of many clips as one ZIP file that is made while it is sent."""

import zipfile
from collections.abc import Iterator
from io import RawIOBase
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import polars as pl
from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from thatdam_pipelines.library.locations import locations_by
from thatdam_pipelines.library.store import Store
from thatdam_pipelines.web.context import Shared
from thatdam_pipelines.web.problems import Refusal, not_found, problems
from thatdam_pipelines.web.stored_files import blocks

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MOST = 500
"""Clips of one file: their ids stand in the address, which servers and proxies limit."""
LEFT_OUT = "LEFT OUT.txt"
EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The first time that ZIP can tell."""

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
    """The originals of clips as they came, in one ZIP file. Those left at their source are named in a list inside."""
    found = locations_by(shared.library.tables, "media_id", media_id)
    if not found.height:
        raise not_found("none of these is in the library", "GET /api/v1/media lists them.")
    # The first place of each content: the others hold the same.
    places = found.sort(pl.col("in_store"), "batch_id", "source_path", descending=[True, False, False])
    firsts = places.unique("media_id", keep="first", maintain_order=True).sort("name", "media_id").to_dicts()
    stored = [place for place in firsts if place["in_store"]]
    if not stored:
        raise Refusal(409, "by-reference", "all of these stay at their source", "Ingest them with mode copy.")
    left_out = [place["source_path"] for place in firsts if not place["in_store"]]
    name = f"thatdam {len(stored)} files.zip" if len(stored) > 1 else f"{stored[0]['name']}.zip"
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name.encode('utf-8', 'replace'), safe='')}"}
    pieces = _zipped(shared.library.store, stored, left_out)
    return StreamingResponse(pieces, media_type="application/zip", headers=headers)


def _zipped(store: Store, places: list[dict[str, Any]], left_out: list[str]) -> Iterator[bytes]:
    """Footage does not get smaller: it is stored, not compressed."""
    sent = _Sent()
    taken: set[str] = set()
    with zipfile.ZipFile(sent, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for place in places:
            size = store.size(place["path"])
            if size is None:
                left_out.append(f"{place['source_path']} (missing from the media store)")
                continue
            modified = max(place["modified_utc"].timetuple()[:6], EARLIEST)
            info = zipfile.ZipInfo(_name(place["name"], taken), modified)
            with archive.open(info, "w", force_zip64=True) as member:
                for block in blocks(store, place["path"], 0, size):
                    member.write(block)
                    yield sent.taken()
        if left_out:
            said = "These are not in here; they stay where they came from:\n" + "\n".join(left_out) + "\n"
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
