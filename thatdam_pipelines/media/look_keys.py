"""Keys of looks: a few bits by which alike pictures are found among millions, in whatever part of a picture they are.

A key is the signs of the lowest frequencies of a look (as in Zauner's pHash, 2010). Frequencies near 0 may have either
sign after an encoding, so a look is asked for under several keys (multi-probe, Lv et al., VLDB 2007).
"""

import numpy as np
import numpy.typing as npt

from thatdam_pipelines.media.alignment import View, mirrored
from thatdam_pipelines.media.fingerprint import Box, Fingerprint
from thatdam_pipelines.media.landmarks import HOP_S
from thatdam_pipelines.media.measures import GRID

BITS = 26
DOUBTS = 5
"""Frequencies nearest 0 that are asked for with either sign."""

LEAST_CONTRAST = 4.0
"""Root mean square contrast in levels of 255 below which a look says nothing."""

ANEW = 0.93
"""Likeness to the look before below which a look is kept too."""

SOUND_SHARE = 8
"""One in this many landmarks is indexed, the same ones in every clip."""

LOOK, PART, SOUND = 0, 1, 2
"""What an entry of the index is: a look, a part of a frame, a landmark."""

Keys = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float32]


def _around(share: float) -> list[Box]:
    rest = 1 - share
    return [Box(left * rest, top * rest, share, share) for left in (0.0, 0.5, 1.0) for top in (0.0, 0.5, 1.0)]


PARTS: tuple[Box, ...] = (
    *_around(0.82),
    Box(0.05, 0.05, 0.9, 0.9),
    Box(0.21875, 0.0, 0.5625, 1.0),
    Box(0.342, 0.0, 0.316, 1.0),
    Box(0.125, 0.0, 0.75, 1.0),
    Box(0.0, 0.125, 1.0, 0.75),
)
"""Parts of a picture that copies show: crops by a fifth and a tenth, then square, upright, 4:3 and wide screen."""


def _basis() -> Floats:
    """``[48, BITS]``: the lowest frequencies of the two-dimensional cosine transform, without the mean."""
    columns, rows = GRID
    x, y = np.arange(columns) + 0.5, np.arange(rows) + 0.5
    order = sorted(((u / columns) ** 2 + (v / rows) ** 2, u, v) for u in range(columns) for v in range(rows) if u or v)
    waves = [
        np.outer(np.cos(np.pi * v * y / rows), np.cos(np.pi * u * x / columns)).ravel() for _, u, v in order[:BITS]
    ]
    return np.asarray(np.stack(waves, axis=1), np.float32)


_BASIS = _basis()
_BIT = np.uint64(1) << np.arange(BITS, dtype=np.uint64)


def keys_of(looks: Floats) -> Keys:
    """One key for each look ``[n, 48]``."""
    return np.asarray(((looks @ _BASIS) > 0).astype(np.uint64) @ _BIT, np.uint64)


def probes_of(looks: Floats) -> Keys:
    """``[n, 2 ** DOUBTS]``: every key a look may have been given."""
    strengths = looks @ _BASIS
    doubtful = np.argsort(np.abs(strengths), axis=1)[:, :DOUBTS]
    keys = (strengths > 0).astype(np.uint64) @ _BIT
    flips = _BIT[doubtful]
    chosen = (np.arange(1 << DOUBTS, dtype=np.uint64)[:, None] >> np.arange(DOUBTS, dtype=np.uint64)) & np.uint64(1)
    return np.asarray(keys[:, None] ^ (flips[:, None, :] * chosen[None]).sum(axis=2, dtype=np.uint64))


def telling(view: View) -> npt.NDArray[np.intp]:
    """Indexes of the looks worth a key: with some contrast, and unlike the one taken before."""
    power = np.sqrt((view.looks**2).mean(axis=1))
    unit = view.looks / np.maximum(np.linalg.norm(view.looks, axis=1, keepdims=True), 1e-6)
    kept: list[int] = []
    for at in np.flatnonzero(power >= LEAST_CONTRAST):
        if not kept or float(unit[at] @ unit[kept[-1]]) < ANEW:
            kept.append(int(at))
    return np.array(kept, np.intp)


def views(made: Fingerprint) -> tuple[View, list[View]]:
    """What of a clip is indexed: its telling looks, and those of each part of its telling frames."""
    whole = View.of(made.look_times_s, made.looks)
    chosen = telling(whole)
    looks = View(whole.times_s[chosen], whole.looks[chosen])
    frames = View.of(made.frame_times_s, made.looks_in(Box()))
    kept = telling(frames)
    parts = [View.of(made.frame_times_s[kept], made.looks_in(box)[kept]) for box in PARTS] if len(kept) else []
    return looks, parts


def entries(made: Fingerprint) -> tuple[Keys, npt.NDArray[np.uint32]]:
    """Keys, with what they are of in their highest bits, and times in ms: what the index holds of a clip."""
    looks, parts = views(made)
    found = [(LOOK, keys_of(looks.looks), looks.times_s)]
    found += [(PART, keys_of(part.looks), part.times_s) for part in parts]
    chosen = made.sound.keys % SOUND_SHARE == 0
    found.append((SOUND, made.sound.keys[chosen].astype(np.uint64), made.sound.times[chosen] * HOP_S))
    keys = np.concatenate([tagged(kind, keys) for kind, keys, _ in found])
    times = np.concatenate([np.rint(times_s * 1000) for _, _, times_s in found]).astype(np.uint32)
    unique, first = np.unique(np.stack([keys, times.astype(np.uint64) // np.uint64(4000)]), axis=1, return_index=True)
    return unique[0], times[first]


def questions(made: Fingerprint) -> list[Keys]:
    """Keys ``[n, probes]`` under which others may hold what this clip shows or sounds like, one array a way of asking.

    Its looks are asked for among looks and among parts, its parts among looks; all also mirrored.
    """
    looks, parts = views(made)
    asked: list[Keys] = []
    for seen in (looks.looks, np.asarray(mirrored(looks.looks))):
        probes = probes_of(seen)
        asked += [tagged(LOOK, probes), tagged(PART, probes)]
    for part in parts:
        asked += [tagged(LOOK, probes_of(seen)) for seen in (part.looks, np.asarray(mirrored(part.looks)))]
    chosen = made.sound.keys[made.sound.keys % SOUND_SHARE == 0].astype(np.uint64)
    asked.append(tagged(SOUND, chosen)[:, None])
    return [keys for keys in asked if len(keys)]


def tagged(kind: int, keys: Keys) -> Keys:
    return np.asarray(keys | np.uint64(kind) << np.uint64(40))
