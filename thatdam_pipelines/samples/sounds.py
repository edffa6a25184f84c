"""Sounds that are known to be speech, music or neither: spoken by espeak-ng, or composed from noise and sines."""

import io
import subprocess
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

RATE_HZ = 48_000

Mono = npt.NDArray[np.float32]
"""Samples [n], -1 to 1, at ``RATE_HZ`` unless said otherwise."""

_WORDS = """
we walked along the river until the sun went down and nobody said a word about it then the old man opened his door with
both hands while seven children ran across the yellow field to catch the last train home before the winter rain
"""
_VOICES = ("en", "en-us", "en+f3", "en+m5", "de", "fr", "es", "en+f1")


def speech(seconds: float, seed: int) -> Mono:
    """Somebody who speaks sentences of random words, with short pauses. Needs espeak-ng."""
    rng = np.random.default_rng(seed)
    voice, pace = _VOICES[int(rng.integers(len(_VOICES)))], int(rng.integers(130, 200))
    said: list[Mono] = []
    while sum(map(len, said)) < seconds * RATE_HZ:
        words = " ".join(rng.choice(_WORDS.split(), size=int(rng.integers(5, 14))))
        said += [spoken(words, voice, pace), np.zeros(int(rng.uniform(0.1, 0.5) * RATE_HZ), np.float32)]
    return _levelled(np.concatenate(said)[: round(seconds * RATE_HZ)])


def spoken(text: str, voice: str, pace: int) -> Mono:
    """A text as espeak-ng speaks it, ``pace`` in words a minute."""
    command = ["espeak-ng", "-v", voice, "-s", str(pace), "--stdout", text]
    made = subprocess.run(command, check=True, capture_output=True).stdout
    with wave.open(io.BytesIO(made)) as sound:
        samples = np.frombuffer(sound.readframes(1 << 30), "<i2").astype(np.float32) / np.float32(32768)
        return resampled(samples, RATE_HZ / sound.getframerate())


def music(seconds: float, seed: int) -> Mono:
    """Chords of plucked or bowed notes over a beat, in a key and tempo of their own."""
    rng = np.random.default_rng(seed)
    beat_s = 60 / rng.uniform(70, 150)
    root = 110 * 2 ** (rng.integers(0, 12) / 12)
    scale = np.array([0, 2, 4, 5, 7, 9, 11] if rng.random() < 0.5 else [0, 2, 3, 5, 7, 8, 10])
    decay, drums = rng.choice([0.5, 2.0, 6.0]), rng.choice([0.0, 0.3])
    out = np.zeros(round(seconds * RATE_HZ) + 4 * RATE_HZ, np.float32)
    for beat in range(int(seconds / beat_s) + 1):
        at = round(beat * beat_s * RATE_HZ)
        if beat % 4 == 0:
            step = int(rng.integers(7))
            for voice in (0, 2, 4):
                out[at:][: 4 * RATE_HZ] += _note(root, scale, step + voice, min(4 * beat_s, 4.0), decay, rng)
        out[at:][: 4 * RATE_HZ] += _note(2 * root, scale, int(rng.integers(10)), min(beat_s, 4.0), decay, rng)
        hit = rng.normal(size=4096).astype(np.float32) * np.exp(-np.arange(4096, dtype=np.float32) / 600)
        out[at : at + 4096] += drums * hit
    return _levelled(out[: round(seconds * RATE_HZ)])


def _note(
    root: float, scale: npt.NDArray[np.int_], step: int, length_s: float, decay: float, rng: np.random.Generator
) -> Mono:
    hertz = root * 2 ** ((scale[step % 7] + 12 * (step // 7)) / 12)
    times = np.arange(round(length_s * RATE_HZ), dtype=np.float32) / RATE_HZ
    envelope = np.minimum(times / 0.01, 1) * np.exp(-decay * times) * np.minimum((length_s - times) / 0.02, 1)
    tone = sum(np.sin(2 * np.pi * hertz * part * times + rng.uniform(0, 6)) / part**1.3 for part in range(1, 9))
    note = np.zeros(4 * RATE_HZ, np.float32)
    note[: len(times)] = envelope * tone * rng.uniform(0.5, 1)
    return note


def ambience(seconds: float, seed: int) -> Mono:
    """Neither speech nor music: coloured noise that swells like wind or traffic, with knocks and steps in it."""
    rng = np.random.default_rng(seed)
    count = round(seconds * RATE_HZ)
    noise = coloured_noise(count, rng.uniform(0.3, 1.0), rng)
    swell = np.interp(np.arange(count) / RATE_HZ, np.arange(0, seconds + 2), rng.uniform(0.3, 1, int(seconds) + 2))
    out = noise * swell.astype(np.float32)
    for _ in range(rng.poisson(seconds * 0.7)):
        at, length = int(rng.integers(count)), int(rng.uniform(0.01, 0.15) * RATE_HZ)
        knock = rng.normal(size=length) * np.exp(-5 * np.arange(length) / length) * rng.uniform(0.5, 3)
        part = out[at : at + length]
        part += knock[: len(part)].astype(np.float32)
    return _levelled(out)


def coloured_noise(count: int, slope: float, rng: np.random.Generator) -> Mono:
    """Noise whose power falls with frequency to the power ``2 * slope``: 0 is white, 0.5 pink, 1 brown."""
    spectrum = np.fft.rfft(rng.normal(size=count))
    spectrum[1:] /= (np.arange(1, len(spectrum)) / 100 + 1) ** slope
    noise = np.fft.irfft(spectrum, count)
    return np.asarray(noise / (np.abs(noise).std() + 1e-9) * 0.1, np.float32)


def tone(seconds: float, seed: int) -> Mono:
    """A steady line-up tone, or hum of the mains with overtones."""
    rng = np.random.default_rng(seed)
    times = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    parts = [(1000.0, 1.0)] if seed % 2 else [(50.0 * part, 1 / part) for part in (1, 2, 3, 5)]
    made = sum(level * np.sin(2 * np.pi * hertz * times) for hertz, level in parts)
    return _levelled(np.asarray(made + rng.normal(size=len(times)) * 1e-3, np.float32))


KINDS: dict[str, Callable[[float, int], Mono]] = {
    "speech": speech,
    "music": music,
    "ambience": ambience,
    "tone": tone,
}


def resampled(samples: Mono, factor: float) -> Mono:
    """As many samples more as ``factor`` says, by linear interpolation of twice oversampled sound."""
    count = len(samples)
    doubled = 2 * np.fft.irfft(np.pad(np.fft.rfft(samples), (0, count - count // 2)), 2 * count)
    places = np.arange(round(count * factor)) * (2 / factor)
    return np.interp(places, np.arange(2 * count), doubled).astype(np.float32)


def at_level(samples: Mono, rms_dbfs: float) -> Mono:
    return samples * np.float32(10 ** (rms_dbfs / 20) / (np.sqrt(np.mean(samples**2)) + 1e-9))


def write_wav(path: Path, channels: npt.NDArray[np.float32], rate_hz: int = RATE_HZ) -> Path:
    """Write samples [n] or [channels, n] as 16-bit WAV, cut off at full scale; returns ``path``."""
    shaped = np.atleast_2d(channels)
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(len(shaped))
        sound.setsampwidth(2)
        sound.setframerate(rate_hz)
        sound.writeframes(np.clip(np.rint(shaped.T * 32767), -32768, 32767).astype("<i2").tobytes())
    return path


def _levelled(samples: Mono) -> Mono:
    return np.clip(at_level(np.asarray(samples, np.float32), -24), -1, 1)
