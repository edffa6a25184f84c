"""Speech in a hundred languages by Whisper, through faster-whisper, where its weights can be had.

A. Radford, J. W. Kim, T. Xu, G. Brockman, C. McLeavey, I. Sutskever, "Robust Speech Recognition via Large-Scale Weak
Supervision", ICML 2023.
"""

import threading
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from thatdam_pipelines.errors import ModelError
from thatdam_pipelines.media.speech import Said, Samples, Word

DEFAULT_MODEL = "small"
_SURE = 0.2
"""Probability below which a word is left out: it was not said, or not so."""


def whole_words(pieces: Sequence[tuple[str, Word]]) -> list[Word]:
    """Words of the pieces that the model times, without those it is not sure of; none holds a space.

    Args:
        pieces: Text, and when it is said. What does not begin with a space goes on with the word before it:
            ``twenty`` and ``-one``, ``3`` and ``.5``.
    """
    words: list[Word] = []
    for text, said in pieces:
        letters = "".join(text.split())
        if words and letters and not text[0].isspace():
            before = words[-1]
            surer = min(before.confidence or 0.0, said.confidence or 0.0)
            words[-1] = Word(before.text + letters, before.start_s, max(before.end_s, said.end_s), surer)
        elif letters:
            words.append(Word(letters, said.start_s, said.end_s, said.confidence))
    return [word for word in words if (word.confidence or 0.0) >= _SURE]


def is_on_this_machine(model: str) -> bool:
    """Whether the weights of a model are in the hub's cache. Asks no network."""
    from faster_whisper.utils import download_model
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        download_model(model, local_files_only=True)
    except (LocalEntryNotFoundError, ValueError):
        return False
    return True


class Whisper:
    """An engine with times and probabilities of words; it tells the language itself.

    Args:
        model: A size (``tiny`` to ``large-v3``), a hub repository, or a folder in CTranslate2's format.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    def __init__(self, model: str, device: str) -> None:
        self._model_name, self._device = model, device
        self._one_at_a_time = threading.Lock()

    @property
    def name(self) -> str:
        return f"whisper/{self._model_name}"

    def write_down(self, samples: Samples) -> Said:
        """As ``SpeechEngine.write_down``."""
        with self._one_at_a_time:
            # What is given is speech: our own detector chose it. Text before it would be carried into it.
            segments, info = self._model.transcribe(
                samples, word_timestamps=True, condition_on_previous_text=False, beam_size=5
            )
            pieces = [
                (word.word, Word("", round(float(word.start), 3), round(float(word.end), 3), float(word.probability)))
                for segment in segments
                for word in segment.words or ()
            ]
        return Said(whole_words(pieces), info.language)

    @cached_property
    def _model(self) -> Any:
        try:
            from faster_whisper import WhisperModel
        except ImportError as error:
            next_step = "Install it (`pip install 'thatdam[whisper]'`), or set THATDAM_TRANSCRIBER=moonshine."
            raise ModelError(self.name, "the package faster-whisper is not installed", next_step) from error
        try:
            return WhisperModel(self._model_name, device=self._device, compute_type="default")
        except (OSError, ValueError, RuntimeError) as error:
            next_step = (
                "Give a folder with a CTranslate2 model (THATDAM_TRANSCRIBER=whisper:/models/whisper-small), let the "
                "hub be reached once, or set THATDAM_TRANSCRIBER=moonshine."
            )
            raise ModelError(self.name, f"its weights cannot be had ({error})", next_step) from error
