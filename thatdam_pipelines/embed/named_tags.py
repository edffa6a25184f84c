"""Words that a model with text sees in scenes, from a vocabulary anybody can replace."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from thatdam_pipelines.embed.embedder import Embedder, Vectors
from thatdam_pipelines.errors import SettingsError
from thatdam_pipelines.library.files import replacing
from thatdam_pipelines.settings import Settings

BACKGROUND = ("a photo", "a picture of something", "a frame of a video", "an image with nothing in particular")
"""Sentences that fit any picture: a word must fit better than all of them together."""

SCALE = 100.0
"""Factor on cosines before the softmax: the temperature CLIP models are trained to (Radford et al., ICML 2021)."""

CUT_OFF = 0.8
"""Least score of a word that is kept."""

NEAR_BEST = 0.7
"""Least share of the best word's lead over the background that a further word must have."""

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
    """Gives scenes words.

    Args:
        folder: Where the vectors of a vocabulary are kept for the next run; anything in it may be removed.
    """

    def __init__(self, embedder: Embedder, vocabulary: Vocabulary, folder: Path) -> None:
        self._vocabulary = vocabulary
        vectors = _text_vectors(embedder, (*BACKGROUND, *vocabulary.words), folder)
        self._background, self._words = np.split(vectors, [len(BACKGROUND)])

    def leads(self, vectors: Vectors) -> npt.NDArray[np.float64]:
        """How far each word is ahead of the background: the difference of their logits, which the score grows with.

        Args:
            vectors: float32 ``[n, dimensions]``, unit length.

        Returns:
            ``[n, words]``. Words do not compete with each other, so a longer vocabulary changes no lead.
        """
        background = np.exp(SCALE * (vectors @ self._background.T).astype(np.float64)).sum(axis=1)
        leads: npt.NDArray[np.float64] = SCALE * (vectors @ self._words.T).astype(np.float64)
        return leads - np.log(background)[:, None]

    def scene_words(self, vectors: Vectors) -> list[dict[str, float]]:
        """For each vector the words seen in it, best first, at most ``MOST_WORDS``.

        A word's score is its share in the softmax of it and the background's sentences.
        """
        found = []
        for leads in self.leads(vectors):
            scores = 1 / (1 + np.exp(-np.clip(leads, -50, 50)))
            best = np.argsort(-leads, kind="stable")[:MOST_WORDS]
            near = [at for at in best if scores[at] >= CUT_OFF and leads[at] >= NEAR_BEST * leads[best[0]]]
            found.append({self._vocabulary.words[at]: float(scores[at]) for at in near})
        return found


def _text_vectors(embedder: Embedder, texts: tuple[str, ...], folder: Path) -> Vectors:
    """Vectors of texts, ``[texts, dimensions]``, computed once a model."""
    asked = "\n".join((embedder.space, *texts))
    path = folder / f"{blake3(asked.encode()).hexdigest(length=16)}.npy"
    with contextlib.suppress(OSError, ValueError, EOFError):
        kept: Vectors = np.load(path, allow_pickle=False)
        if kept.shape == (len(texts), embedder.dimensions):
            return kept
    vectors = embedder.embed_text(texts)
    with replacing(path) as part, part.open("wb") as file:
        np.save(file, vectors)
    return vectors


def file_words(scenes: list[dict[str, float]]) -> dict[str, float]:
    """The words of a file's scenes, each as sure as in the scene that shows it best; ``UNRECOGNISED`` for none."""
    words: dict[str, float] = {}
    for scene in scenes:
        for word, score in scene.items():
            words[word] = max(score, words.get(word, 0.0))
    return words or {UNRECOGNISED: 1.0}
