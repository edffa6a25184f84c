"""Words that a model with text sees in scenes, from a vocabulary anybody can replace."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from thatdam_pipelines.embed.embedder import Embedder, Vectors
from thatdam_pipelines.errors import SettingsError
from thatdam_pipelines.settings import Settings

BACKGROUND = ("a photo", "a picture of something", "a frame of a video", "an image with nothing in particular")
"""Sentences that fit any picture: a word must fit better than all of them together."""

SCALE = 100.0
"""Factor on cosines before the softmax: the temperature CLIP models are trained to (Radford et al., ICML 2021)."""

CUT_OFF = 0.8
"""Least score of a word that is kept."""

MOST_WORDS = 5
"""Most words a scene is given."""

UNRECOGNISED = "unrecognised"
"""Given to a file in which no word of the vocabulary was seen."""


@dataclass(frozen=True)
class Vocabulary:
    """Words to look for, and a digest that changes with them."""

    words: tuple[str, ...]

    @property
    def digest(self) -> str:
        return blake3("\n".join(self.words).encode()).hexdigest()[:16]

    @classmethod
    def of(cls, settings: Settings) -> "Vocabulary":
        """The words of ``settings.vocabulary``, or of the file beside this module.

        Raises:
            SettingsError: The file cannot be read or has no words.
        """
        path = settings.vocabulary or Path(__file__).with_name("vocabulary.txt")
        try:
            lines = [" ".join(line.split()) for line in path.read_text("utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"THATDAM_VOCABULARY={path}", f"it cannot be read ({error})", "Name a text file of one word a line."
            ) from error
        words = tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
        if not words:
            raise SettingsError(f"THATDAM_VOCABULARY={path}", "it has no words", "Write one word or phrase a line.")
        return cls(words)


class Namer:
    """Gives scenes words. The vocabulary is embedded once, when first needed."""

    def __init__(self, embedder: Embedder, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._words = embedder.embed_text(vocabulary.words)
        self._background = embedder.embed_text(BACKGROUND)

    def scores(self, vectors: Vectors) -> npt.NDArray[np.float64]:
        """How sure each word is for each vector: its share in the softmax of it and the background's sentences.

        Args:
            vectors: float32 ``[n, dimensions]``, unit length.

        Returns:
            ``[n, words]``, 0 to 1. Words do not compete with each other, so a longer vocabulary changes no score.
        """
        background = np.log(np.exp(SCALE * (vectors @ self._background.T).astype(np.float64)).sum(axis=1))
        margin = SCALE * (vectors @ self._words.T).astype(np.float64) - background[:, None]
        return 1 / (1 + np.exp(-np.clip(margin, -50, 50)))

    def scene_words(self, vectors: Vectors) -> list[dict[str, float]]:
        """For each vector the words over the cut-off with their scores, at most ``MOST_WORDS``, best first."""
        found = []
        for scores in self.scores(vectors):
            best = np.argsort(-scores, kind="stable")[:MOST_WORDS]
            found.append({self._vocabulary.words[at]: float(scores[at]) for at in best if scores[at] >= CUT_OFF})
        return found


def file_words(scenes: list[dict[str, float]]) -> dict[str, float]:
    """The words of a file's scenes, each as sure as in the scene that shows it best; ``UNRECOGNISED`` for none."""
    words: dict[str, float] = {}
    for scene in scenes:
        for word, score in scene.items():
            words[word] = max(score, words.get(word, 0.0))
    return words or {UNRECOGNISED: 1.0}
