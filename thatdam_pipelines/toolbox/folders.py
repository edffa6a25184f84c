"""The watched folders, listed and changed."""

from pathlib import Path
from typing import Any

from thatdam_pipelines.errors import SettingsError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.watch import plain_path
from thatdam_pipelines.library.watched import is_own
from thatdam_pipelines.settings import WatchedFolder


def list_folders(library: Library) -> list[dict[str, Any]]:
    """The watched folders as ``{"path", "mode", "album", "category", "set_by", "online", "message"}``.

    ``set_by`` is ``settings`` or ``people``; ``online`` is None before the first look at the folder.
    """
    known = {folder.path: folder for folder in library.ledger.folders()}
    of_settings = {folder.path for folder in library.settings.watched_folders}
    rows = []
    for folder in library.watched_folders:
        state = known.get(plain_path(folder.path))
        rows.append(
            {
                "path": str(folder.path),
                "mode": folder.mode,
                "album": folder.album,
                "category": folder.category,
                "set_by": "settings" if folder.path in of_settings else "people",
                "online": state.online if state else None,
                "message": state.message if state else "",
            }
        )
    return rows


def add_folder(library: Library, folder: WatchedFolder, by: str) -> WatchedFolder:
    """Watch a folder from now on; of one that was added before, mode, album and the rest change.

    Returns:
        The folder as it is watched: its path absolute and without dots.

    Raises:
        SettingsError: It is not there, is part of the library itself, or is watched by the settings.
    """
    path = Path(plain_path(folder.path))
    if not path.is_dir():
        raise SettingsError(path, "there is no such folder", "Check the name, or mount its disk.")
    if path in {Path(plain_path(one.path)) for one in library.settings.watched_folders}:
        raise SettingsError(path, "the settings watch it already", "Edit THATDAM_WATCHED.")
    if is_own(library.settings, path):
        raise SettingsError(path, "it is part of the library itself", "Give a folder of footage.")
    made = folder.model_copy(update={"path": path})
    library.ledger.watched.add(made, by)
    return made


def remove_folder(library: Library, path: Path) -> None:
    """Watch a folder no more, by whatever links it was added or is named. What came from it stays in the library.

    Raises:
        SettingsError: It is not watched, or by the settings.
    """
    plain = Path(plain_path(path.expanduser()))
    real = plain.resolve()
    watched = library.ledger.watched
    if [watched.remove(folder.path) for folder in watched.added() if folder.path.resolve() == real]:
        return
    if any(one.path.resolve() == real for one in library.settings.watched_folders):
        raise SettingsError(plain, "the settings watch it", "Edit THATDAM_WATCHED; home/incoming is always watched.")
    raise SettingsError(plain, "it is not watched", "See `thatdam paths list`.")
