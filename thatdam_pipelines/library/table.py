"""What a table is: named columns with a type, and rows that are held to them."""

from dataclasses import dataclass

import polars as pl
from polars.datatypes import DataType, DataTypeClass

from thatdam_pipelines.errors import TableError

UTC = pl.Datetime("us", "UTC")


@dataclass(frozen=True)
class Column:
    """One column. Its name carries its unit (``_s`` seconds, ``_bytes``, ``_fps``, ``_deg``, ``_lufs``)."""

    name: str
    dtype: DataType | DataTypeClass
    description: str
    required: bool = False


MEDIA_ID = Column("media_id", pl.String, "First 32 hex digits of the BLAKE3 of the content.", required=True)
BATCH_ID = Column("batch_id", pl.String, "Batch the content was first seen in.", required=True)
RECIPE = Column("recipe", pl.String, "Recipe the row was made with.", required=True)


@dataclass(frozen=True)
class Table:
    """A table of facts: one Parquet file a batch, written by one asset.

    Args:
        owner: Name of the asset that alone writes the table.
        key: Columns that together name a row; no two rows of a batch share them.
    """

    name: str
    owner: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def schema(self) -> pl.Schema:
        return pl.Schema({column.name: column.dtype for column in self.columns})

    def frame(self, rows: list[dict[str, object]]) -> pl.DataFrame:
        """Rows as a validated frame; a column a row leaves out is null.

        Raises:
            TableError: A row has an unknown column, a value of the wrong type, a missing required value, or the key
                of another row.
        """
        known = {column.name for column in self.columns}
        if unknown := {name for row in rows for name in row} - known:
            raise TableError(self.name, f"unknown columns {sorted(unknown)}", "Declare them in library/schemas.py.")
        try:
            frame = pl.DataFrame(rows, schema=self.schema, strict=True, orient="row")
        except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
            raise TableError(self.name, f"a value does not fit its column ({error})", "Mend the rows.") from error
        return self.validate(frame)

    def validate(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame itself when it has exactly this schema, no null in a required column and no key twice."""
        if frame.schema != self.schema:
            raise TableError(self.name, f"schema is {frame.schema}, declared {self.schema}", "Mend the writer.")
        for column in self.columns:
            if column.required and frame[column.name].null_count():
                raise TableError(self.name, f"column {column.name} has nulls", "Give every row a value.")
        if frame.height and frame.select(self.key).is_duplicated().any():
            raise TableError(self.name, f"two rows share the key {self.key}", "Write each row once.")
        return frame
