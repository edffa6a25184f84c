"""What the routes of one application share: the open library, the searcher, what Dagster remembers."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, cast

from fastapi import Depends, Request

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.search.search import Query, Searcher, SearchResult
from thatdam_pipelines.settings import Settings
from thatdam_pipelines.web.access import Access, Caller
from thatdam_pipelines.web.listeners import Listeners
from thatdam_pipelines.web.sql_process import SqlProcess

if TYPE_CHECKING:
    from thatdam_pipelines.dagster_runs import DagsterRuns
    from thatdam_pipelines.run_history import RunHistory


VECTORS_WAIT_S = 3.0
"""Longest wait of a request for a command that has the vectors open: what words find is told before it ends."""


class Context:
    """One open library. Whatever is heavy opens when it is first asked for; safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.library = Library(settings)
        self.access = Access(settings, lambda: self.library.ledger.accounts)
        self._open = ExitStack()
        self._vectors = threading.Lock()
        self.starting = threading.Lock()
        """Held while a run is asked for, so that a request that is repeated starts one."""
        self.listeners = Listeners()
        self._history_opens = threading.Lock()
        self._runs: DagsterRuns | None = None
        self._history: RunHistory | None = None
        self._searcher: Searcher | None = None
        self._serving: object = None

    def search(self, query: Query) -> SearchResult:
        """What ``Searcher.search`` finds. The model is loaded by the first call and stays.

        Raises:
            QueryError: As ``Searcher.search``.
            ModelError: The embedder that serves cannot be opened.
            OfflineError: As ``Searcher.search``; also when the ledger cannot be read.
        """
        with self.vectors():
            searcher = self._open_searcher()
            try:
                return searcher.search(query)
            finally:
                # Alone with the folder of vectors, we would keep every run from writing to it.
                searcher.vectors.close_unless_shared()

    @cached_property
    def sql(self) -> SqlProcess:
        """What answers queries of strangers."""
        return SqlProcess(self.settings)

    @contextmanager
    def vectors(self) -> Iterator[None]:
        """Be the only thread of this process that opens the vectors."""
        with self._vectors:
            yield

    @property
    def runs(self) -> "DagsterRuns":
        """The runs in Dagster."""
        from thatdam_pipelines.dagster_runs import DagsterRuns

        with self._history_opens:
            if self._runs is None:
                self._runs = self._open.enter_context(DagsterRuns(self.settings))
        return self._runs

    def last_run(self, stage: str, batch_id: str) -> tuple[datetime, str] | None:
        """As ``RunHistory.last_run``."""
        from thatdam_pipelines.run_history import RunHistory

        with self._history_opens:
            if self._history is None:
                self._history = self._open.enter_context(RunHistory(self.settings))
        return self._history.last_run(stage, batch_id)

    def _open_searcher(self) -> Searcher:
        from thatdam_pipelines.embed.spaces import served

        serving = served(self.library.ledger)
        if self._searcher is None or serving != self._serving:
            if self._searcher is not None:
                self._searcher.close()
            self._searcher, self._serving = Searcher(self.settings, vectors_wait_s=VECTORS_WAIT_S), serving
        return self._searcher

    def close(self) -> None:
        if self._searcher is not None:
            self._searcher.close()
        if "sql" in self.__dict__:
            self.sql.close()
        self._open.close()
        self.library.close()


def context_of(request: Request) -> Context:
    return cast(Context, request.app.state.context)


def caller_of(request: Request) -> Caller:
    """Who asks, as the guard found out."""
    return cast(Caller, request.state.caller)


Shared = Annotated[Context, Depends(context_of)]
"""Parameter of a route: what the application shares."""
Asking = Annotated[Caller, Depends(caller_of)]
"""Parameter of a route: who asks."""
