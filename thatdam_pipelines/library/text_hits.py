"""What the text index answers: the documents that words lead to, best first, and where files came from."""

import json
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass

from thatdam_pipelines.library.text_documents import FIELDS, NARROWING, SAID, fold
from thatdam_pipelines.library.text_query import TextQuery, name_parts

_WEIGHTS = {
    "name": 6.0, "parts": 3.0, "folder": 3.0, "camera": 3.0, "technical": 2.0,
    "category": 4.0, "tags": 5.0, "dates": 3.0, "said": 4.0, "context": 0.5,
    "title": 6.0, "description": 3.0, "people": 5.0, "keywords": 5.0, "album": 4.0, "rights": 2.0, "spellings": 3.0,
    "about": 0.5,
}  # fmt: skip
_BM25 = f"bm25({', '.join(str(_WEIGHTS[field]) for field in FIELDS)})"
_NAMED = [field for field in FIELDS if field not in ("parts", "spellings", *NARROWING)]
_OPEN, _CLOSE = "\x02", "\x03"
_AROUND = 60
"""Characters of a snippet on either side of its first match."""
_SOME = 0.4
"""Least share of the words that must be there when no document has all of them: one of two, two of three to five."""


@dataclass(frozen=True)
class TextHit:
    """A file or a scene that words lead to.

    Args:
        level: ``l0`` a file, ``l2`` a scene, ``said`` a segment of a transcript, from the first word that matched.
        score: Higher fits better; comparable within one answer only.
        fields: What matched: name, folder, camera, technical, tags, dates, title, people, keywords, album, ...
        snippet: The text around the match, with the match in square brackets.
        match: ``all words``, ``part of name`` or ``some words``.
    """

    item_id: str
    media_id: str
    level: str
    start_s: float
    end_s: float
    score: float
    fields: list[str]
    snippet: str
    match: str


@dataclass(frozen=True)
class Place:
    """Where a file came from and how long it is (0 for stills and what was not probed).

    Args:
        take_id: Recording that it is a chapter of; None when it is of none, or when names do not tell the chapters
            apart.
        chapter: Its place in the take, from 1.
        take_start_s: Where it begins in the take: the length of the chapters before it that the library has.
    """

    path: str
    duration_s: float
    take_id: str | None = None
    chapter: int | None = None
    take_start_s: float | None = None


def hits_of(con: sqlite3.Connection, asked: TextQuery, limit: int, among: str | None) -> list[TextHit]:
    """Documents with all the words; else with a name that has their parts; else with some of the words.

    Args:
        among: Media ids as a JSON list, when only these are asked for.
    """
    for expression in asked.all_words():
        if hits := _by_words(con, expression, limit, among, "all words"):
            return hits
    return _by_name(con, asked, limit, among) or _by_some_words(con, asked, limit, among)


def places_of(con: sqlite3.Connection, media_ids: Collection[str]) -> dict[str, Place]:
    """Where each of these files came from; files that are not indexed are left out."""
    rows = con.execute(
        "SELECT media_id, path, end_s, take_id, chapter FROM documents WHERE path IS NOT NULL "
        "AND media_id IN (SELECT value FROM json_each(?))",
        [json.dumps(sorted(media_ids))],
    ).fetchall()
    takes = {take_id for *_, take_id, _ in rows if take_id is not None}
    starts = {take_id: _chapter_starts(con, take_id) for take_id in takes}
    places = {}
    for media_id, path, end_s, take_id, chapter in rows:
        start_s = starts.get(take_id, {}).get(chapter)
        take = (None, None, None) if start_s is None else (take_id, chapter, start_s)
        places[media_id] = Place(path, end_s, *take)
    return places


def _chapter_starts(con: sqlite3.Connection, take_id: str) -> dict[int, float]:
    """Where each chapter of a take begins in it; none when two files claim to be the same chapter."""
    starts: dict[int, float] = {}
    at = 0.0
    chapters = con.execute(
        "SELECT chapter, end_s FROM documents WHERE take_id = ? AND path IS NOT NULL ORDER BY chapter", [take_id]
    )
    for chapter, duration_s in chapters:
        if chapter in starts:
            return {}
        starts[chapter] = at
        at += duration_s
    return starts


def _by_words(con: sqlite3.Connection, expression: str, limit: int, among: str | None, match: str) -> list[TextHit]:
    columns = ", ".join(f"highlight(words, {at}, '{_OPEN}', '{_CLOSE}')" for at in range(len(FIELDS)))
    rows = con.execute(
        f"SELECT rowid, -rank, {columns} FROM words "
        f"WHERE words MATCH ? AND rank MATCH '{_BM25}' {_AMONG if among else ''} ORDER BY rank LIMIT ?",
        [expression, *([among] if among else []), 2 * limit],
    ).fetchall()
    marked = [(number, score, dict(zip(FIELDS, texts, strict=True))) for number, score, *texts in rows]
    found = [(number, score, *_shown(texts), _word_matched(texts[SAID])) for number, score, texts in marked]
    return _hits(con, found, limit, match)


def _by_name(con: sqlite3.Connection, asked: TextQuery, limit: int, among: str | None) -> list[TextHit]:
    expression, short = name_parts(asked.wanted)
    if expression is None and all(len(text) == 1 and text.isascii() for text in short):
        return []
    conditions = ["names MATCH ?"] if expression else []
    conditions += ["instr(name, ?) > 0"] * len(short)
    unwanted = [fold(term.text) for term in asked.unwanted]
    conditions += ["instr(name, ?) = 0"] * len(unwanted)
    rows = con.execute(
        f"SELECT rowid, 1.0 / length(name) FROM names WHERE {' AND '.join(conditions)} {_AMONG if among else ''} "
        "ORDER BY length(name), name, rowid LIMIT ?",
        [*([expression] if expression else []), *short, *unwanted, *([among] if among else []), 2 * limit],
    ).fetchall()
    found = []
    for number, score in rows:
        name = con.execute("SELECT name FROM words WHERE rowid = ?", [number]).fetchone()[0]
        found.append((number, score, ["name"], name, 0))
    return _hits(con, found, limit, "part of name")


def _by_some_words(con: sqlite3.Connection, asked: TextQuery, limit: int, among: str | None) -> list[TextHit]:
    expression = asked.any_word()
    if expression is None:
        return []
    hits = _by_words(con, expression, 5 * limit, among, "some words")
    has: dict[str, int] = dict.fromkeys((hit.item_id for hit in hits), 0)
    for term in asked.words:
        rows = con.execute(
            "SELECT DISTINCT item_id FROM documents WHERE item_id IN (SELECT value FROM json_each(?)) "
            "AND id IN (SELECT rowid FROM words WHERE words MATCH ?)",
            [json.dumps(list(has)), term.expression()],
        )
        for (item_id,) in rows:
            has[item_id] += 1
    enough = _SOME * len(asked.words)
    return [hit for hit in hits if has[hit.item_id] >= enough][:limit]


_AMONG = "AND rowid IN (SELECT id FROM documents WHERE media_id IN (SELECT value FROM json_each(?)))"


def _shown(marked: dict[str, str]) -> tuple[list[str], str]:
    """The fields that matched, and the text around the first match of the first of them."""
    fields = [field for field in _NAMED if _OPEN in marked[field]]
    if not fields:
        # A piece of a name, or another spelling of something.
        return ["name"] if marked["name"] else ["tags"], marked["name"] or marked["tags"]
    text = marked[fields[0]]
    start = max(0, text.index(_OPEN) - _AROUND)
    end = text.index(_CLOSE) + _AROUND
    cut = f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"
    return fields, cut.replace(_OPEN, "[").replace(_CLOSE, "]")


def _word_matched(marked: str) -> int:
    """Which word of what is said is the first that matched, from 0; 0 where none did."""
    return marked.partition(_OPEN)[0].count(" ") if _OPEN in marked else 0


def _hits(
    con: sqlite3.Connection, found: list[tuple[int, float, list[str], str, int]], limit: int, match: str
) -> list[TextHit]:
    """The hits of these documents, an item once: another place of a file leads to the same file."""
    hits: dict[str, TextHit] = {}
    for number, score, fields, snippet, word in found:
        row = con.execute(
            "SELECT d.item_id, d.media_id, d.level, d.start_s, coalesce(f.end_s, d.end_s), d.times FROM documents d "
            "LEFT JOIN documents f ON d.path IS NULL AND d.level = 'l0' AND f.media_id = d.media_id "
            "AND f.path IS NOT NULL WHERE d.id = ?",
            [number],
        ).fetchone()
        if row is None or row[0] in hits or len(hits) == limit:
            continue
        item_id, media_id, level, start_s, end_s, times = row
        if times is not None:
            start_s = json.loads(times)[word]
        hits[item_id] = TextHit(item_id, media_id, level, start_s, end_s, score, fields, snippet, match)
    return list(hits.values())
