"""What `thatdam models list`, `compare`, `promote` and `rollback` do."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from thatdam_pipelines.embed.embedder import Embedder, open_embedder
from thatdam_pipelines.embed.spaces import (
    Served,
    covered,
    lacking,
    media_with_pictures,
    reopen,
    serve,
    served,
    served_before,
    vectors_held,
)
from thatdam_pipelines.errors import ModelError, QueryError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.vectors import LEVELS, VectorIndex
from thatdam_pipelines.search.golden import DEPTH, Golden, Recall, found_by, read_golden, recall_of
from thatdam_pipelines.settings import Settings

GOLDEN = "golden.json"
"""Where golden queries are looked for in the home folder."""

_NOTHING_BEFORE = "There is nothing to go back to; see `thatdam models list`."


@dataclass(frozen=True)
class Space:
    """A vector space of a library.

    Args:
        vectors: How many the tables hold, by level.
        media: Files that have vectors at every level.
        share: The same as a share of all files with pictures, 0 to 1.
        serves: It answers searches.
        computed: The settings' embedder gives its vectors.
    """

    space: str
    vectors: dict[str, int]
    media: int
    share: float
    serves: bool
    computed: bool


@dataclass(frozen=True)
class Spaces:
    """Every vector space of a library, by name; ``notes`` say what is wrong."""

    spaces: list[Space]
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Promotion:
    """What became of a promotion.

    Args:
        space: The candidate's.
        served: The space that answered before; None when none did.
        promoted: The candidate answers searches now.
        problems: Why it was refused, or was not but for ``--force``; each with its next step.
        serving: What the space that answered found of the golden queries; None when they were not asked.
        candidate: What the candidate found.
    """

    space: str
    served: str | None
    promoted: bool
    problems: list[str]
    serving: Recall | None = None
    candidate: Recall | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Answer:
    """A golden query and the place, from 1, of its answer among what each embedder found; None when it is not there."""

    query: str
    serving: int | None
    candidate: int | None


@dataclass(frozen=True)
class Comparison:
    """The golden queries asked of two embedders.

    Args:
        serving: Recall of the space that answers.
        candidate: Recall of the space of the settings' embedder.
        answers: Every query, those that the candidate answers worse first.
    """

    served: str
    space: str
    serving: Recall
    candidate: Recall
    answers: list[Answer]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Rollback:
    """A space that answers again.

    Args:
        space: The one that answers now.
        served: The one that did.
        embedder: The settings that compute it.
        lacking: Files that the other has vectors of and this one has not.
    """

    space: str
    served: str
    embedder: str
    lacking: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def list_spaces(settings: Settings) -> Spaces:
    """The spaces that the tables hold vectors of, with the one that answers and the one the settings compute."""
    notes = []
    computed = None
    try:
        computed = open_embedder(settings).space
    except ModelError as error:
        notes.append(f"The embedder of the settings cannot be opened: {error}")
    with Library(settings) as library:
        held = vectors_held(library.tables)
        pictures = media_with_pictures(library.tables)
        recorded = served(library.ledger)
    serves = recorded.space if recorded else computed
    counts = {(space, level): count for space, level, count in _counts(held).iter_rows()}
    found = []
    for space in sorted({*held["space"], *filter(None, (serves, computed))}):
        media = covered(held, space)
        vectors = {level: counts.get((space, level), 0) for level in LEVELS}
        share = media / pictures if pictures else 0.0
        found.append(Space(space, vectors, media, share, space == serves, space == computed))
    return Spaces(found, notes)


def promote(settings: Settings, space: str | None, golden: Path | None, *, force: bool) -> Promotion:
    """Let the settings' embedder answer searches, if it covers what the serving one does and finds no less.

    Args:
        space: The space that is meant, to be sure; must be that of the settings' embedder.
        golden: File of golden queries; ``golden.json`` in the home folder when None.
        force: Promote although a check fails. A space without vectors is never promoted.

    Raises:
        QueryError: ``space`` is another one, or the golden queries are wrong.
        ModelError: The settings' embedder cannot be opened.
    """
    embedder = open_embedder(settings)
    if space is not None and space != embedder.space:
        next_step = "Set THATDAM_EMBEDDER to the embedder of that space first; see `thatdam models list`."
        raise QueryError(space, f"the settings' embedder gives vectors of {embedder.space}", next_step)
    with Library(settings) as library:
        recorded = served(library.ledger)
        before = recorded.space if recorded else None
        if before == embedder.space:
            return Promotion(embedder.space, before, True, [])
        kept = settings.home / GOLDEN
        queries = read_golden(library, golden or kept) if golden or kept.exists() else []
        held = vectors_held(library.tables)
        if held.filter(pl.col("space") == embedder.space).is_empty():
            problem = f"There are no vectors of {embedder.space}: run `thatdam models fill`."
            return Promotion(embedder.space, before, False, [problem])
        problems, found = _indexed(settings, held, embedder), _Found()
        if recorded is not None:
            problems += _coverage(held, embedder, recorded)
            if force or not problems:
                found = _compared(settings, embedder, recorded, queries)
        problems += found.problems
        promoted = force or not problems
        if promoted:
            serve(library.ledger, embedder)
    return Promotion(embedder.space, before, promoted, problems, found.serving, found.candidate)


def compare(settings: Settings, golden: Path | None) -> Comparison:
    """Ask the golden queries of the embedder that answers and of that of the settings; nothing is changed.

    Raises:
        QueryError: Nothing answers yet, both are of one space, there are no golden queries, or they are wrong.
        ModelError: One of the two cannot be opened.
    """
    embedder = open_embedder(settings)
    with Library(settings) as library:
        recorded = served(library.ledger)
        if recorded is None or recorded.space == embedder.space:
            next_step = "Set THATDAM_EMBEDDER to the other embedder, and fill it: `thatdam models fill`."
            raise QueryError(embedder.space, "there is no other space to compare it with", next_step)
        kept = golden or settings.home / GOLDEN
        queries = read_golden(library, kept)
    places = [found_by(settings, each, queries) for each in (reopen(settings, recorded), embedder)]
    answers = [
        Answer(golden.query, serving, candidate) for golden, serving, candidate in zip(queries, *places, strict=True)
    ]
    answers.sort(key=lambda answer: _place(answer.serving) - _place(answer.candidate))
    return Comparison(recorded.space, embedder.space, recall_of(places[0]), recall_of(places[1]), answers)


def rollback(settings: Settings) -> Rollback:
    """Let the embedder that answered before the last promotion answer again; a second call takes that back.

    Raises:
        QueryError: No other embedder ever answered.
        ModelError: It cannot be opened any more, or its files are others now.
    """
    with Library(settings) as library:
        now, before = served(library.ledger), served_before(library.ledger)
        if now is None or before is None:
            raise QueryError(now.space if now else "the library", "no other space ever answered", _NOTHING_BEFORE)
        serve(library.ledger, reopen(settings, before))
        held = vectors_held(library.tables)
    return Rollback(before.space, now.space, before.as_settings(), lacking(held, before.space, now.space))


@dataclass(frozen=True)
class _Found:
    """What the golden queries gave."""

    problems: list[str] = field(default_factory=list)
    serving: Recall | None = None
    candidate: Recall | None = None


def _counts(held: pl.DataFrame) -> pl.DataFrame:
    return held.group_by("space", "level").agg(pl.col("vectors").sum())


def _indexed(settings: Settings, held: pl.DataFrame, embedder: Embedder) -> list[str]:
    expected = dict(_counts(held.filter(pl.col("space") == embedder.space)).select("level", "vectors").iter_rows())
    with VectorIndex(settings) as index:
        present = index.counts(embedder.space)
    missing = sum(max(0, expected.get(level, 0) - present[level]) for level in LEVELS)
    return [f"The index lacks {missing} of its vectors: run `thatdam index rebuild vector`."] if missing else []


def _coverage(held: pl.DataFrame, embedder: Embedder, recorded: Served) -> list[str]:
    missing = lacking(held, embedder.space, recorded.space)
    if not missing:
        return []
    return [f"{missing} files lack vectors of {embedder.space} that {recorded.space} has: run `thatdam models fill`."]


def _compared(settings: Settings, embedder: Embedder, recorded: Served, golden: list[Golden]) -> _Found:
    if not golden:
        next_step = f"write {settings.home / GOLDEN} (see docs/models.md), or use --force"
        return _Found([f"There are no golden queries to compare by: {next_step}."])
    candidate = recall_of(found_by(settings, embedder, golden))
    try:
        serving = recall_of(found_by(settings, reopen(settings, recorded), golden))
    except ModelError as error:
        return _Found([f"Nothing to compare with: {error}"], candidate=candidate)
    if candidate.at_1 < serving.at_1 or candidate.at_5 < serving.at_5:
        problem = "It finds less of the golden queries: keep the serving space, or use --force."
        return _Found([problem], serving, candidate)
    return _Found([], serving, candidate)


def _place(place: int | None) -> int:
    return DEPTH + 1 if place is None else place
