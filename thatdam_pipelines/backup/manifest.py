"""Manifests: what is in a snapshot, one JSON line a file, compressed, with the hash of the whole in its name."""

import gzip
import io
import json
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple, cast

from thatdam_pipelines.backup.leases import leased
from thatdam_pipelines.backup.targets import Target
from thatdam_pipelines.errors import QueryError, StoreError
from thatdam_pipelines.library.checksum import digest_file

Role = Literal["original", "table", "database", "derived"]
FOLDER = "snapshots"
SPARE = "spare"
"""Folder with a second copy of every manifest: one damaged file must not cost a snapshot."""
_NAME = re.compile(
    r"(?P<id>(?P<utc>\d{8}T\d{6})-(?P<number>\d{6})-(?P<library>[0-9a-f]{8})-[0-9a-f]{4})"
    r"\.(?P<target>[0-9a-f]{8})\.(?P<hash>[0-9a-f]{64})\.jsonl\.gz"
)


class Line(NamedTuple):
    """A file of a snapshot.

    Args:
        path: Relative to the home it came from, '/'-separated, bytes that are not UTF-8 escaped: ``media/raw/...``,
            ``tables/...``, ``library.db``, ``referenced/<absolute path>``.
        media_id: None for what is not an original.
        blake3: 64 hex digits; '' when it could not be read and is not in the snapshot.
        mtime_ns: Its modification time, ns since 1970.
        missing: Why it is not in the snapshot; '' when it is.
    """

    path: str
    role: Role
    media_id: str | None
    blake3: str
    size_bytes: int
    mtime_ns: int
    missing: str = ""


@dataclass(frozen=True, order=True)
class SnapshotName:
    """A snapshot as the name of its manifest tells of it; they sort by number, whatever the clock said.

    Args:
        library: First 8 hex digits of the id of the library it is of.
        target: First 8 hex digits of the id of the target it was written for.
    """

    number: int
    snapshot_id: str
    created_utc: datetime
    library: str
    target: str
    blake3: str

    @property
    def file(self) -> str:
        return f"{self.snapshot_id}.{self.target}.{self.blake3}.jsonl.gz"


def write_manifest(path: Path, lines: Iterable[str]) -> str:
    """Write the lines, each the JSON of a ``Line``, to a new file and give its BLAKE3."""
    with (
        path.open("xb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=4, mtime=0) as stream,
        io.BufferedWriter(cast(io.RawIOBase, stream), 2**18) as packed,
    ):
        packed.writelines(f"{line}\n".encode() for line in lines)
    return digest_file(path).blake3


def publish_manifest(target: Target, name: SnapshotName, path: Path) -> None:
    """Put a manifest at the target, read back, beside its spare: with it the snapshot exists.

    Raises:
        OfflineError: The target cannot be reached.
        StoreError: It cannot be written.
    """
    for folder in (SPARE, FOLDER):
        target.place.add(path, f"{folder}/{name.file}")
        target.place.flush()


def list_snapshots(target: Target) -> list[SnapshotName]:
    """The snapshots at a target, in the order in which they were begun there."""
    names = {name for folder in (FOLDER, SPARE) for name, _, _ in target.place.list(folder)}
    found = [match for name in names if (match := _NAME.fullmatch(name))]
    return sorted(
        SnapshotName(
            int(match["number"]),
            match["id"],
            datetime.strptime(match["utc"], "%Y%m%dT%H%M%S").replace(tzinfo=UTC),
            match["library"],
            match["target"],
            match["hash"],
        )
        for match in found
        # One for another target came here while the disks were swapped; what it names is not here.
        if match["target"] == target.target_id[:8]
    )


def find_snapshot(target: Target, wanted: str, library: str | None = None) -> SnapshotName:
    """A snapshot by its id or the beginning of it, or ``latest``.

    Args:
        library: Only snapshots of the library with this id count for ``latest``.

    Raises:
        QueryError: There is none, or more than one begins so, or there is a latest of more than one library.
    """
    snapshots = list_snapshots(target)
    if wanted == "latest":
        newest = {name.library: name.snapshot_id for name in snapshots}
        if library is None and len(newest) > 1:
            cause = f"snapshots of {len(newest)} libraries are at {target.name}: the newest of each are "
            raise QueryError(wanted, cause + ", ".join(sorted(newest.values())), "Name one of them.")
        found = [name for name in snapshots if library is None or name.library == library[:8]][-1:]
    else:
        found = [name for name in snapshots if name.snapshot_id.startswith(wanted)]
    if len(found) != 1:
        cause = "more than one snapshot begins so" if found else f"there is no such snapshot at {target.name}"
        raise QueryError(wanted, cause, "See `thatdam backup list`.")
    return found[0]


def mend_manifest(target: Target, name: SnapshotName) -> list[str]:
    """What is wrong with the manifest and its spare, in words; the whole one of them is put in the other's place.

    Raises:
        OfflineError: The target cannot be reached.
    """
    with TemporaryDirectory(prefix="thatdam-") as scratch:
        found = {folder: Path(scratch, folder) for folder in (FOLDER, SPARE)}
        wrong = {folder: _fetch(target, f"{folder}/{name.file}", name, path) for folder, path in found.items()}
        bad = [folder for folder, problem in wrong.items() if problem is not None]
        whole = [folder for folder in found if folder not in bad]
        then = "the other is lost too"
        if bad and whole:
            then = _put_back(target, name, whole[0], found[whole[0]], bad[0])
        return [f"{folder}/{name.file}: {wrong[folder]}; {then}" for folder in bad]


def _put_back(target: Target, name: SnapshotName, whole: str, path: Path, bad: str) -> str:
    key = f"{bad}/{name.file}"
    try:
        with leased(target, "snapshot"):
            if target.place.size(f"{whole}/{name.file}") is None:
                return "the snapshot was removed meanwhile"
            if target.place.size(key) is not None:
                target.place.move(key, f"damaged/{name.snapshot_id}.{bad}.{secrets.token_hex(2)}")
            target.place.add(path, key)
            target.place.flush()
    except StoreError as error:
        return f"it could not be put back from the other ({error.cause})"
    return "it was put back from the other"


@contextmanager
def open_manifest(target: Target, name: SnapshotName) -> Iterator[Path]:
    """A proven manifest as a local file; its spare is taken where it is damaged.

    Raises:
        OfflineError: The target cannot be reached.
        StoreError: Both are damaged or missing.
    """
    with TemporaryDirectory(prefix="thatdam-") as scratch:
        path = Path(scratch, "manifest")
        problems = []
        for folder in (FOLDER, SPARE):
            problem = _fetch(target, f"{folder}/{name.file}", name, path)
            if problem is None:
                yield path
                return
            problems.append(problem)
        raise StoreError(
            name.snapshot_id, f"its manifest and the spare are lost ({problems[0]})", "Use another snapshot."
        )


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of a manifest that ``open_manifest`` gave."""
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
        for text in lines:
            yield Line(**json.loads(text))


def _fetch(target: Target, key: str, name: SnapshotName, path: Path) -> str | None:
    try:
        with path.open("wb") as file:
            for block in target.place.read(key):
                file.write(block)
    except FileNotFoundError:
        return "it is missing"
    except StoreError as error:
        return error.cause
    return None if digest_file(path).blake3 == name.blake3 else "it is damaged: its hash is not the one in its name"
