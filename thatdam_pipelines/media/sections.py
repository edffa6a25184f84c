"""Sections of a transcript: where the subject changes.

After M. Hearst, "TextTiling: Segmenting Text into Multi-paragraph Subtopic Passages", Computational Linguistics, 1997.
Words of two neighbouring blocks of cues are compared at every gap between cues. Where they have least in common, far
below what is on both sides, a section ends. It is named by the words that it has more of than the rest.
"""

import itertools
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thatdam_pipelines.media.speech import Cue

BLOCK_WORDS = 60
"""Words compared on either side of a gap."""

SHORTEST_S = 20.0
DEPTH = 0.5
"""Standard deviations by which a gap must be deeper than the mean one: Hearst's cutoff."""

TITLE_WORDS = 3

_WORD = re.compile(r"[^\W\d_]{3,}")
_COMMON = frozenset(
    """
    about after again all also and any are because been before being but can could did does doing don down for from
    get going got had has have here him his her how into its just know let like make many more most much not now off
    one only other our out over really right said same say see she should some still such than that the their them then
    there these they thing things think this those through too two under until very want was way well were what when
    where which while who why will with would yeah yes you your
    """.split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Section:
    """A stretch about one subject; ``title`` are its words, most telling first."""

    start_s: float
    end_s: float
    title: str


def sections(cues: Sequence[Cue]) -> list[Section]:
    """Where the subject changes; one section where it does not, none without words."""
    words = [_words(cue.text) for cue in cues]
    if not any(words):
        return []
    ends = [0, *_changes(cues, words), len(cues)]
    everywhere = Counter(word for cue in words for word in set(cue))
    parts = [(first, last) for first, last in itertools.pairwise(ends) if last > first]
    return [
        Section(cues[first].start_s, cues[last - 1].end_s, _title(words[first:last], everywhere, len(words)))
        for first, last in parts
    ]


def _changes(cues: Sequence[Cue], words: list[list[str]]) -> list[int]:
    """Numbers of the cues that begin another subject."""
    gaps = range(1, len(cues))
    alike = np.array([_likeness(_block(words[:gap][::-1]), _block(words[gap:])) for gap in gaps])
    if len(alike) < 3:
        return []
    left = np.maximum.accumulate(alike)
    right = np.maximum.accumulate(alike[::-1])[::-1]
    depths = left + right - 2 * alike
    cutoff = depths.mean() + DEPTH * depths.std()
    chosen: list[int] = []
    for at in np.argsort(-depths, kind="stable"):
        gap = gaps[int(at)]
        edges = [cues[0].start_s, cues[-1].end_s, *(cues[other].start_s for other in chosen)]
        if depths[at] > max(cutoff, 1e-9) and all(abs(cues[gap].start_s - edge) >= SHORTEST_S for edge in edges):
            chosen.append(gap)
    return sorted(chosen)


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text.casefold()) if word not in _COMMON]


def _block(cues: Sequence[Sequence[str]]) -> Counter[str]:
    """The first ``BLOCK_WORDS`` words of these cues."""
    block: Counter[str] = Counter()
    for words in cues:
        block.update(words)
        if block.total() >= BLOCK_WORDS:
            break
    return block


def _likeness(one: Counter[str], other: Counter[str]) -> float:
    """Cosine of the words of two blocks, 0 to 1."""
    shared = sum(count * other[word] for word, count in one.items())
    lengths = math.sqrt(sum(count**2 for count in one.values()) * sum(count**2 for count in other.values()))
    return shared / lengths if lengths else 0.0


def _title(words: Sequence[Sequence[str]], everywhere: Counter[str], cues: int) -> str:
    counts = Counter(word for cue in words for word in cue)
    telling = sorted(counts, key=lambda word: (-counts[word] * math.log(1 + cues / everywhere[word]), word))
    return ", ".join(telling[:TITLE_WORDS])
