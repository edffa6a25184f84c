"""What a file has to do with others: its copies and sources, other takes, places and sessions."""

import contextlib
from dataclasses import asdict, dataclass
from typing import Any

from thatdam_pipelines.errors import QueryError
from thatdam_pipelines.library import catalog
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.locations import media_id_of
from thatdam_pipelines.search.search import Instant

_SQL = """
SELECT
    relation, direction, other_id AS media_id, media.path, relatives.score, relatives.method,
    relatives.start_s, relatives.end_s, other_start_s, other_end_s, speed, mirrored, operations
FROM relatives JOIN media ON media.media_id = other_id
WHERE relatives.media_id = $media_id AND ($relation IS NULL OR relation = $relation)
ORDER BY relation, relatives.score DESC, other_id
"""

_SYNCED = """
SELECT other_id AS media_id, media.path, offset_s, drift_ppm, method, confidence, sure, error_s, overlap_s, reason
FROM (
    SELECT
        media_id AS seen_id, reference_id AS other_id, offset_s, drift_ppm,
        method, confidence, sure, error_s, overlap_s, reason
    FROM syncs
    UNION ALL
    SELECT
        reference_id, media_id, -offset_s / (1 + coalesce(drift_ppm, 0) / 1e6), -drift_ppm / (1 + drift_ppm / 1e6),
        method, confidence, sure, error_s, overlap_s, reason
    FROM syncs
) JOIN media ON media.media_id = other_id
WHERE seen_id = $media_id
ORDER BY sure DESC, confidence DESC, other_id
"""


@dataclass(frozen=True)
class Relative:
    """One relation of the file that was asked for.

    Args:
        direction: ``copy``: the file was made of the other; ``source``: the other of it; ``both``: neither.
        start_s: Begin of the stretch of the file that it is about; None where it is about all of it.
        other_start_s: Begin of the same stretch in the other.
    """

    relation: str
    direction: str
    media_id: str
    path: str
    score: float
    method: str
    start_s: float | None
    end_s: float | None
    other_start_s: float | None
    other_end_s: float | None
    speed: float | None
    mirrored: bool | None
    operations: list[str] | None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def line(self) -> str:
        """One line for people, without the path."""
        what = {"copy": "copy of", "source": "source of"}.get(self.direction, self.relation)
        said = f"{what:<14} {self.score:.2f}"
        if self.start_s is not None and self.other_start_s is not None:
            said += (
                f"  {self.start_s:.1f}-{self.end_s:.1f} s is {self.other_start_s:.1f}-{self.other_end_s:.1f} s of it"
            )
        return f"{said}  by {self.method}{', ' + ', '.join(self.operations) if self.operations else ''}"


@dataclass(frozen=True)
class Synced:
    """Where a recording lies on the time line of another that was recorded together with it.

    Args:
        offset_s: Time in the other at which this one begins; None where that was refused.
        drift_ppm: How much longer its second is by the other's clock; None: not measured.
        sure: False: refused; ``reason`` says why.
    """

    media_id: str
    path: str
    offset_s: float | None
    drift_ppm: float | None
    method: str
    confidence: float
    sure: bool
    error_s: float | None
    overlap_s: float | None
    reason: str


def related(library: Library, subject: str, relation: str | None = None) -> list[Relative]:
    """The relations of the file that ``subject`` names, as the catalogue has them.

    Args:
        subject: A media id, a path or a name.
        relation: Only these.

    Raises:
        QueryError: There is no such file, or nothing was published yet.
    """
    media_id = media_id_of(library, subject)
    if media_id is None:
        raise QueryError(subject, "the library has no file of that name, path or media id", "See `thatdam explain`.")
    rows = catalog.run_sql(library.settings, _SQL, {"media_id": media_id, "relation": relation})
    return [Relative(**row) for row in rows.iter_rows(named=True)]


def synced(library: Library, media_id: str) -> list[Synced]:
    """The recordings that a recording was laid beside, as the catalogue has them.

    Raises:
        QueryError: Nothing was published yet.
    """
    rows = catalog.run_sql(library.settings, _SYNCED, {"media_id": media_id})
    return [Synced(**row) for row in rows.iter_rows(named=True)]


def instant_of(library: Library, subject: str) -> Instant:
    """The frame that ``MEDIA@TIME`` means, TIME in seconds; without a time the first of MEDIA.

    Raises:
        QueryError: There is no such file.
    """
    media_id = media_id_of(library, subject)
    if media_id is not None:
        return Instant(media_id, 0.0)
    name, _, time = subject.rpartition("@")
    with contextlib.suppress(ValueError):
        if name and (media_id := media_id_of(library, name)) is not None:
            return Instant(media_id, float(time))
    raise QueryError(subject, "the library has no such file, or the time is no number of seconds", "Give MEDIA[@TIME].")
