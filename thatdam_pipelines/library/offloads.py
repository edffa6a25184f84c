"""The ledger's account of offloads: each card that was copied, to where, and whether it may be formatted."""

from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from thatdam_pipelines.library.ledger_tables import OFFLOADS

Verdict = Literal["SAFE TO FORMAT", "NOT SAFE"]


@dataclass(frozen=True)
class OffloadRow:
    """An offload at one of its destinations; columns as in view ``offloads``."""

    offload_id: str
    destination: str
    card: str
    source: str
    folder: str | None
    started_utc: datetime
    elapsed_s: float
    files: int
    bytes: int
    verdict: Verdict
    verified: int
    verified_earlier: int
    whole: bool
    reasons: str


class Offloads:
    """Rows about offloads in an open ledger. A write is one transaction."""

    def __init__(self, engine: sa.Engine, writer: sa.Engine, insert: Callable[[sa.Table], Any]) -> None:
        self._engine = engine
        self._writer = writer
        self._insert = insert

    def record(self, rows: Collection[OffloadRow]) -> None:
        """Write an offload down: a row for each destination."""
        with self._writer.begin() as connection:
            connection.execute(self._insert(OFFLOADS), [asdict(row) for row in rows])

    def rows(self) -> list[OffloadRow]:
        """Every offload, oldest first."""
        query = sa.select(OFFLOADS).order_by(OFFLOADS.c.offload_id, OFFLOADS.c.destination)
        with self._engine.connect() as connection:
            return [OffloadRow(**row) for row in connection.execute(query).mappings()]

    def newest_id(self) -> str | None:
        """The id that comes last; None before the first offload."""
        with self._engine.connect() as connection:
            return connection.execute(sa.select(sa.func.max(OFFLOADS.c.offload_id))).scalar()

    def unsafe(self) -> list[OffloadRow]:
        """Cards whose newest offload ended NOT SAFE, a row for each destination; a card is its name at its path."""
        newest = {(row.source, row.card): row.offload_id for row in self.rows()}
        return [
            row for row in self.rows() if row.verdict == "NOT SAFE" and newest[row.source, row.card] == row.offload_id
        ]
