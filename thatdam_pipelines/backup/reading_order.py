"""The originals in the order in which they are to be re-read, in a database that grows on disk and not in memory."""

import sqlite3
from collections.abc import Iterator
from itertools import islice

from thatdam_pipelines.backup.contents import Source, originals
from thatdam_pipelines.library.copies import LIBRARY
from thatdam_pipelines.library.home import Library

_LOOKED_UP_AT_ONCE = 500


class ReadingOrder:
    """Originals whose content is known: those never found good first, then those found good longest ago."""

    def __init__(self, library: Library) -> None:
        self._database = sqlite3.connect("")
        self._database.execute("CREATE TABLE originals (read_at, path, media_id, blake3, size_bytes, place, in_store)")
        known = (source for source in originals(library) if source.blake3 is not None)
        while some := list(islice(known, _LOOKED_UP_AT_ONCE)):
            found = library.ledger.copies.find({str(source.blake3) for source in some})
            read_at = {
                copy.blake3: copy.verified_utc.timestamp()
                for copy in found
                if copy.target_id == LIBRARY and copy.state == "verified" and copy.verified_utc is not None
            }
            rows = (
                (
                    read_at.get(str(one.blake3)),
                    one.path,
                    one.media_id,
                    one.blake3,
                    one.size_bytes,
                    one.place,
                    one.in_store,
                )
                for one in some
            )
            self._database.executemany("INSERT INTO originals VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def bytes(self) -> int:
        """Bytes of them all."""
        return int(self._database.execute("SELECT coalesce(sum(size_bytes), 0) FROM originals").fetchone()[0])

    def __iter__(self) -> Iterator[Source]:
        query = "SELECT path, media_id, blake3, size_bytes, place, in_store FROM originals ORDER BY read_at, path"
        for path, media_id, blake3, size_bytes, place, in_store in self._database.execute(query):
            yield Source(path, "original", media_id, blake3, size_bytes, place, bool(in_store))

    def close(self) -> None:
        self._database.close()
