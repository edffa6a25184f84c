"""Which run last made what: the event log's answer to `thatdam explain`."""

from contextlib import ExitStack
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import dagster as dg

from thatdam_pipelines.instance import open_instance
from thatdam_pipelines.settings import Settings


class RunHistory:
    """Reads the event log of a home's Dagster instance. Use as a context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._instance = self._open.enter_context(open_instance(self._settings))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def last_run(self, stage: str, batch_id: str) -> tuple[datetime, str] | None:
        """When ``stage`` was last materialized for the batch, and the address of that run in the UI."""
        records = self._instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey(stage), asset_partitions=[batch_id]), limit=1
        ).records
        if not records:
            return None
        return datetime.fromtimestamp(records[0].timestamp, UTC), self._settings.run_url(records[0].run_id)
