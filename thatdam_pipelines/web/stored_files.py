"""Files of the media store over HTTP: byte ranges, validators, HEAD; from a disk and from S3 alike (RFC 9110)."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Protocol
from urllib.parse import quote

from blake3 import blake3
from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from thatdam_pipelines.errors import StoreError
from thatdam_pipelines.web.problems import Refusal

_BLOCK_BYTES = 512 * 1024
_ONE_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")


class Files(Protocol):
    """Where files are read from by their keys: the store, or where they were left by reference."""

    def size(self, key: str) -> int | None: ...
    def modified_ns(self, key: str) -> int | None: ...
    def read_range(self, key: str, start: int, end: int) -> bytes: ...


def stored_file(
    request: Request, files: Files, key: str, media_type: str, *, max_age_s: int = 3600, name: str | None = None
) -> Response:
    """A file, or the range of it that is asked for.

    A request for several ranges at once is answered with the whole file, as RFC 9110 allows: making many parts of one
    file is how servers are worn down.

    Args:
        name: Save it under this name instead of showing it.

    Raises:
        OfflineError: The files cannot be reached.
        StoreError: There is no such file.
        Refusal: The range lies outside of it.
    """
    size, modified_ns = files.size(key), files.modified_ns(key)
    if size is None or modified_ns is None:
        # Where all files are away, reading says so.
        files.read_range(key, 0, 1)
        raise StoreError(key, "it is missing from the media store", "Restore it from a backup.")
    modified = datetime.fromtimestamp(modified_ns // 10**9, UTC)
    tag = f'"{blake3(f"{key} {size} {modified_ns}".encode()).hexdigest(16)}"'
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": tag,
        "Last-Modified": format_datetime(modified, usegmt=True),
        "Cache-Control": f"private, max-age={max_age_s}",
        "Cross-Origin-Resource-Policy": "same-site",
    }
    if name is not None:
        headers["Content-Disposition"] = (
            f"attachment; filename*=UTF-8''{quote(name.encode('utf-8', 'replace'), safe='')}"
        )
    if _is_known(request, tag):
        return Response(status_code=304, headers=headers)
    wanted = _range(request, size, tag, headers["Last-Modified"])
    start, end = wanted or (0, size)
    headers["Content-Length"] = str(end - start)
    if wanted:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    status = 206 if wanted else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media_type)
    pieces = blocks(files, key, start, end)
    return StreamingResponse(pieces, status_code=status, headers=headers, media_type=media_type)


def _is_known(request: Request, tag: str) -> bool:
    given = request.headers.get("if-none-match", "")
    return given.strip() == "*" or tag in (one.strip().removeprefix("W/") for one in given.split(","))


def _range(request: Request, size: int, tag: str, modified: str) -> tuple[int, int] | None:
    """First byte and the one behind the last; None: all of it."""
    found = _ONE_RANGE.fullmatch(request.headers.get("range", "").strip())
    if found is None or found.groups() == ("", "") or request.headers.get("if-range", tag) not in (tag, modified):
        return None
    first, last = found.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last) + 1, size) if first and last else size
    if first and last and int(last) < int(first):
        return None
    if start >= size or end <= start:
        headers = {"Content-Range": f"bytes */{size}"}
        raise Refusal(416, "range", f"the file has {size} bytes", "Ask for a range inside of it.", headers)
    return start, end


def blocks(files: Files, key: str, start: int, end: int) -> Iterator[bytes]:
    for at in range(start, end, _BLOCK_BYTES):
        yield files.read_range(key, at, min(end, at + _BLOCK_BYTES))
