"""Speech whose words and times are known: sentences about a few subjects, spoken by espeak-ng."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thatdam_pipelines.media.speech import Word
from thatdam_pipelines.samples.sounds import RATE_HZ, Mono, at_level, spoken

SUBJECTS = {
    "garden": (
        "The garden was full of flowers in the early morning.",
        "She planted roses beside the wall and watered them every day.",
        "In autumn the leaves of the apple tree cover the grass.",
        "Birds come to the garden when the apples are ripe.",
    ),
    "train": (
        "The last train leaves the station at eleven o'clock.",
        "We bought two tickets and waited on the platform.",
        "The train was late because of the snow on the railway.",
        "Passengers sleep while the train crosses the mountains.",
    ),
    "camera": (
        "The camera records the picture on a small card.",
        "Please check the focus before the camera is moved.",
        "A longer lens brings the actors closer to the camera.",
        "We keep three copies of every card before we erase it.",
    ),
    "kitchen": (
        "Cut the bread and put the butter on the kitchen table.",
        "The soup needs salt and a little more pepper.",
        "He cooks the fish in the kitchen with lemon and garlic.",
        "After dinner somebody has to wash the plates.",
    ),
}
VOICES = ("en-us", "en-us+f2", "en-gb", "en-us+m3", "en-gb+f4")

_BETWEEN_S = 0.5


@dataclass(frozen=True)
class Speech:
    """Somebody who speaks: samples at ``RATE_HZ``, and each sentence as a word of its own with its times."""

    samples: Mono
    sentences: list[Word]

    @property
    def text(self) -> str:
        return " ".join(sentence.text for sentence in self.sentences)


def speech_about(subjects: Sequence[str], seed: int, *, one_by_one: bool = False) -> Speech:
    """Sentences about these subjects, in this order, half a second apart. Needs espeak-ng.

    Args:
        one_by_one: Speak each word by itself, so that the times of words are known: ``sentences`` are the words.
    """
    rng = np.random.default_rng(seed)
    voice, pace = VOICES[int(rng.integers(len(VOICES)))], int(rng.integers(130, 165))
    pause = np.zeros(round(_BETWEEN_S * RATE_HZ), np.float32)
    parts, said, at = [pause], [], len(pause)
    for subject in subjects:
        for sentence in rng.permutation(SUBJECTS[subject]):
            for text in str(sentence).split() if one_by_one else (str(sentence),):
                samples = _trimmed(spoken(text, voice, pace))
                said.append(Word(text, at / RATE_HZ, (at + len(samples)) / RATE_HZ))
                parts += [samples, pause]
                at += len(samples) + len(pause)
    return Speech(at_level(np.concatenate(parts), -24.0), said)


def word_errors(reference: str, found: str) -> tuple[int, int]:
    """Words that were changed, left out or made up, and how many there are; case and punctuation do not count."""
    wanted, got = plain_words(reference), plain_words(found)
    costs = list(range(len(got) + 1))
    for row, word in enumerate(wanted, start=1):
        diagonal, costs[0] = costs[0], row
        for column, other in enumerate(got, start=1):
            change = diagonal + (word != other)
            diagonal = costs[column]
            costs[column] = min(change, diagonal + 1, costs[column - 1] + 1)
    return costs[-1], len(wanted)


def plain_words(text: str) -> list[str]:
    """Words without case and punctuation, parts of compounds apart."""
    return re.findall(r"[\w']+", text.casefold())


def _trimmed(samples: Mono) -> Mono:
    """Without the silence that the voice begins and ends with."""
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    return samples[loud[0] : loud[-1] + 1]
