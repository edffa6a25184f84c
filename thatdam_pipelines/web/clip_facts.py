"""The facts of a clip as its page words them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from thatdam_pipelines.web.models import MediaDetail

Rows = list[tuple[str, str]]


def when(moment: datetime | None) -> str:
    """A time as pages show it, UTC to the second; nothing for none."""
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"


def duration(seconds: float | None) -> str:
    """Hours, minutes and seconds to the hundredth: ``1:02:03.04``; nothing for none."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds, 2), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:05.2f}" if hours else f"{minutes}:{rest:05.2f}"


def headline(clip: MediaDetail) -> list[str]:
    """What one knows a clip by, in one line."""
    facts = clip.facts or {}
    return [clip.kind, *(value for _, value in _told([_camera(facts), _size(facts), _length(facts), _shot(facts)]))]


def facts_of(clip: MediaDetail) -> dict[str, Rows]:
    """Facts by heading; what is not known is left out."""
    facts, proxy, sound = clip.facts or {}, clip.proxy or {}, clip.sound or {}
    found = {
        "Shot": _told([_shot(facts), _camera(facts), _place(facts), ("Timecode", facts.get("timecode"))]),
        "Picture": _told([_size(facts), _length(facts), _rate(facts), *_picture(facts)]),
        "Sound": _told([("Codec", facts.get("audio_codec")), _channels(facts), *_heard(proxy, sound)]),
        "Streams": _told((f"{stream['stream_index']} {stream['type']}", _stream(stream)) for stream in clip.streams),
    }
    return {title: rows for title, rows in found.items() if rows}


def _told(rows: Iterable[tuple[str, Any]]) -> Rows:
    return [(name, str(value)) for name, value in rows if value not in (None, "", [])]


def _joined(*parts: Any) -> str:
    return " ".join(str(part) for part in parts if part not in (None, "", "unknown"))


def _shot(facts: dict[str, Any]) -> tuple[str, str]:
    return "On", when(facts.get("created_utc"))


def _camera(facts: dict[str, Any]) -> tuple[str, str]:
    return "Camera", _joined(facts.get("camera_make"), facts.get("camera_model"))


def _place(facts: dict[str, Any]) -> tuple[str, str | None]:
    latitude, longitude = facts.get("latitude_deg"), facts.get("longitude_deg")
    return "Place", None if latitude is None or longitude is None else f"{latitude:.4f}, {longitude:.4f}"


def _size(facts: dict[str, Any]) -> tuple[str, str | None]:
    width, height = facts.get("display_width"), facts.get("display_height")
    return "Size", width and f"{width} × {height}"


def _length(facts: dict[str, Any]) -> tuple[str, str]:
    return "Duration", duration(facts.get("duration_s"))


def _rate(facts: dict[str, Any]) -> tuple[str, str | None]:
    rate = facts.get("frame_rate_fps")
    return "Frame rate", rate and f"{rate:.5g} fps{', variable' if facts.get('is_vfr') else ''}"


def _picture(facts: dict[str, Any]) -> Rows:
    depth, rotation = facts.get("bit_depth"), facts.get("rotation_deg")
    return _told(
        [
            ("Codec", _joined(facts.get("video_codec"), facts.get("video_profile"))),
            ("Pixels", _joined(facts.get("pixel_format"), depth and f"{depth} bit")),
            ("Colour", _joined(facts.get("color_primaries"), facts.get("color_transfer"), facts.get("color_range"))),
            ("Range", facts.get("hdr")),
            ("Scan", facts.get("interlace")),
            ("Turned", f"{rotation:g}°" if rotation else None),
        ]
    )


def _channels(facts: dict[str, Any]) -> tuple[str, str | None]:
    rate = facts.get("audio_rate_hz")
    layout = facts.get("audio_layout") or facts.get("audio_channels")
    return "Channels", rate and f"{layout}, {rate / 1000:g} kHz"


def _heard(proxy: dict[str, Any], sound: dict[str, Any]) -> Rows:
    loudness, spread, peak = (proxy.get(name) for name in ("loudness_lufs", "loudness_range_lu", "true_peak_dbtp"))
    lasting = ((name, sound.get(f"{name.lower()}_s")) for name in ("Speech", "Music", "Silence"))
    return _told(
        [
            ("Loudness", None if loudness is None else f"{loudness:.1f} LUFS"),
            ("Range", None if loudness is None or spread is None else f"{spread:.1f} LU"),
            ("True peak", None if peak is None else f"{peak:.1f} dBTP"),
            ("Mostly", sound.get("kind")),
            *((name, duration(seconds) if seconds else None) for name, seconds in lasting),
            ("Faults", ", ".join(sound.get("faults") or [])),
        ]
    )


def _stream(stream: dict[str, Any]) -> str:
    rate, sampled = stream.get("bit_rate_bps"), stream.get("sample_rate_hz")
    return ", ".join(
        part
        for part in (
            _joined(stream.get("codec"), stream.get("profile")),
            f"{stream['width']} × {stream['height']}" if stream.get("width") else "",
            f"{stream['channels']} ch" if stream.get("channels") else "",
            f"{sampled / 1000:g} kHz" if sampled else "",
            f"{rate / 1e6:.2f} Mbit/s" if rate else "",
        )
        if part
    )
