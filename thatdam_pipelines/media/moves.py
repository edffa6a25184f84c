"""What the camera does, by its name, in each second and each scene of a clip, and whether a subject moves.

A stretch is a pan, tilt or zoom by the camera's mean speed, and shaky by what is left of its path once it is smoothed,
as stabilizers do (Y. Matsushita et al., "Full-Frame Video Stabilization with Motion Inpainting", 2006).
"""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thatdam_pipelines.media.camera_path import Floats, Step

PAN_A_S, TILT_A_S, ZOOM_A_S = 0.025, 0.025, 0.025
"""Widths, heights and growth a second from which a camera pans, tilts or zooms."""

SHAKE = 0.003
"""Root mean square distance of the camera's path from its smoothed path, in widths, from which it shakes."""

SHAKE_BEFORE_SPEED = 0.25
"""A camera that shakes is shaky unless its speed is this much more times its limit than its shake is."""

SUBJECT = 0.001
"""Share of the picture that moves on its own from which a subject moves."""

HOTTEST_SPEED, HOTTEST_SUBJECT = 0.5, 0.1
"""Widths a second of the camera, and share of the picture of the subject, from which a second is as hot as can be."""

STATIC, PAN, TILT, ZOOM, SHAKY = "static", "pan", "tilt", "zoom", "shaky"
CAMERAS = (STATIC, PAN, TILT, ZOOM, SHAKY)

PARAMETERS = [PAN_A_S, TILT_A_S, ZOOM_A_S, SHAKE, SHAKE_BEFORE_SPEED, SUBJECT, HOTTEST_SPEED, HOTTEST_SUBJECT]

_SMOOTH_S = 0.75
_LEAST_STEPS = 6
_SHORTEST_S = 0.05
_RMS_BY_MEDIAN = 1.2
"""Of distances of a path that is off in both directions alike. The median passes over where a pan sets in."""


@dataclass(frozen=True)
class Move:
    """What moves in a stretch of a clip.

    Args:
        end_s: End, not included.
        camera: One of ``CAMERAS``; None where nothing can be followed.
        direction: left, right, up, down, in, out: where the camera turns or zooms; None otherwise.
        share: Share of the stretch in which the camera does that, 0 to 1.
        pan_a_s: Widths a second that the camera turns to the right.
        tilt_a_s: Heights a second that it turns up.
        zoom_a_s: Growth of the picture a second, as a natural logarithm.
        roll_deg_a_s: Degrees a second that it rolls clockwise.
        speed_a_s: Widths a second that the picture goes, whichever way.
        shake: Root mean square distance of the camera's path from its smoothed path, in widths.
        subject: Share of the picture that moves on its own, 0 to 1.
    """

    start_s: float
    end_s: float
    camera: str | None
    direction: str | None
    share: float
    pan_a_s: float = 0.0
    tilt_a_s: float = 0.0
    zoom_a_s: float = 0.0
    roll_deg_a_s: float = 0.0
    speed_a_s: float = 0.0
    shake: float = 0.0
    subject: float = 0.0

    @property
    def length_s(self) -> float:
        return self.end_s - self.start_s

    @property
    def subject_moves(self) -> bool:
        return self.subject >= SUBJECT

    @property
    def heat(self) -> float:
        """How much goes on, 0 to 1: of camera and subject the one that moves more."""
        zoom = abs(self.zoom_a_s) / 2
        return min(1.0, max((self.speed_a_s + zoom) / HOTTEST_SPEED, self.subject / HOTTEST_SUBJECT))


def seconds_of(steps: Sequence[Step], duration_s: float) -> list[Move]:
    """What moves in each second; the last may be shorter. A second without any step is left out.

    Args:
        duration_s: Duration of the clip.
    """
    if not steps:
        return []
    numbered = zip(steps, _shakes(steps), strict=True)
    found = []
    for second, group in itertools.groupby(numbered, key=lambda pair: int(pair[0].time_s)):
        inside = list(group)
        end_s = min(second + 1.0, max(duration_s, second + _SHORTEST_S))
        found.append(_second(float(second), end_s, [step for step, _ in inside], [shake for _, shake in inside]))
    return found


def stretch_of(seconds: Sequence[Move], start_s: float, end_s: float) -> Move:
    """What moves from ``start_s`` to ``end_s``: what the camera does there longest, and means by time."""
    parts = [(one, min(one.end_s, end_s) - max(one.start_s, start_s)) for one in seconds]
    parts = [(one, part_s) for one, part_s in parts if part_s > 0]
    lengths: Counter[tuple[str | None, str | None]] = Counter()
    for one, part_s in parts:
        lengths[one.camera, one.direction] += part_s  # type: ignore[assignment]
    if not parts:
        return Move(start_s, end_s, None, None, 0.0)
    (camera, direction), longest_s = lengths.most_common(1)[0]
    total_s = sum(part_s for _, part_s in parts)
    names = ("pan_a_s", "tilt_a_s", "zoom_a_s", "roll_deg_a_s", "speed_a_s", "shake", "subject")
    means = {name: sum(getattr(one, name) * part_s for one, part_s in parts) / total_s for name in names}
    return Move(start_s, end_s, camera, direction, longest_s / total_s, **means)


def _second(start_s: float, end_s: float, steps: list[Step], shakes: list[float]) -> Move:
    known = [step for step in steps if step.known]
    elapsed_s = sum(step.elapsed_s for step in known)
    if not known or elapsed_s <= 0:
        return Move(start_s, end_s, None, None, 1.0)
    pan, tilt = -sum(step.right for step in known) / elapsed_s, sum(step.down for step in known) / elapsed_s
    zoom, turn = (sum(getattr(step, part) for step in known) / elapsed_s for part in ("scale", "turn"))
    shake = _RMS_BY_MEDIAN * float(np.median(shakes))
    camera, direction = _camera(pan, tilt, zoom, shake)
    return Move(
        start_s,
        end_s,
        camera,
        direction,
        1.0,
        pan_a_s=pan,
        tilt_a_s=tilt,
        zoom_a_s=zoom,
        roll_deg_a_s=-float(np.degrees(turn)),
        speed_a_s=sum(float(np.hypot(step.right, step.down)) for step in known) / elapsed_s,
        shake=shake,
        subject=float(np.mean([step.subject for step in known])),
    )


def _camera(pan: float, tilt: float, zoom: float, shake: float) -> tuple[str, str | None]:
    strengths = {PAN: abs(pan) / PAN_A_S, TILT: abs(tilt) / TILT_A_S, ZOOM: abs(zoom) / ZOOM_A_S}
    strongest = max(strengths, key=lambda kind: strengths[kind])
    if shake >= SHAKE and shake / SHAKE > strengths[strongest] * SHAKE_BEFORE_SPEED:
        return SHAKY, None
    if strengths[strongest] < 1:
        return STATIC, None
    ways = {PAN: (pan, "right", "left"), TILT: (tilt, "up", "down"), ZOOM: (zoom, "in", "out")}
    amount, forth, back = ways[strongest]
    return strongest, forth if amount > 0 else back


def _shakes(steps: Sequence[Step]) -> list[float]:
    """Distance of the camera's path from its smoothed path at each step, in widths; a cut begins another path."""
    found: list[float] = []
    shots = np.cumsum([step.cut for step in steps])
    for shot in range(shots[-1] + 1):
        part = [step for step, number in zip(steps, shots, strict=True) if number == shot]
        path = np.cumsum([(step.right, step.down) for step in part], axis=0)
        times = np.array([step.time_s for step in part])
        known = np.array([step.known for step in part])
        found += [_off_the_smooth(path, times, known, at) for at in range(len(part))]
    return found


def _off_the_smooth(path: Floats, times: Floats, known: npt.NDArray[np.bool_], at: int) -> float:
    """Distance of a path from the parabola through what is near: an even pan, or one that sets in, is no shake."""
    first, after = np.searchsorted(times, [times[at] - _SMOOTH_S, times[at] + _SMOOTH_S])
    near = slice(int(first), int(after))
    chosen = known[near]
    if chosen.sum() < _LEAST_STEPS or not known[at]:
        return 0.0
    after_s = times[near][chosen] - times[at]
    terms = np.stack([np.ones_like(after_s), after_s, after_s**2], axis=1)
    return float(np.linalg.norm(path[at] - np.linalg.lstsq(terms, path[near][chosen], rcond=None)[0][0]))
