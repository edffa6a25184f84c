"""What the text index knows a file and a scene by: their words, made from the tables of one batch."""

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.ledger import Ledger
from thatdam_pipelines.library.schemas import LOCATIONS, MEDIA, PROBES, SCENES, TAGS, TRANSCRIPT_WORDS

FACTS = ("name", "parts", "folder", "camera", "technical", "category", "tags", "dates", "said", "context")
"""Columns of the index that the tables make. ``parts`` are pieces and other spellings of the rest; ``said`` is what is
heard in a segment of a transcript."""
CURATED = ("title", "description", "people", "keywords", "album", "rights", "spellings", "about")
"""Columns that the ledger makes: what people say of a file. ``keywords`` are the tags they gave, with the tags above
and all synonyms; ``spellings`` are other spellings of the rest."""
FIELDS = (*FACTS, *CURATED)
SAID = "said"
"""Level of segments of transcripts."""
NARROWING = ("context", "about")
"""What a scene's or a segment's file is known by: it narrows a search for these but finds none by itself."""

Words = Mapping[str, str]

_PIECES = re.compile(r"[^\W\d_]+|\d+")
_HUMPS = re.compile(r"(?<=[a-z])(?=[A-Z])")
_LETTERS = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"})
"""Letters with marks that Unicode does not take apart."""
_OTHER_NAMES = {
    "h264": "avc",
    "hevc": "h265",
    "mpeg2video": "mpeg2",
    "dvvideo": "dv",
    "video": "clip footage",
    "image": "photo picture still",
    "audio": "sound recording",
}


@dataclass(frozen=True)
class Document:
    """What is found: a file (l0), another place of a file (l0, ``path`` None), a scene (l2), or a segment (said).

    Args:
        path: Path the file came from; only of the file itself.
        words: Text of each of FIELDS.
        take_id: Recording that the file is a chapter of; only of the file itself.
        chapter: Its place in it, from 1.
        times: When each word of ``said`` begins, in seconds, as a JSON list; only of segments.
    """

    item_id: str
    media_id: str
    level: str
    start_s: float
    end_s: float
    path: str | None
    words: tuple[str, ...]
    take_id: str | None = None
    chapter: int | None = None
    times: str | None = None


def curated_words(ledger: Ledger, media_ids: Collection[str]) -> dict[str, Words]:
    """What people say of each of these media that they say anything of: text of each of CURATED but ``about``."""
    said = {media_id: now for media_id, now in ledger.curation.get_many(media_ids).items() if now.version}
    keywords = ledger.curation.words_of_tags({tag for now in said.values() for tag in now.tags})
    found: dict[str, Words] = {}
    for media_id, now in said.items():
        words = {
            "title": now.title or "",
            "description": now.description or "",
            "people": ", ".join(now.people),
            "keywords": ", ".join(keywords[tag] for tag in now.tags),
            "album": ", ".join(now.albums),
            "rights": ", ".join(_once([now.licence, now.owner, *now.releases])),
        }
        found[media_id] = words | {"spellings": _other_spellings(words.values())}
    return found


def curated_fields(words: Words | None, level: str) -> tuple[str, ...]:
    """The texts of CURATED: a file has them each; a scene has all of its file's in ``about``."""
    if words is None:
        return ("",) * len(CURATED)
    if level == "l0":
        return tuple(words.get(field, "") for field in CURATED)
    about = " ".join(words[field] for field in CURATED if words.get(field))
    return tuple(about if field == "about" else "" for field in CURATED)


def fold(text: str) -> str:
    """Text without case, accents and compatibility forms: ``Straße ﬁ Éł`` is ``strasse fi el``."""
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(char for char in apart if not unicodedata.combining(char)).translate(_LETTERS)


def documents(library: Library, batch_id: str) -> list[Document]:
    """The documents of a batch: its files but sidecars, places it added to files of other batches, scenes, segments."""
    tables = library.tables
    places = defaultdict(list)
    for place in tables.read(LOCATIONS, batch_id).sort("duplicate", "source_path").to_dicts():
        places[place["media_id"]].append(place)
    probes = {probe["media_id"]: probe for probe in tables.read(PROBES, batch_id).to_dicts()}
    tags: dict[str, set[str]] = defaultdict(set)
    for media_id, item_id, tag in tables.read(TAGS, batch_id).select("media_id", "item_id", "tag").iter_rows():
        tags[item_id].add(tag)
        tags[media_id].add(tag)
    made = []
    context = {}
    contents = tables.read(MEDIA, batch_id).to_dicts()
    said = curated_words(library.ledger, [media["media_id"] for media in contents])
    for media in contents:
        media_id = media["media_id"]
        known = places.pop(media_id, [])
        if media["kind"] == "sidecar":
            continue
        probe = probes.get(media_id, {})
        words = _words(media, known, probe, tags[media_id])
        context[media_id] = " ".join(words[field] for field in ("name", "parts", "folder", "camera", "category"))
        path = known[0]["source_path"] if known else media["name"]
        end_s = probe.get("duration_s") or 0.0
        take = (known[0]["take_id"], known[0]["chapter"]) if known else (None, None)
        made.append(
            Document(media_id, media_id, "l0", 0.0, end_s, path, _in_order(words, said.get(media_id), "l0"), *take)
        )
    for media_id, known in places.items():
        words = _words(None, known, {}, ())
        made.append(Document(media_id, media_id, "l0", 0.0, 0.0, None, _in_order(words, None, "l0")))
    for scene in tables.read(SCENES, batch_id).to_dicts():
        seen = " ".join(sorted(tags.get(scene["scene_id"], ())))
        words = {"tags": seen, "parts": _other_spellings([seen]), "context": context.get(scene["media_id"], "")}
        span = scene["start_s"], scene["end_s"]
        made.append(
            Document(
                scene["scene_id"],
                scene["media_id"],
                "l2",
                *span,
                None,
                _in_order(words, said.get(scene["media_id"]), "l2"),
            )
        )
    for segment_id, media_id, start_s, end_s, text, times in _segments(library, batch_id):
        words = {"said": text, "parts": _other_spellings([text]), "context": context.get(media_id, "")}
        in_order = _in_order(words, said.get(media_id), SAID)
        made.append(Document(segment_id, media_id, SAID, start_s, end_s, None, in_order, times=times))
    return made


def _segments(library: Library, batch_id: str) -> Iterator[tuple[str, str, float, float, str, str]]:
    """Each segment of the batch's transcripts, its words parted by one space, and when each of them begins."""
    words = library.tables.read(TRANSCRIPT_WORDS, batch_id).sort("media_id", "word_index")
    for (segment_id,), rows in words.group_by("segment_id", maintain_order=True):
        times = json.dumps(rows["start_s"].round(3).to_list())
        text = " ".join("".join(word.split()) for word in rows["word"])
        yield str(segment_id), rows["media_id"][0], rows["start_s"][0], rows["end_s"][-1], text, times


def _words(
    media: dict[str, Any] | None, places: list[dict[str, Any]], probe: dict[str, Any], tags: Iterable[str]
) -> dict[str, str]:
    names = _once([*([media["name"]] if media else []), *(place["name"] for place in places)])
    folders = _once(place["folder"] for place in places)
    camera = _once(probe.get(key) for key in ("camera_make", "camera_model"))
    categories = _once(place["category"] for place in places)
    shot = probe.get("created_utc") or (places[0]["modified_utc"] if places else None)
    words = {
        "name": " ".join(names),
        "folder": " ".join(folders),
        "camera": " ".join(camera),
        "category": " ".join(categories),
        "tags": " ".join(sorted(tags)),
        "technical": " ".join(_technical(media, places, probe)),
        "dates": " ".join(_dates(shot)) if shot else "",
    }
    pieces = _once(piece for text in (*names, *folders, *camera) for piece in _pieces(text))
    words["parts"] = f"{' '.join(pieces)} {_other_spellings(words.values())}".strip()
    return words


def _technical(media: dict[str, Any] | None, places: list[dict[str, Any]], probe: dict[str, Any]) -> Iterator[str]:
    kind = probe.get("kind") or (media["kind"] if media else None)
    for word in _once([kind, probe.get("container"), probe.get("video_codec"), probe.get("audio_codec")]):
        yield word
        if word in _OTHER_NAMES:
            yield _OTHER_NAMES[word]
    yield from _once(place["card_type"] for place in places)
    yield from _picture_words(probe.get("display_width") or 0, probe.get("display_height") or 0)
    if (hdr := probe.get("hdr")) and hdr != "sdr":
        yield f"hdr {hdr}"
    if rate := probe.get("frame_rate_fps"):
        yield f"{rate:.0f}fps"
    if kind == "video":
        yield from (word for word, holds in _video_words(probe) if holds)


def _picture_words(width: int, height: int) -> Iterator[str]:
    if not width or not height:
        return
    yield "square" if width == height else "landscape" if width > height else "portrait vertical"
    short = min(width, height)
    sizes = ((4320, "8k uhd"), (2160, "4k uhd"), (1080, "1080p hd"), (720, "720p hd"), (0, "sd"))
    yield next(word for least, word in sizes if short >= least)


def _video_words(probe: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    yield "vfr", bool(probe.get("is_vfr"))
    yield "interlaced", probe.get("interlace") in ("tff", "bff")
    yield "slow motion", (probe.get("frame_rate_fps") or 0) >= 100
    yield "silent", probe.get("has_audio") is False


def _dates(shot: datetime) -> Iterator[str]:
    yield shot.strftime("%Y-%m-%d %B %b %A")


def _pieces(text: str) -> Iterator[str]:
    """``GX010042.MP4`` gives GX, 010042, 10042, MP, 4: what people type of it."""
    for piece in _PIECES.findall(text):
        yield piece
        if piece.isdecimal():
            yield piece.lstrip("0") or "0"
        yield from _HUMPS.split(piece)


def _other_spellings(texts: Iterable[str]) -> str:
    """Words that folding changes more than the index's own tokenizer does, folded: ``strasse`` for ``Straße``."""
    words = {word for text in texts for word in text.split()}
    return " ".join(sorted({fold(word) for word in words if fold(word) != _without_accents(word.lower())}))


def _without_accents(text: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFD", text) if not unicodedata.combining(char))


def _once(texts: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(text for text in texts if text))


def _in_order(words: dict[str, str], said: Words | None, level: str) -> tuple[str, ...]:
    """The texts of FIELDS, of the words that the tables make and those that people say."""
    facts = [unicodedata.normalize("NFC", words.get(field, "")) for field in FACTS]
    return (*facts, *curated_fields(said, level))
