"""Names and numbers of formats: media types, pixel formats, channel layouts, frame rates."""

import re
from fractions import Fraction

VIDEO_MIME = {
    "mov": "video/quicktime",
    "mp4": "video/mp4",
    "3gp": "video/3gpp",
    "matroska": "video/matroska",
    "webm": "video/webm",
    "avi": "video/vnd.avi",
    "mxf": "application/mxf",
    "mpegts": "video/mp2t",
    "mpeg": "video/mp2p",
    "asf": "video/x-ms-asf",
    "flv": "video/x-flv",
    "ogg": "video/ogg",
    "dv": "video/dv",
}
AUDIO_MIME = {
    "mov": "audio/mp4",
    "mp4": "audio/mp4",
    "matroska": "audio/matroska",
    "webm": "audio/webm",
    "mp3": "audio/mpeg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "wav": "audio/vnd.wave",
    "w64": "audio/x-w64",
    "aiff": "audio/aiff",
    "amr": "audio/AMR",
    "ac3": "audio/ac3",
    "caf": "audio/x-caf",
    "au": "audio/basic",
    "mxf": "application/mxf",
    "asf": "audio/x-ms-wma",
}

PRIMARIES = {1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020"} | {
    10: "smpte428",
    11: "smpte431",
    12: "smpte432",
    22: "ebu3213",
}
TRANSFERS = {1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "linear", 9: "log100"} | {
    10: "log316",
    11: "iec61966-2-4",
    12: "bt1361e",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    17: "smpte428",
    18: "arib-std-b67",
}
MATRICES = {0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco"} | {
    9: "bt2020nc",
    10: "bt2020c",
    11: "smpte2085",
    12: "chroma-derived-nc",
    13: "chroma-derived-c",
    14: "ictcp",
}
"""ffmpeg's names of the numbers of ITU-T H.273."""

_NTSC_RATES = [Fraction(rate * 1000, 1001) for rate in (12, 15, 24, 30, 48, 60, 120, 240)]
_WHOLE_RATES = [Fraction(rate) for rate in (12, 15, 24, 25, 30, 48, 50, 60, 100, 120, 200, 240)]
_STANDARD_RATES = [(rate, float(rate)) for rate in (*_NTSC_RATES, *_WHOLE_RATES)]

_LAYOUTS = {"mono": 1, "stereo": 2, "downmix": 2, "quad": 4, "hexagonal": 6, "octagonal": 8, "cube": 8}


def bit_depth_of(pixel_format: str | None) -> int | None:
    """Bits a component of an ffmpeg pixel format, by its name."""
    if pixel_format is None:
        return None
    if match := re.search(
        r"(?:p|gray|x2rgb|x2bgr|p0|ya|xyz|xv|y2|p2|p4|bayer_[a-z]{4})(9|1[0246])(?:le|be|$)", pixel_format
    ):
        return int(match[1])
    if re.match(r"(rgb|bgr)48|(rgba|bgra|ayuv)64", pixel_format):
        return 16
    return 32 if "f32" in pixel_format else 8


def channels_of(layout: str | None) -> int | None:
    """Channels of a layout by ffmpeg's name: ``5.1(side)``, ``stereo``, ``16 channels``."""
    if layout is None:
        return None
    if match := re.match(r"(\d+) channels|ambisonic", layout):
        return int(match[1]) if match[1] else None
    if match := re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", layout):
        return sum(int(part) for part in match.groups() if part)
    return _LAYOUTS.get(layout)


def standard_rate(rate: Fraction) -> Fraction:
    """The standard rate within 0.02 % of ``rate``, or ``rate`` with a denominator people can read."""
    wanted = float(rate)
    for standard, value in _STANDARD_RATES:
        if abs(wanted - value) <= value * 2e-4:
            return standard
    return rate.limit_denominator(1001)


def fraction_text(rate: Fraction) -> str:
    return f"{rate.numerator}/{rate.denominator}"
