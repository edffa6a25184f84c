"""What `thatdam sync` does: recordings that are named, on one time line."""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from thatdam_pipelines.errors import QueryError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.locations import media_id_of, rows_by
from thatdam_pipelines.library.schemas import CAPTURE_SEGMENTS
from thatdam_pipelines.media.aligning import Aligned, align_group
from thatdam_pipelines.media.sync import opened, recordings
from thatdam_pipelines.settings import Settings


@dataclass(frozen=True)
class Placed:
    """A recording and where it lies."""

    name: str
    aligned: Aligned

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name} | self.aligned.as_dict()


def sync_named(settings: Settings, subjects: list[str]) -> list[Placed]:
    """Align what ``subjects`` name: media ids, paths or names, or one group of the recorder.

    Raises:
        QueryError: There is no such thing, it has no proxy yet, or it is one recording only.
    """
    with Library(settings) as library, ExitStack() as stack:
        segments = rows_by(library.tables, CAPTURE_SEGMENTS, "group_id", subjects)
        media_ids = list(dict.fromkeys(segments["media_id"])) or [_media_id(library, subject) for subject in subjects]
        clocks = rows_by(library.tables, CAPTURE_SEGMENTS, "media_id", media_ids).to_dicts()
        known = recordings(library, set(media_ids), {row["media_id"]: row for row in clocks})
        for subject in [media_id for media_id in media_ids if media_id not in known]:
            raise QueryError(subject, "it has no proxy to be aligned by", "Run `thatdam explain` on it.")
        if len(known) < 2:
            raise QueryError(", ".join(subjects), "that is one recording", "Name two or more, or a group.")
        together = [stack.enter_context(opened(library.store, known[one])) for one in dict.fromkeys(media_ids)]
        found = align_group(together)
        return [Placed(one.name, aligned) for one, aligned in zip(together, found, strict=True)]


def _media_id(library: Library, subject: str) -> str:
    media_id = media_id_of(library, subject)
    if media_id is None:
        raise QueryError(subject, "there is no file or group of that name", 'See `thatdam sql "FROM media"`.')
    return media_id
