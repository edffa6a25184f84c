"""Scanning a folder: its files become known and findable, and stay where they are."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from thatdam_pipelines.errors import SettingsError
from thatdam_pipelines.ingest_command import IngestResult, ingest_paths
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.watched import folder_above
from thatdam_pipelines.settings import Settings, WatchedFolder


@dataclass(frozen=True)
class Scanned:
    """What became of the files below some folders.

    Args:
        processed: Files that are in the library and can be found, those of an earlier scan among them.
        errors: Files that could not be read or understood.
        finished: False when a run itself failed; the scan can be repeated.
    """

    processed: int
    errors: int
    finished: bool

    def as_dict(self) -> dict[str, int]:
        return {"processed": self.processed, "errors": self.errors, "total_files": self.processed + self.errors}


def scan(
    settings: Settings, root: Path | None = None, workers: int | None = None, console: Console | None = None
) -> Scanned:
    """Ingest what is new or changed below a folder, by reference; a watched folder in the mode that it is watched in.

    Args:
        root: The folder, or a file. Default: every watched folder that is there.
        workers: Decoding processes; default as in the settings.

    Raises:
        SettingsError: There is no such folder.
    """
    if workers is not None:
        settings = settings.model_copy(update={"workers": workers})
    with Library(settings) as library:
        watched = library.watched_folders
    folders = [folder for folder in watched if folder.path.is_dir()] if root is None else [_folder(watched, root)]
    results = [_ingested(settings, folder, console or Console(quiet=True)) for folder in folders]
    media = {row["path"]: row["status"] for result in results for row in result.media}
    unread = {row["path"] for result in results for row in result.failed if not Path(row["path"]).is_dir()}
    processed = sum(status != "failed" for path, status in media.items() if path not in unread)
    return Scanned(processed, len(media | dict.fromkeys(unread)) - processed, all(one.finished for one in results))


def _folder(watched: list[WatchedFolder], root: Path) -> WatchedFolder:
    if not root.exists():
        raise SettingsError(root, "there is no such file or folder", "Check the name.")
    above = folder_above(watched, root)
    return above.model_copy(update={"path": root}) if above else WatchedFolder(path=root, mode="reference")


def _ingested(settings: Settings, folder: WatchedFolder, console: Console) -> IngestResult:
    return ingest_paths(
        settings,
        [folder.path],
        folder.mode,
        wait=False,
        console=console,
        album=folder.album,
        category=folder.category,
        again=False,
    )
