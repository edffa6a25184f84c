"""What can be heard in a clip, measured from the sound of its proxy: silence, speech, music, channels, waveform."""

import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.media.listening import RATE_HZ, STRETCH, Heard, Listener

Stereo = npt.NDArray[np.float32]
"""Samples [2, n], left and right, -1 to 1."""

SILENCE_DBFS = -60.0
"""RMS level of a tenth of a second below which it is silent."""

SHORTEST_SILENCE_S = 0.5
WAVEFORM_RATE_HZ = 100
MOST_POINTS = 36_000
"""Of a waveform: six minutes at its full rate; longer clips have fewer a second."""

_TENTH = RATE_HZ // 10
_POINT = RATE_HZ // WAVEFORM_RATE_HZ
_OPPOSED = -0.5
"""Correlation of left and right below which their difference is listened to: their sum cancels out."""


@dataclass(frozen=True)
class Range:
    """A stretch of a clip: ``kind`` is silence, speech or music; the end is not included."""

    kind: str
    start_s: float
    end_s: float


@dataclass
class Sound:
    """What was heard.

    Args:
        ranges: Silences, and stretches of speech and of music; those of one kind do not touch.
        correlation: Of left and right over all of it, -1 (opposed) to 1 (the same); None for silence.
        side_db: Level of the difference of left and right against that of their sum; None for silence.
        waveform: int8 ``[points, 4]``: least and greatest of left, then of right.
        points_a_s: Points of the waveform a second.
    """

    duration_s: float
    ranges: list[Range]
    correlation: float | None
    side_db: float | None
    waveform: npt.NDArray[np.int8]
    points_a_s: float

    def seconds_of(self, kind: str) -> float:
        return sum(one.end_s - one.start_s for one in self.ranges if one.kind == kind)


def listen(proxy: Path, name: str) -> Sound:
    """Listen to the first sound stream of a proxy, in time and memory that grow little with its length.

    Args:
        name: The file as people know it, for messages.

    Raises:
        MediaError: It cannot be read, or has no sound.
    """
    heard = _Hearing()
    for block in _blocks(proxy, name):
        heard.add(block)
    if not heard.samples:
        raise MediaError(name, "no sound of its proxy can be decoded", "Run `thatdam retry`.")
    return heard.sound()


@dataclass
class _Hearing:
    listener: Listener = field(default_factory=Listener)
    samples: int = 0
    heard: list[Heard] = field(default_factory=list)
    powers: list[npt.NDArray[np.float64]] = field(default_factory=list)
    points: list[npt.NDArray[np.int8]] = field(default_factory=list)
    moments: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))

    def add(self, block: Stereo) -> None:
        """Take the next ``STRETCH`` samples; the last block may be shorter."""
        count = block.shape[1]
        self.samples += count
        left, right = block.astype(np.float64)
        products = np.array([left @ left, right @ right, left @ right])
        self.moments += products
        whole = np.pad(block, ((0, 0), (0, STRETCH - count)))
        power = (whole.reshape(2, -1, _TENTH).astype(np.float64) ** 2).mean(axis=2).max(axis=0)
        self.powers.append(power[: math.ceil(count / _TENTH)])
        points = np.rint(np.clip(whole, -1, 1) * 127).astype(np.int8).reshape(2, -1, _POINT)
        least, most = points.min(axis=2), points.max(axis=2)
        self.points.append(np.stack([least[0], most[0], least[1], most[1]], axis=1)[: math.ceil(count / _POINT)])
        if power.max() < 10 ** (SILENCE_DBFS / 10):
            self.heard.append(Heard(0.0, 0.0))
        else:
            opposed = products[2] < _OPPOSED * math.sqrt(products[0] * products[1])
            self.heard.append(self.listener.hear((whole[0] - whole[1] if opposed else whole[0] + whole[1]) / 2))

    def sound(self) -> Sound:
        duration_s = self.samples / RATE_HZ
        silent = np.concatenate(self.powers) < 10 ** (SILENCE_DBFS / 10)
        silences = [one for one in _ranges("silence", silent, 0.1, duration_s) if _lasts(one)]
        stretch_s = STRETCH / RATE_HZ
        speech = np.array([one.is_speech for one in self.heard])
        music = _lasting(np.array([one.is_music for one in self.heard]))
        points = np.concatenate(self.points)
        group = math.ceil(len(points) / MOST_POINTS)
        return Sound(
            duration_s=duration_s,
            ranges=[
                *silences,
                *_ranges("speech", speech, stretch_s, duration_s),
                *_ranges("music", music, stretch_s, duration_s),
            ],
            correlation=self._correlation(),
            side_db=self._side_db(),
            waveform=_grouped(points, group),
            points_a_s=WAVEFORM_RATE_HZ / group,
        )

    def _correlation(self) -> float | None:
        left, right, both = self.moments
        return float(both / math.sqrt(left * right)) if left > 0 and right > 0 else None

    def _side_db(self) -> float | None:
        left, right, both = self.moments
        mid, side = left + right + 2 * both, left + right - 2 * both
        return float(10 * math.log10((side + 1e-9) / (mid + 1e-9))) if left + right > 0 else None


def write_waveform_data(sound: Sound, path: Path) -> None:
    """Write the waveform as the JSON of BBC audiowaveform, version 2, 8 bits, which players of waveforms read."""
    document: dict[str, Any] = {
        "version": 2,
        "channels": 2,
        "sample_rate": RATE_HZ,
        "samples_per_pixel": round(RATE_HZ / sound.points_a_s),
        "bits": 8,
        "length": len(sound.waveform),
        "data": sound.waveform.ravel().tolist(),
    }
    path.write_text(json.dumps(document, separators=(",", ":")), encoding="utf-8")


def _blocks(proxy: Path, name: str) -> Iterator[Stereo]:
    """The sound in blocks of ``STRETCH`` samples at ``RATE_HZ``."""
    import av
    from av.error import FFmpegError

    waiting: list[Stereo] = []
    held = 0
    try:
        with av.open(str(proxy), format="mov") as container:
            resampler = av.AudioResampler(format="fltp", layout="stereo", rate=RATE_HZ)
            for frame in itertools.chain(container.decode(audio=0), (None,)):
                for part in resampler.resample(frame):
                    waiting.append(part.to_ndarray().astype(np.float32, copy=False))
                    held += part.samples
                while held >= STRETCH:
                    together = np.concatenate(waiting, axis=1)
                    yield together[:, :STRETCH]
                    waiting, held = [together[:, STRETCH:]], held - STRETCH
    except (FFmpegError, OSError, IndexError) as error:
        raise MediaError(name, f"the sound of its proxy cannot be read ({error})", "Run `thatdam retry`.") from error
    if held:
        yield np.concatenate(waiting, axis=1)


def _ranges(kind: str, flags: npt.NDArray[np.bool_], step_s: float, end_s: float) -> list[Range]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [
        Range(kind, round(first * step_s, 3), round(min(last * step_s, end_s), 3))
        for first, last in edges.reshape(-1, 2).tolist()
    ]


def _lasting(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Those beside another one: a vowel may pass for music in one stretch. A clip of one stretch stays as it is."""
    if len(flags) == 1:
        return flags
    return flags & (np.concatenate([[False], flags[:-1]]) | np.concatenate([flags[1:], [False]]))


def _lasts(one: Range) -> bool:
    return one.end_s - one.start_s >= SHORTEST_SILENCE_S


def _grouped(points: npt.NDArray[np.int8], group: int) -> npt.NDArray[np.int8]:
    """Points of ``group`` as one: the least of the least, the greatest of the greatest."""
    whole = np.pad(points, ((0, -len(points) % group), (0, 0)), mode="edge").reshape(-1, group, 4)
    least, most = whole.min(axis=1), whole.max(axis=1)
    return np.stack([least[:, 0], most[:, 1], least[:, 2], most[:, 3]], axis=1)
