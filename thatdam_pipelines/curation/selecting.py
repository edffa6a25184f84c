"""Which media are meant: by ids, paths and names, or by a condition."""

from collections.abc import Sequence

from thatdam_pipelines.errors import CurationError, UnknownMediaError
from thatdam_pipelines.library import catalog
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.locations import media_id_of


def select_media(library: Library, subjects: Sequence[str], where: str | None = None) -> list[str]:
    """Ids of the media that are named, and of those that a condition holds of, each once.

    Args:
        subjects: Media ids, paths they came from, paths where they are kept, or names.
        where: SQL condition over the view ``curation``, which has every file but sidecars.

    Raises:
        UnknownMediaError: Nothing of that name was ever seen.
        QueryError: Several files have that name, or the condition is wrong.
        CurationError: Nothing is named.
    """
    if not subjects and where is None:
        raise CurationError("media", "none are named", "Give paths, names or media ids, or --where CONDITION.")
    found = [_named(library, subject) for subject in subjects]
    if where is not None:
        query = f"SELECT media_id FROM curation WHERE (\n{where}\n) ORDER BY name, media_id"
        found += catalog.run_sql(library.settings, query)["media_id"].to_list()
    return list(dict.fromkeys(found))


def _named(library: Library, subject: str) -> str:
    media_id = media_id_of(library, subject)
    if media_id is None:
        raise UnknownMediaError(subject, "nothing of that name is in the library", "Look it up with `thatdam search`.")
    return media_id
