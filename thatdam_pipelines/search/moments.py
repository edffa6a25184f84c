"""Moments: hits of several sources on one clip become stretches of time, ranked by reciprocal rank fusion."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

RRF_K = 60
"""Constant of reciprocal rank fusion (Cormack, Clarke, Büttcher: Reciprocal Rank Fusion, SIGIR 2009)."""

FRAME_SPAN_S = 1.0
"""A frame stands for the second that begins with it: frames are taken about one a second."""

JOIN_GAP_S = 2.0
"""Frames of one clip no further apart than this are one moment."""


@dataclass(frozen=True)
class Evidence:
    """One source's word that a stretch of a clip fits the query.

    Args:
        source: ``scenes``, ``frames``, ``files``, ``text`` or ``speech``.
        strength: Comparable within the source only; higher fits better.
        whole_file: The word is about the clip, not a stretch of it.
        weight: How much the source's rank counts here. A name that was asked for outweighs every likeness.
    """

    source: str
    media_id: str
    start_s: float
    end_s: float
    strength: float
    reason: str
    whole_file: bool = False
    weight: float = 1.0


@dataclass(frozen=True)
class Moment:
    """A stretch of a clip that answers a query.

    Args:
        score: 0 to 1; 1 means first by every source that had something to say.
        level: ``l2`` a scene, ``l1`` frames, ``l0`` the whole file, ``said`` words that are heard.
        reasons: Why it is here, one sentence a source.
        take_id: Recording that the file is a chapter of; None when it is of none.
        take_start_s: Where the moment begins in the take.
        take_end_s: Where it ends in the take: in a later file, when it goes on there. ``end_s`` is in this file.
    """

    media_id: str
    path: str
    start_s: float
    end_s: float
    score: float
    level: str
    reasons: list[str]
    take_id: str | None = None
    take_start_s: float | None = None
    take_end_s: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Span:
    """A stretch of one clip with what the sources said of it."""

    media_id: str
    start_s: float
    end_s: float
    level: str
    evidence: list[Evidence] = field(default_factory=list)
    score: float = 0.0

    def covers(self, time_s: float) -> bool:
        """Whether ``time_s`` lies in the span; a still's span of no length covers its own time."""
        return self.start_s <= time_s < self.end_s or time_s == self.start_s

    def best(self, source: str) -> Evidence | None:
        """The weightiest word of a source, the strongest of them."""
        said = (item for item in self.evidence if item.source == source)
        return max(said, key=lambda item: (item.weight, item.strength), default=None)

    def reasons(self) -> list[str]:
        """The strongest reason of each source, and every reason of text."""
        best: dict[str, Evidence] = {}
        for item in sorted(self.evidence, key=lambda item: -item.strength):
            best.setdefault(item.reason if item.source == "text" else item.source, item)
        return list(dict.fromkeys(item.reason for item in best.values()))


def fuse(evidence: Sequence[Evidence]) -> list[Span]:
    """Spans of all clips, best first.

    Scenes are spans; a frame joins the scene that covers it, else neighbouring frames make a span. What text says of a
    whole file counts for each of its spans; what a file's vector says counts only where its scenes and frames say
    nothing. Where there is no other span, the file is one.
    """
    by_media: dict[str, list[Evidence]] = {}
    for word in evidence:
        by_media.setdefault(word.media_id, []).append(word)
    spans = [span for items in by_media.values() for span in _spans_of(items)]
    sources: dict[str, float] = {}
    for word in evidence:
        sources[word.source] = max(word.weight, sources.get(word.source, 0.0))
    for source in sources:
        best = [(span, span.best(source)) for span in spans]
        said = [(span, item) for span, item in best if item is not None]
        order = sorted({(item.weight, item.strength) for _, item in said}, reverse=True)
        rank = {key: place for place, key in enumerate(order, start=1)}
        for span, item in said:
            place = rank[item.weight, item.strength]
            span.score += item.weight * (RRF_K + 1) / (RRF_K + place) / sum(sources.values())
    return sorted(spans, key=lambda span: (-span.score, span.media_id, span.start_s))


def _spans_of(items: list[Evidence]) -> list[Span]:
    spans: list[Span] = []
    for item in _in_time(item for item in items if item.source != "frames" and not item.whole_file):
        same = next(
            (s for s in spans if abs(s.start_s - item.start_s) < 0.05 and abs(s.end_s - item.end_s) < 0.05), None
        )
        if same is None:
            same = Span(item.media_id, item.start_s, item.end_s, "said" if item.source == "speech" else "l2")
            spans.append(same)
        same.evidence.append(item)
    for item in _in_time(item for item in items if item.source == "frames" and not item.whole_file):
        home = next(
            (
                span
                for span in spans
                if span.level != "said" and span.start_s <= item.start_s < max(span.end_s, span.start_s + 1e-3)
            ),
            None,
        )
        if home is None:
            home = next(
                (s for s in spans if s.level == "l1" and item.start_s - s.end_s <= JOIN_GAP_S - FRAME_SPAN_S), None
            )
            if home is None:
                home = Span(item.media_id, item.start_s, item.end_s, "l1")
                spans.append(home)
            home.end_s = max(home.end_s, item.end_s)
        home.evidence.append(item)
    whole = [item for item in items if item.whole_file]
    if whole and not spans:
        spans.append(Span(whole[0].media_id, 0.0, max(item.end_s for item in whole), "l0"))
        spans[0].evidence += whole
        return spans
    for span in spans:
        span.evidence += [item for item in whole if item.source == "text"]
    return spans


def _in_time(items: Iterable[Evidence]) -> list[Evidence]:
    return sorted(items, key=lambda item: item.start_s)
