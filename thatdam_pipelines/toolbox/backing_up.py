"""A snapshot to a folder that is only named when it is taken, as the toolbox backs up."""

from pathlib import Path
from typing import Any

from blake3 import blake3

from thatdam_pipelines.backup.snapshot import preview_snapshot, take_snapshot
from thatdam_pipelines.library.files import escape_name
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.settings import BackupTarget, Settings


def back_up(library: Library, backup_root: Path, *, dry_run: bool = False) -> dict[str, Any]:
    """Take a snapshot of the library to a folder; nothing that is there is overwritten.

    Args:
        backup_root: Empty, or a backup target already; one of the settings' targets is known by its folder.
        dry_run: Copy nothing; ``copied`` is what would be, but for the copy of the database.

    Returns:
        ``{"copied", "skipped", "dest", "missing"}``: contents that were copied and read back, contents that the folder
        had, the folder, and what of the library is not in the snapshot, each with path and reason.

    Raises:
        OfflineError: The folder or the media store cannot be reached.
        StoreError: The folder is full or does not work.
    """
    target = target_at(library.settings, backup_root)
    if dry_run:
        copied, skipped = preview_snapshot(library, target)
        return {"copied": copied, "skipped": skipped, "dest": target.url, "missing": []}
    report = take_snapshot(library, target)
    return {
        "copied": report.new_files,
        "skipped": report.known_files,
        "dest": target.url,
        "missing": report.missing,
    }


def target_at(settings: Settings, folder: Path) -> BackupTarget:
    """The settings' target with this folder; else one that is called by the folder's path."""
    path = folder.expanduser().absolute()
    name = f"folder-{blake3(escape_name(str(path)).encode()).hexdigest()[:8]}"
    named = (target for target in settings.backup_targets if target.url in (str(path), path.as_uri()))
    return next(named, BackupTarget(name=name, url=str(path)))
