"""Files that are there whole or not at all, also after a power cut."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_text(path: Path, text: str) -> None:
    """Write a file beside, put it on disk and rename it into place. Makes no folder: a missing one may be a disk."""
    beside = path.with_name(f"{path.name}.tmp")
    with beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Put the content of a file on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename_new(source: Path, target: Path) -> None:
    """Rename within one filesystem, never onto something that stands there, and put both names on disk.

    Raises:
        FileExistsError: ``target`` is there.
    """
    if target.exists():
        raise FileExistsError(f"{target} is there already")
    source.rename(target)
    sync_folder(target.parent)
    sync_folder(source.parent)


def make_folder(folder: Path, below: Path) -> None:
    """Make a folder and those between it and ``below``, and put their names on disk."""
    missing = []
    while folder != below and not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
        sync_folder(one.parent)
