"""Takes: what goes on from one chapter of a recording into the next is one moment."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from thatdam_pipelines.library.text import Place
from thatdam_pipelines.search.moments import FRAME_SPAN_S, JOIN_GAP_S, Span


@dataclass(frozen=True)
class Stretch:
    """A span, and the one it ends in: another where it goes on in later chapters of its take."""

    span: Span
    last: Span


def join_chapters(spans: Sequence[Span], places: Mapping[str, Place]) -> list[Stretch]:
    """The spans, best first, those that meet where one chapter ends and the next begins joined into one.

    A joined span begins in the file of its first part, has the score of its best and the words of all.

    Args:
        spans: Best first.
        places: Of their files; spans of others are left as they are.
    """
    chapters: dict[tuple[str, str], list[Span]] = defaultdict(list)
    alone: list[Stretch] = []
    for span in spans:
        place = places.get(span.media_id)
        if place is None or place.take_id is None:
            alone.append(Stretch(span, span))
        else:
            chapters[place.take_id, span.level].append(span)
    joined = [stretch for some in chapters.values() for stretch in _joined(some, places)]
    return sorted([*alone, *joined], key=lambda made: (-made.span.score, made.span.media_id, made.span.start_s))


def _joined(spans: list[Span], places: Mapping[str, Place]) -> list[Stretch]:
    """Those of one take and level."""
    in_time = sorted(spans, key=lambda span: (places[span.media_id].chapter or 0, span.start_s))
    rows = [[in_time[0]]]
    for before, after in pairwise(in_time):
        if _meet(before, after, places):
            rows[-1].append(after)
        else:
            rows.append([after])
    return [Stretch(_one_of(row), row[-1]) for row in rows]


def _meet(before: Span, after: Span, places: Mapping[str, Place]) -> bool:
    first, second = places[before.media_id], places[after.media_id]
    if (second.chapter or 0) - (first.chapter or 0) != 1:
        return False
    return max(0.0, first.duration_s - before.end_s) + after.start_s <= JOIN_GAP_S - FRAME_SPAN_S


def _one_of(row: list[Span]) -> Span:
    if len(row) == 1:
        return row[0]
    evidence = [word for span in row for word in span.evidence]
    first = row[0]
    return Span(first.media_id, first.start_s, first.end_s, first.level, evidence, max(span.score for span in row))
