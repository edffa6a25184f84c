"""The machine's clock: whether it can be trusted, and time of day as timecode."""

import ctypes
import struct
from datetime import datetime
from fractions import Fraction

STA_UNSYNC = 0x40
TIMEX_SIZE = 208
STATUS_OFFSET = 40


def ntp_synced() -> bool | None:
    """Whether the kernel holds its clock for disciplined; none where it does not say."""
    timex = ctypes.create_string_buffer(TIMEX_SIZE)
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    except AttributeError:
        return None
    if state < 0:
        return None
    (status,) = struct.unpack_from("i", timex, STATUS_OFFSET)
    return not status & STA_UNSYNC


def timecode(moment: datetime, rate: Fraction) -> str:
    """Time of day as SMPTE ST 12 timecode; drop-frame (``;``) at 29.97 and 59.94."""
    nominal = round(rate)
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    seconds = Fraction(round((moment - midnight).total_seconds() * 1_000_000), 1_000_000)
    frames = int(seconds * rate)
    separator = ":"
    if rate.denominator == 1001 and nominal in (30, 60):
        separator = ";"
        dropped = nominal // 15
        per_minute = nominal * 60 - dropped
        per_ten = nominal * 600 - 9 * dropped
        tens, rest = divmod(frames, per_ten)
        frames += 9 * dropped * tens
        if rest >= nominal * 60:
            frames += dropped * (1 + (rest - nominal * 60) // per_minute)
    whole, frame = divmod(frames, nominal)
    hours, minutes, second = whole // 3600 % 24, whole // 60 % 60, whole % 60
    return f"{hours:02d}:{minutes:02d}:{second:02d}{separator}{frame:02d}"
