"""Watched folders: those of the settings, and those that people added since."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from thatdam_pipelines.library.curation_rows import Insert
from thatdam_pipelines.library.files import escape_name, unescape_name
from thatdam_pipelines.library.ledger_metadata import METADATA, UtcTime
from thatdam_pipelines.settings import Settings, WatchedFolder

WATCHED = sa.Table(
    "watched",
    METADATA,
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("mode", sa.Text, nullable=False),
    sa.Column("album", sa.Text),
    sa.Column("category", sa.Text),
    sa.Column("settle_seconds", sa.Float, nullable=False),
    sa.Column("added_utc", UtcTime, nullable=False),
    sa.Column("added_by", sa.Text, nullable=False),
)
_FIELDS = [WATCHED.c[name] for name in WatchedFolder.model_fields]


class Watched:
    """The folders that people added, in an open ledger."""

    def __init__(self, engine: sa.Engine, writer: sa.Engine, insert: Insert) -> None:
        self._engine = engine
        self._writer = writer
        self._insert = insert

    def added(self) -> list[WatchedFolder]:
        """The folders in the order they were added."""
        query = sa.select(*_FIELDS).order_by(WATCHED.c.added_utc, WATCHED.c.path)
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return [WatchedFolder.model_validate({**row, "path": unescape_name(row["path"])}) for row in rows]

    def add(self, folder: WatchedFolder, by: str) -> None:
        """Watch a folder; of one that was added already, mode, album and the rest are what is given now."""
        row = folder.model_dump() | {"path": escape_name(str(folder.path))}
        insert = self._insert(WATCHED).values(**row, added_utc=datetime.now(UTC), added_by=by)
        changes = {name: insert.excluded[name] for name in (*row, "added_by") if name != "path"}
        with self._writer.begin() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=[WATCHED.c.path], set_=changes))

    def remove(self, path: Path) -> bool:
        """Watch a folder no more; False when nobody added it. What came from it stays."""
        with self._writer.begin() as connection:
            removed = connection.execute(sa.delete(WATCHED).where(WATCHED.c.path == escape_name(str(path))))
        return removed.rowcount > 0


def watched_folders(settings: Settings, watched: Watched) -> list[WatchedFolder]:
    """Every watched folder: those of the settings first; what they say of a folder holds."""
    folders = settings.watched_folders
    said = {folder.path for folder in folders}
    return [*folders, *(folder for folder in watched.added() if folder.path not in said)]


def folder_above(folders: Sequence[WatchedFolder], path: Path) -> WatchedFolder | None:
    """The nearest of some folders at or above a path, with links followed; None when it is below none."""
    real = path.resolve()
    above = [folder for folder in folders if real.is_relative_to(folder.path.resolve())]
    return max(above, key=lambda folder: len(folder.path.resolve().parts), default=None)


def library_folders(settings: Settings) -> list[Path]:
    """Folders that the library keeps its own files in."""
    home = [settings.home, settings.quarantine_dir, settings.work_dir]
    moved = [settings.tables_dir, settings.vectors_dir, settings.dagster_dir, settings.capture_dir]
    media = [] if settings.media_url.startswith("s3://") else [Path(settings.media_url)]
    return [*home, *moved, *media]


def is_own(settings: Settings, path: Path) -> bool:
    """Whether a path, with links followed, is the library's: below a folder of its own, and below no folder nearer to
    it that the settings watch, as ``home/incoming``."""
    real = path.resolve()
    own = [folder for folder in map(Path.resolve, library_folders(settings)) if real.is_relative_to(folder)]
    above = folder_above(settings.watched_folders, real)
    depth = len(above.path.resolve().parts) if above else 0
    return any(len(folder.parts) >= depth for folder in own)
