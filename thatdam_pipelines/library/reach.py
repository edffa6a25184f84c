"""How far those reach who ask over the network: footage at or below a watched folder, and nothing else."""

from pathlib import Path

from thatdam_pipelines.errors import ForeignPathError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.watched import folder_above, is_own
from thatdam_pipelines.settings import WatchedFolder


def below_watched(library: Library, path: str) -> tuple[Path, WatchedFolder]:
    """A path of a client with links followed, and the watched folder above it: nothing else is ever opened.

    Raises:
        ForeignPathError: It leads elsewhere, or to the library's own files.
    """
    real = _followed(path)
    folder = folder_above(library.watched_folders, real)
    if folder is None:
        raise _foreign(path)
    if is_own(library.settings, real):
        raise ForeignPathError(path, "it is part of the library itself", "Give footage, or home/incoming.")
    return real, folder


def folder_allowed(library: Library, path: str) -> Path:
    """A folder that a client may have watched, with links followed: below a watched one, or one of the settings'.

    Raises:
        ForeignPathError: It leads elsewhere.
    """
    real = _followed(path)
    if any(real.is_relative_to(folder.resolve()) for folder in library.settings.web_folders):
        return real
    return below_watched(library, path)[0]


def _followed(path: str) -> Path:
    given = Path(path)
    if not given.is_absolute() or "\0" in path:
        raise _foreign(path)
    try:
        real = given.resolve()
        # No name in it is longer than the disk allows.
        real.exists()
    except (OSError, RuntimeError):
        raise _foreign(path) from None
    return real


def _foreign(path: str) -> ForeignPathError:
    next_step = "Put it into the incoming folder, or `thatdam paths add` its folder."
    return ForeignPathError(path, "it is not at or below a watched folder", next_step)
