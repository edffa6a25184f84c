"""Facts in Parquet: one immutable file a table and batch, replaced as a whole or not at all."""

from pathlib import Path

import polars as pl

from thatdam_pipelines.library.files import replacing
from thatdam_pipelines.library.schemas import Table


class Tables:
    """The Parquet tables below one folder: ``<root>/<table>/<batch>.parquet``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, table: Table, batch_id: str) -> Path:
        return self.root / table.name / f"{batch_id}.parquet"

    def batches(self, table: Table) -> list[str]:
        """Ids of the batches that have a file of this table, in order."""
        return sorted(path.stem for path in (self.root / table.name).glob("[!.]*.parquet"))

    def read(self, table: Table, batch_id: str) -> pl.DataFrame:
        """The rows of one batch; an empty frame of the declared schema when nothing was written yet."""
        path = self.path(table, batch_id)
        if not path.exists():
            return pl.DataFrame(schema=table.schema)
        # memory_map off: a rerun may replace the file while this frame is alive.
        return pl.read_parquet(path, memory_map=False)

    def write(self, table: Table, batch_id: str, frame: pl.DataFrame) -> bool:
        """Validate and write the rows of one batch, sorted by the table's key.

        Returns:
            False when the file already held exactly these rows and was left alone.

        Raises:
            TableError: The rows do not fit the schema.
        """
        frame = table.validate(frame).sort(table.key)
        path = self.path(table, batch_id)
        if path.exists() and self.read(table, batch_id).equals(frame):
            return False
        with replacing(path) as part:
            frame.write_parquet(part, compression="zstd")
        return True
