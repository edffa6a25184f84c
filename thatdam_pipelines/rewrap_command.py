"""What `thatdam rewrap` does: a recording, or any clip, as one file for editors in a folder of one's own."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from thatdam_pipelines.errors import QueryError, SettingsError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.locations import locations_by, media_id_of, rows_by
from thatdam_pipelines.library.schemas import CAPTURE_SEGMENTS
from thatdam_pipelines.media.rewrap import Take, Wrap, clip_of, require_fitting, rewrap, take_of
from thatdam_pipelines.settings import Settings


@dataclass(frozen=True)
class Written:
    """A file that was written. ``chapters`` is how many files it was made of."""

    path: str
    take_id: str | None
    chapters: int
    duration_s: float
    size_bytes: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def rewrap_to(settings: Settings, subject: str, folder: Path, wrap: Wrap) -> list[Written]:
    """Rewrap what ``subject`` names into ``folder``, which is made when it is not there.

    Args:
        subject: A take, session or group of the recorder (a file for each camera and session), or a media id, path or
            name: the whole take that it is of, if any.

    Raises:
        MediaError: The container cannot hold it.
        QueryError: There is no such thing.
        SettingsError: ``folder`` cannot be made.
        StoreError: A file of that name is there already.
    """
    with Library(settings) as library:
        takes = takes_named(library, subject)
        for take in takes:
            require_fitting(take, wrap)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(folder, f"it cannot be made ({error.strerror})", "Give another folder.") from error
        made = [(take, rewrap(library, take, folder.absolute() / f"{take.name}.{wrap}", wrap)) for take in takes]
    return [
        Written(str(done.path), take.take_id, done.chapters, round(done.duration_s, 3), done.size_bytes)
        for take, done in made
    ]


def takes_named(library: Library, subject: str) -> list[Take]:
    """The takes that ``subject`` names, as ``rewrap_to`` takes it.

    Raises:
        QueryError: There is none.
    """
    if locations_by(library.tables, "take_id", [subject]).height:
        return [take_of(library, subject)]
    for column in ("session_id", "group_id"):
        segments = rows_by(library.tables, CAPTURE_SEGMENTS, column, [subject]).sort("camera_id", "start_utc")
        if segments.height:
            return [take_of(library, take_id) for take_id in segments["take_id"].unique(maintain_order=True)]
    media_id = media_id_of(library, subject)
    if media_id is None:
        raise QueryError(subject, "there is no take, session or file of that name", "See `thatdam sql takes`.")
    takes = locations_by(library.tables, "media_id", [media_id]).sort("batch_id")["take_id"].drop_nulls()
    return [take_of(library, takes[0]) if takes.len() else clip_of(library, media_id)]
