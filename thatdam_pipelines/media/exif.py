"""EXIF: camera, time, place and orientation of a still."""

from datetime import UTC, datetime, timedelta

from thatdam_pipelines.media.facts import Probe, plain
from thatdam_pipelines.media.metadata import Place, read_date, set_created, set_place
from thatdam_pipelines.media.tiff import EXIF_DIRECTORY, GPS_DIRECTORY, Directory, Tiff, tiff_of

_MAKE, _MODEL, ORIENTATION, _DATE_TIME = 271, 272, 274, 306
_DATE_ORIGINAL, _DATE_DIGITIZED, _OFFSET, _OFFSET_ORIGINAL, _OFFSET_DIGITIZED = 36867, 36868, 36880, 36881, 36882
_SERIAL, _DNG_SERIAL = 42033, 50735
_WIDTH, _HEIGHT = 40962, 40963
_MAKER_NOTE, _APPLE_NOTE, _APPLE_CONTENT_IDENTIFIER = 37500, b"Apple iOS\0", 17

CLOCKWISE = {1: 0, 2: 0, 3: 180, 4: 180, 5: 90, 6: 90, 7: 270, 8: 270}


def describe_still(probe: Probe, tiff: Tiff) -> Directory:
    """Fill camera, place, time and rotation of ``probe`` from EXIF.

    Returns:
        The main directory with the tags of the EXIF directory added; empty when there is no EXIF.
    """
    directories = tiff.directories()
    main = directories[0] if directories else Directory()
    exif = tiff.directory(main.integer(EXIF_DIRECTORY) or 0) or Directory()
    gps = tiff.directory(main.integer(GPS_DIRECTORY) or 0) or Directory()
    describe_from(probe, main, exif, gps)
    return Directory(exif.values | main.values)


def describe_from(probe: Probe, main: Directory, exif: Directory, gps: Directory) -> None:
    """Fill ``probe`` from the three directories of EXIF."""
    probe.camera_make, probe.camera_model = plain(main.text(_MAKE)), plain(main.text(_MODEL))
    probe.camera_serial = plain(exif.text(_SERIAL) or main.text(_DNG_SERIAL))
    probe.content_identifier = plain(_apple_content_identifier(exif.block(_MAKER_NOTE)))
    probe.rotation_deg = CLOCKWISE.get(main.integer(ORIENTATION) or 1, 0)
    if place := _place(gps):
        set_place(probe, place)
    satellites = _satellite_time(gps)
    for source, directory, tag, zone in (
        ("EXIF DateTimeOriginal", exif, _DATE_ORIGINAL, _OFFSET_ORIGINAL),
        ("EXIF DateTimeDigitized", exif, _DATE_DIGITIZED, _OFFSET_DIGITIZED),
        ("EXIF DateTime", main, _DATE_TIME, _OFFSET),
    ):
        if text := directory.text(tag):
            offset = exif.text(zone) or ""
            if read_date(text + offset) is None:
                offset = ""
            if not offset and satellites is not None and (local := read_date(text)):
                text, source = (local - _zone_by(local, satellites)).isoformat(), f"{source}, zone by GPS"
            elif not offset:
                source += ", no zone: taken as UTC"
            set_created(probe, [(source, text + offset)])
            if probe.created_utc is not None:
                return
    if satellites is not None:
        set_created(probe, [("EXIF GPS time", satellites.isoformat())])


def size_of(exif: Directory) -> tuple[int, int] | None:
    """Width and height of the picture as EXIF says."""
    width, height = exif.integer(_WIDTH), exif.integer(_HEIGHT)
    return (width, height) if width and height and width > 0 and height > 0 else None


def _apple_content_identifier(note: bytes) -> str | None:
    """What an iPhone's picture shares with the film of the same Live Photo, from Apple's maker note."""
    if not note.startswith(_APPLE_NOTE):
        return None
    # A big-endian directory 14 bytes after the note's beginning, which its offsets count from.
    directories = tiff_of(b"MM\0*\0\0\0\x0e" + note[8:]).directories()
    return directories[0].text(_APPLE_CONTENT_IDENTIFIER) if directories else None


def _zone_by(local: datetime, satellites: datetime) -> timedelta:
    """Offset of the camera's clock from UTC, to a quarter of an hour; none when the GPS time is not of that moment."""
    quarters = round((local - satellites) / timedelta(minutes=15))
    near = abs((local - satellites) - quarters * timedelta(minutes=15)) < timedelta(minutes=5)
    return quarters * timedelta(minutes=15) if near and abs(quarters) <= 14 * 4 else timedelta()


def _satellite_time(gps: Directory) -> datetime | None:
    date, clock = gps.text(29), gps.numbers(7)
    if not date or len(clock) != 3:
        return None
    try:
        day = datetime.strptime(date.strip(), "%Y:%m:%d").replace(tzinfo=UTC)
        return day + timedelta(hours=clock[0], minutes=clock[1], seconds=clock[2])
    except (ValueError, OverflowError):
        return None


def _place(gps: Directory) -> Place | None:
    latitude, longitude = _degrees(gps.numbers(2)), _degrees(gps.numbers(4))
    if latitude is None or longitude is None or latitude > 90 or longitude > 180 or (latitude == longitude == 0):
        return None
    latitude *= -1 if (gps.text(1) or "").upper().startswith("S") else 1
    longitude *= -1 if (gps.text(3) or "").upper().startswith("W") else 1
    altitude = gps.number(6)
    if altitude is not None and gps.values.get(5) in (1, b"\1"):
        altitude = -altitude
    return Place(latitude, longitude, altitude)


def _degrees(parts: tuple[float, ...]) -> float | None:
    return sum(part / 60**place for place, part in enumerate(parts[:3])) if parts else None
