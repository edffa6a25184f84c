"""An open home folder: the one object that stages, searches and commands are given."""

from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self

from thatdam_pipelines.library.ledger import Ledger
from thatdam_pipelines.library.store import Store
from thatdam_pipelines.library.tables import Tables
from thatdam_pipelines.library.watched import watched_folders
from thatdam_pipelines.settings import Settings, WatchedFolder

if TYPE_CHECKING:
    from thatdam_pipelines.library.workers import Workers


class Library:
    """Everything kept under one ``THATDAM_HOME``, opened lazily. Use as a context manager."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def store(self) -> Store:
        return Store(self.settings.media_url, self.settings)

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(self.settings.database_url)

    @cached_property
    def tables(self) -> Tables:
        return Tables(self.settings.tables_dir)

    @cached_property
    def workers(self) -> "Workers":
        from thatdam_pipelines.library.workers import Workers

        return Workers(self.settings.workers, self.settings.worker_memory_bytes)

    @property
    def has_begun(self) -> bool:
        """Whether there is such a home already: looking makes none."""
        settings = self.settings
        return settings.database is not None or (settings.home / "library.db").exists()

    @property
    def watched_folders(self) -> list[WatchedFolder]:
        """Every watched folder, as it is now: those of the settings, and those that people added."""
        return watched_folders(self.settings, self.ledger.watched)

    def close(self) -> None:
        """End worker processes and database connections."""
        if "workers" in self.__dict__:
            self.workers.close()
        if "ledger" in self.__dict__:
            self.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
