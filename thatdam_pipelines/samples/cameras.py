"""Recordings of one event by several cameras: each from its own moment, by its own clock, microphone and noise."""

from dataclasses import dataclass

import numpy as np

from thatdam_pipelines.media.sound_sync import RATE_HZ
from thatdam_pipelines.samples import sounds
from thatdam_pipelines.samples.sounds import Mono

EVENTS = ("speech", "music", "ambience", "mixed")


@dataclass(frozen=True)
class Recorded:
    """What one camera heard.

    Args:
        samples: Mono at ``RATE_HZ`` of the camera's own clock.
        start_s: When it began, in the event.
        drift_ppm: How much longer its second is than the event's.
    """

    samples: Mono
    start_s: float
    drift_ppm: float


def event(kind: str, seconds: float, seed: int) -> Mono:
    """The sound of a place, at ``sounds.RATE_HZ``."""
    if kind != "mixed":
        return sounds.KINDS[kind](seconds, seed)
    third = seconds / 3
    return np.concatenate([sounds.KINDS[one](third, seed) for one in ("ambience", "speech", "music")])


def recorded(
    scene: Mono, start_s: float, seconds: float, *, drift_ppm: float, snr_db: float, rate_hz: int, seed: int
) -> Recorded:
    """What a camera hears of a scene.

    Its microphone has a response and a room of its own, its converter runs at ``rate_hz`` off by ``drift_ppm``, and
    noise of its own is added, ``snr_db`` below what is heard.
    """
    rng = np.random.default_rng(seed)
    first = round(start_s * sounds.RATE_HZ)
    heard = scene[first : first + round(seconds * (1 + drift_ppm * 1e-6) * sounds.RATE_HZ)]
    taken = sounds.resampled(heard, rate_hz / sounds.RATE_HZ / (1 + drift_ppm * 1e-6))
    taken = sounds.resampled(taken, RATE_HZ / rate_hz)
    coloured = _in_a_room(taken, rng)
    noise = sounds.coloured_noise(len(coloured), rng.uniform(0, 0.8), rng)
    level_db = 20 * np.log10(np.sqrt(np.mean(coloured**2)) + 1e-9)
    mixed = coloured + sounds.at_level(noise, level_db - snr_db)
    return Recorded(np.asarray(mixed * rng.uniform(0.1, 1), np.float32), start_s, drift_ppm)


def _in_a_room(samples: Mono, rng: np.random.Generator) -> Mono:
    """Coloured by a microphone, with the first echoes and the tail of a room."""
    size = len(samples) + RATE_HZ // 4
    hertz = np.fft.rfftfreq(size, 1 / RATE_HZ)
    points = np.array([0, 100, 400, 1500, 4000, RATE_HZ / 2])
    response = 10 ** (np.interp(hertz, points, rng.uniform(-8, 8, 6)) / 20)
    tail = np.zeros(RATE_HZ // 5)
    tail[0] = 1
    for _ in range(6):
        tail[rng.integers(40, 1200)] += rng.uniform(-0.35, 0.35)
    tail += rng.normal(size=len(tail)) * 0.01 * np.exp(-np.arange(len(tail)) / (0.05 * RATE_HZ))
    spectrum = np.fft.rfft(samples, size) * response * np.fft.rfft(tail, size)
    return np.asarray(np.fft.irfft(spectrum, size)[: len(samples)], np.float32)
