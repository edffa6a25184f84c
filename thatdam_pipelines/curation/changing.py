"""Changing what is said of media: the ledger first, then what can be searched."""

from collections.abc import Iterable, Mapping

from thatdam_pipelines.library.curation import Change, Curation
from thatdam_pipelines.library.exporting import export_curation
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.text import TextIndex


def change_media(
    library: Library, media_ids: Iterable[str], change: Change, by: str, versions: Mapping[str, int] | None = None
) -> list[Curation]:
    """Change media in one transaction, all or none, by the rules of the settings.

    Args:
        by: Who changes it; written into the history.
        versions: By media id, the version that was seen: nothing is changed when one has another version now.

    Returns:
        What is now said of those that changed; a medium that was so already is not among them.

    Raises:
        UnknownMediaError: One of the media is not in the library.
        ConflictError: Somebody changed one of them meanwhile.
        TransitionError: A state cannot follow the one that a medium is in.
        CurationError: A tag is not in the vocabulary, or a name is none.
    """
    ledger = library.ledger.curation
    changed = ledger.change(media_ids, change, by, versions=versions, free_tags=library.settings.free_tags)
    make_findable(library)
    return list(ledger.get_many(changed).values())


def make_findable(library: Library) -> None:
    """Let searches and SQL know what was just said of media, of the vocabulary and of albums."""
    with TextIndex(library.settings.text_path) as index:
        index.catch_up(library.ledger)
    export_curation(library)
