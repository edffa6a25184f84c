"""What a file says of itself: XMP, IPTC-IIM and EXIF texts that people and programs wrote into it."""

import struct
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.library.curation import Change, change_of, tidied
from thatdam_pipelines.media.xmp import read_xmp

if TYPE_CHECKING:
    from PIL import Image

_TITLE, _KEYWORDS, _COPYRIGHT, _CAPTION = (2, 5), (2, 25), (2, 116), (2, 120)
"""Datasets of IPTC-IIM 4.2."""
_DESCRIPTION, _RATING, _EXIF_COPYRIGHT, _XP_TITLE, _XP_KEYWORDS = 270, 18246, 33432, 40091, 40094
_BY_CAMERAS = ("digital camera", "dcim", "default", "created with")
"""Beginnings or ends of descriptions that cameras write into every picture."""
_MOST_KEYWORDS = 200


def embedded_change(image: "Image.Image", name: str) -> tuple[Change | None, list[str]]:
    """What is written into an open picture, XMP before IPTC before EXIF, and why parts of it could not be read."""
    readers: list[tuple[str, Callable[[], dict[str, Any]]]] = [
        ("XMP", lambda: _from_xmp(image, name)),
        ("IPTC", lambda: _from_iptc(image)),
        ("EXIF", lambda: _from_exif(image)),
    ]
    return _told(readers)


def written_change(packet: bytes, exif: Mapping[int, Any], name: str) -> tuple[Change | None, list[str]]:
    """What an XMP packet (b"": none) says, and EXIF's values by tag, and why parts of it could not be read."""
    return _told([("XMP", lambda: _from_packet(packet, name)), ("EXIF", lambda: _from_values(exif))])


def _told(readers: list[tuple[str, Callable[[], dict[str, Any]]]]) -> tuple[Change | None, list[str]]:
    """What the readers find, the first before the others."""
    found: dict[str, Any] = {}
    problems = []
    for what, read in readers:
        try:
            said = read()
        except MediaError as error:
            problems.append(error.cause)
        except (ValueError, KeyError, TypeError, SyntaxError, OSError, struct.error):
            problems.append(f"its {what} cannot be read")
        else:
            found = said | {field: value for field, value in found.items() if value}
    given = {field: value for field, value in found.items() if value}
    return (change_of(**given) if given else None), problems


def _from_xmp(image: "Image.Image", name: str) -> dict[str, Any]:
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    return _from_packet(packet if isinstance(packet, bytes) else str(packet).encode(), name)


def _from_packet(packet: bytes, name: str) -> dict[str, Any]:
    if not packet:
        return {}
    change = read_xmp(packet, name)
    return change.values() | {"tags": change.tags}


def _from_iptc(image: "Image.Image") -> dict[str, Any]:
    from PIL.ImageFile import ImageFile
    from PIL.IptcImagePlugin import getiptcinfo

    if not isinstance(image, ImageFile):
        return {}
    known: Mapping[tuple[int, int], Any] = getiptcinfo(image) or {}

    def texts(dataset: tuple[int, int]) -> list[str]:
        value = known.get(dataset, [])
        return [_decoded(part) for part in (value if isinstance(value, list) else [value])]

    return {
        "title": _first(texts(_TITLE), 500),
        "description": _first(texts(_CAPTION), 20_000),
        "licence": _first(texts(_COPYRIGHT), 500),
        "tags": _keywords(texts(_KEYWORDS)),
    }


def _from_exif(image: "Image.Image") -> dict[str, Any]:
    # Of a PNG, looking for it would decode the whole picture.
    return _from_values(image.getexif()) if image.format == "TIFF" or "exif" in image.info else {}


def _from_values(exif: Mapping[int, Any]) -> dict[str, Any]:
    description = tidied(str(exif.get(_DESCRIPTION, "")), 20_000)
    if description.lower().startswith(_BY_CAMERAS) or description.lower().endswith(_BY_CAMERAS):
        description = ""
    rating = exif.get(_RATING)
    return {
        "title": _first([_wide(exif.get(_XP_TITLE))], 500),
        "description": description,
        "licence": _first([str(exif.get(_EXIF_COPYRIGHT, ""))], 500),
        "rating": rating if isinstance(rating, int) and 1 <= rating <= 5 else None,
        "tags": _keywords(_wide(exif.get(_XP_KEYWORDS)).split(";")),
    }


def _keywords(texts: list[str]) -> tuple[str, ...]:
    words = (" ".join(tidied(text.replace("/", " ").replace("|", " "), 100).split()) for text in texts)
    return tuple(dict.fromkeys(word for word in words if word))[:_MOST_KEYWORDS]


def _first(texts: list[str], longest: int) -> str:
    return next((text for one in texts if (text := tidied(one, longest))), "")


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _wide(value: object) -> str:
    """A text of Windows: UTF-16 in bytes."""
    if isinstance(value, tuple):
        value = bytes(value)
    return value.decode("utf-16-le", "replace").rstrip("\0") if isinstance(value, bytes) else ""
