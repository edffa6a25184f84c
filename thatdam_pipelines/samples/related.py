"""A library of known copies, and how right its relations are."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import polars as pl
from blake3 import blake3

from thatdam_pipelines.embed.l3 import relate_batch
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import FINGERPRINTS, RELATIONS
from thatdam_pipelines.media.fingerprint import Fingerprint, fingerprint_of
from thatdam_pipelines.media.fingerprints import fingerprints_recipe
from thatdam_pipelines.samples.copies import Copy
from thatdam_pipelines.samples.known_clips import measured

NEAR_S = 0.2
"""How far from the truth a source's time may be, at either end of the stretch."""


@dataclass
class Judged:
    """Relations held against what was made.

    Args:
        right: Pairs said to be near-duplicates that share a source.
        false: Those that do not, and how they were made.
        copies: Copies there are.
        found: Copies said to be near-duplicates of their source.
        sourced: Copies said to be derived from their source, at the right time.
        missed: What was done to the copies that were not found.
        misplaced: What was done to those without the right source and time.
    """

    right: int = 0
    false: list[str] = field(default_factory=list)
    copies: int = 0
    found: int = 0
    sourced: int = 0
    missed: list[str] = field(default_factory=list)
    misplaced: list[str] = field(default_factory=list)

    @property
    def precision(self) -> float:
        return self.right / max(1, self.right + len(self.false))

    @property
    def recall(self) -> float:
        return self.found / max(1, self.copies)


def fingerprints_of(folder: Path, made: Sequence[Copy]) -> dict[str, Fingerprint]:
    """The fingerprint of each clip of a set; the clips have keyframes as proxies have."""
    return {copy.name: _fingerprint(folder / f"{copy.name}.mp4") for copy in made}


def relate_set(
    library: Library, made: Sequence[Copy], fingerprints: dict[str, Fingerprint], *, batches: int, seed: int
) -> pl.DataFrame:
    """Bring the clips in as batches, in an order drawn from ``seed``, relate each, and give every relation found."""
    order = np.random.default_rng(seed).permutation(len(made))
    for number in range(batches):
        batch_id = f"b{number}"
        rows = [_row(made[at], fingerprints[made[at].name], batch_id, library) for at in order[number::batches]]
        library.tables.write(FINGERPRINTS, batch_id, FINGERPRINTS.frame(rows))
        relate_batch(library, batch_id)
    return pl.concat([library.tables.read(RELATIONS, f"b{number}") for number in range(batches)])


def judge(made: Sequence[Copy], relations: pl.DataFrame) -> Judged:
    """Hold near_duplicate and derived_from to the truth."""
    by_id = {media_id(copy.name): copy for copy in made}
    judged = Judged()
    duplicates = set(relations.filter(relation="near_duplicate").select("media_id", "other_id").iter_rows())
    for one, other in sorted(duplicates):
        if _root(by_id[one]) == _root(by_id[other]):
            judged.right += 1
        else:
            judged.false.append(f"{by_id[one].operation} of {_root(by_id[one])}, {by_id[other].operation} of another")
    derived = {(row["media_id"], row["other_id"]): row for row in relations.filter(relation="derived_from").to_dicts()}
    for copy in made:
        if copy.source is None:
            continue
        judged.copies += 1
        own, source = media_id(copy.name), media_id(copy.source)
        if (min(own, source), max(own, source)) in duplicates:
            judged.found += 1
        else:
            judged.missed.append(copy.operation)
        if _is_right(derived.get((own, source)), copy):
            judged.sourced += 1
        else:
            judged.misplaced.append(copy.operation)
    return judged


def media_id(name: str) -> str:
    return blake3(name.encode()).hexdigest()[:32]


def _root(copy: Copy) -> str:
    return copy.source or copy.name


def _is_right(row: dict[str, Any] | None, copy: Copy) -> bool:
    if row is None:
        return False
    off = [
        abs(row["offset_s"] + row["speed"] * at_s - copy.offset_s - copy.speed * at_s)
        for at_s in (row["start_s"], row["end_s"])
    ]
    return max(off) <= NEAR_S


def _fingerprint(path: Path) -> Fingerprint:
    wav = path.with_suffix(".wav")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "quiet", "-y", "-i", f"file:{path}", "-ac", "1", "-ar", "16000"]
    has_sound = subprocess.run([*command, f"file:{wav}"], check=False).returncode == 0
    return fingerprint_of(path, measured(path), wav if has_sound else None, still=False)


def _row(copy: Copy, made: Fingerprint, batch_id: str, library: Library) -> dict[str, Any]:
    facts: dict[str, Any] = {"media_id": media_id(copy.name), "batch_id": batch_id, "kind": "video"}
    facts |= {"recipe": fingerprints_recipe(library.settings).id, "duration_s": float(made.look_times_s[-1]) + 0.04}
    facts |= {"pixels": 320 * 180, "size_bytes": 100_000 if copy.source else 200_000}
    return facts | {"camera": None if copy.source else "made by program"} | made.row()
