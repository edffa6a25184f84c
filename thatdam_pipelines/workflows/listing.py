"""Actions that list what there is, and keep the lists tidy, as the toolbox's commands do."""

import json
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from thatdam_pipelines.errors import QueryError
from thatdam_pipelines.library.accounts import Role
from thatdam_pipelines.library.files import replacing
from thatdam_pipelines.search.browse import browse
from thatdam_pipelines.search.figures import stats
from thatdam_pipelines.search.filters import Filters
from thatdam_pipelines.settings import IngestMode, WatchedFolder
from thatdam_pipelines.toolbox.batches import list_batches, show_batch
from thatdam_pipelines.toolbox.cleaning import clean
from thatdam_pipelines.toolbox.dumping import Format, dump
from thatdam_pipelines.toolbox.folders import add_folder, list_folders, remove_folder
from thatdam_pipelines.workflows.action import Action, Desk, Outcome, Reach, WritePath
from thatdam_pipelines.workflows.asking import Asking

LONGEST_RESULT = 5_000_000
"""Characters of a dump that is a step's result."""


class Stats(Asking):
    """Counts files and bytes, by type and by batch."""

    action: Literal["stats"]

    def run(self, desk: Desk) -> Outcome:
        return Outcome(stats(desk.settings))


class Recent(Asking):
    """Lists what came last, newest first."""

    action: Literal["recent"]
    limit: int = Field(10, ge=1, le=10_000, description="How many.")

    def run(self, desk: Desk) -> Outcome:
        return Outcome(browse(desk.library, Filters(), "-added", self.limit).clips)


class Dump(Asking):
    """Gives every file with all that is known and said of it; a large library is written to a file."""

    action: Literal["dump"]
    format: Format = Field("json", description="json: a list of objects; csv: a table.")
    to: WritePath | None = Field(None, description="File it is written to; null: it is the step's result.")

    def run(self, desk: Desk) -> Outcome:
        pieces = dump(desk.settings, self.format)
        if self.to is None:
            text = ""
            for piece in pieces:
                text += piece
                if len(text) > LONGEST_RESULT:
                    raise QueryError("dump", "the library is too large to be a step's result", "Give a file with to.")
            return Outcome(json.loads(text) if self.format == "json" else text)
        with replacing(self.to) as part, part.open("w", encoding="utf-8") as written:
            characters = sum(written.write(piece) for piece in pieces)
        return Outcome({"format": self.format, "dest": str(self.to), "characters": characters})


class Paths(Action):
    """Lists the watched folders, or changes those that people added."""

    action: Literal["paths"]
    cmd: Literal["list", "add", "remove"] = Field("list", description="list, add or remove.")
    path: Annotated[Path, Reach.WATCHES] | None = Field(None, description="With add and remove: the folder.")
    mode: IngestMode = Field("copy", description="With add: what happens to what arrives there.")
    album: str | None = Field(None, description="With add: album given to what arrives there.")
    category: str | None = Field(None, description="With add: category given to what arrives there.")

    @property
    def needs(self) -> Role:
        return "viewer" if self.cmd == "list" else "admin"

    def run(self, desk: Desk) -> Outcome:
        if self.cmd != "list":
            if self.path is None:
                raise QueryError("paths", f"{self.cmd} names no folder", "Give its path.")
            if self.cmd == "add":
                folder = WatchedFolder(
                    path=self.path, mode=self.mode, album=self.album, category=self.category, settle_seconds=5.0
                )
                add_folder(desk.library, folder, desk.by)
            else:
                remove_folder(desk.library, self.path)
        return Outcome(list_folders(desk.library))

    def would(self, desk: Desk) -> str:
        folders = len(list_folders(desk.library))
        return f"{self.cmd} {self.path or 'the watched folders'}; there are {folders}"


class Batches(Asking):
    """Lists the batches, newest first, or the files of one."""

    action: Literal["batches"]
    cmd: Literal["list", "show"] = Field("list", description="list or show.")
    batch_name: str | None = Field(None, description="With show: id of a batch, or the folder that it came in.")
    limit: int | None = Field(None, ge=1, description="With list: only the newest.")

    def run(self, desk: Desk) -> Outcome:
        if self.cmd == "list":
            return Outcome(list_batches(desk.library, self.limit))
        if self.batch_name is None:
            raise QueryError("batches", "show names no batch", "Give its batch_name.")
        return Outcome(show_batch(desk.library, self.batch_name))


class Clean(Action):
    """Archives media left where they were whose file is gone and that no backup holds. Nothing is ever deleted."""

    role: ClassVar[Role] = "admin"

    action: Literal["clean"]
    confirm: bool = Field(False, description="Do it; else only say what would be done.")

    def run(self, desk: Desk) -> Outcome:
        return Outcome(clean(desk.library, desk.by, confirm=self.confirm).as_dict())

    def would(self, desk: Desk) -> str:
        found = clean(desk.library, desk.by)
        did = "archive" if self.confirm else "name"
        return f"{did} {found.archived} of {len(found.missing)} media that have no file any more"
