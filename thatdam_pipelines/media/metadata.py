"""What tags say about a recording: when, with which camera, where."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from thatdam_pipelines.media.facts import Probe, plain

Tags = Mapping[str, str]

_MAKE = ("com.apple.quicktime.make", "com.android.manufacturer", "make", "manufacturer", "camera_make")
_MODEL = ("com.apple.quicktime.model", "com.android.model", "model", "camera_model", "camera_model_name")
_SERIAL = ("com.apple.quicktime.camera.serial", "serial", "serial_number", "camera_serial", "camera_serial_number")
_PLACE = ("com.apple.quicktime.location.iso6709", "location", "location-eng", "xyz", "geo")
_CONTENT_IDENTIFIER = "com.apple.quicktime.content.identifier"
_LOG = ("log_profile", "com.apple.proapps.customgamma", "com.arri.camera.colorgammasxs")
_LOG_PROFILES = {
    "applewidegamutapplelog": "Apple Log 2",
    "applelog": "Apple Log",
    "slog3": "S-Log3",
    "slog2": "S-Log2",
    "vlog": "V-Log",
    "logc4": "LogC4",
    "logc": "LogC",
    "canonlog3": "Canon Log 3",
    "canonlog2": "Canon Log 2",
    "canonlog": "Canon Log",
}
"""Curves by what the letters and digits of their names hold, the longer first."""
_CREATED = (
    "com.apple.quicktime.creationdate",
    "creation_time",
    "date_recorded",
    "date_digitized",
    "datetimeoriginal",
    "modification_date",
    "date",
)
_CAMERA_MAKERS = ("sony", "panasonic", "canon", "arri", "red", "blackmagic", "jvc", "gopro", "dji", "nikon", "fujifilm")

_ISO_6709 = re.compile(r"([+-]\d{2,6}(?:\.\d+)?)([+-]\d{3,7}(?:\.\d+)?)(?:([+-]\d+(?:\.\d+)?))?(?:CRS[^/]*)?/?")
_DATE = re.compile(
    r"(\d{4})[-:](\d\d)[-:](\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?\s*(Z|UTC|[+-]\d\d:?\d\d)?", re.IGNORECASE
)
_CLOCK = re.compile(r"\d\d:\d\d:\d\d")
EARLIEST_YEAR = 1990
"""Earlier dates are clocks that were never set (1904, 1970, 1980)."""


@dataclass(frozen=True)
class Place:
    """Degrees in WGS 84; metres."""

    latitude_deg: float
    longitude_deg: float
    altitude_m: float | None


def folded(*tags: Mapping[str, str]) -> dict[str, str]:
    """Tags of several places under lower-case names; the first place that has a name wins."""
    merged: dict[str, str] = {}
    for place in tags:
        for name, value in place.items():
            merged.setdefault(name.lower(), value)
    return merged


def describe_recording(probe: Probe, tags: Tags) -> None:
    """Fill camera, place, creation time and curve of ``probe`` from tags under lower-case names."""
    probe.content_identifier = plain(tags.get(_CONTENT_IDENTIFIER))
    probe.log_profile = next((name for tag in _LOG if (name := log_profile_of(tags.get(tag, "")))), None)
    probe.camera_make = _first(tags, _MAKE)
    probe.camera_model = _first(tags, _MODEL)
    probe.camera_serial = _first(tags, _SERIAL)
    company = plain(tags.get("company_name"))
    if probe.camera_make is None and company and company.lower().startswith(_CAMERA_MAKERS):
        probe.camera_make, probe.camera_model = company, plain(tags.get("product_name"))
    for name in _PLACE:
        if place := read_iso_6709(tags.get(name, "")):
            set_place(probe, place)
            break
    candidates = [(name, tags[name]) for name in _CREATED if name in tags]
    if _CLOCK.fullmatch(tags.get("creation_time", "")) and "date" in tags:
        # Broadcast Wave keeps day and time of day apart, and no zone.
        candidates.insert(0, ("bext, no zone: taken as UTC", f"{tags['date']} {tags['creation_time']}"))
    set_created(probe, candidates)


def log_profile_of(text: str) -> str | None:
    """The logarithmic curve that a text names, as its maker writes it; None when it names none that is known."""
    plain_text = re.sub(r"[^a-z0-9]", "", text.lower())
    return next((name for sign, name in _LOG_PROFILES.items() if sign in plain_text), None)


def set_place(probe: Probe, place: Place) -> None:
    probe.latitude_deg, probe.longitude_deg, probe.altitude_m = (
        place.latitude_deg,
        place.longitude_deg,
        place.altitude_m,
    )


def set_created(probe: Probe, candidates: Iterable[tuple[str, str]]) -> None:
    """Take the first of (source, date text) that is a plausible time; warn of a clock that was not set."""
    for source, text in candidates:
        moment = read_date(text)
        if moment is None:
            continue
        if moment.year < EARLIEST_YEAR or moment.timestamp() > datetime.now(UTC).timestamp() + 86400:
            probe.warnings.append(f"the clock of the camera was wrong: {source} says {moment:%Y-%m-%d}")
            continue
        probe.created_utc, probe.created_source = moment, source
        return


def read_date(text: str) -> datetime | None:
    """A time with its zone brought to UTC; one without a zone is taken as UTC, as containers define it.

    Reads ISO 8601 and EXIF's ``2024:05:06 07:08:09``.
    """
    match = _DATE.match(text.strip())
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    micros = (fraction or "0")[:6].ljust(6, "0")
    offset = "+00:00" if zone is None or zone.upper() in ("Z", "UTC") else f"{zone[:3]}:{zone[-2:]}"
    try:
        return datetime.fromisoformat(f"{year}-{month}-{day}T{hour}:{minute}:{second}.{micros}{offset}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def read_iso_6709(text: str) -> Place | None:
    """A place as ISO 6709 writes it: ``+48.8577+002.2950+035.0/``; degrees, or with minutes and seconds."""
    match = _ISO_6709.match(text.strip())
    if match is None:
        return None
    latitude, longitude = _degrees(match[1], 2), _degrees(match[2], 3)
    if abs(latitude) > 90 or abs(longitude) > 180 or (latitude == 0 and longitude == 0):
        return None
    return Place(latitude, longitude, float(match[3]) if match[3] else None)


def _degrees(text: str, degree_digits: int) -> float:
    sign = -1.0 if text[0] == "-" else 1.0
    whole, _, fraction = text[1:].partition(".")
    parts = [whole[:degree_digits], whole[degree_digits : degree_digits + 2], whole[degree_digits + 2 :]]
    parts = [part for part in parts if part]
    parts[-1] += "." + (fraction or "0")
    return sign * sum(float(part) / 60**place for place, part in enumerate(parts))


def _first(tags: Tags, names: Iterable[str]) -> str | None:
    return next((value for name in names if (value := plain(tags.get(name)))), None)
