"""What is on a camera card: every file of it, what the operating system put there, and what cannot be copied."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from blake3 import blake3
from xxhash import xxh3_128

from thatdam_pipelines.errors import MediaError, SettingsError
from thatdam_pipelines.library.checksum import open_regular, unreadable

EDGE_BYTES = 64 * 2**10

SYSTEM_NAMES = frozenset(
    {
        ".ds_store",
        ".apdisk",
        ".spotlight-v100",
        ".trashes",
        ".fseventsd",
        ".temporaryitems",
        ".documentrevisions-v100",
        ".volumeicon.icns",
        "system volume information",
        "$recycle.bin",
        "recycler",
        "thumbs.db",
        "desktop.ini",
        "lost+found",
        "@eadir",
    }
)
"""Files and folders that macOS, Windows, Linux and NAS boxes make on a card, in lower case: they are not copied."""

_APPLE_DOUBLE = b"\x00\x05\x16\x07"


@dataclass(frozen=True, slots=True)
class CardFile:
    """A file of a card.

    Args:
        path: Relative to the card, as the file system gives it.
    """

    path: str
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class Card:
    """A card as it was listed.

    Args:
        files: In order of their paths.
        folders: Every folder below the top, each after the one it is in.
        left: What the operating system made, which is not copied.
        refused: What cannot be copied, by path, with the reason.
        volume: UUID of its file system; None where it cannot be told.
    """

    root: Path
    files: tuple[CardFile, ...]
    folders: tuple[str, ...]
    left: tuple[str, ...]
    refused: dict[str, str]
    volume: str | None

    @cached_property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    def taking(self, paths: Iterable[str]) -> "Card":
        """The same card with these files too, which were left as the system's; what is no file stays left."""
        found = {path: os.lstat(self.root / path) for path in paths}
        more = [
            CardFile(path, one.st_size, one.st_mtime_ns) for path, one in found.items() if stat.S_ISREG(one.st_mode)
        ]
        files = tuple(sorted([*self.files, *more], key=lambda file: file.path))
        left = set(self.left) - {file.path for file in more}
        return replace(self, files=files, left=tuple(sorted(left)))

    def listing(self) -> str:
        """A hash of all paths, sizes and modification times."""
        hasher = blake3()
        for file in self.files:
            line = f"{file.path}\0{file.size_bytes}\0{file.mtime_ns}\0"
            hasher.update(line.encode(errors="surrogateescape"))
        return hasher.hexdigest()[:32]


def read_card(root: Path) -> Card:
    """List a card without opening its files.

    Raises:
        SettingsError: It is not a folder that can be listed.
    """
    if not root.is_dir():
        raise SettingsError(root, "there is no such folder", "Name the folder where the card is mounted.")
    files: list[CardFile] = []
    folders: list[str] = []
    left: list[str] = []
    refused: dict[str, str] = {}

    def refuse(path: str, error: OSError) -> None:
        if not path:
            raise SettingsError(root, f"it cannot be listed ({error.strerror})", "Check its permissions.") from error
        refused[path] = f"it cannot be listed ({error.strerror})"

    for path, found in _walk(root, "", refuse):
        if _is_system(root / path, found):
            left.append(path)
        elif stat.S_ISDIR(found.st_mode):
            folders.append(path)
        elif stat.S_ISREG(found.st_mode):
            files.append(CardFile(path, found.st_size, found.st_mtime_ns))
        else:
            what = "a link" if stat.S_ISLNK(found.st_mode) else "neither a file nor a folder"
            refused[path] = f"it is {what}, which is not copied"
    files.sort(key=lambda file: file.path)
    return Card(root, tuple(files), tuple(folders), tuple(left), refused, volume_of(root))


def changes(card: Card) -> dict[str, str]:
    """What is not on a card as it was when it was listed, by path, with what became of it."""
    try:
        now = read_card(card.root)
        now = now.taking(path for path in now.left if any(path == file.path for file in card.files))
    except (SettingsError, OSError):
        return {".": "the card is gone"}
    if not now.files:
        return {".": "the card is gone"}
    before, after = ({file.path: file for file in one.files} for one in (card, now))
    found = {path: "it appeared on the card during the offload" for path in after if path not in before}
    for path, file in before.items():
        if after.get(path) != file:
            found[path] = "it was changed on the card during the offload" if path in after else "it went from the card"
    return found


def edges_of(path: Path) -> str:
    """XXH128 of the first and last 64 KiB of a file: tells two files of one name, size and time apart at no cost.

    Raises:
        MediaError: It cannot be read.
    """
    descriptor = open_regular(path)
    try:
        size = os.fstat(descriptor).st_size
        head = os.pread(descriptor, EDGE_BYTES, 0)
        tail = os.pread(descriptor, EDGE_BYTES, max(size - EDGE_BYTES, 0))
    except OSError as error:
        raise unreadable(path, error) from error
    finally:
        os.close(descriptor)
    return xxh3_128(head + tail).hexdigest()


def volume_of(path: Path) -> str | None:
    """UUID of the file system that ``path`` is on, as the kernel's device links tell it; None where they do not."""
    device = path.stat().st_dev
    try:
        with os.scandir("/dev/disk/by-uuid") as links:
            for link in links:
                if link.stat().st_rdev == device:
                    return link.name
    except OSError:
        return None
    return None


def _walk(root: Path, folder: str, refuse: Callable[[str, OSError], None]) -> Iterator[tuple[str, os.stat_result]]:
    """Everything below a folder with what ``lstat`` says; what the system made is given but not entered."""
    try:
        with os.scandir(root / folder) as entries:
            names = sorted(entry.name for entry in entries)
    except OSError as error:
        refuse(folder, error)
        return
    for name in names:
        path = f"{folder}/{name}" if folder else name
        try:
            found = os.lstat(root / path)
        except OSError as error:
            refuse(path, error)
            continue
        yield path, found
        if stat.S_ISDIR(found.st_mode) and not _is_system(root / path, found):
            yield from _walk(root, path, refuse)


def _is_system(path: Path, found: os.stat_result) -> bool:
    name = path.name.lower()
    if name in SYSTEM_NAMES or name.startswith(".trash-"):
        return True
    # macOS keeps what a foreign disk cannot hold in AppleDouble files; a camera's own file may be named so too.
    return name.startswith("._") and stat.S_ISREG(found.st_mode) and _starts_with(path, _APPLE_DOUBLE)


def _starts_with(path: Path, magic: bytes) -> bool:
    try:
        descriptor = open_regular(path)
    except MediaError:
        return False
    try:
        return os.pread(descriptor, len(magic), 0) == magic
    except OSError:
        return False
    finally:
        os.close(descriptor)
