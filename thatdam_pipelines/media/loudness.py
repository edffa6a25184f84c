"""Loudness and levels of a sound as its original has them: what the pass's ffmpeg measures, and what it said of it.

Loudness, loudness range and true peak follow ITU-R BS.1770, EBU R 128 and EBU Tech 3342 (filter ``ebur128``); levels
of each channel before any mixing come from filter ``astats``.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

FILTERS: tuple[tuple[str, dict[str, str]], ...] = (
    ("ebur128", {"framelog": "quiet", "peak": "true"}),
    (
        "astats",
        {"measure_perchannel": "DC_offset+Peak_level+RMS_level+Flat_factor", "measure_overall": "none"},
    ),
)
"""ffmpeg filters that measure a sound and leave it as it is."""

SILENCE_LUFS = -70.0
"""The absolute gate of BS.1770: at or below it there is no loudness."""

FLOOR_DBFS = -120.0
"""What a level is that has no logarithm: digital silence."""

_FIGURE = r"(-?(?:\d+(?:\.\d+)?|inf)|nan)"
_INTEGRATED = re.compile(rf"^\s*I:\s+{_FIGURE} LUFS")
_RANGE = re.compile(rf"^\s*LRA:\s+{_FIGURE} LU")
_TRUE_PEAK = re.compile(rf"^\s*Peak:\s+{_FIGURE} dBFS")
_CHANNEL = re.compile(r"^Channel: \d+")
_OF_CHANNEL = {
    "peak_dbfs": re.compile(rf"^Peak level dB: {_FIGURE}"),
    "rms_dbfs": re.compile(rf"^RMS level dB: {_FIGURE}"),
    "dc": re.compile(rf"^DC offset: {_FIGURE}"),
    "flat": re.compile(rf"^Flat factor: {_FIGURE}"),
}


@dataclass
class Levels:
    """What was measured; the columns of table ``proxies`` of these names.

    Args:
        loudness_lufs: Integrated loudness; None at or below the gate.
        loudness_range_lu: Loudness range; None where there is no loudness.
        true_peak_dbtp: Highest true peak of any channel; None for digital silence.
        channel_peak_dbfs: Sample peak of each channel, at least ``FLOOR_DBFS``; so are the RMS levels.
        channel_dc: Mean sample of each channel, -1 to 1.
        channel_flat: How much each channel stays at its own peaks, in dB; 0: it never stays.
    """

    loudness_lufs: float | None = None
    loudness_range_lu: float | None = None
    true_peak_dbtp: float | None = None
    channel_peak_dbfs: list[float] = field(default_factory=list)
    channel_rms_dbfs: list[float] = field(default_factory=list)
    channel_dc: list[float] = field(default_factory=list)
    channel_flat: list[float] = field(default_factory=list)

    def as_columns(self) -> dict[str, Any]:
        return dict(vars(self))


def read_levels(lines: Iterable[str]) -> Levels:
    """What ``FILTERS`` said at the end of a run; the last of each where a graph was set up more than once."""
    levels = Levels()
    channel = -1
    for line in lines:
        if (found := _number(_INTEGRATED, line)) is not None:
            levels.loudness_lufs = found if found > SILENCE_LUFS else None
        elif (found := _number(_RANGE, line)) is not None:
            levels.loudness_range_lu = found if levels.loudness_lufs is not None else None
        elif (found := _number(_TRUE_PEAK, line)) is not None:
            levels.true_peak_dbtp = found if math.isfinite(found) else None
        elif _CHANNEL.match(line):
            channel = int(line.removeprefix("Channel: ").split()[0]) - 1
        elif channel >= 0:
            _add_channel_figure(levels, channel, line)
    return levels


def _add_channel_figure(levels: Levels, channel: int, line: str) -> None:
    for name, pattern in _OF_CHANNEL.items():
        found = _number(pattern, line)
        if found is not None:
            figures: list[float] = getattr(levels, f"channel_{name}")
            value = max(found, FLOOR_DBFS) if name.endswith("dbfs") else found
            figures[channel:] = [value if math.isfinite(value) else 0.0]


def _number(pattern: re.Pattern[str], line: str) -> float | None:
    match = pattern.match(line)
    return float(match[1]) if match else None
