"""Timecodes as SMPTE ST 12-1 writes them."""

import re
from dataclasses import dataclass

_TIMECODE = re.compile(r"(\d\d):([0-5]\d):([0-5]\d)([:;.,])(\d{2,3})")


@dataclass(frozen=True)
class Timecode:
    """A start timecode.

    Args:
        text: ``HH:MM:SS:FF``; ``;`` before the frames when drop-frame.
        drop_frame: Two frame numbers are left out each minute but every tenth, so that 29.97 fps keeps to the clock.
    """

    text: str
    drop_frame: bool


def read_timecode(text: str) -> Timecode | None:
    """The timecode a tag holds, or None when it is none (25 o'clock, letters, ...)."""
    match = _TIMECODE.fullmatch(text.strip())
    if match is None or int(match[1]) > 23:
        return None
    drop = match[4] != ":"
    return Timecode(f"{match[1]}:{match[2]}:{match[3]}{';' if drop else ':'}{match[5]}", drop)
