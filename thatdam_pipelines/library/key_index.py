"""The inverted index of fingerprints: which clips hold a key, in time that hardly depends on how many there are.

A projection of table ``fingerprints`` that anybody may remove: segments of sorted keys, merged as they grow in number
(O'Neil et al., "The log-structured merge-tree", 1996), mapped into memory and searched by bisection. As with compacted
tables, a segment speaks only for those versions of files that it was made of.
"""

import contextlib
import fcntl
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from thatdam_pipelines.library.compaction import to_rewrite, write_manifest
from thatdam_pipelines.library.files import replacing
from thatdam_pipelines.library.projections import Live, Projection, Segment, coverage, load_segments, segment_folder
from thatdam_pipelines.library.schemas import FINGERPRINTS
from thatdam_pipelines.library.tables import Tables

MOST_PLACES = 200
"""Keys that more places have say nothing and are passed over, like the commonest words of a language."""

_LARGEST = 16_000_000
"""Entries of a segment above which it is not merged again: merging takes memory in proportion."""

Keys = npt.NDArray[np.uint64]
Entries = tuple[Keys, npt.NDArray[np.uint32], npt.NDArray[np.uint32]]
"""Keys, rows of the batch's file, times in ms."""

EntriesOf = Callable[[pl.DataFrame], Entries]

_PLACE = np.dtype([("batch", "<u4"), ("row", "<u4"), ("time_ms", "<u4")])


@dataclass(frozen=True)
class Hits:
    """Places that have keys that were asked for: arrays ``[n]``.

    Args:
        asked: Index of the key in what was asked.
        batch: Index in ``KeyIndex.batches``.
        row: Row of that batch's file.
    """

    asked: npt.NDArray[np.int64]
    batch: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]
    time_ms: npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Mapped:
    keys: Keys
    places: npt.NDArray[np.void]
    batches: npt.NDArray[np.int64]
    """Index in ``KeyIndex.batches`` by the segment's own number; -1: not live."""


class KeyIndex:
    """The index as the tables are when it is opened, which first takes in what is new.

    Args:
        version: Changes with what makes keys of fingerprints.
        entries_of: Keys of the rows of one batch.
    """

    def __init__(self, tables: Tables, version: str, entries_of: EntriesOf) -> None:
        self._tables = tables
        self._entries_of = entries_of
        self._projection = Projection("fingerprint_keys", (FINGERPRINTS,), version, ("key",), "")
        self._folder = segment_folder(tables.root, self._projection)
        with self._alone():
            stamps = {FINGERPRINTS.name: tables.stamps(FINGERPRINTS)}
            segments = self._updated(stamps)
            covered = coverage(self._projection, segments, stamps)
            self.batches = sorted(stamps[FINGERPRINTS.name])
            number = {batch_id: at for at, batch_id in enumerate(self.batches)}
            self._mapped = [self._map(live, number) for live in covered.live if live.batches]

    def look_up(self, keys: Keys, *, most: int = MOST_PLACES) -> Hits:
        """Every place that has one of ``keys`` ``[n]``, but of keys that more than ``most`` places have."""
        order = np.argsort(keys, kind="stable")
        asked = keys[order]
        found = []
        total = np.zeros(len(keys), np.int64)
        for mapped in self._mapped:
            first = np.searchsorted(mapped.keys, asked, "left")
            count = np.searchsorted(mapped.keys, asked, "right") - first
            total += count
            found.append((mapped, first, count))
        parts = [_gathered(*one, order, total <= most) for one in found]
        empty = np.zeros(0, np.int64)
        columns = [np.concatenate([empty, *(part[at] for part in parts)]) for at in range(4)]
        return Hits(*columns)

    def _updated(self, stamps: dict[str, dict[str, tuple[int, int, int]]]) -> list[Segment]:
        segments = load_segments(self._tables.root, self._projection)
        covered = coverage(self._projection, segments, stamps)
        gone = [live for live in covered.live if not live.batches]
        if not covered.fresh and not gone:
            return segments
        small = [live for live in covered.live if live.segment.rows <= _LARGEST]
        again = to_rewrite(type(covered)(small, covered.fresh), len(covered.fresh))
        kept = [live.segment for live in covered.live if live not in again and live not in gone]
        made = self._merged(covered.fresh, [live for live in again if live not in gone], stamps)
        write_manifest(self._tables.root, self._projection, [*kept, *made])
        self._remove_others([*kept, *made])
        return [*kept, *made]

    def _merged(
        self, fresh: list[str], again: list[Live], stamps: dict[str, dict[str, tuple[int, int, int]]]
    ) -> list[Segment]:
        marks = self._projection.marks(stamps)
        held = {batch_id: marks[batch_id] for live in again for batch_id in live.batches}
        held |= {batch_id: marks[batch_id] for batch_id in fresh}
        number = {batch_id: at for at, batch_id in enumerate(sorted(held))}
        keys: list[Keys] = []
        places: list[npt.NDArray[np.void]] = []
        for batch_id in fresh:
            made, rows, times = self._entries_of(self._tables.read(FINGERPRINTS, batch_id))
            place = np.zeros(len(made), _PLACE)
            place["batch"], place["row"], place["time_ms"] = number[batch_id], rows, times
            keys.append(made)
            places.append(place)
        for live in again:
            mapped = self._map(live, number)
            batches = mapped.batches[mapped.places["batch"]]
            place = mapped.places[batches >= 0].copy()
            place["batch"] = batches[batches >= 0]
            keys.append(mapped.keys[batches >= 0])
            places.append(place)
        if not held:
            return []
        joined = np.concatenate(keys)
        order = np.argsort(joined, kind="stable")
        return [self._write(joined[order], np.concatenate(places)[order], held)]

    def _write(self, keys: Keys, places: npt.NDArray[np.void], held: dict[str, str]) -> Segment:
        name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"
        for suffix, values in (("keys", keys), ("places", places)):
            with replacing(self._folder / f"{name}.{suffix}.npy") as part, part.open("wb") as file:
                np.save(file, values)
        return Segment(name, len(keys), held)

    def _map(self, live: Live, number: dict[str, int]) -> _Mapped:
        keys, places = (
            np.load(self._folder / f"{live.segment.file}.{suffix}.npy", mmap_mode="r") for suffix in ("keys", "places")
        )
        own = [number[batch_id] if batch_id in live.batches else -1 for batch_id in sorted(live.segment.marks)]
        return _Mapped(keys, places, np.array(own, np.int64))

    def _remove_others(self, segments: list[Segment]) -> None:
        """Whoever reads has the files mapped; nobody opens them but under the lock."""
        named = {segment.file for segment in segments}
        for path in self._folder.glob("*.npy*"):
            if path.name.partition(".")[0] not in named:
                path.unlink()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _gathered(
    mapped: _Mapped,
    first: npt.NDArray[np.int64],
    count: npt.NDArray[np.int64],
    order: npt.NDArray[np.int64],
    told: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.int64], ...]:
    """Asked, batch, row and time of the places of one segment."""
    wanted = np.where(told, count, 0)
    total = int(wanted.sum())
    at = np.repeat(first, wanted) + np.arange(total) - np.repeat(np.cumsum(wanted) - wanted, wanted)
    places = mapped.places[at]
    batch = mapped.batches[places["batch"]]
    live = batch >= 0
    asked = np.repeat(order, wanted)[live]
    rows, times = places["row"][live].astype(np.int64), places["time_ms"][live].astype(np.int64)
    return asked, batch[live], rows, times
