"""Media hash lists of before ASC MHL (``.mhl``, version 1): what they say a card's files hash to."""

import os
import posixpath
from pathlib import Path

from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.library.checksum import open_regular

MAX_BYTES = 256 * 2**20
"""Larger lists are refused: a million files take less."""

FORMATS = {"md5": "md5", "sha1": "sha1", "xxhash": "xxh32", "xxhash64": "xxh64", "xxhash64be": "xxh64"}
"""Elements of a list, and what ASC MHL calls what they hold."""


def read_legacy(path: Path, folder: str) -> dict[str, dict[str, str]]:
    """Hashes by path, relative to the card, and by the list's own element names.

    Args:
        folder: Of the list, relative to the card: a list's paths start there.

    Raises:
        MediaError: It is not such a list.
    """
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(_content(path), parser)
    except etree.XMLSyntaxError as error:
        raise MediaError(path, f"it is no hash list that can be read ({error})", "Ask whoever wrote it.") from error
    found: dict[str, dict[str, str]] = {}
    for entry in root.iter("{*}hash"):
        values = {etree.QName(child).localname: (child.text or "").strip() for child in entry.iterchildren("*")}
        name = values.get("file", "").replace("\\", "/")
        hashes = {element: value for element, value in values.items() if element in FORMATS and value}
        if name and hashes:
            found[posixpath.normpath(posixpath.join(folder, name))] = hashes
    return found


def agrees(element: str, listed: str, digest: str) -> bool:
    """Whether what a list says is this digest.

    Args:
        element: Of the list, see ``FORMATS``.
        digest: In hex, as ASC MHL writes it.
    """
    if element == "xxhash":
        return listed.isdecimal() and int(listed) == int(digest, 16)
    if element == "xxhash64":
        # Little-endian by the letter; some programs wrote it the usual way round.
        return listed.lower() in (digest, bytes.fromhex(digest)[::-1].hex())
    return listed.lower() == digest


def _content(path: Path) -> bytes:
    descriptor = open_regular(path)
    with os.fdopen(descriptor, "rb") as file:
        if os.fstat(descriptor).st_size > MAX_BYTES:
            raise MediaError(path, "it is too large for a hash list", "Ask whoever wrote it.")
        return file.read()
