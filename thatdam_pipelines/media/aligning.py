"""Recordings on one time line: by their sound, by flashes, by timecode, by the clocks of recorders.

Each method says how sure it is; the first that is sure decides, in that order, and none that is not sure is believed.
"""

import itertools
import math
import re
import wave
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.media.sound_sync import Samples, align
from thatdam_pipelines.media.track import Track, runs

FRAME_S = 0.04
CLOCK_MARGIN_S = 1.0
"""Added to the bounds of two clocks' errors where sound is looked for by them."""

LEAST_FLASHES = 2
TIMECODE_AGREES_S = 5.0
"""How far the times at which files say they were shot may lie from what their timecodes say."""

_DAY_S = 86_400


@dataclass(frozen=True)
class Recording:
    """What is known of a recording before it is aligned.

    Args:
        duration_s: Of its proxy.
        sound: Its 16 kHz WAV on this machine, if it has sound.
        measures: Its per-frame measures on this machine, if it has pictures.
        timecode_s: Seconds since midnight that its timecode says, if it has one.
        created_utc: When it was shot, as the file says.
        clock_utc: When its first frame was taken, by the recorder's manifest.
        clock_error_s: Bound on the error of that.
        host: Machine whose clock that is.
    """

    media_id: str
    name: str
    duration_s: float
    sound: Path | None = None
    measures: Path | None = None
    timecode_s: float | None = None
    created_utc: datetime | None = None
    clock_utc: datetime | None = None
    clock_error_s: float | None = None
    host: str | None = None


@dataclass(frozen=True)
class Aligned:
    """Where a recording lies on the time line of a reference.

    Args:
        offset_s: Time in the reference at which it begins; None: refused.
        drift_ppm: How much longer its second is by the reference's clock, in millionths; None where not measured.
        confidence: 0 to 1.
        method: sound, flash, timecode, clock; reference for the reference itself; none when refused.
        error_s: Standard error, or bound, of the offset.
        overlap_s: Seconds that both recorded.
        reason: Why it was refused, or what else is to be known.
    """

    media_id: str
    reference_id: str
    offset_s: float | None
    drift_ppm: float | None
    confidence: float
    method: str
    error_s: float | None
    overlap_s: float | None
    reason: str

    @property
    def sure(self) -> bool:
        return self.offset_s is not None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"sure": self.sure}


def align_pair(reference: Recording, other: Recording) -> Aligned:
    """Align ``other`` with ``reference`` by the first method that is sure.

    Raises:
        MediaError: The sound of one cannot be read.
    """
    reasons: list[str] = []
    for method in (by_sound, by_flashes, by_timecode, by_clock):
        found = method(reference, other)
        if found.sure:
            return found
        reasons.append(found.reason)
    refused = "; ".join(reason for reason in reasons if reason)
    return _refused(reference, other, "none", refused or "they share neither sound, flashes, timecode nor a clock")


def align_group(recordings: Sequence[Recording]) -> list[Aligned]:
    """Put recordings on the time line of the longest one that has sound; each by way of one that is placed already.

    Returns:
        One for each recording, in their order.
    """
    reference = max(recordings, key=lambda one: (one.sound is not None, one.duration_s))
    at_home = Aligned(reference.media_id, reference.media_id, 0.0, 0.0, 1.0, "reference", 0.0, reference.duration_s, "")
    placed: dict[str, Aligned] = {reference.media_id: at_home}
    refused: dict[str, Aligned] = {}
    waiting = [one for one in recordings if one.media_id != reference.media_id]
    for anchor in _anchors(recordings, placed):
        for one in [one for one in waiting if one.media_id not in placed]:
            found = align_pair(anchor, one)
            if found.sure:
                placed[one.media_id] = _through(placed[anchor.media_id], found)
            else:
                refused.setdefault(one.media_id, found)
    return [placed.get(one.media_id) or refused[one.media_id] for one in recordings]


def _anchors(recordings: Sequence[Recording], placed: dict[str, Aligned]) -> Any:
    """Placed recordings, each once, in the order in which they are placed."""
    by_id = {one.media_id: one for one in recordings}
    used: set[str] = set()
    while fresh := [media_id for media_id in placed if media_id not in used]:
        used.add(fresh[0])
        yield by_id[fresh[0]]


def _through(anchor: Aligned, found: Aligned) -> Aligned:
    """An alignment with an anchor as one with the anchor's own reference."""
    if anchor.method == "reference" or anchor.offset_s is None or found.offset_s is None:
        return found
    stretch = 1 + (anchor.drift_ppm or 0) * 1e-6
    drifts = anchor.drift_ppm is not None and found.drift_ppm is not None
    return Aligned(
        media_id=found.media_id,
        reference_id=anchor.reference_id,
        offset_s=anchor.offset_s + found.offset_s * stretch,
        drift_ppm=(anchor.drift_ppm or 0) + (found.drift_ppm or 0) if drifts else None,
        confidence=anchor.confidence * found.confidence,
        method=found.method,
        error_s=math.hypot(anchor.error_s or 0, found.error_s or 0),
        overlap_s=found.overlap_s,
        reason=f"by way of {anchor.media_id}",
    )


def by_sound(reference: Recording, other: Recording) -> Aligned:
    """By what both microphones heard; where clocks say when, it is looked for there only."""
    if reference.sound is None or other.sound is None:
        return _refused(reference, other, "sound", "one of them has no sound")
    near = _clock_offset(reference, other)
    within_s = math.inf if near is None else near[1] + CLOCK_MARGIN_S
    found = align(_samples(reference), _samples(other), near_s=near[0] if near is not None else None, within_s=within_s)
    if not found.sure:
        return _refused(reference, other, "sound", f"by sound {found.reason}")
    return _placed(
        reference,
        other,
        "sound",
        found.offset_s,
        error_s=found.error_s,
        confidence=found.confidence,
        drift_ppm=found.drift_ppm,
    )


def by_flashes(reference: Recording, other: Recording) -> Aligned:
    """By photographers' flashes: at least two, which fit at one offset alone."""
    if reference.measures is None or other.measures is None:
        return _refused(reference, other, "flash", "")
    ours, theirs = _flashes(reference.measures), _flashes(other.measures)
    gaps = sorted(mine - its for mine, its in itertools.product(ours, theirs))
    if not gaps:
        return _refused(reference, other, "flash", "")
    found = np.array(gaps)
    fitting = [int((np.abs(found - gap) <= FRAME_S).sum()) for gap in gaps]
    best = int(np.argmax(fitting))
    rivals = [fit for gap, fit in zip(gaps, fitting, strict=True) if abs(gap - gaps[best]) > 2 * FRAME_S]
    if fitting[best] < LEAST_FLASHES or max(rivals, default=0) > fitting[best] / 2:
        return _refused(reference, other, "flash", "their flashes fit at more than one offset, or there are too few")
    near = found[np.abs(found - gaps[best]) <= FRAME_S]
    confidence = 1 - 0.5 ** len(near)
    return _placed(reference, other, "flash", float(np.median(near)), error_s=FRAME_S / 2, confidence=confidence)


def by_timecode(reference: Recording, other: Recording) -> Aligned:
    """By timecode, where the times at which both say they were shot bear it out: codes may be those of two counters."""
    if reference.timecode_s is None or other.timecode_s is None:
        return _refused(reference, other, "timecode", "")
    offset_s = (other.timecode_s - reference.timecode_s + _DAY_S / 2) % _DAY_S - _DAY_S / 2
    if reference.created_utc is None or other.created_utc is None:
        return _refused(reference, other, "timecode", "nothing bears their timecodes out: no time of day in one")
    said_s = (other.created_utc - reference.created_utc).total_seconds()
    if abs(said_s - offset_s) > TIMECODE_AGREES_S:
        return _refused(reference, other, "timecode", "their timecodes and the times they were shot disagree")
    return _placed(reference, other, "timecode", offset_s, error_s=FRAME_S / 2, confidence=0.9)


def by_clock(reference: Recording, other: Recording) -> Aligned:
    """By the clocks in the recorder's manifests, where the bounds of their errors are within a frame together."""
    near = _clock_offset(reference, other)
    if near is None:
        return _refused(reference, other, "clock", "")
    offset_s, error_s = near
    if error_s > FRAME_S:
        return _refused(reference, other, "clock", f"their clocks may be {error_s:.3f} s apart")
    return _placed(reference, other, "clock", offset_s, error_s=error_s, confidence=0.9)


def _clock_offset(reference: Recording, other: Recording) -> tuple[float, float] | None:
    """Offset by the clocks of two manifests, and the bound on its error."""
    if reference.clock_utc is None or other.clock_utc is None:
        return None
    if reference.clock_error_s is None or other.clock_error_s is None:
        return None
    offset_s = (other.clock_utc - reference.clock_utc).total_seconds()
    return offset_s, reference.clock_error_s + other.clock_error_s


def timecode_seconds(text: str | None, rate_fps: float | None) -> float | None:
    """Seconds since midnight of a timecode ``HH:MM:SS:FF``; drop-frame numbers are left out (SMPTE ST 12-1)."""
    parts = re.split("[:;.,]", text) if text else []
    if len(parts) != 4 or not rate_fps:
        return None
    hours, minutes, seconds, frames = map(int, parts)
    nominal = round(rate_fps)
    number = ((hours * 60 + minutes) * 60 + seconds) * nominal + frames
    if text is not None and ";" in text:
        whole = hours * 60 + minutes
        number -= nominal // 15 * (whole - whole // 10)
    return number / rate_fps


def _samples(recording: Recording) -> Samples:
    try:
        with wave.open(str(recording.sound), "rb") as sound:
            pcm = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
    except (OSError, EOFError, wave.Error) as error:
        raise MediaError(recording.name, f"its sound cannot be read ({error})", "Run `thatdam retry`.") from error
    return pcm.astype(np.float32) / np.float32(32768)


def _flashes(measures: Path) -> list[float]:
    """When flashes begin."""
    track = Track.of(pl.read_parquet(measures))
    return [float(track.times_s[first]) for first, _ in runs(track.flashed())]


def _placed(
    reference: Recording,
    other: Recording,
    method: str,
    offset_s: float,
    *,
    error_s: float,
    confidence: float,
    drift_ppm: float | None = None,
) -> Aligned:
    overlap_s = min(reference.duration_s, offset_s + other.duration_s) - max(0.0, offset_s)
    return Aligned(
        other.media_id, reference.media_id, offset_s, drift_ppm, confidence, method, error_s, max(0.0, overlap_s), ""
    )


def _refused(reference: Recording, other: Recording, method: str, reason: str) -> Aligned:
    return Aligned(other.media_id, reference.media_id, None, None, 0.0, method, None, None, reason)
