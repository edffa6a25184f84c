"""What two files have to do with each other, from their fingerprints alone; the same whichever of them is new."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from thatdam_pipelines.media.alignment import STILL, Alignment
from thatdam_pipelines.media.comparison import (
    SAME_LOOK,
    STILL_LIKENESS,
    find_copy,
    is_copy,
    resemblances,
)
from thatdam_pipelines.media.fingerprint import Box, Fingerprint
from thatdam_pipelines.media.landmarks import SoundMatch, same_sound

SAME_PLACE_M = 100.0
SESSION_GAP_S = 3600.0
"""Longest time between the begins of two clips of one session."""

_WHOLE = 0.9
_A_FRAME_S = 0.05
_SOUND_OF_COPY = 0.25
_SOUND_OF_TAKE = 0.1
_EARTH_M = 6_371_000.0
_DARK = 30.0


@dataclass(frozen=True)
class Known:
    """A file as it is compared: its row of ``fingerprints``."""

    row: dict[str, Any]

    @property
    def media_id(self) -> str:
        return str(self.row["media_id"])

    @property
    def duration_s(self) -> float:
        return float(self.row["duration_s"] or 0.0)

    @cached_property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint.of_row(self.row)

    @property
    def originality(self) -> tuple[bool, int, int, float, str]:
        """Greater for what is likelier the source: a camera wrote it, more pixels, more bytes, shot earlier."""
        shot = self.row["shot_utc"]
        earlier = -shot.timestamp() if shot else -math.inf
        return (
            self.row["camera"] is not None,
            self.row["pixels"] or 0,
            int(self.row["size_bytes"] / max(self.duration_s, 1.0)),
            earlier,
            "".join(chr(255 - ord(letter)) for letter in self.media_id),
        )


def kinship(one: Known, other: Known) -> Iterator[dict[str, Any]]:
    """Columns of ``relations`` for each way in which two files are related, but for batch and recipe."""
    first, second = sorted((one, other), key=lambda known: known.media_id)
    sound = same_sound(first.fingerprint.sound, second.fingerprint.sound)
    copy = _copy(first, second, sound)
    if copy is not None:
        heard = sound if sound is None or copy[0] is first else replace(sound, offset_s=-sound.offset_s)
        yield from _copied(*copy, heard)
    else:
        yield from _alike(first, second)
        if take := _same_take(first, second, sound):
            yield take
    if (place := _same_place(first, second)) is not None:
        yield place


def session(one: Known, other: Known) -> dict[str, Any] | None:
    """The relation of two files shot within ``SESSION_GAP_S`` of each other, or recorded together."""
    first, second = sorted((one, other), key=lambda known: known.media_id)
    if first.row["group_id"] and first.row["group_id"] == second.row["group_id"]:
        return _row(first, second, "same_session", 1.0, "recorder")
    shot = [known.row["shot_utc"] for known in (first, second)]
    if None in shot:
        return None
    apart_s = abs((shot[1] - shot[0]).total_seconds())
    if apart_s > SESSION_GAP_S:
        return None
    return _row(first, second, "same_session", round(1 - apart_s / SESSION_GAP_S / 2, 4), "clock")


def _copy(first: Known, second: Known, sound: SoundMatch | None) -> tuple[Known, Known, Alignment, str] | None:
    """The copy, the source as far as pictures tell, their alignment, and what told it."""
    best: tuple[Known, Known, Alignment] | None = None
    for copy, source in ((first, second), (second, first)):
        found = find_copy(copy.fingerprint, source.fingerprint)
        if found is not None and (best is None or _better(found, best[2])):
            best = (copy, source, found)
    if best is not None and is_copy(best[2]):
        return *best, "picture"
    if best is not None and best[2].activity < STILL:
        if sound is not None and sound.score >= _SOUND_OF_COPY and best[2].likeness >= SAME_LOOK:
            return first, second, _by_sound(first, second, sound, best[2]), "picture, sound"
        alike = best[2].likeness >= STILL_LIKENESS and not best[2].mirrored and best[2].box.is_whole
        if alike and abs(first.duration_s - second.duration_s) <= _A_FRAME_S:
            return first, second, replace(best[2], offset_s=0.0, speed=1.0), "picture"
    pictures = [bool(len(known.fingerprint.looks)) for known in (first, second)]
    if sound is not None and not any(pictures) and sound.score >= _SOUND_OF_COPY:
        heard = Alignment(0, 0, 0, 1.0, 1.0, sound.score, math.inf)
        return first, second, _by_sound(first, second, sound, heard), "sound"
    return None


def _better(found: Alignment, best: Alignment) -> bool:
    """Of two that say nearly the same, the one first found, unless it takes a part for the whole."""
    strength = [one.agreement + one.likeness + 0.01 * one.box.is_whole for one in (found, best)]
    return (is_copy(found), strength[0]) > (is_copy(best), strength[1])


def _by_sound(first: Known, second: Known, sound: SoundMatch, seen: Alignment) -> Alignment:
    start_s = max(0.0, -sound.offset_s)
    end_s = min(first.duration_s, second.duration_s - sound.offset_s)
    return replace(seen, start_s=start_s, end_s=end_s, offset_s=sound.offset_s, speed=1.0, agreement=sound.score)


def _copied(
    copy: Known, source: Known, line: Alignment, method: str, sound: SoundMatch | None
) -> Iterator[dict[str, Any]]:
    if sound is not None and method == "picture" and _agrees(sound, line):
        method, line = "picture, sound", replace(line, offset_s=sound.offset_s, speed=1.0)
    first, second = sorted((copy, source), key=lambda known: known.media_id)
    there = line if copy is first else _turned(line)
    score = round(min(1.0, max(0.0, line.agreement)), 4)
    facts = {"mirrored": line.mirrored}
    yield _row(first, second, "near_duplicate", score, method, there) | facts
    turned = _is_source(copy, source, line)
    if turned is None:
        return
    derived, origin = (source, copy) if turned else (copy, source)
    along = _turned(line) if turned else line
    part = None if line.box.is_whole or turned else [line.box.left, line.box.top, line.box.width, line.box.height]
    done = _operations(derived, origin, along, line.box, padded=turned and not line.box.is_whole)
    yield _row(derived, origin, "derived_from", score, method, along) | facts | {"part": part, "operations": done}


def _agrees(sound: SoundMatch, line: Alignment) -> bool:
    """Whether the sound says the same of the middle of the stretch: then it is the finer clock."""
    middle_s = (line.start_s + line.end_s) / 2
    return abs(line.speed - 1) < 0.35 and abs(line.offset_s + (line.speed - 1) * middle_s - sound.offset_s) < 0.5


def _is_source(copy: Known, source: Known, line: Alignment) -> bool | None:
    """Whether it is the other way round: ``copy`` is the source. None where neither holds the other whole."""
    if not line.box.is_whole:
        return _padded(source.fingerprint, line.box)
    shown = _share(line.end_s - line.start_s, copy.duration_s)
    used = _share(line.source_s[1] - line.source_s[0], source.duration_s)
    if shown >= _WHOLE > used:
        return False
    if used >= _WHOLE > shown:
        return True
    if shown < _WHOLE:
        return None
    return copy.originality > source.originality


def _share(stretch_s: float, duration_s: float) -> float:
    """Share of a clip that a stretch covers; looks begin and end up to an eighth of a second, frames one, inside it."""
    return 1.0 if not duration_s else (stretch_s + min(1.1, 0.12 * duration_s)) / duration_s


def _padded(made: Fingerprint, box: Box) -> bool:
    """Whether what lies outside of the box is black: bars, not a picture that was cropped."""
    from thatdam_pipelines.media.fingerprint import FRAME_SIZE

    width, height = FRAME_SIZE
    frames = made.frames[:: max(1, len(made.frames) // 8)].astype(float)
    left, right = round(box.left * width), round((box.left + box.width) * width)
    top, bottom = round(box.top * height), round((box.top + box.height) * height)
    bars = [frames[:, : top - 1], frames[:, bottom + 1 :], frames[:, :, : left - 1], frames[:, :, right + 1 :]]
    shown = [bar for bar, wide in zip(bars, (top, height - bottom, left, width - right), strict=True) if wide >= 2]
    return bool(shown) and all(bar.size and bar.mean() < _DARK and bar.std() < _DARK / 3 for bar in shown)


def _turned(line: Alignment) -> Alignment:
    """The same line, seen from the source."""
    start_s, end_s = line.source_s
    return replace(
        line, start_s=start_s, end_s=end_s, offset_s=-line.offset_s / line.speed, speed=1 / line.speed, box=Box()
    )


def _operations(derived: Known, origin: Known, line: Alignment, box: Box, *, padded: bool) -> list[str]:
    used = _share(line.source_s[1] - line.source_s[0], origin.duration_s)
    done = {
        "trim": used < _WHOLE,
        "crop": not box.is_whole and not padded,
        "pad": padded,
        "mirror": line.mirrored,
        "speed": abs(line.speed - 1) > 0.01,
        "mute": bool(len(origin.fingerprint.sound)) and not len(derived.fingerprint.sound),
        "scale": bool(derived.row["pixels"]) and derived.row["pixels"] != origin.row["pixels"],
    }
    return [name for name, is_so in done.items() if is_so] or ["transcode"]


def _alike(first: Known, second: Known) -> Iterator[dict[str, Any]]:
    seen = resemblances(first.fingerprint, second.fingerprint)
    back = resemblances(second.fingerprint, first.fingerprint)
    best = max((one for one in (*seen, *back) if not one.mirrored), key=lambda one: one.likeness, default=None)
    if best is not None and best.likeness >= SAME_LOOK and _tells(first) and _tells(second):
        yield _row(first, second, "same_scene", round(min(1.0, best.likeness), 4), "look")


def _tells(known: Known) -> bool:
    """Whether its picture shows anything: black and plain frames are all alike."""
    return float(known.fingerprint.frames.std(axis=(1, 2)).mean()) >= 6.0 if len(known.fingerprint.frames) else False


def _same_take(first: Known, second: Known, sound: SoundMatch | None) -> dict[str, Any] | None:
    """Two cameras, or a camera and a recorder, at the same time."""
    one, other = first.row, second.row
    together = one["group_id"] is not None and one["group_id"] == other["group_id"]
    if together and one["group_camera"] != other["group_camera"] and one["shot_utc"] and other["shot_utc"]:
        offset_s = (one["shot_utc"] - other["shot_utc"]).total_seconds()
        if (line := _overlap(first, second, offset_s)) is not None:
            return _row(first, second, "same_take", 1.0, "recorder", line)
    if sound is None or sound.score < _SOUND_OF_TAKE:
        return None
    line = _overlap(first, second, sound.offset_s)
    return _row(first, second, "same_take", round(sound.score, 4), "sound", line) if line else None


def _overlap(first: Known, second: Known, offset_s: float) -> Alignment | None:
    start_s, end_s = max(0.0, -offset_s), min(first.duration_s, second.duration_s - offset_s)
    return Alignment(start_s, end_s, offset_s, 1.0, 0, 0, 0) if end_s > start_s else None


def _same_place(first: Known, second: Known) -> dict[str, Any] | None:
    """By the great circle between their positions."""
    ends = [(known.row["latitude_deg"], known.row["longitude_deg"]) for known in (first, second)]
    if any(value is None for end in ends for value in end):
        return None
    (south, west), (north, east) = ((math.radians(lat), math.radians(lon)) for lat, lon in ends)
    half = math.sin((north - south) / 2) ** 2 + math.cos(south) * math.cos(north) * math.sin((east - west) / 2) ** 2
    metres = 2 * _EARTH_M * math.asin(min(1.0, math.sqrt(half)))
    if metres > SAME_PLACE_M:
        return None
    return _row(first, second, "same_place", round(1 - metres / SAME_PLACE_M / 2, 4), "position")


def _row(
    first: Known, second: Known, relation: str, score: float, method: str, line: Alignment | None = None
) -> dict[str, Any]:
    row: dict[str, Any] = {"media_id": first.media_id, "other_id": second.media_id, "relation": relation}
    row |= {"score": score, "method": method}
    if line is None:
        return row
    other_start_s, other_end_s = line.source_s
    times = {"start_s": line.start_s, "end_s": line.end_s, "offset_s": line.offset_s}
    times |= {"other_start_s": other_start_s, "other_end_s": other_end_s}
    return row | {name: round(value, 3) for name, value in times.items()} | {"speed": round(line.speed, 4)}
