"""Queries of strangers, in processes that are limited in time and memory and read nothing but tables."""

import os
from concurrent.futures import TimeoutError as FutureTimeoutError

import polars as pl
from pebble import ProcessExpired, ProcessPool

from thatdam_pipelines.errors import QueryError
from thatdam_pipelines.library import catalog
from thatdam_pipelines.library.sql_guard import short
from thatdam_pipelines.library.workers import WorkerContext, start_worker
from thatdam_pipelines.settings import Settings

_PROCESSES = 2


class SqlProcess:
    """A few processes that answer queries over the catalogue. They start with the first query."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool = ProcessPool(
            max_workers=_PROCESSES,
            initializer=start_worker,
            initargs=(os.getpid(), settings.sql_memory_bytes),
            context=WorkerContext(),
        )

    def answer(self, query: str, most_rows: int) -> pl.DataFrame:
        """As ``catalog.run_sql``; at most ``most_rows`` rows.

        Raises:
            QueryError: It cannot be answered as asked, or takes more time or memory than the settings allow.
            OfflineError: The disk with the tables cannot be reached.
        """
        limit_s = self._settings.sql_seconds
        future = self._pool.schedule(_answer, args=(self._settings, query, most_rows), timeout=limit_s)
        try:
            answer: pl.DataFrame = future.result()
        except FutureTimeoutError:
            raise QueryError(short(query), f"it took longer than {limit_s:g} s", "Ask for less.") from None
        except (MemoryError, ProcessExpired, pl.exceptions.PanicException) as error:
            raise QueryError(short(query), "it needs more memory than a query may take", "Ask for less.") from error
        return answer

    def close(self) -> None:
        self._pool.stop()
        self._pool.join()


def _answer(settings: Settings, query: str, most_rows: int) -> pl.DataFrame:
    return catalog.run_sql(settings, query, most_rows=most_rows)
