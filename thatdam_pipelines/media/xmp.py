"""XMP packets (ISO 16684-1): what other programs say of media, read from and written as sidecars.

Read as hostile: no document type, no entities, no more than MOST_BYTES. The properties are those that Lightroom,
Premiere, Bridge and digiKam read and write.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.library.curation import LONGEST_NAME, Change, Curation, change_of, tidied
from thatdam_pipelines.library.vocabulary import LONGEST, MOST_LEVELS

MOST_BYTES = 8 * 2**20
"""Sidecars are some KiB; those with masks and edits some MiB."""
TOOLKIT = "thatdam"
"""What wrote a sidecar, as it says itself: one of ours may be written anew."""

_SPACES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
    "xmpDM": "http://ns.adobe.com/xmp/1.0/DynamicMedia/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "plus": "http://ns.useplus.org/ldf/xmp/1.0/",
}
_META = "adobe:ns:meta/"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_MOST_VALUES = 200


def read_xmp(packet: bytes, name: str) -> Change:
    """What a packet says of a medium: always which tags, all else where it says any.

    Args:
        name: Of the file it is from, for errors.

    Raises:
        MediaError: It is too large, no XML, or has a document type.
    """
    properties = _properties(_parse(packet, name))

    def first(*names: str, longest: int = 500) -> str | None:
        texts = (tidied(text, longest) for one in names for text in properties.get(one, ()))
        return next((text for text in texts if text), None)

    fields: dict[str, Any] = {
        "label": first("xmp:Label"),
        "title": first("dc:title", "photoshop:Headline"),
        "description": first("dc:description", longest=20_000),
        "people": _names(properties.get("Iptc4xmpExt:PersonInImage", ())),
        "licence": first("xmpRights:UsageTerms", "dc:rights"),
        "owner": first("xmpRights:Owner"),
        "releases": _names(properties.get("plus:ModelReleaseID", ())),
        "rights_expire": _day(first("plus:LicenseEndDate")),
    }
    rating = _number(first("xmp:Rating"))
    if rating is not None and 1 <= rating <= 5:
        fields["rating"] = round(rating)
    fields["pick"] = _flag(first("xmpDM:pick"), first("xmpDM:good"), rating)
    return change_of(tags=_tags(properties), **{name: value for name, value in fields.items() if value})


def write_xmp(said: Curation) -> bytes:
    """A sidecar with what is said of a medium. Its state and its albums have no property and are left out."""
    from lxml import etree

    spaces = {prefix: space for prefix, space in _SPACES.items() if prefix != "rdf"}
    meta = etree.Element(f"{{{_META}}}xmpmeta", {f"{{{_META}}}xmptk": TOOLKIT}, nsmap={"x": _META})
    rdf = etree.SubElement(meta, _qualified("rdf:RDF"), nsmap={"rdf": _SPACES["rdf"]})
    about = etree.SubElement(rdf, _qualified("rdf:Description"), {_qualified("rdf:about"): ""}, nsmap=spaces)
    for name, text in _simple(said):
        about.set(_qualified(name), text)
    for name, kind, texts in _lists(said):
        holder = etree.SubElement(etree.SubElement(about, _qualified(name)), _qualified(f"rdf:{kind}"))
        for text in texts:
            item = etree.SubElement(holder, _qualified("rdf:li"))
            item.text = text
            if kind == "Alt":
                item.set(_LANGUAGE, "x-default")
    body = etree.tostring(meta, encoding="utf-8", pretty_print=True)
    return b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n' + body + b'<?xpacket end="w"?>\n'


def is_ours(packet: bytes) -> bool:
    """Whether a sidecar was written here, and not by another program since."""
    return re.search(rb"<x:xmpmeta[^>]*x:xmptk=\"thatdam\"", packet[:1000]) is not None


def _simple(said: Curation) -> Iterator[tuple[str, str]]:
    if said.rating is not None:
        yield "xmp:Rating", str(said.rating)
    elif said.pick == "reject":
        yield "xmp:Rating", "-1"
    if said.label:
        yield "xmp:Label", said.label
    if said.pick:
        yield "xmpDM:pick", "1" if said.pick == "pick" else "-1"
        yield "xmpDM:good", "True" if said.pick == "pick" else "False"
    if said.title:
        yield "photoshop:Headline", said.title
    if said.licence or said.owner:
        yield "xmpRights:Marked", "True"
    if said.rights_expire:
        yield "plus:LicenseEndDate", said.rights_expire.isoformat()


def _lists(said: Curation) -> Iterator[tuple[str, str, Sequence[str]]]:
    """Name, kind of container and values of the properties that are there."""
    leaves = list(dict.fromkeys(tag.rpartition("/")[2] for tag in said.tags))
    for name, kind, texts in (
        ("dc:title", "Alt", [said.title]),
        ("dc:description", "Alt", [said.description]),
        ("dc:rights", "Alt", [said.licence]),
        ("xmpRights:UsageTerms", "Alt", [said.licence]),
        ("xmpRights:Owner", "Bag", [said.owner]),
        ("dc:subject", "Bag", leaves),
        ("lr:hierarchicalSubject", "Bag", [tag.replace("/", "|") for tag in said.tags]),
        ("digiKam:TagsList", "Seq", said.tags),
        ("Iptc4xmpExt:PersonInImage", "Bag", said.people),
        ("plus:ModelReleaseID", "Bag", said.releases),
    ):
        if there := [text for text in texts if text]:
            yield name, kind, there


def _parse(packet: bytes, name: str) -> Any:
    from lxml import etree

    next_step = "Write it anew with the program it is from, or remove it."
    if len(packet) > MOST_BYTES:
        raise MediaError(name, f"its XMP is larger than {MOST_BYTES} bytes", next_step)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=False)
    try:
        root = etree.fromstring(packet.strip(b"\0 \t\r\n"), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise MediaError(name, f"its XMP cannot be read ({error})", next_step) from error
    if root.getroottree().docinfo.doctype:
        raise MediaError(name, "its XMP has a document type, which no XMP has", next_step)
    return root


def _properties(root: Any) -> dict[str, list[str]]:
    """The texts of each property we know, by its name with our prefix."""
    prefixes = {space: prefix for prefix, space in _SPACES.items()}
    found: dict[str, list[str]] = {}

    def add(tag: object, texts: Iterable[str | None]) -> None:
        space, _, name = str(tag).removeprefix("{").partition("}")
        if prefix := prefixes.get(space):
            found.setdefault(f"{prefix}:{name}", []).extend(text for text in texts if text)

    for about in root.iter(_qualified("rdf:Description")):
        for tag, text in about.attrib.items():
            add(tag, [text])
        for child in about.iterchildren("*"):
            items = sorted(child.iter(_qualified("rdf:li")), key=lambda item: item.get(_LANGUAGE) != "x-default")
            add(child.tag, [item.text for item in items] if items else [child.text])
    return found


def _tags(properties: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Paths of the hierarchies, and the plain keywords that are no level of them."""
    paths = [text.split("|") for text in properties.get("lr:hierarchicalSubject", ())]
    paths += [text.split("/") for text in properties.get("digiKam:TagsList", ())]
    levels = {tidied(level, LONGEST).casefold() for path in paths for level in path}
    paths += [[text] for text in properties.get("dc:subject", ()) if tidied(text, LONGEST).casefold() not in levels]
    clean = ([level for one in path if (level := _level(one))] for path in paths)
    return tuple(dict.fromkeys("/".join(path) for path in clean if path and len(path) <= MOST_LEVELS))[:_MOST_VALUES]


def _level(text: str) -> str:
    return " ".join(re.sub(r"[/|]", " ", tidied(text, LONGEST)).split())


def _names(texts: Iterable[str]) -> tuple[str, ...]:
    names = (" ".join(tidied(text, LONGEST_NAME).split()) for text in texts)
    return tuple(dict.fromkeys(name for name in names if name))[:_MOST_VALUES]


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None


def _flag(pick: str | None, good: str | None, rating: float | None) -> str | None:
    flags = {"1": "pick", "-1": "reject", "true": "pick", "false": "reject"}
    flag = flags.get(pick or "") or (flags.get((good or "").lower()) if pick is None else None)
    return "reject" if flag is None and rating == -1 else flag


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat((text or "")[:10])
    except ValueError:
        return None


def _qualified(name: str) -> str:
    prefix, _, rest = name.partition(":")
    return f"{{{_SPACES[prefix]}}}{rest}"
