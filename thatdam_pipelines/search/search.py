"""Search: one query in, ranked moments with reasons out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from thatdam_pipelines.embed.embedder import Embedder, Vectors
from thatdam_pipelines.embed.spaces import Serving, open_serving
from thatdam_pipelines.errors import MediaError, OfflineError, QueryError
from thatdam_pipelines.library import catalog
from thatdam_pipelines.library.curation_ledger import Filter
from thatdam_pipelines.library.ledger import Ledger
from thatdam_pipelines.library.text import Place, TextIndex
from thatdam_pipelines.library.vectors import Hit, VectorIndex
from thatdam_pipelines.search.moments import FRAME_SPAN_S, Evidence, Moment, Span, fuse
from thatdam_pipelines.search.takes import Stretch, join_chapters
from thatdam_pipelines.settings import Settings

Level = Literal["l0", "l1", "l2", "any"]

SOURCES = {"l0": "files", "l1": "frames", "l2": "scenes"}
CANDIDATES = 4
"""Vectors asked for, for each moment wanted: several frames of one scene become one moment."""

PLAIN_WORDS = ("a photo", "a picture of something", "a frame of a video", "an image with nothing in particular")
"""Sentences that say nothing: a hit must be closer to the query than to any of them."""


NAME_WEIGHT = 4.0
"""More than all likenesses together: who types a file's name wants that file."""

LEAST_RISE = 0.03
"""Cosine by which a hit must be closer to the query than to anything that says nothing."""

KEPT_SHARE = 0.5
"""A hit must rise above what says nothing by this share of what the best one does."""


@dataclass(frozen=True)
class Instant:
    """A time in a clip, in seconds; of a still, 0."""

    media_id: str
    time_s: float


@dataclass(frozen=True)
class Query:
    """What is looked for.

    Args:
        text: Words; may be empty when ``image`` or ``like`` is given.
        image: Picture that moments should look like.
        like: Instant of the library that other moments should look like.
        level: Files (l0), frames (l1), scenes (l2), or all.
        where: SQL condition over the view ``media``.
        among: Only these media.
        curated: What people must have said of the media.
        limit: Most moments given.
    """

    text: str = ""
    image: Path | None = None
    like: Instant | None = None
    level: Level = "any"
    where: str | None = None
    among: frozenset[str] | None = None
    curated: Filter = field(default_factory=Filter)
    limit: int = 20

    @property
    def shows(self) -> bool:
        """Whether it holds something to look at."""
        return self.image is not None or self.like is not None


@dataclass(frozen=True)
class SearchResult:
    """Moments, best first, and who answered.

    Args:
        knows_words: Whether that embedder understands text; else words find only names, tags and facts.
        notes: What people should know about the answer.
    """

    moments: list[Moment]
    embedder: str
    knows_words: bool
    notes: list[str] = field(default_factory=list)


class Searcher:
    """Answers queries about one library; opens what it needs once. Use as a context manager.

    Args:
        embedder: Answers in place of the one that serves the library.
        vectors_wait_s: Longest wait for another process that has the vectors open and runs no server.

    Raises:
        ModelError: The embedder that serves the library cannot be opened.
    """

    def __init__(self, settings: Settings, embedder: Embedder | None = None, *, vectors_wait_s: float = 30.0) -> None:
        self.settings = settings
        self._vectors_wait_s = vectors_wait_s
        self._serving = Serving(embedder) if embedder else open_serving(settings)
        self.embedder = self._serving.embedder

    @cached_property
    def vectors(self) -> VectorIndex:
        return VectorIndex(self.settings, wait_s=self._vectors_wait_s)

    @cached_property
    def text(self) -> TextIndex:
        return TextIndex(self.settings.text_path)

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(self.settings.database_url)

    @cached_property
    def _plain_words(self) -> Vectors:
        return self.embedder.embed_text(PLAIN_WORDS)

    @cached_property
    def _plain_pictures(self) -> Vectors:
        side = self.embedder.input_size
        flat = [np.full((side, side, 3), value, np.uint8) for value in (0, 128, 255)]
        noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
        return self.embedder.embed_images([*flat, noise])

    def close(self) -> None:
        for name in ("vectors", "text", "ledger"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def search(self, query: Query) -> SearchResult:
        """The moments that fit ``query``.

        Raises:
            QueryError: Neither words nor a picture are given, the picture cannot be read, the condition is wrong, or
                the instant to look like has no vector.
            CurationError: ``curated`` names a tag or an album that there is not.
            OfflineError: The vectors cannot be reached, and without them there is nothing to tell. Where words alone
                find something, that is told, with a note.
        """
        if not query.text.strip() and not query.shows:
            raise QueryError("search", "there is nothing to look for", "Give words, --image FILE, or both.")
        among = self._filter(query)
        notes = [f"Embedder: {self.embedder.name}. {self.embedder.note}", *self._serving.notes]
        evidence = self._evidence(query, among, notes) if among is None or among else []
        moments = self._moments(query, evidence, notes)
        return SearchResult(moments, self.embedder.name, self.embedder.has_text, notes)

    def _filter(self, query: Query) -> set[str] | None:
        """Ids of the media that may be found; None when all may."""
        fitting = []
        if query.among is not None:
            fitting.append(set(query.among))
        if query.where is not None:
            rows = catalog.run_sql(self.settings, f"SELECT media_id FROM media WHERE (\n{query.where}\n)")
            fitting.append(set(rows["media_id"]))
        if query.curated.asks:
            fitting.append(self.ledger.curation.matching(query.curated))
        return set.intersection(*fitting) if fitting else None

    def _evidence(self, query: Query, among: set[str] | None, notes: list[str]) -> list[Evidence]:
        try:
            looks = self._by_vector(query, among, notes)
        except OfflineError as error:
            says = [] if query.shows else self._by_text(query, among, notes)
            if not says:
                raise
            notes.append(f"Only names, tags, texts and facts were searched, no pictures. {error}")
            return says
        return [*looks, *self._by_text(query, among, notes)]

    def _by_vector(self, query: Query, among: set[str] | None, notes: list[str]) -> list[Evidence]:
        levels = list(SOURCES) if query.level == "any" else [query.level]
        if not any(self.vectors.has_any(self.embedder.space, level) for level in levels):
            notes.append(f"Nothing is indexed in the vector space {self.embedder.space} yet.")
            return []
        if not self.embedder.has_text and not query.shows:
            return []
        vector, plain = self._query_vector(query)
        found = [
            _looks_alike(level, hit, float((plain @ hit.vector).max()))
            for level in levels
            for hit in self.vectors.query(self.embedder.space, level, vector, query.limit * CANDIDATES, among)
            if query.like is None or not _covers(hit, query.like)
        ]
        best = max((item.strength for item in found), default=0.0)
        return [item for item in found if item.strength >= max(LEAST_RISE, KEPT_SHARE * best)]

    def _query_vector(self, query: Query) -> tuple[npt.NDArray[np.float32], Vectors]:
        """The query's vector, and those of what says nothing in the same ways."""
        parts, plain = [], []
        if query.image is not None:
            parts.append(
                self.embedder.embed_images([_picture(query.image, self.embedder.input_size, self.settings)])[0]
            )
            plain.append(self._plain_pictures)
        if query.like is not None:
            parts.append(self._vector_at(query.like))
            plain.append(self._plain_pictures)
        if query.text.strip() and self.embedder.has_text:
            parts.append(self.embedder.embed_text([query.text])[0])
            plain.append(self._plain_words)
        vector = np.mean(parts, axis=0)
        return (vector / np.linalg.norm(vector)).astype(np.float32), np.concatenate(plain)

    def _vector_at(self, instant: Instant) -> npt.NDArray[np.float32]:
        """The vector of the frame nearest to an instant; where no frame has one, that of the file."""
        space = self.embedder.space
        near = self.vectors.nearest_in_time(space, "l1", instant.media_id, instant.time_s)
        if near is None:
            near = self.vectors.vector_of(space, "l0", instant.media_id)
        if near is None:
            cause = f"nothing of it is indexed in the vector space {space}"
            raise QueryError(instant.media_id, cause, "See its stages in `thatdam explain`.")
        return near

    def _by_text(self, query: Query, among: set[str] | None, notes: list[str]) -> list[Evidence]:
        if not query.text.strip():
            return []
        if not self.text.count():
            notes.append("Nothing is in the text index: ingest something, or run `thatdam index rebuild text`.")
            return []
        self.text.catch_up(self.ledger)
        hits = self.text.query(query.text, query.limit * CANDIDATES, among)
        return [
            Evidence(
                "speech" if hit.level == "said" else "text", hit.media_id, hit.start_s, hit.end_s, hit.score,
                f"{', '.join(hit.fields)}: {hit.snippet}",
                whole_file=hit.level == "l0", weight=NAME_WEIGHT if "name" in hit.fields else 1.0,
            )
            for hit in hits
            if query.level in ("any", hit.level) and (hit.match != "some words" or not self.embedder.has_text)
        ]  # fmt: skip

    def _moments(self, query: Query, evidence: list[Evidence], notes: list[str]) -> list[Moment]:
        spans = fuse(evidence)
        places = self.text.places({span.media_id for span in spans})
        stretches = join_chapters(spans, places)[: query.limit]
        moments = [_moment(stretch, places) for stretch in stretches if stretch.span.media_id in places]
        if len(moments) < len(stretches):
            notes.append("Some hits are not in the text index: run `thatdam index rebuild text`.")
        return moments


def _moment(stretch: Stretch, places: Mapping[str, Place]) -> Moment:
    span, place = stretch.span, places[stretch.span.media_id]
    start_s, end_s = _bounds(span, place)
    take_start_s = take_end_s = None
    if place.take_start_s is not None:
        last = places[stretch.last.media_id]
        take_start_s = round(place.take_start_s + start_s, 3)
        take_end_s = round((last.take_start_s or 0.0) + _bounds(stretch.last, last)[1], 3)
    return Moment(
        media_id=span.media_id,
        path=place.path,
        start_s=start_s,
        end_s=end_s,
        score=round(span.score, 4),
        level=span.level,
        reasons=span.reasons(),
        take_id=place.take_id,
        take_start_s=take_start_s,
        take_end_s=take_end_s,
    )


def _bounds(span: Span, place: Place) -> tuple[float, float]:
    """Where a span begins and ends in its file, in seconds."""
    if span.level == "l0":
        return 0.0, place.duration_s
    return span.start_s, min(span.end_s, place.duration_s)


def _covers(hit: Hit, instant: Instant) -> bool:
    """Whether a hit is what is looked like itself: its scene, its second or its file."""
    if hit.media_id != instant.media_id:
        return False
    end_s = hit.start_s + FRAME_SPAN_S if hit.level == "l1" else hit.end_s
    return hit.level == "l0" or hit.start_s - FRAME_SPAN_S < instant.time_s < end_s or hit.start_s == instant.time_s


def _looks_alike(level: str, hit: Hit, floor: float) -> Evidence:
    source = SOURCES[level]
    at, end_s = (f" at {hit.start_s:.1f} s", hit.start_s + FRAME_SPAN_S) if level == "l1" else ("", hit.end_s)
    reason = f"{source[:-1]}{at} is like the query: {hit.similarity:.2f}, nothing in particular {floor:.2f}"
    return Evidence(source, hit.media_id, hit.start_s, end_s, hit.similarity - floor, reason, whole_file=level == "l0")


def _picture(path: Path, short_edge: int, settings: Settings) -> npt.NDArray[np.uint8]:
    from thatdam_pipelines.media.stills import open_still

    try:
        picture = open_still(path, settings.image_max_pixels)
    except (MediaError, OSError) as error:
        raise QueryError(path, f"the picture cannot be read ({error})", "Give a JPEG, PNG or HEIC file.") from error
    scale = short_edge / min(picture.size)
    size = (max(short_edge, round(picture.width * scale)), max(short_edge, round(picture.height * scale)))
    return np.array(picture.resize(size), dtype=np.uint8)
