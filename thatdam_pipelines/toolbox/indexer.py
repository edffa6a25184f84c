"""The toolbox's Python class, over the same functions as its commands."""

from pathlib import Path
from typing import Any

from rich.console import Console

from thatdam_pipelines.settings import IngestMode, Settings, get_settings


class MediaIndexer:
    """A library, from Python: ``MediaIndexer().scan("/mnt/archive")``.

    Args:
        settings: Which library. Default: that of the environment and ``.env``.

    Every method opens what it needs and closes it again; results are plain dicts and lists. Errors are those of
    ``thatdam_pipelines.errors``.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or get_settings()

    def scan(self, root: str | Path | None = None, workers: int | None = None) -> dict[str, int]:
        """Make the files below a folder known, by reference: ``{"processed", "errors", "total_files"}``.

        Args:
            root: Default: every watched folder.
        """
        from thatdam_pipelines.toolbox.scanning import scan

        return scan(self.settings, Path(root) if root is not None else None, workers).as_dict()

    def ingest(self, *paths: str | Path, mode: IngestMode = "copy", wait: bool = False) -> dict[str, Any]:
        """Take files and folders: ``{"batches", "media", "failed", "not_as_listed"}``, as `thatdam ingest --json`.

        Args:
            wait: Run the whole chain, until scenes can be searched.
        """
        from thatdam_pipelines.ingest_command import ingest_paths

        taken = ingest_paths(
            self.settings, [Path(path) for path in paths], mode, wait=wait, console=Console(quiet=True)
        )
        return taken.as_dict()

    def get_recent(self, limit: int = 10) -> list[dict[str, Any]]:
        """What came last, newest first."""
        from thatdam_pipelines.library.home import Library
        from thatdam_pipelines.search.browse import browse
        from thatdam_pipelines.search.filters import Filters

        with Library(self.settings) as library:
            return browse(library, Filters(), "-added", limit).clips

    def search(self, query: str, mime: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
        """Moments that fit words, best first, each with its path, times, score and reasons.

        Args:
            mime: Only media of this type: ``video``, ``video/*`` or ``video/mp4``.
        """
        from thatdam_pipelines.toolbox.searching import search

        return search(self.settings, query, mime, limit)

    def stats(self) -> dict[str, Any]:
        """The library in numbers: ``{"total_files", "total_size_bytes", "by_mime", "by_batch"}``."""
        from thatdam_pipelines.search.figures import stats

        return stats(self.settings)
