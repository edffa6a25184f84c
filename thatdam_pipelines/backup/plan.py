"""The files of a snapshot that is being taken, in a database of its own that grows on disk and not in memory."""

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import product

from thatdam_pipelines.backup.contents import Source
from thatdam_pipelines.backup.manifest import Line

_CACHE_KIB = 16_384
_FEW = 100_000


class Plan:
    """One row a file; thrown away with the process."""

    def __init__(self) -> None:
        # One transaction from first to last: nothing of it is ever to be kept.
        self._database = sqlite3.connect("", check_same_thread=False)
        self._database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._database.execute(
            "CREATE TABLE files (path TEXT PRIMARY KEY, role, media_id, blake3, size_bytes, place, in_store, mtime_ns, "
            "missing) WITHOUT ROWID"
        )

    def add(self, files: Iterable[tuple[Source, int, str]]) -> None:
        """Write down files, each with its modification time in ns since 1970, and why it is missing or ''."""
        self._database.executemany(
            "INSERT OR IGNORE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            ((*source, mtime_ns, missing) for source, mtime_ns, missing in files),
        )
        self._database.execute("CREATE INDEX IF NOT EXISTS by_blake3 ON files (blake3)")

    def prefixes(self) -> Iterator[str]:
        """What the BLAKE3 of contents begin with, so many digits that few of a large library have one of them."""
        (files,) = self._database.execute("SELECT count(*) FROM files").fetchone()
        digits = 1 if files < _FEW else 2
        return ("".join(one) for one in product("0123456789abcdef", repeat=digits))

    def contents(self, prefix: str) -> Iterator[Source]:
        """One file of each content whose BLAKE3 begins so, in order."""
        query = (
            "SELECT path, role, media_id, blake3, size_bytes, place, in_store FROM files "
            "WHERE blake3 >= ? AND blake3 < ? AND missing = '' GROUP BY blake3 ORDER BY blake3"
        )
        return map(Source._make, self._database.execute(query, (prefix, f"{prefix}g")))

    def lose(self, blake3: str, reason: str) -> None:
        self._database.execute("UPDATE files SET missing = ? WHERE blake3 = ?", (reason, blake3))

    def replace(self, path: str, blake3: str, size_bytes: int) -> None:
        self._database.execute("UPDATE files SET blake3 = ?, size_bytes = ? WHERE path = ?", (blake3, size_bytes, path))

    def lines(self) -> Iterator[str]:
        """The files as lines of a manifest, in the order of their paths."""
        fields = ", ".join(f"'{field}', {field}" for field in Line._fields)
        return (text for (text,) in self._database.execute(f"SELECT json_object({fields}) FROM files ORDER BY path"))

    def amount(self) -> tuple[int, int]:
        query = "SELECT count(*), coalesce(sum(size_bytes), 0) FROM files WHERE missing = ''"
        files, size = self._database.execute(query).fetchone()
        return files, size

    def bytes_of_contents(self) -> int:
        query = (
            "SELECT coalesce(sum(size), 0) FROM "
            "(SELECT max(size_bytes) AS size FROM files WHERE blake3 <> '' GROUP BY blake3)"
        )
        return int(self._database.execute(query).fetchone()[0])

    def count_missing(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM files WHERE missing <> ''").fetchone()[0])

    def missing(self) -> list[dict[str, str]]:
        query = "SELECT path, missing FROM files WHERE missing <> '' ORDER BY path"
        return [{"path": path, "reason": reason} for path, reason in self._database.execute(query)]
