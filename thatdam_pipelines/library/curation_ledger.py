"""The ledger's account of what people say of media: read, changed many at once, and its history."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import sqlalchemy as sa

from thatdam_pipelines.errors import ConflictError, CurationError, UnknownMediaError
from thatdam_pipelines.library import albums, vocabulary
from thatdam_pipelines.library.curation import (
    Change,
    Curation,
    Past,
    State,
    changed_values,
    one_line,
)
from thatdam_pipelines.library.curation_rows import (
    IN_ALBUMS,
    TAGS,
    Author,
    Insert,
    Mark,
    Marks,
    changing,
    holders,
    names_of,
    next_version,
    read,
    read_marks,
    write,
    write_marks,
)
from thatdam_pipelines.library.curation_tables import CURATION, HISTORY
from thatdam_pipelines.library.ledger_tables import CONTENTS, portions


@dataclass(frozen=True)
class Filter:
    """Which media are meant: those that every given condition holds of.

    Args:
        least_rating: At least so many stars; unrated media have none.
        tags: Each of these tags, or one below it, by path, name or synonym.
        albums: In each of these albums.
        states: In one of these states.
    """

    least_rating: int | None = None
    pick: Literal["pick", "reject"] | None = None
    states: tuple[State, ...] = ()
    tags: tuple[str, ...] = ()
    albums: tuple[str, ...] = ()

    @property
    def asks(self) -> bool:
        """False when it lets everything through."""
        return self != Filter()


@dataclass(frozen=True)
class _Edit:
    """Names by key of the tags and albums that a change gives, keys of those it takes; ``whole``: it replaces them."""

    add: dict[str, dict[str, str]]
    remove: dict[str, set[str]]
    whole: dict[str, bool]


class CurationLedger:
    """What is said of media, in an open ledger. A change is one transaction."""

    def __init__(self, engine: sa.Engine, writer: sa.Engine, insert: Insert) -> None:
        self._engine = engine
        self._writer = writer
        self._insert = insert

    def get(self, media_id: str) -> Curation:
        """What is said of one medium.

        Raises:
            UnknownMediaError: It is not in the library.
        """
        with self._engine.connect() as connection:
            _in_library(connection, [media_id])
            return read(connection, [media_id])[media_id]

    def get_many(self, media_ids: Iterable[str]) -> dict[str, Curation]:
        """What is said of each of these media, in their order; the defaults where nothing is."""
        with self._engine.connect() as connection:
            return read(connection, media_ids)

    def history(self, media_id: str, limit: int = 200) -> list[Past]:
        """The changes of one medium, the newest first."""
        query = sa.select(HISTORY).where(HISTORY.c.media_id == media_id)
        order = (HISTORY.c.version.desc(), HISTORY.c.field)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(*order).limit(limit)).mappings()
            return [Past(**{**row, "old": json.loads(row["old"]), "new": json.loads(row["new"])}) for row in rows]

    def change(
        self,
        media_ids: Iterable[str],
        change: Change,
        by: str,
        *,
        versions: Mapping[str, int] | None = None,
        free_tags: bool = True,
    ) -> list[str]:
        """Change media in one transaction, all or none. What is so already stays, and is not counted as a change.

        Args:
            by: Who changes it; written into the history.
            versions: By media id, the version that was seen: nothing is changed when one has another version now.
            free_tags: Tags that are not in the vocabulary may be given.

        Returns:
            The media that changed.

        Raises:
            UnknownMediaError: One of the media is not in the library.
            ConflictError: Somebody changed one of them meanwhile.
            TransitionError: A state cannot follow the one that a medium is in.
            CurationError: A tag is not in the vocabulary, or a name is none.
        """
        author = _author(by)
        changes = dict.fromkeys(sorted(set(media_ids)), change)
        with changing(self._writer) as connection:
            before = read(connection, changes)
            _in_library(connection, changes)
            _as_seen(before, versions or {})
            return self._apply(connection, before, changes, author, free_tags)

    def propose(self, changes: Mapping[str, Change], by: Author, *, free_tags: bool = True) -> list[str]:
        """What files and folders say of media: it is taken where no person, and nothing stronger, said otherwise.

        Tags that the same source proposed before and does not now are taken away; tags not in the vocabulary are left
        out unless ``free_tags``. The same again changes nothing.

        Returns:
            The media that changed.
        """
        if not changes:
            return []
        with changing(self._writer) as connection:
            before = read(connection, sorted(changes))
            return self._apply(connection, before, changes, by, free_tags)

    def matching(self, wanted: Filter) -> set[str]:
        """Ids of the media of the library that a filter lets through.

        Raises:
            CurationError: It names a tag or an album that there is not.
        """
        said = CURATION
        query = sa.select(CONTENTS.c.media_id).outerjoin(said, said.c.media_id == CONTENTS.c.media_id)
        if wanted.least_rating is not None:
            query = query.where(said.c.rating >= wanted.least_rating)
        if wanted.pick is not None:
            query = query.where(said.c.pick == wanted.pick)
        if wanted.states:
            query = query.where(sa.func.coalesce(said.c.state, "new").in_(wanted.states))
        with self._engine.connect() as connection:
            found = set(connection.scalars(query))
            for tag, key in vocabulary.meanings(connection, wanted.tags).items():
                if key is None:
                    raise vocabulary.not_in_vocabulary(connection, tag)
                found &= set(holders(connection, TAGS, vocabulary.with_below(connection, [key])))
            there = albums.known(connection, wanted.albums)
            for album in wanted.albums:
                if album not in there:
                    raise CurationError(album, "there is no such album", "See `thatdam album list`.")
                found &= set(holders(connection, IN_ALBUMS, [there[album]]))
        return found

    def last_version(self) -> int:
        """Number of the last change of anything that is said of media."""
        with self._engine.connect() as connection:
            return next_version(connection) - 1

    def count_changes(self) -> int:
        """How many changes of a field the history holds."""
        with self._engine.connect() as connection:
            return int(connection.scalar(sa.select(sa.func.count()).select_from(HISTORY)) or 0)

    def changed_since(self, version: int) -> list[str]:
        """The media that were changed after the change of this number."""
        with self._engine.connect() as connection:
            query = sa.select(CURATION.c.media_id).where(CURATION.c.version > version)
            return list(connection.scalars(query.order_by(CURATION.c.media_id)))

    def words_of_tags(self, tags: Iterable[str]) -> dict[str, str]:
        """What each tag is found by: its levels, and its synonyms and those of the tags above it."""
        with self._engine.connect() as connection:
            return vocabulary.words_of(connection, tags)

    def _apply(
        self,
        connection: sa.Connection,
        before: Mapping[str, Curation],
        changes: Mapping[str, Change],
        by: Author,
        free_tags: bool,
    ) -> list[str]:
        edits: dict[Change, _Edit] = {}
        marks = {kind.field: read_marks(connection, kind, list(before)) for kind in (TAGS, IN_ALBUMS)}
        made: dict[str, dict[str, list[Mark]]] = {"tags": {}, "albums": {}}
        after = {}
        for media_id, was in before.items():
            change = changes[media_id]
            if change not in edits:
                edits[change] = self._edit(connection, change, by, free_tags)
            values = changed_values(was, change, by.source)
            now = replace(was, **values, sources={**was.sources, **dict.fromkeys(values, by.source)})
            for kind in (TAGS, IN_ALBUMS):
                kept = marks[kind.field].get(media_id, {})
                if new := _marked(kind, kept, edits[change], by):
                    made[kind.field][media_id] = new
                    there = {mark.key: mark for mark in [*kept.values(), *new]}.values()
                    names = tuple(sorted(mark.name for mark in there if not mark.removed))
                    now = replace(now, **kind.named(names))
            after[media_id] = now
        for kind in (TAGS, IN_ALBUMS):
            write_marks(connection, self._insert, kind, made[kind.field])
        return write(connection, self._insert, before, after, by)

    def _edit(self, connection: sa.Connection, change: Change, by: Author, free_tags: bool) -> _Edit:
        words = (*(change.tags or ()), *change.add_tags)
        tags = vocabulary.resolve(connection, self._insert, words, by, free=free_tags)
        names = (*(change.albums or ()), *change.add_albums)
        in_albums = albums.ensure(connection, self._insert, names, by)
        gone = vocabulary.meanings(connection, change.remove_tags)
        add = {"tags": names_of(connection, TAGS, tags.values())}
        add["albums"] = names_of(connection, IN_ALBUMS, in_albums.values())
        remove = {"tags": {key for key in gone.values() if key}}
        remove["albums"] = set(albums.known(connection, change.remove_albums).values())
        return _Edit(add, remove, {"tags": change.tags is not None, "albums": change.albums is not None})


def _marked(kind: Marks, kept: Mapping[str, Mark], edit: _Edit, by: Author) -> list[Mark]:
    """The marks that an edit gives a medium or takes from it, which has, or had, those that are ``kept``."""
    there = {key: mark for key, mark in kept.items() if not mark.removed}
    gone = set(edit.remove[kind.field])
    add = {key: name for key, name in edit.add[kind.field].items() if key not in gone}
    if edit.whole[kind.field]:
        gone |= {key for key, mark in there.items() if by.source in ("person", mark.source)} - add.keys()
    if by.source == "person":
        new = {key for key in add if key not in there or there[key].source != "person"}
    else:
        new = {key for key in add if key not in kept or (kept[key].removed and kept[key].source != "person")}
    given = [Mark(key, add[key], by.source, removed=False) for key in new]
    return given + [replace(there[key], source=by.source, removed=True) for key in gone & there.keys()]


def _author(by: str) -> Author:
    try:
        return Author.now(one_line(by))
    except ValueError as error:
        raise CurationError(repr(by), f"the name of who changes it {error}", "Say who you are.") from error


def _in_library(connection: sa.Connection, media_ids: Collection[str]) -> None:
    known = {
        media_id
        for some in portions(media_ids)
        for media_id in connection.scalars(sa.select(CONTENTS.c.media_id).where(CONTENTS.c.media_id.in_(some)))
    }
    if unknown := sorted(set(media_ids) - known):
        more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        raise UnknownMediaError(unknown[0], f"it is not in the library{more}", "Look it up with `thatdam search`.")


def _as_seen(now: Mapping[str, Curation], versions: Mapping[str, int]) -> None:
    for media_id, version in versions.items():
        if media_id in now and now[media_id].version != version:
            who = now[media_id].changed_by
            cause = f"{who} changed it meanwhile: it is version {now[media_id].version}, you saw {version}"
            raise ConflictError(media_id, cause, "Look at it again, then change it.")
