"""English speech by Moonshine tiny, whose model comes with its package.

N. Jeffries, E. King, M. Kudlur et al., "Moonshine: Speech Recognition for Live Transcription and Voice Commands", 2024.
"""

import threading
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from thatdam_pipelines.errors import ModelError
from thatdam_pipelines.media.speech import RATE_HZ, Said, Samples, spread_words

MODEL = "tiny-en"
_PACKAGE = "moonshine-voice"


class Moonshine:
    """The engine that is there without a network. It takes every language for English and tells no confidence.

    The model gives the times of sentences; those of their words are spread over what is voiced in them.
    """

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()

    @property
    def name(self) -> str:
        return f"moonshine/{MODEL}/{version(_PACKAGE)}"

    def write_down(self, samples: Samples) -> Said:
        """As ``SpeechEngine.write_down``."""
        with self._one_at_a_time:
            lines = self._model.transcribe_without_streaming(samples.tolist(), RATE_HZ).lines
        words = [
            word
            for line in lines
            for word in spread_words(line.text.split(), samples, line.start_time, line.start_time + line.duration)
        ]
        return Said(words, "en")

    @cached_property
    def _model(self) -> Any:
        from moonshine_voice import ModelArch, get_assets_path
        from moonshine_voice.errors import MoonshineError
        from moonshine_voice.transcriber import Transcriber

        folder = Path(get_assets_path()) / MODEL
        try:
            # What is said is kept as text: no copy of the sound with every line.
            return Transcriber(str(folder), ModelArch.TINY, options={"return_audio_data": "false"})
        except MoonshineError as error:
            next_step = f"Install {_PACKAGE} again as constraints.txt has it, or set THATDAM_TRANSCRIBER=none."
            raise ModelError(folder, f"the speech model cannot be loaded ({error})", next_step) from error
