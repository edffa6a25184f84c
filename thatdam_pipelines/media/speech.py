"""Speech to words: what an engine gives, which one serves, and the cues that people read."""

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from thatdam_pipelines.errors import SettingsError
from thatdam_pipelines.settings import Settings

Samples = npt.NDArray[np.float32]
"""Mono [n], -1 to 1, at ``RATE_HZ``."""

RATE_HZ = 16_000

CUE_LETTERS, CUE_S, CUE_PAUSE_S = 84, 7.0, 0.8
"""A cue has two lines of 42 letters at most, stays seven seconds at most, and ends where somebody pauses."""

_SENTENCE_ENDS = (".", "?", "!", "…", "。", "？", "！")


@dataclass(frozen=True)
class Word:
    """A word as it is written, with punctuation, and when it is said.

    Args:
        confidence: 0 to 1; None where the engine tells none.
    """

    text: str
    start_s: float
    end_s: float
    confidence: float | None = None


@dataclass(frozen=True)
class Said:
    """What was said in a stretch: its words in order, and the language as an ISO 639-1 code."""

    words: list[Word]
    language: str


@dataclass(frozen=True)
class Cue:
    """Words that are shown together, as one subtitle."""

    words: tuple[Word, ...]

    @property
    def start_s(self) -> float:
        return self.words[0].start_s

    @property
    def end_s(self) -> float:
        return self.words[-1].end_s

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


class SpeechEngine(Protocol):
    """Writes speech down. Making one is cheap; the model loads with the first stretch."""

    @property
    def name(self) -> str:
        """Engine, model and version: part of the recipe of what it writes."""
        ...

    def write_down(self, samples: Samples) -> Said:
        """The words of a stretch of speech; times count from its beginning.

        Raises:
            ModelError: The model cannot be had or loaded.
        """
        ...


def open_engine(settings: Settings) -> SpeechEngine | None:
    """The engine that ``settings.transcriber`` names; None for ``none``. The same setting gives the same.

    Raises:
        SettingsError: There is no such engine.
    """
    return _open(settings.transcriber.strip(), settings.device)


@lru_cache(maxsize=2)
def _open(choice: str, device: str) -> SpeechEngine | None:
    from thatdam_pipelines.media.moonshine import Moonshine
    from thatdam_pipelines.media.whisper import DEFAULT_MODEL, Whisper, is_on_this_machine

    kind, _, model = choice.partition(":")
    if choice == "none":
        return None
    if choice == "auto":
        here = importlib.util.find_spec("faster_whisper") is not None and is_on_this_machine(DEFAULT_MODEL)
        return Whisper(DEFAULT_MODEL, device) if here else Moonshine()
    if choice == "moonshine":
        return Moonshine()
    if kind == "whisper":
        return Whisper(model or DEFAULT_MODEL, device)
    raise SettingsError(
        f"THATDAM_TRANSCRIBER={choice}",
        "there is no such engine",
        "Use auto, none, moonshine, or whisper:<model or folder>, for example whisper:small.",
    )


def cues(words: Sequence[Word]) -> Iterator[Cue]:
    """Words as cues: they end with a sentence, at a pause, and before they get too long.

    Only the last may end when it begins: nobody would see another.
    """
    waiting: list[Word] = []
    for word in words:
        if waiting and _ends(waiting, word):
            yield Cue(tuple(waiting))
            waiting = []
        waiting.append(word)
    if waiting:
        yield Cue(tuple(waiting))


def _ends(waiting: list[Word], following: Word) -> bool:
    if waiting[-1].end_s <= waiting[0].start_s:
        # Nobody would see a cue of no length.
        return False
    letters = sum(len(word.text) + 1 for word in waiting) + len(following.text)
    return (
        waiting[-1].text.endswith(_SENTENCE_ENDS)
        or following.start_s - waiting[-1].end_s > CUE_PAUSE_S
        or letters > CUE_LETTERS
        or following.end_s - waiting[0].start_s > CUE_S
    )


def spread_words(texts: Sequence[str], samples: Samples, start_s: float, end_s: float) -> list[Word]:
    """Times for words of which only the stretch is known: by their letters, over the part of it that is voiced.

    Args:
        samples: The sound that ``start_s`` and ``end_s`` are times in.
    """
    if not texts:
        return []
    first, last = max(0, round(start_s * RATE_HZ)), min(len(samples), round(end_s * RATE_HZ))
    elapsed, voiced = _voiced_time(samples[first:last])
    letters = np.cumsum([0] + [len(text) + 1 for text in texts]) / sum(len(text) + 1 for text in texts)
    edges = start_s + np.interp(letters * voiced[-1], voiced, elapsed)
    return [
        Word(text, round(float(begin), 3), round(float(end), 3))
        for text, begin, end in zip(texts, edges[:-1], edges[1:], strict=True)
    ]


_STEP = RATE_HZ // 100
_QUIET_DB = 30.0


def _voiced_time(samples: Samples) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Seconds elapsed at each hundredth of a second, and how many of them were voiced; both begin with 0 and rise."""
    count = max(1, len(samples) // _STEP)
    power = (np.resize(samples, count * _STEP).reshape(count, _STEP).astype(np.float64) ** 2).mean(axis=1)
    loud = power > power.max() * 10 ** (-_QUIET_DB / 10)
    # Pauses pass at a hundredth of the pace, so that no two words are at one time.
    voiced = np.concatenate([[0.0], np.cumsum(np.where(loud, 1.0, 0.01))])
    return np.linspace(0.0, max(len(samples), 1) / RATE_HZ, count + 1), voiced
