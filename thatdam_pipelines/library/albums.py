"""Albums: named sets of media. A medium may be in many; the album of a watched folder is one of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from thatdam_pipelines.errors import CurationError
from thatdam_pipelines.library.curation import key_of, one_line
from thatdam_pipelines.library.curation_rows import (
    IN_ALBUMS,
    Author,
    Insert,
    changing,
    holders,
    move_marks,
    read,
    write,
)
from thatdam_pipelines.library.curation_tables import ALBUM_MARKS, ALBUMS
from thatdam_pipelines.library.ledger_tables import portions


@dataclass(frozen=True)
class Album:
    """An album and how many media are in it."""

    album: str
    media: int
    created_utc: datetime
    created_by: str


class Albums:
    """The albums there are, in an open ledger. A change is one transaction."""

    def __init__(self, engine: sa.Engine, writer: sa.Engine, insert: Insert) -> None:
        self._engine = engine
        self._writer = writer
        self._insert = insert

    def all(self) -> list[Album]:
        """The albums by name."""
        marks = ALBUM_MARKS
        query = (
            sa.select(ALBUMS, sa.func.count(marks.c.media_id).label("media"))
            .outerjoin(marks, (marks.c.album_key == ALBUMS.c.album_key) & ~marks.c.removed)
            .group_by(*ALBUMS.c)
            .order_by(ALBUMS.c.album_key)
        )
        with self._engine.connect() as connection:
            return [
                Album(row.album, row.media, row.created_utc, row.created_by) for row in connection.execute(query).all()
            ]

    def media(self, album: str) -> list[str]:
        """Ids of the media in an album.

        Raises:
            CurationError: There is no such album.
        """
        with self._engine.connect() as connection:
            _existing(connection, album)
            return holders(connection, IN_ALBUMS, [key_of(album)])

    def create(self, album: str, by: str) -> None:
        """Make an album with nothing in it; one that is there stays."""
        with changing(self._writer) as connection:
            ensure(connection, self._insert, [album], Author.now(by))

    def rename(self, album: str, new: str, by: str) -> list[str]:
        """Give an album another name. Where there is one of that name already, the two become one.

        Returns:
            The media in it.
        """
        author = Author.now(by)
        old_key, new_name = key_of(album), album_name(new)
        with changing(self._writer) as connection:
            _existing(connection, album)
            media_ids = holders(connection, IN_ALBUMS, [old_key])
            before = read(connection, media_ids)
            if key_of(new_name) == old_key:
                connection.execute(sa.update(ALBUMS).where(ALBUMS.c.album_key == old_key).values(album=new_name))
            else:
                ensure(connection, self._insert, [new_name], author)
                move_marks(connection, self._insert, IN_ALBUMS, {old_key: key_of(new_name)})
                connection.execute(sa.delete(ALBUMS).where(ALBUMS.c.album_key == old_key))
            return write(connection, self._insert, before, read(connection, media_ids), author)

    def remove(self, album: str, by: str) -> list[str]:
        """Remove an album; the media that were in it stay in the library.

        Returns:
            Those media.
        """
        author = Author.now(by)
        with changing(self._writer) as connection:
            _existing(connection, album)
            media_ids = holders(connection, IN_ALBUMS, [key_of(album)])
            before = read(connection, media_ids)
            connection.execute(sa.delete(ALBUM_MARKS).where(ALBUM_MARKS.c.album_key == key_of(album)))
            connection.execute(sa.delete(ALBUMS).where(ALBUMS.c.album_key == key_of(album)))
            return write(connection, self._insert, before, read(connection, media_ids), author)


def album_name(album: str) -> str:
    """An album's name as it is kept.

    Raises:
        CurationError: It is empty or no text.
    """
    try:
        return one_line(album)
    except ValueError as error:
        raise CurationError(repr(album), f"the album's name {error}", "Give it a name.") from error


def ensure(connection: sa.Connection, insert: Insert, albums: Iterable[str], by: Author) -> dict[str, str]:
    """See that there are albums of these names; gives the key of each."""
    names = {album: album_name(album) for album in albums}
    rows = [
        {"album_key": key_of(name), "album": name, "created_utc": by.at_utc, "created_by": by.name}
        for name in names.values()
    ]
    if rows:
        connection.execute(insert(ALBUMS).on_conflict_do_nothing(), rows)
    return {album: key_of(name) for album, name in names.items()}


def known(connection: sa.Connection, albums: Iterable[str]) -> dict[str, str]:
    """The keys of those of the albums that there are, by the name asked for."""
    keys = {album: key_of(album) for album in albums}
    there = {
        key
        for some in portions(list(keys.values()))
        for key in connection.scalars(sa.select(ALBUMS.c.album_key).where(ALBUMS.c.album_key.in_(some)))
    }
    return {album: key for album, key in keys.items() if key in there}


def _existing(connection: sa.Connection, album: str) -> None:
    if not known(connection, [album]):
        raise CurationError(album, "there is no such album", "See `thatdam album list`.")
