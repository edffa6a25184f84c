"""The toolbox's plain paths that take files in and change watched folders."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from thatdam_pipelines.library.reach import below_watched, folder_allowed
from thatdam_pipelines.settings import IngestMode, WatchedFolder
from thatdam_pipelines.toolbox.album_sync import Category, claim_album
from thatdam_pipelines.toolbox.folders import add_folder, remove_folder
from thatdam_pipelines.web import jobs
from thatdam_pipelines.web.context import Asking, Shared
from thatdam_pipelines.web.problems import Refusal, problems

router = APIRouter(tags=["toolbox"])

Path = Annotated[str, Field(min_length=1, max_length=4096)]
AlbumName = Annotated[str, Field(min_length=1, max_length=200)]


class SyncRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    root: Path = Field(description="Folder at or below a watched one.")
    album: AlbumName | None = Field(None, description="Default: the folder's name.")
    category: Category = Field("edit", description="edit or digital.")
    copy_files: bool = Field(True, alias="copy", description="False: the files stay where they are.")


class SyncStarted(BaseModel):
    """What a sync does; Dagster runs its batches as soon as it is up."""

    category: str
    album: str
    synced: int = Field(description="Files that are being taken.")
    skipped: int = Field(description="Files that are in the library already; they are in the album now.")
    dest: str
    batches: list[str]


class BatchRequest(BaseModel):
    """Files or folders that are to be a batch."""

    model_config = ConfigDict(extra="forbid")

    name: AlbumName | None = Field(None, description="Album given to them.")
    folder: Path | None = Field(None, description="Folder at or below a watched one.")
    paths: list[Path] = Field([], max_length=1000, description="Files and folders at or below a watched one.")


class NewFolder(BaseModel):
    model_config = ConfigDict(extra="forbid")

    path: Path = Field(description="Folder below a watched one, or below one of THATDAM_WEB_FOLDERS.")
    mode: IngestMode = Field("copy", description="copy, move or reference.")
    album: AlbumName | None = None
    category: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    settle_seconds: float = Field(5.0, ge=0, le=86_400)


class Folder(BaseModel):
    """A folder that is watched."""

    path: str
    mode: str
    album: str | None
    category: str | None


@router.post("/sync_album", status_code=202, responses=problems(400, 403, 413, 422, 503))
def sync_album(shared: Shared, body: SyncRequest) -> SyncStarted:
    """Take what is new below a folder into an album, without doubles."""
    real, _ = below_watched(shared.library, body.root)
    claimed = claim_album(shared.library, real, body.album, body.category, copy=body.copy_files)
    return SyncStarted.model_validate(vars(claimed))


@router.post("/batches", status_code=202, responses=problems(400, 403, 413, 422, 503))
def make_batch(shared: Shared, body: BatchRequest) -> jobs.Claimed:
    """Take files and folders as a batch, or as several where they are many."""
    paths = [*([body.folder] if body.folder else []), *body.paths]
    if not paths:
        raise Refusal(422, "invalid", "no folder and no paths are named", "Send {folder} or {paths}.")
    return jobs.Claimed(batches=jobs.take(shared.library, paths, body.name))


@router.post("/paths", status_code=201, responses=problems(400, 403, 413, 422))
def watch_folder(shared: Shared, caller: Asking, body: NewFolder) -> Folder:
    """Watch a folder from now on; of one that was added before, mode, album and the rest change."""
    real = folder_allowed(shared.library, body.path)
    folder = WatchedFolder(**{**body.model_dump(), "path": real})
    return Folder.model_validate(add_folder(shared.library, folder, caller.name).model_dump(mode="json"))


@router.delete("/paths", status_code=204, responses=problems(400, 403, 422))
def forget_folder(shared: Shared, path: Annotated[str, Query(min_length=1, max_length=4096)]) -> None:
    """Watch a folder no more; what came from it stays in the library."""
    remove_folder(shared.library, folder_allowed(shared.library, path))
