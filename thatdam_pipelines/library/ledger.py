"""The ledger: everything that changes, in one SQL database (SQLite by default, Postgres in deployments)."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from thatdam_pipelines.library.accounts import Accounts
from thatdam_pipelines.library.albums import Albums
from thatdam_pipelines.library.arrivals import Arrivals
from thatdam_pipelines.library.copies import Copies
from thatdam_pipelines.library.curation_ledger import CurationLedger
from thatdam_pipelines.library.files import escape_name, replacing, unescape_name
from thatdam_pipelines.library.ledger_tables import (
    CONTENTS,
    EXPORTED,
    FOLDERS,
    SETTINGS,
    create_tables,
    frame_of,
    open_engine,
    portions,
)
from thatdam_pipelines.library.offloads import Offloads
from thatdam_pipelines.library.requests import Requests
from thatdam_pipelines.library.vocabulary import Vocabulary
from thatdam_pipelines.library.watched import Watched
from thatdam_pipelines.library.workflows import Workflows


@dataclass(frozen=True)
class Content:
    """A content of the library: the batch it was first seen in, and its key in the store when it is kept there."""

    media_id: str
    batch_id: str
    size_bytes: int
    kept_key: str | None


@dataclass(frozen=True)
class Folder:
    """A watched folder: whether it could be reached, since when, and what is to be known about it.

    Args:
        identity: Tells the folder from the empty one that is left where its disk was.
        resume: Where a scan that ran out of time goes on; None when the last one was whole.
    """

    path: str
    online: bool
    changed_utc: datetime
    message: str
    identity: str | None
    resume: str | None


class Ledger(Arrivals):
    """One open database. A write is one transaction; safe to use from several threads and processes.

    Args:
        url: SQLAlchemy URL; missing tables are created.
    """

    def __init__(self, url: str) -> None:
        engine, writer = open_engine(url)
        create_tables(engine, writer)
        insert: Callable[[sa.Table], Any] = sqlite.insert
        if engine.dialect.name == "postgresql":
            from sqlalchemy.dialects import postgresql

            insert = postgresql.insert
        super().__init__(engine, writer, insert)
        self.copies = Copies(engine, writer, insert)
        self.offloads = Offloads(engine, writer, insert)
        self.curation = CurationLedger(engine, writer, insert)
        self.vocabulary = Vocabulary(engine, writer, insert)
        self.albums = Albums(engine, writer, insert)
        self.accounts = Accounts(engine, writer, insert)
        self.requests = Requests(engine, writer, insert)
        self.watched = Watched(engine, writer, insert)
        self.workflows = Workflows(engine, writer, insert)

    def close(self) -> None:
        """End the connections."""
        self._engine.dispose()

    def contents(self, media_ids: Iterable[str]) -> dict[str, Content]:
        """Those of the contents that are in the library."""
        with self._engine.connect() as connection:
            columns = [CONTENTS.c[field.name] for field in fields(Content)]
            return {
                row[0]: Content(*row)
                for some in portions(media_ids)
                for row in connection.execute(sa.select(*columns).where(CONTENTS.c.media_id.in_(some)))
            }

    def kept_keys(self, batch_ids: Collection[str]) -> dict[str, str | None]:
        """Key in the store, None when it is not kept there, of each content that was first seen in these batches."""
        query = sa.select(CONTENTS.c.media_id, CONTENTS.c.kept_key).where(CONTENTS.c.batch_id.in_(batch_ids))
        with self._engine.connect() as connection:
            return dict(connection.execute(query).tuples().all())

    def content_batch(self, media_id: str) -> str | None:
        """The batch that a content was first seen in; None when it is not in the library."""
        found = self.contents([media_id]).get(media_id)
        return found.batch_id if found else None

    def sizes_in_library(self, sizes: Iterable[int]) -> set[int]:
        """Those of the sizes, in bytes, that some content of the library has."""
        with self._engine.connect() as connection:
            return {
                size
                for some in portions(sizes)
                for size in connection.scalars(
                    sa.select(CONTENTS.c.size_bytes).where(CONTENTS.c.size_bytes.in_(some)).distinct()
                )
            }

    def claim_contents(self, batch_id: str, contents: Collection[Content]) -> dict[str, Content]:
        """Make the batch the owner of contents that nobody owns, in one transaction.

        A content that is owned but not kept in the store yet is from now on kept at the given ``kept_key``.

        Returns:
            Every content as it is now, with its owner; of two batches that claim one at once the first gets it.
        """
        now = datetime.now(UTC)
        with self._writer.begin() as connection:
            for content in sorted(contents, key=lambda content: content.media_id):
                insert = self._insert(CONTENTS).values(
                    media_id=content.media_id,
                    batch_id=batch_id,
                    claimed_utc=now,
                    size_bytes=content.size_bytes,
                    kept_key=content.kept_key,
                )
                connection.execute(
                    insert.on_conflict_do_update(
                        index_elements=[CONTENTS.c.media_id],
                        set_={"kept_key": insert.excluded.kept_key},
                        where=CONTENTS.c.kept_key.is_(None),
                    )
                )
        return self.contents(content.media_id for content in contents)

    def replace_kept(self, media_id: str, lost_key: str, kept_key: str) -> None:
        """The copy of a content at ``lost_key`` is damaged or missing: the one at ``kept_key`` stands for it now."""
        with self._writer.begin() as connection:
            connection.execute(
                sa.update(CONTENTS)
                .where(CONTENTS.c.media_id == media_id, CONTENTS.c.kept_key == lost_key)
                .values(kept_key=kept_key)
            )

    def keep(self, media_id: str, kept_key: str) -> None:
        """A content that was left by reference is in the store now."""
        with self._writer.begin() as connection:
            connection.execute(
                sa.update(CONTENTS)
                .where(CONTENTS.c.media_id == media_id, CONTENTS.c.kept_key.is_(None))
                .values(kept_key=kept_key)
            )

    def disown_contents(self, batch_id: str, keep: Collection[str]) -> None:
        """Give up the contents that a batch claimed and then could not take, so that another can own them."""
        with self._writer.begin() as connection:
            owned = connection.scalars(sa.select(CONTENTS.c.media_id).where(CONTENTS.c.batch_id == batch_id))
            for some in portions(set(owned) - set(keep)):
                connection.execute(
                    sa.delete(CONTENTS).where(CONTENTS.c.batch_id == batch_id, CONTENTS.c.media_id.in_(some))
                )

    def folder(self, path: str) -> Folder | None:
        """What is known of a watched folder; None before its first scan."""
        return next((folder for folder in self.folders() if folder.path == path), None)

    def folders(self) -> list[Folder]:
        """Every folder that was ever scanned, by path."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(FOLDERS).order_by(FOLDERS.c.path)).mappings()
            return [Folder(**{**row, "path": unescape_name(row["path"])}) for row in rows]

    def folder_online(self, path: str, identity: str, resume: str | None, now: datetime) -> bool:
        """Write down that a folder could be reached; True when it could not before."""
        return self._change_folder(path, now, online=True, message="", identity=identity, resume=resume)

    def folder_offline(self, path: str, message: str, now: datetime) -> bool:
        """Write down that a folder cannot be reached, and why; True when it could before, or was never seen."""
        return self._change_folder(path, now, online=False, message=message)

    def get_setting(self, key: str, default: str | None = None) -> str | None:
        """A value that people or sensors keep here."""
        with self._engine.connect() as connection:
            value: str | None = connection.scalar(sa.select(SETTINGS.c.value).where(SETTINGS.c.key == key))
        return default if value is None else value

    def set_setting(self, key: str, value: str) -> None:
        with self._writer.begin() as connection:
            insert = self._insert(SETTINGS).values(key=key, value=value)
            connection.execute(
                insert.on_conflict_do_update(index_elements=[SETTINGS.c.key], set_={"value": insert.excluded.value})
            )

    def set_first_setting(self, key: str, value: str) -> None:
        """Keep a value where none is kept."""
        with self._writer.begin() as connection:
            connection.execute(self._insert(SETTINGS).values(key=key, value=value).on_conflict_do_nothing())

    def export(self, folder: Path, tables: Sequence[sa.Table] = EXPORTED) -> list[Path]:
        """Write each of these tables to ``<folder>/<name>.parquet``, whole and all of one moment, for the catalogue."""
        with self._engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            frames = {table.name: frame_of(connection, table) for table in tables}
        for name, frame in frames.items():
            with replacing(folder / f"{name}.parquet") as part:
                frame.write_parquet(part, compression="zstd")
        return [folder / f"{name}.parquet" for name in frames]

    def _change_folder(self, path: str, now: datetime, **values: Any) -> bool:
        before = self.folder(path)
        if before is not None and all(getattr(before, name) == value for name, value in values.items()):
            return False
        turned = before is None or before.online != values["online"]
        with self._writer.begin() as connection:
            since = now if before is None or turned else before.changed_utc
            row = {"path": escape_name(path), "changed_utc": since, **values}
            insert = self._insert(FOLDERS).values(**row)
            changes = {name: insert.excluded[name] for name in row if name != "path"}
            connection.execute(insert.on_conflict_do_update(index_elements=[FOLDERS.c.path], set_=changes))
        return turned and not (before is None and values["online"])
