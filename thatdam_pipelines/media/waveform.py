"""The picture that stands for a sound: its waveform."""

import itertools
import wave
from pathlib import Path

import numpy as np

WIDTH = 960
HEIGHT = 240
_BACKGROUND = (24, 26, 31)
_LINE = (94, 177, 191)


def wav_duration_s(path: Path) -> float:
    """Duration of a WAV file of 16-bit samples, by its own count of them."""
    with wave.open(str(path), "rb") as sound:
        return sound.getnframes() / sound.getframerate()


def write_waveform(wav: Path, path: Path) -> None:
    """Draw a mono 16-bit WAV as a 960 x 240 JPEG: peaks over time, the loudest as high as the picture.

    Reads a column's samples at a time, so that hours of sound need no memory.
    """
    from PIL import Image, ImageDraw

    peaks = _peaks(wav, WIDTH)
    top = max(float(np.abs(peaks).max()), 1.0)
    picture = Image.new("RGB", (WIDTH, HEIGHT), _BACKGROUND)
    draw = ImageDraw.Draw(picture)
    middle = HEIGHT / 2
    for column, (low, high) in enumerate(peaks / top):
        draw.line([(column, middle - high * (middle - 6)), (column, middle - low * (middle - 6))], fill=_LINE)
    picture.save(path, "JPEG", quality=88)


def _peaks(wav: Path, columns: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Least and greatest sample of each of ``columns`` equal parts: float64 [columns, 2]."""
    peaks = np.zeros((columns, 2))
    with wave.open(str(wav), "rb") as sound:
        edges = np.linspace(0, sound.getnframes(), columns + 1).astype(int)
        for column, (start, end) in enumerate(itertools.pairwise(edges)):
            samples = np.frombuffer(sound.readframes(int(end - start)), "<i2")
            if samples.size:
                peaks[column] = samples.min(), samples.max()
    return peaks
