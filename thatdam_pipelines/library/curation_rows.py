"""Curation in the ledger: rows read, changed and written down in the history, on a connection that is open."""

import contextlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from thatdam_pipelines.library.curation import VALUES, Curation, Source, from_column, to_column, to_text
from thatdam_pipelines.library.curation_tables import ALBUM_MARKS, ALBUMS, CURATION, HISTORY, TAG_MARKS, VOCABULARY
from thatdam_pipelines.library.ledger_tables import portions

Insert = Callable[[sa.Table], Any]
_CHANGE_LOCK = 0x7DA4


@dataclass(frozen=True)
class Marks:
    """A kind of mark that media carry, tags or albums: its table, and the table with the names.

    Args:
        field: ``tags`` or ``albums``: the field of a ``Curation``.
        key: Column that both tables share.
        name: Column with the name that people see.
    """

    field: str
    table: sa.Table
    names: sa.Table
    key: str
    name: str

    def named(self, names: tuple[str, ...]) -> dict[str, Any]:
        """The field of a ``Curation`` with these names."""
        return {self.field: names}


TAGS = Marks("tags", TAG_MARKS, VOCABULARY, "tag_key", "tag")
IN_ALBUMS = Marks("albums", ALBUM_MARKS, ALBUMS, "album_key", "album")


@dataclass(frozen=True)
class Mark:
    """One mark of one medium. ``removed``: taken away, and by whom."""

    key: str
    name: str
    source: Source
    removed: bool


@dataclass(frozen=True)
class Author:
    """Who makes a change, from where, and when."""

    name: str
    source: Source
    at_utc: datetime

    @classmethod
    def now(cls, name: str, source: Source = "person") -> "Author":
        return cls(name, source, datetime.now(UTC))


@contextlib.contextmanager
def changing(writer: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that changes curation: one after another, in Postgres as SQLite has it, so versions count up."""
    with writer.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CHANGE_LOCK)))
        yield connection


def next_version(connection: sa.Connection) -> int:
    """Number of the change that is being made."""
    return int(connection.scalar(sa.select(sa.func.max(CURATION.c.version))) or 0) + 1


def read(connection: sa.Connection, media_ids: Iterable[str]) -> dict[str, Curation]:
    """What is said of each of these media, in their order."""
    found = {media_id: Curation(media_id) for media_id in media_ids}
    for some in portions(list(found)):
        for row in connection.execute(sa.select(CURATION).where(CURATION.c.media_id.in_(some))).mappings():
            values = {name: from_column(name, row[name]) for name in VALUES}
            rest = {name: row[name] for name in ("version", "changed_utc", "changed_by")}
            found[row["media_id"]] = Curation(row["media_id"], **values, **rest, sources=json.loads(row["sources"]))
    for kind in (TAGS, IN_ALBUMS):
        for media_id, marks in read_marks(connection, kind, list(found)).items():
            there = sorted((mark for mark in marks.values() if not mark.removed), key=lambda mark: mark.name)
            sources = {f"{kind.field}/{mark.name}": mark.source for mark in there}
            now = found[media_id]
            names = kind.named(tuple(mark.name for mark in there))
            found[media_id] = replace(now, sources={**now.sources, **sources}, **names)
    return found


def read_marks(connection: sa.Connection, kind: Marks, media_ids: Collection[str]) -> dict[str, dict[str, Mark]]:
    """By media id and key, the marks that were ever given, with those that were taken away."""
    found: dict[str, dict[str, Mark]] = {}
    marks, names = kind.table, kind.names
    query = sa.select(marks, names.c[kind.name]).join(names, names.c[kind.key] == marks.c[kind.key])
    for some in portions(media_ids):
        for row in connection.execute(query.where(marks.c.media_id.in_(some))).mappings():
            mark = Mark(row[kind.key], row[kind.name], row["source"], row["removed"])
            found.setdefault(row["media_id"], {})[mark.key] = mark
    return found


def names_of(connection: sa.Connection, kind: Marks, keys: Iterable[str]) -> dict[str, str]:
    """By key, the names that people see of those of the keys that there are."""
    names = kind.names
    return {
        row[0]: row[1]
        for some in portions(keys)
        for row in connection.execute(
            sa.select(names.c[kind.key], names.c[kind.name]).where(names.c[kind.key].in_(some))
        )
    }


def write_marks(connection: sa.Connection, insert: Insert, kind: Marks, marks: Mapping[str, Iterable[Mark]]) -> None:
    """Keep these marks of these media, in place of those of the same key."""
    rows = [
        {"media_id": media_id, kind.key: mark.key, "removed": mark.removed, "source": mark.source}
        for media_id, some in marks.items()
        for mark in some
    ]
    _upsert(connection, insert, kind.table, rows)


def write(
    connection: sa.Connection, insert: Insert, before: Mapping[str, Curation], after: Mapping[str, Curation], by: Author
) -> list[str]:
    """Write down what became of these media, and the history of it.

    Marks are written by ``write_marks``; here only their history is.

    Returns:
        The media that changed. Only a source that is stronger now is no change: it is kept under the old version.
    """
    version = next_version(connection)
    rows, past, changed = [], [], []
    for media_id, now in after.items():
        was = before[media_id]
        differing = [name for name in (*VALUES, "tags", "albums") if getattr(was, name) != getattr(now, name)]
        if differing:
            changed.append(media_id)
            past += [_past(was, now, name, version, by) for name in differing]
            now = replace(now, version=version, changed_utc=by.at_utc, changed_by=by.name)
        if differing or (was.sources != now.sources and was.version):
            rows.append(_row(now))
    _upsert(connection, insert, CURATION, rows)
    if past:
        connection.execute(sa.insert(HISTORY), past)
    return changed


def touch(connection: sa.Connection, media_ids: Iterable[str]) -> None:
    """Count a change of media whose words changed though nothing that is said of them did: a new synonym."""
    version = next_version(connection)
    for some in portions(media_ids):
        connection.execute(sa.update(CURATION).where(CURATION.c.media_id.in_(some)).values(version=version))


def holders(connection: sa.Connection, kind: Marks, keys: Iterable[str]) -> list[str]:
    """The media that carry any of these marks."""
    marks = kind.table
    return sorted(
        {
            media_id
            for some in portions(keys)
            for media_id in connection.scalars(
                sa.select(marks.c.media_id).where(marks.c[kind.key].in_(some), ~marks.c.removed)
            )
        }
    )


def move_marks(connection: sa.Connection, insert: Insert, kind: Marks, moves: Mapping[str, str]) -> None:
    """Give who carries, or lost, the mark of an old key that of the new one; a mark it carries already stays."""
    marks = kind.table
    for old, new in moves.items():
        kept = sa.select(sa.literal(new)).add_columns(marks.c.media_id, marks.c.removed, marks.c.source)
        moved = insert(marks).from_select(
            [kind.key, "media_id", "removed", "source"], kept.where(marks.c[kind.key] == old)
        )
        given = moved.on_conflict_do_update(
            index_elements=["media_id", kind.key],
            set_={"removed": moved.excluded.removed, "source": moved.excluded.source},
            where=marks.c.removed & ~moved.excluded.removed,
        )
        connection.execute(given)
        connection.execute(sa.delete(marks).where(marks.c[kind.key] == old))


def _row(now: Curation) -> dict[str, Any]:
    sources = {name: source for name, source in now.sources.items() if name in VALUES}
    values = {name: to_column(name, getattr(now, name)) for name in VALUES}
    rest = {"version": now.version, "changed_utc": now.changed_utc, "changed_by": now.changed_by}
    return {"media_id": now.media_id, **values, "sources": to_text(sources), **rest}


def _past(was: Curation, now: Curation, name: str, version: int, by: Author) -> dict[str, Any]:
    return {
        "media_id": now.media_id,
        "version": version,
        "field": name,
        "old": to_text(getattr(was, name)),
        "new": to_text(getattr(now, name)),
        "source": by.source,
        "changed_utc": by.at_utc,
        "changed_by": by.name,
    }


def _upsert(connection: sa.Connection, insert: Insert, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    statement = insert(table)
    changes = {column.name: statement.excluded[column.name] for column in table.c if column.name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changes), rows)
