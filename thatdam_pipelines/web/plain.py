"""The plain paths that users of the toolbox know, over the same functions as the API."""

import secrets
import shutil
from contextlib import ExitStack
from pathlib import PurePosixPath
from typing import Annotated, Any

import polars as pl
from fastapi import APIRouter, Form, Path, Query, UploadFile
from pydantic import BaseModel, ConfigDict, Field

from thatdam_pipelines.errors import UploadError
from thatdam_pipelines.library.curation import Change
from thatdam_pipelines.library.schemas import LOCATIONS
from thatdam_pipelines.library.schemas_motion import MOTION_SECONDS
from thatdam_pipelines.library.uploads import Uploads
from thatdam_pipelines.search.browse import browse
from thatdam_pipelines.search.filters import Filters, mime_condition
from thatdam_pipelines.toolbox import folders
from thatdam_pipelines.toolbox.batches import batches_named
from thatdam_pipelines.web import batches, curation, jobs, media, search
from thatdam_pipelines.web.context import Asking, Context, Shared
from thatdam_pipelines.web.curation import Rows
from thatdam_pipelines.web.models import BatchDetail, BatchPage, Clip, FoundMoment, MediaDetail, MediaId, clip_of
from thatdam_pipelines.web.problems import Refusal, not_found, problems

router = APIRouter(tags=["toolbox"])

FILES = 200
"""Most files of one plain upload."""
FORM_BYTES = 2 * 2**30
"""Largest form of files."""
BatchName = Annotated[str, Path(pattern=r"^[^\x00-\x1f\x7f]{1,255}$", description="Id, or the folder it came in.")]
TYPE = "^(video|audio|image)(/.*)?$"
TypeName = Annotated[str | None, Query(pattern=TYPE)]
Limit = Annotated[int, Query(ge=1, le=100)]
_LEVELS = {"file": "l0", "frame": "l1", "scene": "l2", "l0": "l0", "l1": "l1", "l2": "l2"}


class ScanRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    directory: str = Field(max_length=4096)
    recursive: bool = Field(True, description="Folders are always taken with everything below.")


class VideoRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    path: str = Field(max_length=4096)
    generate_levels: list[str] = Field([], max_length=4, description="All levels are always made.")


class PlainQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    q: str = Field(min_length=1, max_length=1000, pattern=r"\S")
    type: str | None = Field(None, pattern=TYPE, description="video, audio or image, or a media type.")
    limit: int = Field(50, ge=1, le=100)


class MotionQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    media_id: str = Field(pattern=r"^[0-9a-f]{32}$")
    threshold: float = Field(0.01, ge=0, le=1, description="Least share of the picture that moves on its own.")


class MovingSecond(BaseModel):
    start_time: float
    end_time: float
    moving: float = Field(description="Share of the picture that moves on its own, 0 to 1.")
    camera: str | None = Field(description="What the camera does: static, pan, tilt, zoom, shaky.")
    frame: str = Field(description="Where a picture of it is.")


class LevelQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    query: str = Field(min_length=1, max_length=1000, pattern=r"\S")
    level: str = Field("any", max_length=20, description="file, frame, scene, or any.")
    limit: int = Field(10, ge=1, le=100)
    threshold: float = Field(0.0, ge=0, le=1, description="Least score.")


class LevelHit(BaseModel):
    uuid: str
    path: str
    level: str
    start_time: float
    end_time: float
    score: float
    metadata: dict[str, Any]


class Received(BaseModel):
    status: str
    batch: str = Field(description="The first of the batches.")
    batches: list[str] = Field(description="The batches that hold the files.")
    files: list[str]


@router.get("/recent", responses=problems(422, 503))
def recent(shared: Shared, limit: Annotated[int, Query(ge=1, le=500)] = 10) -> list[Clip]:
    """What came last."""
    return [clip_of(row) for row in browse(shared.library, Filters(), "-added", limit).clips]


@router.post("/scan", status_code=202, responses=problems(400, 403, 413, 422))
def scan(shared: Shared, body: ScanRequest | None = None, dir: str | None = None) -> jobs.Claimed:
    """Take a folder at or below a watched one."""
    path = body.directory if body else dir
    if not path:
        raise Refusal(422, "invalid", "no directory is named", "Send {directory} or ?dir=.")
    return jobs.Claimed(batches=jobs.take(shared.library, [path]))


@router.post("/api/embedding/videos/ingest", status_code=202, responses=problems(400, 403, 413, 422))
def ingest_video(shared: Shared, body: VideoRequest) -> jobs.Claimed:
    """Take a file at or below a watched folder, with all its levels."""
    return jobs.Claimed(batches=jobs.take(shared.library, [body.path]))


@router.get("/search", responses=problems(400, 422, 503))
def find(
    shared: Shared,
    q: Annotated[str, Query(min_length=1, max_length=1000, pattern=r"\S")],
    type: TypeName = None,
    limit: Limit = 50,
) -> list[FoundMoment]:
    """Moments that fit words."""
    where = mime_condition(type) if type else None
    if where and not shared.library.settings.catalog_path.exists():
        # Before anything is published there is nothing of any type.
        return []
    return search.find(shared, search.SearchQuery.model_validate({"q": q, "limit": limit}), where=where).items


@router.post("/search", responses=problems(400, 413, 422, 503))
def find_posted(
    shared: Shared,
    body: PlainQuery | None = None,
    q: Annotated[str | None, Query(min_length=1, max_length=1000, pattern=r"\S")] = None,
    type: TypeName = None,
    limit: Limit = 50,
) -> list[FoundMoment]:
    """Moments that fit words, as JSON or in the address."""
    if body is not None:
        return find(shared, body.q, body.type, body.limit)
    if q is None:
        raise Refusal(422, "invalid", "there is nothing to look for", "Send {q} or ?q=.")
    return find(shared, q, type, limit)


@router.post("/dam/search", responses=problems(400, 413, 422, 503))
def find_by_level(shared: Shared, body: LevelQuery) -> list[LevelHit]:
    """Moments that fit words, of one level."""
    asked = {"q": body.query, "level": _LEVELS.get(body.level, "any"), "limit": body.limit}
    found = search.find(shared, search.SearchQuery.model_validate(asked)).items
    return [_hit(moment) for moment in found if moment.score >= body.threshold]


@router.get("/dam/search/similar/{media_id}", responses=problems(400, 404, 422, 503))
def find_similar(shared: Shared, media_id: MediaId, limit: Annotated[int, Query(ge=1, le=100)] = 10) -> list[LevelHit]:
    """Moments that look like the beginning of a clip."""
    media.batch_of(shared.library, media_id)
    asked = search.SearchQuery.model_validate({"like": f"{media_id}@0", "limit": limit})
    return [_hit(moment) for moment in search.find(shared, asked).items]


@router.post("/motion/extract", responses=problems(400, 404, 422, 503))
def extract_motion(shared: Shared, body: MotionQuery) -> list[MovingSecond]:
    """The seconds of a clip in which something moves before the camera."""
    batch_id = media.batch_of(shared.library, body.media_id)
    seconds = shared.library.tables.read(MOTION_SECONDS, batch_id)
    moving = (pl.col("media_id") == body.media_id) & (pl.col("subject") >= body.threshold)
    return [
        MovingSecond(
            start_time=second["start_s"],
            end_time=second["end_s"],
            moving=second["subject"],
            camera=second["camera"],
            frame=f"/api/v1/media/{body.media_id}/frame.jpg?t={second['start_s']:g}",
        )
        for second in seconds.filter(moving).sort("start_s").iter_rows(named=True)
    ]


@router.get("/batches", responses=problems(422, 503))
def list_batches(shared: Shared, limit: Annotated[int, Query(ge=1, le=500)] = 60) -> BatchPage:
    """Batches, newest first."""
    return batches.list_batches(shared, limit=limit)


@router.get("/batches/{batch_id}", responses=problems(404, 422, 503))
@router.get("/explorer/batch/{batch_id}", include_in_schema=False)
def get_batch(shared: Shared, batch_id: BatchName) -> BatchDetail:
    """A batch and its files, by its id or by the folder that it came in: of several the newest."""
    return batches.get_batch(shared, _newest(shared, batch_id))


@router.get("/batches/{batch_id}/cards", responses=problems(404, 422, 503))
def get_cards(shared: Shared, batch_id: BatchName) -> Rows:
    """The camera cards of a batch, with the files of each."""
    batch_id = _newest(shared, batch_id)
    rows = shared.library.tables.read(LOCATIONS, batch_id).drop_nulls("card_id")
    cards: dict[str, dict[str, Any]] = {}
    for row in rows.sort("source_path").to_dicts():
        card = cards.setdefault(row["card_id"], {"card_id": row["card_id"], "card_type": row["card_type"], "files": []})
        card["files"].append({"media_id": row["media_id"], "name": row["name"], "folder": row["folder"]})
    return Rows(items=list(cards.values()))


@router.get("/jobs", responses=problems(422))
def list_jobs(shared: Shared, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> jobs.JobPage:
    """Jobs, newest first."""
    return jobs.list_jobs(shared, limit=limit)


@router.get("/jobs/{job_id}", responses=problems(404, 422))
@router.get("/jobs/{job_id}/status", include_in_schema=False)
def get_job(shared: Shared, job_id: jobs.JobId) -> jobs.Job:
    """How far a job is."""
    return jobs.get_job(shared, job_id)


@router.get("/paths")
def list_paths(shared: Shared) -> Rows:
    """The watched folders, who set them, and whether each can be reached."""
    return Rows(items=folders.list_folders(shared.library))


@router.post("/backup", status_code=202, responses=problems(400, 422, 503))
def back_up(shared: Shared, caller: Asking, key: jobs.RequestKey = None) -> jobs.Started:
    """Take a snapshot at every target."""
    return jobs.back_up(shared, caller, key)


@router.get("/media/{media_id}", responses=problems(404, 422, 503))
def get_media(shared: Shared, media_id: MediaId) -> MediaDetail:
    """Everything known of a clip."""
    return media.get_media(shared, media_id)


@router.get("/explorer/assets", responses=problems(422, 503))
def list_assets(shared: Shared, path: Annotated[str, Query(max_length=2000)] = "") -> list[Clip]:
    """The clips that came in a folder, with everything below."""
    filters = Filters(folder=path or None)
    return [clip_of(row) for row in browse(shared.library, filters, "name", 500).clips]


@router.get("/explorer/folders", responses=problems(503))
def list_folders(shared: Shared) -> list[str]:
    """The folders that clips came in."""
    from thatdam_pipelines.library import catalog

    if not shared.settings.catalog_path.exists():
        return []
    rows = catalog.run_sql(shared.settings, "SELECT DISTINCT folder FROM media WHERE folder IS NOT NULL ORDER BY 1")
    return list(rows["folder"])


@router.patch("/explorer/{media_id}", responses=problems(400, 404, 409, 413, 422))
def change(shared: Shared, caller: Asking, media_id: MediaId, body: Change) -> dict[str, Any]:
    """Change what is said of a clip."""
    return curation.change_one(shared, caller, media_id, body)


@router.post("/api/v1/upload", status_code=202, responses=problems(400, 413, 422))
def upload(
    shared: Shared,
    caller: Asking,
    files: list[UploadFile],
    batch: Annotated[str | None, Form(pattern=r"^[A-Za-z0-9][A-Za-z0-9_ -]{0,63}$")] = None,
) -> Received:
    """Files in one form; the client's names are names only. Large ones are better uploaded with tus."""
    uploads = Uploads(shared.settings)
    if len(files) > FILES:
        raise Refusal(413, "too-many", f"a form may hold {FILES} files", "Use /api/v1/uploads.")
    group = batch or f"form-{secrets.token_hex(8)}"
    try:
        # A form is taken whole or not at all.
        with ExitStack() as received:
            names = [_receive(uploads, file, group, caller.name, received) for file in files]
            received.pop_all()
    except UploadError as error:
        raise Refusal(422, "upload", f"{error.subject}: {error.cause}", error.next_step) from error
    made = uploads.arrive(shared.library, group)
    return Received(status="accepted", batch=made[0], batches=made, files=names)


def _newest(shared: Context, name: str) -> str:
    found = batches_named(shared.library, name)
    if not found:
        raise not_found(f"there is no batch {name}", "GET /batches lists them.")
    return found[-1]


def _receive(uploads: Uploads, file: UploadFile, group: str, by: str, received: ExitStack) -> str:
    """Keep a file of a form under its name; ``received`` gives it up again."""
    upload = uploads.create(PurePosixPath(file.filename or "").name, group, file.size or 0, by)
    received.callback(uploads.remove, upload.upload_id)
    with uploads.appending(upload.upload_id, 0) as growing:
        shutil.copyfileobj(file.file, growing)
    return upload.rel_path


def _hit(moment: FoundMoment) -> LevelHit:
    return LevelHit(
        uuid=moment.media_id,
        path=moment.path,
        level=moment.level,
        start_time=moment.start_s,
        end_time=moment.end_s,
        score=moment.score,
        metadata={"reasons": moment.reasons, "links": moment.links.model_dump()},
    )
