"""The ledger's account of arrivals: files seen, settled and claimed, and the batches they are claimed for."""

import secrets
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa

from thatdam_pipelines.errors import ThatdamError
from thatdam_pipelines.library.files import escape_name, unescape_name
from thatdam_pipelines.library.ledger_tables import BATCHES, FILES, MOVED, portions

FileState = Literal["seen", "settled", "claimed", "done", "failed", "gone"]
BatchState = Literal["claimed", "running", "done", "failed"]


class Sighting(NamedTuple):
    """A file as a folder shows it: path below the folder (as it is, not escaped), bytes, ns since 1970."""

    rel_path: str
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class KnownFile:
    """A file of a folder, as the ledger knows it. Paths are as they are on disk, not escaped.

    Args:
        root: Watched or given folder.
        rel_path: Path below it, '/'-separated.
        mtime_ns: Modification time, ns since 1970.
        first_seen_utc: When it was first seen with this size and modification time.
        reason: Why it failed; ``MOVED`` when the library took it from there; else ''.
    """

    root: str
    rel_path: str
    size_bytes: int
    mtime_ns: int
    first_seen_utc: datetime
    state: FileState
    settled_utc: datetime | None
    batch_id: str | None
    reason: str


@dataclass(frozen=True)
class Batch:
    """An arrival: files that were claimed together, one partition.

    Args:
        released: How often a run that died gave it back.
    """

    batch_id: str
    root: str
    mode: str
    album: str | None
    category: str | None
    created_utc: datetime
    state: BatchState
    run_id: str | None
    files: int
    bytes: int
    finished_utc: datetime | None
    released: int

    @property
    def run_key(self) -> str:
        """Key of the run it is offered for: the same until a run gives the batch back, as a key is for one run only."""
        return f"{self.batch_id}.{self.released}" if self.released else self.batch_id


class Arrivals:
    """Files and batches. A write is one transaction.

    Args:
        engine: Reads.
        writer: Writes.
        insert: The database's own INSERT, which knows ON CONFLICT.
    """

    def __init__(self, engine: sa.Engine, writer: sa.Engine, insert: Callable[[sa.Table], Any]) -> None:
        self._engine = engine
        self._writer = writer
        self._insert = insert

    def live_files(self, root: str) -> list[tuple[Any, ...]]:
        """All files that should be at ``root`` now, as the driver's own rows, for speed.

        Files that were ingested and stay there are ``(rel_path, size_bytes, mtime_ns)``; the others, but for those
        that are gone or were moved into the library, have ``state`` and ``first_seen_utc`` too. Paths are escaped;
        ``ledger_tables.utc_of`` reads the time.
        """
        columns = (FILES.c.rel_path, FILES.c.size_bytes, FILES.c.mtime_ns)
        done = sa.select(*columns).where(_of(root), FILES.c.state == "done", FILES.c.reason == "")
        others = sa.select(*columns, FILES.c.state, FILES.c.first_seen_utc).where(
            _of(root), FILES.c.state.in_(("seen", "settled", "claimed", "failed"))
        )
        with self._engine.connect() as connection:
            return [row for query in (done, others) for row in connection.execute(query).cursor.fetchall()]

    def ingested_before(self, root: str, rel_paths: Iterable[str]) -> dict[str, Sighting]:
        """Those of the paths that were ingested where they stood and later found gone, as they were then."""
        found = {}
        with self._engine.connect() as connection:
            for some in portions(rel_paths):
                gone = sa.select(FILES.c.rel_path, FILES.c.size_bytes, FILES.c.mtime_ns).where(
                    _of(root, some), FILES.c.state == "gone", FILES.c.batch_id.is_not(None)
                )
                for row in connection.execute(gone):
                    known = Sighting(unescape_name(row.rel_path), row.size_bytes, row.mtime_ns)
                    found[known.rel_path] = known
        return found

    def record_scan(
        self,
        root: str,
        now: datetime,
        *,
        arrived: Sequence[Sighting] = (),
        settled: Sequence[Sighting] = (),
        back: Sequence[Sighting] = (),
        gone: Collection[str] = (),
        refused: Mapping[Sighting, str] | None = None,
    ) -> None:
        """Write down what a scan found to be different, in one transaction; a file that is claimed is left alone.

        Args:
            arrived: New, or with another size or modification time than before.
            settled: Unchanged for long enough.
            back: Ingested before, gone for a while, there again unchanged.
            gone: Not there any more. Those that had failed are new arrivals when they are back.
            refused: What is never taken, and why.
        """
        with self._writer.begin() as connection:
            self._upsert_files(connection, root, arrived, now, {"state": "seen"})
            for sighting, reason in (refused or {}).items():
                self._upsert_files(connection, root, [sighting], now, {"state": "failed", "reason": reason})
            self._turn(connection, root, settled, "seen", {"state": "settled", "settled_utc": now})
            self._turn(connection, root, back, "gone", {"state": "done"})
            for some in portions(gone):
                left = sa.update(FILES).where(_of(root, some), FILES.c.reason != MOVED)
                connection.execute(left.where(FILES.c.state.in_(("seen", "settled", "done"))).values(state="gone"))
                connection.execute(left.where(FILES.c.state == "failed").values(state="gone", batch_id=None))

    def files_in(self, root: str, states: Collection[FileState]) -> list[KnownFile]:
        """Files of a folder in some states, by path."""
        return self._files(sa.and_(_of(root), FILES.c.state.in_(states)))

    def files_at(self, root: str, rel_paths: Iterable[str]) -> dict[str, KnownFile]:
        """What is known of the files at these paths below a folder."""
        return {file.rel_path: file for some in portions(rel_paths) for file in self._files(_of(root, some))}

    def files_ending(self, root: str, suffix: str) -> list[KnownFile]:
        """What was seen of a folder with this end to its name, in lower case or not."""
        return self._files(sa.and_(_of(root), sa.func.lower(FILES.c.rel_path).endswith(suffix, autoescape=True)))

    def files_below(self, root: str, folder: str) -> list[KnownFile]:
        """What was seen below a folder of a root, '' for the root itself, and did not go."""
        start = f"{folder}/" if folder else ""
        below = FILES.c.rel_path.startswith(escape_name(start), autoescape=True)
        found = self._files(sa.and_(_of(root), below, FILES.c.state != "gone"))
        # SQLite compares without regard to case.
        return [file for file in found if file.rel_path.startswith(start)]

    def file_at(self, path: str) -> KnownFile | None:
        """The file at an absolute path, whichever folder it was seen in; the one last seen, if several."""
        whole = PurePosixPath(path)
        places = [
            sa.and_(_of(str(folder)), FILES.c.rel_path == escape_name(str(whole.relative_to(folder))))
            for folder in whole.parents
        ]
        found = self._files(sa.or_(*places)) if places else []
        return max(found, key=lambda file: file.first_seen_utc, default=None)

    def create_batch(
        self,
        root: str,
        mode: str,
        files: Sequence[Sighting],
        now: datetime,
        *,
        album: str | None = None,
        category: str | None = None,
        settled: bool = True,
    ) -> str | None:
        """Claim files of one folder for a new batch, in one transaction.

        Args:
            files: At least one, as last seen.
            settled: True: take them only if they are settled as given; False: take them as they are now.

        Returns:
            The batch's id: ``<yyyymmdd>T<hhmmss>-<8 hex digits>``, UTC. None when one of the files was claimed, or
            changed, by somebody else: nothing is claimed then.
        """
        batch_id = f"{now.astimezone(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
        wanted = FILES.c.state == "settled"
        with self._writer.connect() as connection, connection.begin() as transaction:
            if not settled:
                self._upsert_files(connection, root, files, now, {"state": "settled", "settled_utc": now})
            claimed = sum(
                connection.execute(
                    sa.update(FILES).where(_is(root, file), wanted).values(state="claimed", batch_id=batch_id)
                ).rowcount
                for file in files
            )
            if claimed != len(files):
                transaction.rollback()
                return None
            connection.execute(
                sa.insert(BATCHES).values(
                    batch_id=batch_id,
                    root=escape_name(root),
                    mode=mode,
                    album=album,
                    category=category,
                    created_utc=now,
                    state="claimed",
                    files=len(files),
                    bytes=sum(file.size_bytes for file in files),
                )
            )
        return batch_id

    def batch(self, batch_id: str) -> Batch | None:
        """One batch; None when there is no such."""
        return next(iter(self._batches(sa.select(BATCHES).where(BATCHES.c.batch_id == batch_id))), None)

    def batches(
        self, limit: int | None = 100, *, state: BatchState | None = None, before: str | None = None
    ) -> list[Batch]:
        """The newest batches, newest first; only those in ``state``, and older than ``before``, if given."""
        newest = sa.select(BATCHES).order_by(BATCHES.c.batch_id.desc()).limit(limit)
        if before is not None:
            newest = newest.where(BATCHES.c.batch_id < before)
        return self._batches(newest if state is None else newest.where(BATCHES.c.state == state))

    def pending_batches(self) -> list[Batch]:
        """Batches that are claimed and that no run has begun, oldest first: to be offered again."""
        return self._batches(sa.select(BATCHES).where(BATCHES.c.state == "claimed").order_by(BATCHES.c.batch_id))

    def batch_files(self, batch_id: str) -> list[KnownFile]:
        """The files claimed for a batch, by path; without those whose path was since claimed for another."""
        return self._files(FILES.c.batch_id == batch_id)

    def start_batch(self, batch_id: str, run_id: str) -> None:
        """A run has begun to work on the batch."""
        self._change_batch(batch_id, state="running", run_id=run_id, finished_utc=None)

    def release_batch(self, batch: Batch) -> None:
        """The run of the batch is gone before its end: the batch waits for another one, under another run key.

        Nothing happens where somebody else released, started or finished it since it was read: of all who see a dead
        run one releases its batch.
        """
        released = BATCHES.c.released + 1
        self._change_batch(
            batch.batch_id, only=batch, state="claimed", run_id=None, finished_utc=None, released=released
        )

    def finish_batch(self, batch_id: str, state: Literal["done", "failed"], *, only: Batch | None = None) -> None:
        """The run of the batch has ended.

        Args:
            only: The batch as it was read; nothing happens where it was released, started or finished since.
        """
        self._change_batch(batch_id, only=only, state=state, finished_utc=datetime.now(UTC))

    def mark_files(
        self,
        batch_id: str,
        *,
        done: Sequence[Sighting] = (),
        moved: Sequence[Sighting] = (),
        failed: Mapping[str, str] | None = None,
        gone: Collection[str] = (),
    ) -> None:
        """Write down what became of files of a batch, in one transaction.

        Args:
            done: Proven as they are here, and the source stays where it is.
            moved: Proven as they are here, and the source is gone.
            failed: Not taken: path below the batch's folder, and reason.
            gone: Not there any more, and so not of the batch any more: new arrivals when they are back.
        """
        mine = sa.and_(FILES.c.batch_id == batch_id, FILES.c.rel_path == sa.bindparam("path"))
        proven = (
            sa.update(FILES)
            .where(mine)
            .values(
                size_bytes=sa.bindparam("size"),
                mtime_ns=sa.bindparam("mtime"),
                state="done",
                reason=sa.bindparam("why"),
            )
        )
        unproven = sa.update(FILES).where(mine).values(state="failed", reason=sa.bindparam("why"))
        ends = [(file, reason) for files, reason in ((done, ""), (moved, MOVED)) for file in files]
        with self._writer.begin() as connection:
            if ends:
                connection.execute(
                    proven,
                    [
                        {"path": escape_name(path), "size": size, "mtime": mtime, "why": reason}
                        for (path, size, mtime), reason in ends
                    ],
                )
            if failed:
                connection.execute(
                    unproven, [{"path": escape_name(path), "why": reason} for path, reason in failed.items()]
                )
            for some in portions(gone):
                vanished = sa.and_(FILES.c.batch_id == batch_id, FILES.c.rel_path.in_(_escaped(some)))
                connection.execute(sa.update(FILES).where(vanished).values(state="gone", batch_id=None))

    def release_files(self, batch_id: str, files: Iterable[Sighting], now: datetime) -> None:
        """Files of a batch are new arrivals again: the next scans let them settle and claim them anew."""
        with self._writer.begin() as connection:
            for file in files:
                connection.execute(
                    sa.update(FILES)
                    .where(FILES.c.batch_id == batch_id, FILES.c.rel_path == escape_name(file.rel_path))
                    .values(
                        size_bytes=file.size_bytes,
                        mtime_ns=file.mtime_ns,
                        first_seen_utc=now,
                        state="seen",
                        settled_utc=None,
                        batch_id=None,
                        reason="",
                    )
                )

    def _files(self, where: sa.ColumnElement[bool]) -> list[KnownFile]:
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(FILES).where(where)).mappings()
            files = [
                KnownFile(**{**row, "root": unescape_name(row["root"]), "rel_path": unescape_name(row["rel_path"])})
                for row in rows
            ]
        return sorted(files, key=lambda file: file.rel_path)

    def _batches(self, query: sa.Select[Any]) -> list[Batch]:
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings()
            return [Batch(**{**row, "root": unescape_name(row["root"])}) for row in rows]

    def _upsert_files(
        self, connection: sa.Connection, root: str, files: Sequence[Sighting], now: datetime, values: dict[str, Any]
    ) -> None:
        if not files:
            return
        common = {"root": escape_name(root), "first_seen_utc": now, "settled_utc": None, "batch_id": None, "reason": ""}
        insert = self._insert(FILES)
        columns = ("size_bytes", "mtime_ns", "first_seen_utc", "state", "settled_utc", "batch_id", "reason")
        connection.execute(
            insert.on_conflict_do_update(
                index_elements=[FILES.c.root, FILES.c.rel_path],
                set_={column: insert.excluded[column] for column in columns},
                where=FILES.c.state != "claimed",
            ),
            [{**common, **values, **file._asdict(), "rel_path": escape_name(file.rel_path)} for file in sorted(files)],
        )

    def _turn(
        self, connection: sa.Connection, root: str, files: Sequence[Sighting], state: FileState, values: dict[str, Any]
    ) -> None:
        """Change the rows of files that are in ``state`` and as they were seen."""
        if files:
            unchanged = sa.and_(
                _of(root),
                FILES.c.rel_path == sa.bindparam("path"),
                FILES.c.size_bytes == sa.bindparam("size"),
                FILES.c.mtime_ns == sa.bindparam("mtime"),
                FILES.c.state == state,
            )
            parameters = [{"path": escape_name(path), "size": size, "mtime": mtime} for path, size, mtime in files]
            connection.execute(sa.update(FILES).where(unchanged).values(**values), parameters)

    def _change_batch(self, batch_id: str, *, only: Batch | None = None, **values: Any) -> None:
        change = sa.update(BATCHES).where(BATCHES.c.batch_id == batch_id).values(**values)
        if only is not None:
            known = {BATCHES.c.state: only.state, BATCHES.c.run_id: only.run_id, BATCHES.c.released: only.released}
            change = change.where(*(column.is_not_distinct_from(value) for column, value in known.items()))
        with self._writer.begin() as connection:
            changed = connection.execute(change)
        if not changed.rowcount and only is None:
            raise ThatdamError(batch_id, "there is no such batch", "See `thatdam sql recent_batches`.")


def _of(root: str, rel_paths: Sequence[str] | None = None) -> sa.ColumnElement[bool]:
    here = FILES.c.root == escape_name(root)
    return here if rel_paths is None else sa.and_(here, FILES.c.rel_path.in_(_escaped(rel_paths)))


def _is(root: str, file: Sighting) -> sa.ColumnElement[bool]:
    return sa.and_(
        _of(root),
        FILES.c.rel_path == escape_name(file.rel_path),
        FILES.c.size_bytes == file.size_bytes,
        FILES.c.mtime_ns == file.mtime_ns,
    )


def _escaped(names: Iterable[str]) -> list[str]:
    return [escape_name(name) for name in names]
