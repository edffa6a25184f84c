"""Facts in Parquet: one immutable file a table and batch, replaced as a whole or not at all."""

import contextlib
import os
from collections.abc import Collection, Sequence
from pathlib import Path

import polars as pl

from thatdam_pipelines.errors import TableError
from thatdam_pipelines.library.files import replacing
from thatdam_pipelines.library.table import Table

Stamp = tuple[int, int, int]
"""What tells one version of a file from another: size in bytes, modification time in ns, inode."""

_SUFFIX = ".parquet"
_LARGE_ROWS = 8


class Tables:
    """The Parquet tables below one folder: ``<root>/<table>/<batch>.parquet``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, table: Table, batch_id: str) -> Path:
        return self.root / table.name / f"{batch_id}{_SUFFIX}"

    def batches(self, table: Table) -> list[str]:
        """Ids of the batches that have a file of this table, in order."""
        try:
            with os.scandir(self.root / table.name) as entries:
                return sorted(entry.name.removesuffix(_SUFFIX) for entry in entries if _is_batch_file(entry.name))
        except FileNotFoundError:
            return []

    def stamps(self, table: Table) -> dict[str, Stamp]:
        """The stamp of every batch's file of this table. A file that is rewritten gets another stamp."""
        found = {}
        try:
            with os.scandir(self.root / table.name) as entries:
                for entry in entries:
                    if _is_batch_file(entry.name):
                        facts = entry.stat()
                        stamp = (facts.st_size, facts.st_mtime_ns, facts.st_ino)
                        found[entry.name.removesuffix(_SUFFIX)] = stamp
        except FileNotFoundError:
            return found
        return found

    def read(self, table: Table, batch_id: str) -> pl.DataFrame:
        """The rows of one batch, in the declared schema; none when nothing was written yet.

        A column that was declared after the file was written is null, one no longer declared is left out.

        Raises:
            TableError: The file is damaged, or lacks a column that must have values.
        """
        try:
            # memory_map off: a rerun may replace the file while this frame is alive.
            frame = pl.read_parquet(self.path(table, batch_id), memory_map=False, glob=False)
        except FileNotFoundError:
            return pl.DataFrame(schema=table.schema)
        except pl.exceptions.ComputeError as error:
            next_step = "Restore it from a backup, or remove it and run the batch again."
            raise TableError(self.path(table, batch_id), f"the file is damaged ({error})", next_step) from error
        return frame if frame.schema == table.schema else self._conformed(table, batch_id, frame)

    def read_some(self, table: Table, batch_ids: Collection[str], columns: Sequence[str]) -> pl.DataFrame:
        """Some columns of several batches, which costs a fraction of reading one batch after the other.

        Raises:
            TableError: As ``read``.
        """
        wanted = pl.Schema({name: table.schema[name] for name in columns})
        with contextlib.suppress(FileNotFoundError, pl.exceptions.PolarsError):
            paths = [self.path(table, batch_id) for batch_id in batch_ids]
            frame = pl.scan_parquet(paths, glob=False).select(columns).collect()
            if frame.schema == wanted:
                return frame
        # One is not there, damaged, or of an older thatdam.
        frames = (self.read(table, batch_id).select(columns) for batch_id in batch_ids)
        return pl.concat([pl.DataFrame(schema=wanted), *frames])

    def write(self, table: Table, batch_id: str, frame: pl.DataFrame) -> bool:
        """Validate and write the rows of one batch, sorted by the table's key.

        Returns:
            False when the file already held exactly these rows and was left alone.

        Raises:
            TableError: The rows do not fit the schema, or are of another batch.
        """
        frame = table.validate(frame).sort(table.key)
        if "batch_id" in table.schema and not (frame["batch_id"] == batch_id).all():
            raise TableError(table.name, f"a row is not of batch {batch_id}", "Write it with its own batch.")
        path = self.path(table, batch_id)
        if self._holds(table, batch_id, frame):
            return False
        with replacing(path) as part:
            # Where rows are large, one is read without the others.
            rows_in_group = _LARGE_ROWS if pl.Binary in table.schema.dtypes() else None
            frame.write_parquet(part, compression="zstd", row_group_size=rows_in_group)
        return True

    def _holds(self, table: Table, batch_id: str, frame: pl.DataFrame) -> bool:
        try:
            written = pl.read_parquet(self.path(table, batch_id), memory_map=False, glob=False)
        except (FileNotFoundError, pl.exceptions.ComputeError):
            return False
        return written.schema == frame.schema and written.equals(frame)

    def _conformed(self, table: Table, batch_id: str, frame: pl.DataFrame) -> pl.DataFrame:
        missing = {column.name: column for column in table.columns if column.name not in frame.columns}
        if frame.height and (lacking := [name for name, column in missing.items() if column.required]):
            cause = f"it was written before {lacking} were declared"
            raise TableError(self.path(table, batch_id), cause, "Remove the file and run the batch again.")
        known = frame.select(column.name for column in table.columns if column.name in frame.columns)
        try:
            return known.with_columns(
                pl.lit(None, dtype=column.dtype).alias(name) for name, column in missing.items()
            ).select(pl.col(name).cast(dtype) for name, dtype in table.schema.items())
        except pl.exceptions.PolarsError as error:
            cause = f"a column no longer fits its declaration ({error})"
            raise TableError(self.path(table, batch_id), cause, "Remove the file and run the batch again.") from error


def _is_batch_file(name: str) -> bool:
    return name.endswith(_SUFFIX) and not name.startswith(".")
