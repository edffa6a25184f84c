"""The whole library as one text: streamed, however large it is."""

import json
from collections.abc import Iterator
from typing import Literal

from thatdam_pipelines.settings import Settings

Format = Literal["json", "csv"]
ROWS = 5000
"""Rows that are in memory at once."""
_EVERY = """
    SELECT m.*, s.rating, s.pick, s.state, s.title, s.description, s.tags, s.albums
    FROM media m LEFT JOIN curation s USING (media_id)
"""


def dump(settings: Settings, fmt: Format = "json", rows: int = ROWS) -> Iterator[str]:
    """Every file with what is known and said of it, as it was last published, in pieces of a text.

    Args:
        fmt: ``json``: one list of objects, an object a line; ``csv``: a line with the names, then a line a file.
        rows: Files of a piece.

    Raises:
        OfflineError: The disk with the tables cannot be reached.
    """
    from thatdam_pipelines.library import catalog

    pieces = catalog.stream_sql(settings, _EVERY, rows) if settings.catalog_path.exists() else iter(())
    if fmt == "csv":
        for number, frame in enumerate(pieces):
            yield catalog.as_csv(frame, header=number == 0)
        return
    before = "["
    for frame in pieces:
        for row in catalog.as_rows(frame):
            yield f"{before}\n{json.dumps(row, default=str, ensure_ascii=False)}"
            before = ","
    yield "[]\n" if before == "[" else "\n]\n"
