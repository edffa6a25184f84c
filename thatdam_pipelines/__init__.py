"""thatdam: verified ingest, moment search and lineage for people who shoot video."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thatdam_pipelines.toolbox.indexer import MediaIndexer

__all__ = ["MediaIndexer"]


def __getattr__(name: str) -> Any:
    # Only who asks for it pays for what it imports.
    if name == "MediaIndexer":
        from thatdam_pipelines.toolbox.indexer import MediaIndexer

        return MediaIndexer
    raise AttributeError(name)
