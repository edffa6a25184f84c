"""Sound landmarks: pairs of spectral peaks that survive noise, other microphones and encoding.

After Wang, "An Industrial-Strength Audio Search Algorithm", ISMIR 2003.
"""

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

HOP_S = 0.032
"""Seconds a step: what times of landmarks are counted in."""

_WINDOW, _HOP = 1024, 512
_BLOCK = 60 * 16_000 // _HOP * _HOP
_BANDS = 256
"""Bins from the lowest: up to 4 kHz, where speech is."""

_NEIGHBOURS = (21, 11)
"""Bins and steps around a peak in which nothing is louder."""

_PEAKS_A_SECOND = 12
_FAN_OUT = 3
_NEAR, _FAR, _REACH = 2, 48, 96
_FLOOR = 1e-3

LEAST_VOTES = 10
LEAST_SHARE = 0.06
"""Two sounds with fewer landmarks in common, or a smaller share of them, are two."""

Counts = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Landmarks:
    """Landmarks of a sound in order of time.

    Args:
        times: ``[n]`` uint32 steps of ``HOP_S``.
        keys: ``[n]`` uint32: bin of the first peak, bin of the second, steps between them.
    """

    times: Counts
    keys: Counts

    @classmethod
    def none(cls) -> "Landmarks":
        return cls(np.zeros(0, np.uint32), np.zeros(0, np.uint32))

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True)
class SoundMatch:
    """Two sounds that are one.

    Args:
        offset_s: Time in the second minus time in the first.
        votes: Landmarks that agree.
        score: Share of the landmarks of the quieter in landmarks that the other has too, 0 to 1.
        start_s: First agreeing landmark, in the first.
        end_s: Last.
    """

    offset_s: float
    votes: int
    score: float
    start_s: float
    end_s: float


def landmarks_of(wav: Path) -> Landmarks:
    """Landmarks of a 16 kHz mono 16-bit WAV, read a minute at a time."""
    times: list[Counts] = []
    keys: list[Counts] = []
    with wave.open(str(wav), "rb") as sound:
        for block in range(max(1, -(-sound.getnframes() // _BLOCK))):
            samples = np.frombuffer(sound.readframes(_BLOCK), "<i2").astype(np.float32) * np.float32(1 / 32768)
            found = _paired(*_peaks(_spectrum(samples)))
            times.append(found.times + np.uint32(block * _BLOCK // _HOP))
            keys.append(found.keys)
    return Landmarks(np.concatenate(times), np.concatenate(keys))


def same_sound(one: Landmarks, other: Landmarks) -> SoundMatch | None:
    """Where the second sounds like the first, if anywhere: the offset most common landmarks agree on."""
    if not len(one) or not len(other):
        return None
    order = np.argsort(other.keys, kind="stable")
    keys, times = other.keys[order], other.times[order].astype(np.int64)
    first = np.searchsorted(keys, one.keys, "left")
    count = np.minimum(np.searchsorted(keys, one.keys, "right") - first, 8)
    total = int(count.sum())
    if total < LEAST_VOTES:
        return None
    source = np.repeat(np.arange(len(one)), count)
    place = np.repeat(first, count) + np.arange(total) - np.repeat(np.cumsum(count) - count, count)
    offsets = times[place] - one.times[source].astype(np.int64)
    low = int(offsets.min())
    votes = np.bincount(offsets - low)
    around = votes + np.pad(votes, (1, 0))[:-1] + np.pad(votes, (0, 1))[1:]
    best = int(around.argmax())
    agreeing = np.abs(offsets - low - best) <= 1
    marks = np.unique(source[agreeing])
    offset_s = float((offsets[agreeing]).mean() * HOP_S)
    start, end = float(one.times[marks].min()), float(one.times[marks].max())
    inside = int(((one.times >= start) & (one.times <= end)).sum())
    their_start = start + offset_s / HOP_S
    theirs = int(((other.times >= their_start) & (other.times <= end + offset_s / HOP_S)).sum())
    score = len(marks) / max(1, min(inside, theirs))
    chance = 3 * (total - int(agreeing.sum())) / (int(one.times.max()) + int(other.times.max()) + 1)
    if len(marks) < max(LEAST_VOTES, 4 * chance) or score < LEAST_SHARE:
        return None
    return SoundMatch(offset_s, len(marks), min(1.0, score), start * HOP_S, end * HOP_S)


def _spectrum(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Magnitudes ``[bins, steps]``."""
    padded = np.pad(samples, (0, max(0, _WINDOW - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    return np.abs(np.fft.rfft(frames * np.hanning(_WINDOW).astype(np.float32), axis=1))[:, 1 : _BANDS + 1].T.astype(
        np.float32
    )


def _peaks(spectrum: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Bins and steps of what is loudest around, the loudest of each second, in order of time."""
    import cv2

    loud = np.log(spectrum + _FLOOR)
    top = cv2.dilate(loud, np.ones(_NEIGHBOURS, np.uint8))
    bins, steps = np.nonzero((loud >= top) & (spectrum > 20 * _FLOOR))
    order = np.lexsort((-loud[bins, steps], (steps * HOP_S).astype(int)))
    seconds = (steps[order] * HOP_S).astype(int)
    rank = np.arange(len(order)) - np.searchsorted(seconds, seconds, "left")
    chosen = order[rank < _PEAKS_A_SECOND]
    chosen = chosen[np.lexsort((bins[chosen], steps[chosen]))]
    return bins[chosen], steps[chosen]


def _paired(bins: npt.NDArray[np.int64], steps: npt.NDArray[np.int64]) -> Landmarks:
    """Each peak with the next few of similar pitch."""
    times, keys = [], []
    for ahead in range(1, 4 * _FAN_OUT):
        gap, rise = steps[ahead:] - steps[:-ahead], bins[ahead:] - bins[:-ahead]
        good = (gap >= _NEAR) & (gap <= _FAR) & (np.abs(rise) <= _REACH)
        times.append(steps[:-ahead][good])
        keys.append(bins[:-ahead][good] << 16 | bins[ahead:][good] << 6 | gap[good])
    at = np.concatenate(times) if times else np.zeros(0, np.int64)
    found = np.concatenate(keys) if keys else np.zeros(0, np.int64)
    order = np.argsort(at, kind="stable")
    return Landmarks(at[order].astype(np.uint32), found[order].astype(np.uint32))
