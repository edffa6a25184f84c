"""The vector index: a projection of the embedding tables into Chroma, one collection a space and level."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
from blake3 import blake3

from thatdam_pipelines.errors import OfflineError
from thatdam_pipelines.library.chroma import Connection, answering, writing
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.index_report import IndexReport
from thatdam_pipelines.library.schemas import EMBEDDINGS_L0, EMBEDDINGS_L1, EMBEDDINGS_L2, PROBES
from thatdam_pipelines.library.table import Table
from thatdam_pipelines.settings import Settings

LEVELS: dict[str, Table] = {"l0": EMBEDDINGS_L0, "l1": EMBEDDINGS_L1, "l2": EMBEDDINGS_L2}
"""Level of an item and the table its vectors are facts in."""

OVERFETCH = 10
"""Hits asked for, for each one wanted, when only some media may be answered."""

AMONG_AT_ONCE = 400
"""Most media named in one filter of Chroma's, which takes time for each."""

_ADD_AT_ONCE = 2_000
_BUILDING = "building-"

T = TypeVar("T")


@dataclass(frozen=True)
class Hit:
    """An item near a vector.

    Args:
        similarity: Cosine, -1 to 1.
        vector: float32 ``[dimensions]``, unit length.
    """

    item_id: str
    media_id: str
    level: str
    start_s: float
    end_s: float
    similarity: float
    vector: npt.NDArray[np.float32]


class VectorIndex:
    """Vectors by space and level. Opens on first use; use as a context manager, or call ``close``.

    Ids in Chroma are ``<item_id>@<recipe digest>``, so that what is there already is known by its id alone.

    Args:
        wait_s: Longest wait for another process that holds the vectors and runs no server.
    """

    def __init__(self, settings: Settings, *, wait_s: float = 30.0) -> None:
        self.settings = settings
        self._wait_s = wait_s
        self._collections: dict[tuple[str, str], Any] = {}

    @cached_property
    def _connection(self) -> Connection:
        return Connection(self.settings, self._wait_s)

    def close_unless_shared(self) -> None:
        """Let the vectors go where no server has them, so that others can open them meanwhile."""
        if "_connection" in self.__dict__ and not self._connection.is_server:
            self.close()

    def close(self) -> None:
        """Let the vectors go, for other processes to open."""
        self._collections.clear()
        if "_connection" in self.__dict__:
            self.__dict__.pop("_connection").close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def index_batch(self, library: Library, batch_id: str) -> IndexReport:
        """Make the index hold exactly the batch's rows of the embedding tables, of every space.

        Raises:
            OfflineError: Another process holds the vectors.
        """
        with writing(self.settings.vectors_dir):
            self._collections = self._serving()
            reports = []
            for level in LEVELS:
                items = _items(library, level, batch_id)
                spaces = set(items["space"]) | {space for space, known in self._collections if known == level}
                reports += [
                    self._index(self._create(space, level), items.filter(pl.col("space") == space), batch_id)
                    for space in sorted(spaces)
                ]
            return _sum(reports)

    def query(
        self,
        space: str,
        level: str,
        vector: npt.NDArray[np.float32],
        limit: int,
        media_ids: Collection[str] | None = None,
    ) -> list[Hit]:
        """The items nearest to ``vector``, best first.

        Args:
            vector: float32 ``[dimensions]`` of the same space.
            media_ids: Only items of these media.
        """
        if media_ids is None:
            return self._asked(space, level, lambda collection: _nearest(collection, level, vector, limit))
        among = sorted(set(media_ids))
        return self._asked(space, level, lambda collection: _nearest_among(collection, level, vector, limit, among))

    def vector_of(self, space: str, level: str, item_id: str) -> npt.NDArray[np.float32] | None:
        """The vector of an item, None if it is not in the index."""

        def find(collection: Any) -> list[npt.NDArray[np.float32]]:
            ids = collection.get(where={"media_id": _media_id(item_id)}, include=[])["ids"]
            found = [known for known in ids if _item_id(known) == item_id][:1]
            return list(collection.get(ids=found, include=["embeddings"])["embeddings"]) if found else []

        vectors = self._asked(space, level, find)
        return np.asarray(vectors[0], dtype=np.float32) if vectors else None

    def nearest_in_time(self, space: str, level: str, media_id: str, time_s: float) -> npt.NDArray[np.float32] | None:
        """The vector of the item of a media that begins nearest to ``time_s``; None when none is in the index."""

        def find(collection: Any) -> list[npt.NDArray[np.float32]]:
            found = collection.get(where={"media_id": media_id}, include=["metadatas"])
            away = {
                known: abs(facts["start_s"] - time_s)
                for known, facts in zip(found["ids"], found["metadatas"], strict=True)
            }
            nearest = sorted(away, key=away.__getitem__)[:1]
            return list(collection.get(ids=nearest, include=["embeddings"])["embeddings"]) if nearest else []

        vectors = self._asked(space, level, find)
        return np.asarray(vectors[0], dtype=np.float32) if vectors else None

    def holds(self, media_id: str) -> bool:
        """Whether any vector of the media is in the index, of any space and level."""

        def find(collection: Any) -> list[str]:
            return list(collection.get(where={"media_id": media_id}, limit=1, include=[])["ids"])

        return any(self._asked(space, level, find) for space in self.spaces() for level in LEVELS)

    def counts(self, space: str) -> dict[str, int]:
        """Vectors of a space by level."""
        return {level: sum(self._asked(space, level, lambda found: [found.count()])) for level in LEVELS}

    def has_any(self, space: str, level: str) -> bool:
        """Whether there is a vector of a space at a level. Quicker than counting them."""
        return bool(self._asked(space, level, lambda found: found.get(limit=1, include=[])["ids"]))

    def spaces(self) -> list[str]:
        """Every space the index has a collection of."""
        return sorted({space for space, _ in self._serving()})

    def rebuild(self, library: Library) -> IndexReport:
        """Build the index anew from the Parquet tables alone, beside the one that serves, and put it in its place."""
        with writing(self.settings.vectors_dir):
            client = self._connection.client
            for collection in client.list_collections():
                if collection.name.startswith(_BUILDING):
                    client.delete_collection(collection.name)
            old = client.list_collections()
            generation = 1 + max((_generation(collection.name) for collection in old), default=0)
            made: dict[tuple[str, str], Any] = {}
            reports = []
            for level, table in LEVELS.items():
                for batch_id in library.tables.batches(table):
                    items = _items(library, level, batch_id)
                    for space in sorted(set(items["space"])):
                        if (space, level) not in made:
                            name = f"{_BUILDING}{_name(space, level, generation)}"
                            made[space, level] = _create_collection(client, name, space, level)
                        reports.append(
                            self._index(made[space, level], items.filter(pl.col("space") == space), batch_id)
                        )
            for (space, level), collection in made.items():
                collection.modify(name=_name(space, level, generation))
            for collection in old:
                client.delete_collection(collection.name)
            self._collections = self._serving()
            return _sum(reports)

    def _index(self, collection: Any, items: pl.DataFrame, batch_id: str) -> IndexReport:
        of_batch = {"batch_id": batch_id}
        before = set(collection.get(where=of_batch, include=[])["ids"])
        expected = set(items["id"])
        missing = items.filter(~pl.col("id").is_in(list(before)))
        at_once = min(_ADD_AT_ONCE, self._connection.client.get_max_batch_size())
        for part in missing.iter_slices(at_once):
            collection.add(
                ids=part["id"].to_list(),
                embeddings=part["vector"].list.to_array(len(part["vector"][0])).to_numpy(),
                metadatas=part.select("media_id", "batch_id", "start_s", "end_s").to_dicts(),
            )
        # Added first, removed after: a search in between may see an item twice, never not at all.
        stale = sorted(before - expected)
        for ids in _chunks(stale, at_once):
            collection.delete(ids=ids)
        after = set(collection.get(where=of_batch, include=[])["ids"]) if missing.height or stale else before
        return IndexReport(missing.height, len(stale), len(before & expected), len(expected), len(after))

    def _asked(self, space: str, level: str, ask: Callable[[Any], list[T]]) -> list[T]:
        """What ``ask`` gets from the collection that serves, nothing if there is none.

        Where a server answered before and ended since, whoever has the folder now is asked.
        """
        opened_before = "_connection" in self.__dict__
        try:
            return self._ask(space, level, ask)
        except OfflineError:
            self.close()
            if not opened_before:
                raise
        return self._ask(space, level, ask)

    def _ask(self, space: str, level: str, ask: Callable[[Any], list[T]]) -> list[T]:
        from chromadb.errors import NotFoundError

        if (space, level) not in self._collections:
            self._collections = self._serving()
        if (space, level) not in self._collections:
            return []
        with answering(self.settings.vectors_dir):
            try:
                return ask(self._collections[space, level])
            except NotFoundError:
                # Another process has put a rebuilt collection in its place.
                self._collections = self._serving()
                return ask(self._collections[space, level])

    def _serving(self) -> dict[tuple[str, str], Any]:
        """The newest finished collection of each space and level."""
        with answering(self.settings.vectors_dir):
            found = self._connection.client.list_collections()
        finished = [
            collection
            for collection in found
            if not collection.name.startswith(_BUILDING) and collection.metadata and "space" in collection.metadata
        ]
        finished.sort(key=lambda collection: _generation(collection.name))
        return {(one.metadata["space"], one.metadata["level"]): one for one in finished}

    def _create(self, space: str, level: str) -> Any:
        if (space, level) not in self._collections:
            name = _name(space, level, 1)
            self._collections[space, level] = _create_collection(self._connection.client, name, space, level)
        return self._collections[space, level]


def _items(library: Library, level: str, batch_id: str) -> pl.DataFrame:
    """Rows of the level's table as the index holds them: id, media_id, batch_id, space, start_s, end_s, vector."""
    rows = library.tables.read(LEVELS[level], batch_id)
    if level == "l0":
        durations = library.tables.read(PROBES, batch_id).select("media_id", end_s="duration_s")
        rows = rows.join(durations, on="media_id", how="left").with_columns(
            item_id="media_id", start_s=pl.lit(0.0), end_s=pl.col("end_s").fill_null(0.0)
        )
    elif level == "l1":
        rows = rows.with_columns(item_id="frame_id", start_s="time_s", end_s="time_s")
    else:
        rows = rows.with_columns(item_id="scene_id")
    digest = pl.col("recipe").str.split("-").list.last()
    return rows.select(
        pl.format("{}@{}", "item_id", digest).alias("id"), "media_id", "batch_id", "space", "start_s", "end_s", "vector"
    )


def _item_id(known: str) -> str:
    return known.rpartition("@")[0]


def _media_id(item_id: str) -> str:
    return item_id.partition(":")[0]


def _nearest(
    collection: Any, level: str, vector: npt.NDArray[np.float32], limit: int, where: dict[str, Any] | None = None
) -> list[Hit]:
    found = collection.query(
        query_embeddings=[vector], n_results=limit, where=where, include=["metadatas", "distances", "embeddings"]
    )
    rows = zip(found["ids"][0], found["metadatas"][0], found["distances"][0], found["embeddings"][0], strict=True)
    return _best([_hit(level, *row) for row in rows], limit)


def _nearest_among(
    collection: Any, level: str, vector: npt.NDArray[np.float32], limit: int, among: Sequence[str]
) -> list[Hit]:
    """Take many and leave out the others; Chroma's own filter, many times dearer, is asked when too few remain."""
    wanted = frozenset(among)
    many = collection.query(query_embeddings=[vector], n_results=limit * OVERFETCH, include=["distances"])
    near = dict(zip(many["ids"][0], many["distances"][0], strict=True))
    kept = [known for known in near if _media_id(_item_id(known)) in wanted][:limit]
    if len(kept) >= limit or len(near) < limit * OVERFETCH:
        if not kept:
            return []
        found = collection.get(ids=kept, include=["metadatas", "embeddings"])
        rows = zip(found["ids"], found["metadatas"], found["embeddings"], strict=True)
        return _best([_hit(level, known, facts, near[known], kept_vector) for known, facts, kept_vector in rows], limit)
    hits: list[Hit] = []
    for media_ids in _chunks(among, AMONG_AT_ONCE):
        hits += _nearest(collection, level, vector, limit, {"media_id": {"$in": media_ids}})
    return _best(hits, limit)


def _hit(level: str, known: str, facts: dict[str, Any], distance: float, vector: Any) -> Hit:
    return Hit(
        item_id=_item_id(known),
        media_id=facts["media_id"],
        level=level,
        start_s=facts["start_s"],
        end_s=facts["end_s"],
        similarity=1.0 - distance,
        vector=np.asarray(vector, dtype=np.float32),
    )


def _best(hits: list[Hit], limit: int) -> list[Hit]:
    """The most similar, each item once."""
    best: dict[str, Hit] = {}
    for hit in sorted(hits, key=lambda hit: (-hit.similarity, hit.item_id)):
        best.setdefault(hit.item_id, hit)
    return list(best.values())[:limit]


def _name(space: str, level: str, generation: int) -> str:
    """Within Chroma's limits on names whatever the space is called; the space itself is in the metadata."""
    return f"{level}-{blake3(space.encode()).hexdigest()[:24]}-{generation}"


def _generation(name: str) -> int:
    return int(name.rpartition("-")[2])


def _create_collection(client: Any, name: str, space: str, level: str) -> Any:
    return client.create_collection(
        name,
        metadata={"space": space, "level": level},
        configuration={"hnsw": {"space": "cosine"}},
        embedding_function=None,
    )


def _chunks(items: Sequence[str], size: int) -> Iterator[list[str]]:
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def _sum(reports: list[IndexReport]) -> IndexReport:
    return IndexReport(
        added=sum(report.added for report in reports),
        removed=sum(report.removed for report in reports),
        unchanged=sum(report.unchanged for report in reports),
        expected=sum(report.expected for report in reports),
        present=sum(report.present for report in reports),
    )
