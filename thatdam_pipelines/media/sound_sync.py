"""How far apart two recordings of the same sound began, and how differently their clocks ran.

In three steps. Onsets: the rise of energy in mel bands, each levelled by its own surroundings, correlated over all
lags: onsets as in J. P. Bello et al., "A Tutorial on Onset Detection in Music Signals", 2005, for the task of
N. J. Bryan, P. Smaragdis, G. J. Mysore, "Clustering and Synchronizing Multi-Camera Video via Landmark
Cross-Correlation", ICASSP 2012. Windows: around the best few lags, the samples of many short windows are correlated
with phase transform (C. Knapp, G. Carter, "The Generalized Correlation Method for Estimation of Time Delay", 1976),
which is exact to a part of a sample and does not mind another microphone. A line: delays of windows that hold the same
sound lie on a line, whose slope is the drift (M. Fischler, R. Bolles, "Random Sample Consensus", 1981). How likely
chance is to put as many on one line says whether to believe it.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

RATE_HZ = 16_000
HOP = 160
"""Samples between two frames of onsets: 10 ms."""

LEAST_OVERLAP_S = 2.0
MOST_DRIFT_PPM = 1200.0
"""Largest drift looked for: a little more than the 1,000 ppm between 48 and 47.952 kHz."""

WITHIN_S = 0.002
"""How near the line a window's delay must be to lie on it."""

SURE_LOG10 = -6.0
"""Logarithm of the probability that chance did it, below which an alignment is sure."""

RIVAL = 0.6
"""Evidence for the next best alignment, as a share of that for the best, from which neither is believed."""

_FRAME = 512
_BANDS = 24
_LOWEST_HZ, _HIGHEST_HZ = 150.0, 7000.0
_LEVEL_FRAMES = 101
_CANDIDATES = 6
_APART_FRAMES = 8
_REACH_S = 0.06
_MOST_WINDOWS = 48
_LEAST_ON_LINE = 3
_TRIALS = 400


@dataclass(frozen=True)
class Alignment:
    """How a recording lies against a reference.

    Args:
        offset_s: Time in the reference at which the recording begins.
        drift_ppm: How much longer the recording's second is by the reference's clock, in millionths.
        confidence: 1 less the probability that chance did it, times how far it leads the next best.
        windows: Windows whose delays lie on the line, of ``tried``.
        error_s: Standard error of the offset in the middle of the overlap.
        sure: Whether to believe it.
        reason: Why not, if not.
    """

    offset_s: float
    drift_ppm: float
    confidence: float
    windows: int
    tried: int
    error_s: float
    overlap_s: float
    sure: bool
    reason: str = ""


def align(reference: Samples, other: Samples, *, near_s: float | None = None, within_s: float = math.inf) -> Alignment:
    """Align two recordings by their sound.

    Args:
        reference: Mono samples at ``RATE_HZ``; so is ``other``.
        near_s: Where ``other`` is expected to begin in the reference, when a clock says so.
        within_s: How far from there it may begin.

    Returns:
        The best alignment; ``sure`` is false, with a reason, when it may be wrong.
    """
    shortest = int(LEAST_OVERLAP_S * RATE_HZ)
    if min(len(reference), len(other)) < shortest:
        return _refused("one of them is shorter than two seconds")
    onsets, others = _onsets(reference), _onsets(other)
    if not onsets.any() or not others.any():
        return _refused("one of them is silent")
    scores, lags = _correlated(onsets, others)
    if near_s is not None:
        scores = np.where(np.abs(lags * HOP / RATE_HZ - near_s) <= within_s, scores, -np.inf)
    found = [_refined(reference, other, lag * HOP) for lag in _best(scores, lags)]
    if not found:
        return _refused("nothing of it overlaps")
    best = max(found, key=lambda one: one.evidence)
    rivals = [one.evidence for one in found if abs(one.offset_s - best.offset_s) > 4 * HOP / RATE_HZ]
    return _judged(best, max(rivals, default=0.0))


def _onsets(samples: Samples) -> Floats:
    """Rises of energy ``[bands, frames]``, each levelled: mean 0 and deviation 1 in its own second."""
    filters = _mel_bands()
    frames = np.lib.stride_tricks.sliding_window_view(samples, _FRAME)[::HOP]
    window = np.hanning(_FRAME).astype(np.float32)
    energies = np.empty((_BANDS, len(frames)), np.float32)
    for start in range(0, len(frames), 4096):
        spectra = np.abs(np.fft.rfft(frames[start : start + 4096] * window, axis=1)) ** 2
        energies[:, start : start + 4096] = (spectra @ filters.T).T
    levels = np.log(energies + energies.mean(axis=1, keepdims=True) * 1e-2 + 1e-12)
    rises = np.maximum(np.diff(levels, axis=1, prepend=levels[:, :1]), 0).astype(np.float64)
    centred = rises - _smoothed(rises)
    spread = np.sqrt(_smoothed(centred**2))
    return centred / (spread + spread.mean(axis=1, keepdims=True) + 1e-9)


def _mel_bands() -> npt.NDArray[np.float32]:
    """Triangular filters ``[bands, bins]``, evenly spaced on the mel scale."""
    mel = np.linspace(_mel(_LOWEST_HZ), _mel(_HIGHEST_HZ), _BANDS + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    hertz = np.fft.rfftfreq(_FRAME, 1 / RATE_HZ)
    up = (hertz - edges[:-2, None]) / np.diff(edges)[:-1, None]
    down = (edges[2:, None] - hertz) / np.diff(edges)[1:, None]
    return np.maximum(0, np.minimum(up, down)).astype(np.float32)


def _mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)


def _smoothed(rows: Floats) -> Floats:
    """Mean over a second around each frame."""
    reach = _LEVEL_FRAMES // 2
    sums = np.cumsum(
        np.pad(rows, ((0, 0), (reach + 1, reach)), mode="reflect" if rows.shape[1] > reach + 1 else "edge"), axis=1
    )
    return (sums[:, _LEVEL_FRAMES:] - sums[:, :-_LEVEL_FRAMES]) / _LEVEL_FRAMES


def _correlated(onsets: Floats, others: Floats) -> tuple[Floats, npt.NDArray[np.int_]]:
    """Correlation of each lag that leaves enough overlap, in deviations of what unrelated sound would give."""
    count, other_count = onsets.shape[1], others.shape[1]
    size = 1 << (count + other_count - 1).bit_length()
    product = np.zeros(size // 2 + 1, complex)
    for one, two in zip(onsets, others, strict=True):
        product += np.fft.rfft(one, size) * np.conj(np.fft.rfft(two, size))
    sums = np.fft.irfft(product, size)
    least = int(LEAST_OVERLAP_S * RATE_HZ / HOP)
    lags = np.arange(-other_count + least, count - least + 1)
    overlap = np.minimum(count, other_count + lags) - np.maximum(0, lags)
    # Drift spreads a peak over neighbouring lags.
    scores = sums[lags] + 0.5 * (sums[lags - 1] + sums[lags + 1])
    return scores / np.sqrt(overlap), lags


def _best(scores: Floats, lags: npt.NDArray[np.int_]) -> list[int]:
    left = scores.copy()
    found: list[int] = []
    while len(found) < _CANDIDATES and np.isfinite(left.max()):
        at = int(left.argmax())
        found.append(int(lags[at]))
        left[max(0, at - _APART_FRAMES) : at + _APART_FRAMES + 1] = -np.inf
    return found


@dataclass(frozen=True)
class _Line:
    offset_s: float
    drift: float
    on_line: int
    tried: int
    error_s: float
    overlap_s: float
    log10_chance: float

    @property
    def evidence(self) -> float:
        return -self.log10_chance


def _refined(reference: Samples, other: Samples, lag: int) -> _Line:
    """The line on which most delays of windows around a lag lie."""
    start, end = max(0, -lag), min(len(other), len(reference) - lag)
    overlap = end - start
    length = int(min(8.0, max(0.5, overlap / RATE_HZ / 6)) * RATE_HZ)
    count = max(2, min(_MOST_WINDOWS, 2 * overlap // length - 1))
    begins = np.linspace(start, max(start, end - length), count).astype(int)
    middles = begins / RATE_HZ + length / RATE_HZ / 2
    # The lag is that of the whole overlap, so drift is taken from its middle on.
    reaches = _REACH_S + MOST_DRIFT_PPM * 1e-6 * np.abs(middles - (start + end) / 2 / RATE_HZ)
    delays = np.array(
        [
            _delay(reference, other[at : at + length], at + lag, int(reach * RATE_HZ))
            for at, reach in zip(begins.tolist(), reaches.tolist(), strict=True)
        ]
    )
    heard = np.isfinite(delays)
    return _line(middles[heard], delays[heard], reaches[heard], lag / RATE_HZ, overlap / RATE_HZ)


def _delay(reference: Samples, window: Samples, at: int, reach: int) -> float:
    """Seconds that a window begins later in the reference than at sample ``at``; NaN where it cannot be told."""
    first, last = at - reach, at + len(window) + reach
    piece = reference[max(0, first) : max(0, last)]
    piece = np.pad(piece, (max(0, -first), max(0, last - len(reference))))[: last - first]
    if len(piece) < last - first or not window.any() or not piece.any():
        return math.nan
    size = 1 << (last - first + len(window) - 1).bit_length()
    cross = np.fft.rfft(piece, size) * np.conj(np.fft.rfft(window, size))
    cross[: int(_LOWEST_HZ / RATE_HZ * size)] = 0
    cross[int(_HIGHEST_HZ / RATE_HZ * size) :] = 0
    # Weighted between plain correlation and phase transform: loud bands count more, but not by their power.
    cross /= np.abs(cross) ** 0.75 + 1e-12
    peaks = np.fft.irfft(cross, size)[: 2 * reach + 1]
    top = int(peaks.argmax())
    if 0 < top < 2 * reach:
        before, there, after = peaks[top - 1 : top + 2]
        bend = before - 2 * there + after
        return float((top - reach + (0.5 * (before - after) / bend if bend < 0 else 0)) / RATE_HZ)
    return float((top - reach) / RATE_HZ)


def _line(times: Floats, delays: Floats, reaches: Floats, lag_s: float, overlap_s: float) -> _Line:
    """A line through as many of the delays as lie on one, by trying pairs."""
    count = len(times)
    none = _Line(lag_s, 0.0, 0, count, math.inf, overlap_s, 0.0)
    if count < _LEAST_ON_LINE:
        return none
    pairs = np.array([(one, two) for one in range(count) for two in range(one + 1, count)])
    if len(pairs) > _TRIALS:
        pairs = pairs[np.random.default_rng(0).choice(len(pairs), _TRIALS, replace=False)]
    gaps = np.maximum(times[pairs[:, 1]] - times[pairs[:, 0]], 1e-6)
    slopes = (delays[pairs[:, 1]] - delays[pairs[:, 0]]) / gaps
    usable = np.abs(slopes) <= MOST_DRIFT_PPM * 1e-6
    # Two windows close together say little of drift; no drift is tried with each window too.
    slopes = np.concatenate([slopes[usable], np.zeros(count)])
    anchors = np.concatenate([pairs[usable, 0], np.arange(count)])
    levels = delays[anchors] - slopes * times[anchors]
    misses = np.abs(delays - (levels[:, None] + slopes[:, None] * times))
    best = int(np.where(misses < WITHIN_S, 1 - misses / WITHIN_S, 0).sum(axis=1).argmax())
    on = misses[best] < WITHIN_S
    if on.sum() < _LEAST_ON_LINE:
        return none
    slope, level = _fitted(times[on], delays[on])
    error_s = float((delays[on] - (level + slope * times[on])).std() / math.sqrt(on.sum()))
    chance = _log10_chance(count, int(on.sum()), reaches, len(levels))
    return _Line(lag_s + level, slope, int(on.sum()), count, error_s, overlap_s, chance)


def _fitted(times: Floats, delays: Floats) -> tuple[float, float]:
    """Least squares; no slope where the windows are too close together to tell one."""
    if np.ptp(times) < LEAST_OVERLAP_S:
        return 0.0, float(delays.mean())
    slope, level = np.polyfit(times, delays, 1)
    return float(slope), float(level)


def _log10_chance(count: int, on_line: int, reaches: Floats, lines: int) -> float:
    """Logarithm of a bound on the probability that of unrelated windows as many lie on any of the lines tried.

    Windows overlap by half, so every second one counts; two of them define the line.
    """
    share = float(np.mean(np.minimum(1, WITHIN_S / reaches)))
    tries, hits = max(1, count // 2 - 1), max(0, math.ceil(on_line / 2) - 1)
    tail = sum(math.comb(tries, hit) * share**hit * (1 - share) ** (tries - hit) for hit in range(hits, tries + 1))
    return min(0.0, math.log10(max(tail, 1e-300)) + math.log10(lines) * 0.5)


def _judged(best: _Line, rival: float) -> Alignment:
    lead = 1 - min(1.0, rival / best.evidence) if best.evidence > 0 else 0.0
    chance = 10**best.log10_chance
    if best.log10_chance > SURE_LOG10:
        reason = f"only {best.on_line} of {best.tried} windows agree"
    elif rival > RIVAL * best.evidence:
        reason = "another offset fits nearly as well: the sound repeats itself"
    else:
        reason = ""
    return Alignment(
        offset_s=best.offset_s,
        drift_ppm=best.drift * 1e6,
        confidence=max(0.0, (1 - chance) * lead),
        windows=best.on_line,
        tried=best.tried,
        error_s=best.error_s,
        overlap_s=best.overlap_s,
        sure=not reason,
        reason=reason,
    )


def _refused(reason: str) -> Alignment:
    return Alignment(0.0, 0.0, 0.0, 0, 0, math.inf, 0.0, False, reason)
