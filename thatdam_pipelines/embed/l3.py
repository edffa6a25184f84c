"""Level 3: for each file of a batch its relations to files of the whole library, found through an inverted index."""

import math
import time
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from blake3 import blake3

from thatdam_pipelines.embed.kinship import SAME_PLACE_M, SESSION_GAP_S, Known, kinship, session
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.key_index import Entries, Hits, KeyIndex, Keys
from thatdam_pipelines.library.recipes import Recipe
from thatdam_pipelines.library.schemas import FINGERPRINTS, RELATED, RELATIONS
from thatdam_pipelines.library.stage import Progress, StageReport
from thatdam_pipelines.library.tables import Tables
from thatdam_pipelines.media.comparison import COPY_AGREEMENT, COPY_LIKENESS, SAME_LOOK
from thatdam_pipelines.media.fingerprints import fingerprints_recipe
from thatdam_pipelines.media.look_keys import BITS, DOUBTS, PARTS, entries, questions, tagged
from thatdam_pipelines.settings import Settings

MOST_CANDIDATES = 24
"""Files that one file is compared with: those that share most keys with it."""

LEAST_VOTES = 2
"""Keys that a file must share to be compared, where it has more than a few."""

_FEW = 6
_KEPT = 256
_HOUR, _CELL, _GROUP = 3, 4, 5
_CELL_DEG = 0.001
_HOUR_S = 3600
_EVERYWHERE = 1 << 30
_BINARY = [column.name for column in FINGERPRINTS.columns if column.dtype == pl.Binary]
_FACTS = [name for name in FINGERPRINTS.schema if name not in _BINARY]


def relations_recipe(settings: Settings) -> Recipe:
    """When two files are related; the fingerprints that says it of are part of it."""
    return Recipe(
        "relations",
        "1",
        {
            "fingerprints": fingerprints_recipe(settings).id,
            "keys": [BITS, DOUBTS, len(PARTS)],
            "candidates": [MOST_CANDIDATES, LEAST_VOTES],
            "copy": [COPY_AGREEMENT, COPY_LIKENESS],
            "look": SAME_LOOK,
            "place_m": SAME_PLACE_M,
            "session_s": SESSION_GAP_S,
        },
    )


def relate_batch(
    library: Library, batch_id: str, *, anew: bool = False, progress: Progress | None = None
) -> StageReport:
    """Fill ``relations`` with every pair of which one file is of the batch and the other is known by now.

    The batch is in the index before it is asked, and a pair says the same whichever file was there first. So of two
    batches, in whatever order or at the same time, at least the second finds what relates them, and a file that was
    related by the same recipe need not be looked at again.

    Args:
        anew: Relate every file of the batch again, to all that the library has by now.
    """
    started = time.monotonic()
    recipe, made_by = relations_recipe(library.settings), fingerprints_recipe(library.settings).id
    index = KeyIndex(library.tables, f"{made_by} {recipe.id}", lambda frame: _entries(frame, made_by))
    files = _Files(library.tables, index.batches)
    own = [known for known in files.batch(batch_id) if known.row["recipe"] == made_by]
    same_recipe = pl.col("recipe") == recipe.id
    done = set() if anew else set(library.tables.read(RELATED, batch_id).filter(same_recipe)["media_id"])
    todo = [known for known in own if known.media_id not in done]
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    compared: set[tuple[str, str]] = set()
    for count, known in enumerate(todo, start=1):
        for row in _related(index, files, known, compared):
            rows[row["media_id"], row["other_id"], row["relation"]] = row
        if progress is not None:
            progress(count, len(todo), known.media_id)
    common: dict[str, Any] = {"batch_id": batch_id, "recipe": recipe.id}
    new = RELATIONS.frame([common | row for row in rows.values()])
    before = library.tables.read(RELATIONS, batch_id).filter(same_recipe & (not anew))
    frame = pl.concat([before.join(new, on=RELATIONS.key, how="anti", maintain_order="left"), new])
    library.tables.write(RELATIONS, batch_id, frame)
    library.tables.write(RELATED, batch_id, RELATED.frame([common | {"media_id": known.media_id} for known in own]))
    return StageReport(
        stage="embeddings_l3",
        batch_id=batch_id,
        recipe=recipe.id,
        total=len(own),
        computed=len(todo),
        reused=len(own) - len(todo),
        skipped=0,
        elapsed_s=time.monotonic() - started,
        failures=[],
        facts={"pairs compared": len(compared), **dict(Counter(frame["relation"].sort()))},
    )


class _Files:
    """Fingerprints by batch and row; facts of whole batches, the rest of single files."""

    def __init__(self, tables: Tables, batches: list[str]) -> None:
        self.tables = tables
        self.batches = batches
        self._facts: dict[str, pl.DataFrame] = {}
        self.whole = lru_cache(maxsize=_KEPT)(self._whole)

    def batch(self, batch_id: str) -> Iterator[Known]:
        """The files of a batch, whole."""
        for row in self.tables.read(FINGERPRINTS, batch_id).iter_rows(named=True):
            yield Known(row)

    def facts(self, batch: int, row: int) -> Known:
        """A file without what it shows and sounds like."""
        batch_id = self.batches[batch]
        if batch_id not in self._facts:
            path = self.tables.path(FINGERPRINTS, batch_id)
            self._facts[batch_id] = pl.read_parquet(path, columns=_FACTS, memory_map=False, glob=False)
        return Known(self._facts[batch_id].row(row, named=True))

    def _whole(self, batch: int, row: int) -> Known:
        path = self.tables.path(FINGERPRINTS, self.batches[batch])
        wanted = pl.col("media_id") == self.facts(batch, row).media_id
        return Known(pl.scan_parquet(path, glob=False).filter(wanted).collect().row(0, named=True))


def _related(index: KeyIndex, files: _Files, known: Known, compared: set[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Rows of the relations of one file to those it was not compared with yet."""
    near = _candidates(index, known) | _neighbours(index, known)
    for batch, row in sorted(near):
        other_id = files.facts(batch, row).media_id
        pair = (min(known.media_id, other_id), max(known.media_id, other_id))
        if other_id != known.media_id and pair not in compared:
            compared.add(pair)
            yield from kinship(known, files.whole(batch, row))
    for batch, row in _before_and_after(index, files, known):
        other = files.facts(batch, row)
        if other.media_id != known.media_id and (found := session(known, other)) is not None:
            yield found


def _candidates(index: KeyIndex, known: Known) -> set[tuple[int, int]]:
    """Files that share the most keys with this one."""
    asked = questions(known.fingerprint)
    if not asked:
        return set()
    starts = np.cumsum([0, *(len(keys) for keys in asked)])
    owners = np.concatenate(
        [
            np.repeat(np.arange(start, start + len(keys)), keys.shape[1])
            for start, keys in zip(starts, asked, strict=False)
        ]
    )
    hits = index.look_up(np.concatenate([keys.ravel() for keys in asked]))
    files = hits.batch << 32 | hits.row
    pairs = np.unique(np.stack([owners[hits.asked], files]), axis=1)
    found, votes = np.unique(pairs[1], return_counts=True)
    least = LEAST_VOTES if starts[-1] > _FEW * (2 + len(PARTS)) else 1
    order = np.lexsort((found, -votes))[: MOST_CANDIDATES + 1]
    return {(int(found[at] >> 32), int(found[at] & 0xFFFFFFFF)) for at in order if votes[at] >= least}


def _neighbours(index: KeyIndex, known: Known) -> set[tuple[int, int]]:
    """Files shot near by, or recorded together."""
    keys = [*_group_keys(known.row), *_cell_keys(known.row, around=True)]
    return set(_files_of(index.look_up(np.array(keys, np.uint64), most=_EVERYWHERE))) if keys else set()


def _before_and_after(index: KeyIndex, files: _Files, known: Known) -> set[tuple[int, int]]:
    """The files shot just before and just after, and those recorded together."""
    near = set(_files_of(index.look_up(np.array(_group_keys(known.row), np.uint64), most=_EVERYWHERE)))
    shot = known.row["shot_utc"]
    if shot is None:
        return near
    hour = int(shot.timestamp() // _HOUR_S)
    hours = np.arange(hour - 1, hour + 2)
    hits = index.look_up(tagged(_HOUR, hours.astype(np.uint64)), most=_EVERYWHERE)
    apart = (hours[hits.asked] * _HOUR_S * 1000 + hits.time_ms) - round(shot.timestamp() * 1000)
    places = _files_of(hits)
    for side in (apart <= 0, apart > 0):
        order = [at for at in np.argsort(np.abs(apart), kind="stable") if side[at]]
        others = (places[at] for at in order if files.facts(*places[at]).media_id != known.media_id)
        near |= {place for place in [next(others, None)] if place is not None}
    return near


def _files_of(hits: Hits) -> list[tuple[int, int]]:
    return list(zip(hits.batch.tolist(), hits.row.tolist(), strict=True))


def _entries(frame: pl.DataFrame, made_by: str) -> Entries:
    """What the index holds of the files of a batch that were fingerprinted by the recipe."""
    keys: list[Keys] = [np.zeros(0, np.uint64)]
    rows: list[npt.NDArray[np.uint32]] = [np.zeros(0, np.uint32)]
    times: list[npt.NDArray[np.uint32]] = [np.zeros(0, np.uint32)]
    for number, row in enumerate(frame.iter_rows(named=True)):
        if row["recipe"] != made_by:
            continue
        shown, times_ms = entries(Known(row).fingerprint)
        facts = [*_group_keys(row), *_cell_keys(row, around=False)]
        shot = row["shot_utc"].timestamp() if row["shot_utc"] else None
        hour = [] if shot is None else [int(tagged(_HOUR, np.array([int(shot // _HOUR_S)], np.uint64))[0])]
        within_ms = [] if shot is None else [round(shot % _HOUR_S * 1000)]
        keys += [shown, np.array([*facts, *hour], np.uint64)]
        times += [times_ms, np.array([*[0] * len(facts), *within_ms], np.uint32)]
        rows.append(np.full(len(keys[-1]) + len(keys[-2]), number, np.uint32))
    return np.concatenate(keys), np.concatenate(rows), np.concatenate(times)


def _group_keys(row: dict[str, Any]) -> list[int]:
    if row["group_id"] is None:
        return []
    digest = int.from_bytes(blake3(row["group_id"].encode()).digest()[:4], "little")
    return [int(tagged(_GROUP, np.array([digest], np.uint64))[0])]


def _cell_keys(row: dict[str, Any], *, around: bool) -> list[int]:
    """The cell of the globe it was shot in; with ``around`` also those within ``SAME_PLACE_M``."""
    latitude, longitude = row["latitude_deg"], row["longitude_deg"]
    if latitude is None or longitude is None:
        return []
    reach = SAME_PLACE_M / 111_000 / _CELL_DEG
    wide = math.ceil(min(8.0, reach / max(0.1, math.cos(math.radians(latitude)))))
    down, across = (math.ceil(reach), wide) if around else (0, 0)
    y, x = math.floor((latitude + 90) / _CELL_DEG), math.floor((longitude + 180) / _CELL_DEG)
    round_the_globe = round(360 / _CELL_DEG)
    cells = [
        (y + dy) << 19 | (x + dx) % round_the_globe
        for dy in range(-down, down + 1)
        for dx in range(-across, across + 1)
    ]
    return [int(key) for key in tagged(_CELL, np.array([cell for cell in cells if cell >= 0], np.uint64))]
