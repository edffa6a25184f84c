"""Actions that bring footage into the library."""

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field
from rich.console import Console

from thatdam_pipelines.errors import ForeignPathError, SettingsError
from thatdam_pipelines.ingest_command import batches_to_retry, ingest_paths, retry_failed
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.reach import below_watched
from thatdam_pipelines.library.watch import walk_files
from thatdam_pipelines.offload_command import run_offload
from thatdam_pipelines.settings import IngestMode
from thatdam_pipelines.toolbox.album_sync import Category, sync_album
from thatdam_pipelines.toolbox.scanning import scan
from thatdam_pipelines.workflows.action import Action, Desk, Outcome, ReadPath, WritePath, named

RUN_FAILED = "a run failed; its files are safe, and it can be run again"


class Taking(Action):
    """An action that may bring media into the library."""

    brings: ClassVar[bool] = True


class Ingest(Taking):
    """Takes files and folders: copied, verified, probed and findable; with `wait` down to scenes."""

    action: Literal["ingest"]
    paths: list[ReadPath] = Field(min_length=1, description="Files and folders to take.")
    mode: IngestMode = Field("copy", description="copy keeps the source, move takes it, reference leaves it in place.")
    wait: bool = Field(False, description="Run the whole chain until moments can be searched.")

    def grounded(self, library: Library, base: Path, *, stranger: bool) -> Self:
        placed = super().grounded(library, base, stranger=stranger)
        for path in placed.paths if stranger and self.mode == "move" else ():
            mode = below_watched(library, str(path))[1].mode
            if mode != "move":
                cause = f"over the network nothing is moved away from a folder that is watched by {mode}"
                raise ForeignPathError(path, cause, "Leave mode out, or run it with `thatdam workflow run`.")
        return placed

    def run(self, desk: Desk) -> Outcome:
        result = ingest_paths(desk.settings, self.paths, self.mode, wait=self.wait, console=Console(quiet=True))
        return Outcome(result.as_dict(), "" if result.finished else RUN_FAILED)

    def would(self, desk: Desk) -> str:
        return f"take {amount(self.paths)} from {named(self.paths)} by {self.mode}"


class Scan(Taking):
    """Makes the files of a folder known and findable; they stay where they are.

    A watched folder is taken in the mode that it is watched in.
    """

    action: Literal["scan"]
    root: ReadPath | None = Field(None, description="Folder, or file; null: every watched folder that is there.")
    workers: int | None = Field(None, ge=0, description="Decoding processes; 0: one a core.")

    def run(self, desk: Desk) -> Outcome:
        scanned = scan(desk.settings, self.root, self.workers)
        return Outcome(scanned.as_dict(), "" if scanned.finished else RUN_FAILED)

    def would(self, desk: Desk) -> str:
        watched = [folder.path for folder in desk.library.watched_folders if folder.path.is_dir()]
        folders = watched if self.root is None else [self.root]
        return f"look at {amount(folders)} in {named(folders)}"


class SyncAlbum(Taking):
    """Takes what is new in a folder or a phone's export into an album, again and again without doubles."""

    action: Literal["sync_album"]
    root: ReadPath = Field(description="Folder, NAS mount or phone export.")
    album: str | None = Field(None, description="The album; null: the folder's name.")
    category: Category = Field("edit", description="edit or digital.")
    copies: bool = Field(True, alias="copy", description="Copy the files; false leaves them there.")

    def run(self, desk: Desk) -> Outcome:
        synced = sync_album(desk.settings, self.root, self.album, self.category, copy=self.copies)
        return Outcome(synced.as_dict(), "" if synced.finished else RUN_FAILED)

    def would(self, desk: Desk) -> str:
        how = "copy" if self.copies else "refer to"
        return f"{how} what is new of {amount([self.root])} into album {self.album or self.root.name}"


class Retry(Taking):
    """Tries the files again that failed, whatever the reason."""

    action: Literal["retry"]
    batch: str | None = Field(None, description="Only this batch.")

    def run(self, desk: Desk) -> Outcome:
        result = retry_failed(desk.settings, self.batch, console=Console(quiet=True))
        return Outcome(result.as_dict(), "" if result.finished else RUN_FAILED)

    def would(self, desk: Desk) -> str:
        batches = batches_to_retry(desk.library) if self.batch is None else [self.batch]
        return f"run {len(batches)} batches again" + (f": {named(batches)}" if batches else "")


class Offload(Taking):
    """Copies a card to one or more disks, verifies every copy and says whether the card is safe to format.

    The step fails when it is not.
    """

    action: Literal["offload"]
    card: ReadPath = Field(description="Folder where the card is mounted.")
    to: list[WritePath] = Field(min_length=1, description="Folders on disks that are there.")
    reverify: bool = Field(False, description="Read again at both ends what an earlier run verified.")
    ingest: bool = Field(False, description="Then ingest from the first of the disks.")
    mode: Literal["copy", "reference"] = Field("copy", description="With ingest: what happens to the copy there.")

    def run(self, desk: Desk) -> Outcome:
        outcome = run_offload(
            desk.settings, self.card, self.to, Console(quiet=True),
            reverify=self.reverify, ingest=self.ingest, mode=self.mode,
        )  # fmt: skip
        why = outcome.ingest_problem or "; ".join([outcome.offload.verdict, *outcome.offload.reasons])
        return Outcome(outcome.as_dict(), "" if outcome.is_done else why)

    def would(self, desk: Desk) -> str:
        if missing := [path for path in self.to if not path.is_dir()]:
            raise SettingsError(missing[0], "there is no such folder", "Mount its disk.")
        return f"copy {amount([self.card])} from {self.card} to {named(self.to)}"


def amount(paths: Iterable[Path]) -> str:
    """How much stands at some paths, in words; hidden, partial and system files are not counted.

    Raises:
        SettingsError: There is nothing at one of them.
    """
    files = size = 0
    for path in paths:
        if not path.exists():
            raise SettingsError(path, "there is no such file or folder", "Check the name.")
        found = [entry for _, entry in walk_files(str(path), set())] if path.is_dir() else [path.stat()]
        files += len(found)
        size += sum(entry.st_size for entry in found)
    return f"{files} files ({size / 1e6:.1f} MB)"
