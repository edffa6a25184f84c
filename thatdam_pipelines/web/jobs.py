"""What starts work, and how far it is: every job is a run in Dagster, so it outlives this server."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path as FilePath
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from thatdam_pipelines.errors import SettingsError
from thatdam_pipelines.library.arrivals import Batch
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.reach import below_watched
from thatdam_pipelines.library.schemas import FAILURE_TABLES
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.settings import IngestMode
from thatdam_pipelines.web.access import Caller
from thatdam_pipelines.web.batches import BatchId
from thatdam_pipelines.web.context import Asking, Context, Shared
from thatdam_pipelines.web.cursors import read_cursor, write_cursor
from thatdam_pipelines.web.problems import not_found, problems

router = APIRouter(prefix="/api/v1", tags=["jobs"])

JobId = Annotated[str, Path(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
RequestKey = Annotated[
    str | None,
    Header(alias="Idempotency-Key", max_length=200, description="The same request with the same key starts one run."),
]


class Job(BaseModel):
    """A run."""

    job_id: str
    job: str = Field(examples=["ingest"])
    state: str = Field(description="queued, running, done, failed or cancelled.")
    progress: float = Field(description="Share of its steps that are done, 0 to 1.")
    batch_id: str | None
    created_utc: datetime
    started_utc: datetime | None
    finished_utc: datetime | None
    run_url: str = Field(description="The run in Dagster.")


class JobPage(BaseModel):
    items: list[Job]
    next_cursor: str | None


class Started(BaseModel):
    """The run that was asked for."""

    job_id: str


class StartedMany(BaseModel):
    """The runs that were asked for, one for each batch that something failed in."""

    job_ids: list[str]


class RetryRequest(BaseModel):
    """What is to be tried again."""

    model_config = ConfigDict(extra="forbid")

    media_ids: list[Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]] = Field(min_length=1, max_length=5000)


class IngestRequest(BaseModel):
    """What is to be taken."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(max_length=4096, description="File or folder at or below a watched folder.")


class Claimed(BaseModel):
    """The batches that hold the files; each is run by Dagster as soon as it is up."""

    batches: list[str]


@router.get("/jobs", responses=problems(422))
def list_jobs(
    shared: Shared,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=2000)] = None,
) -> JobPage:
    """Jobs, newest first."""
    before = read_cursor(cursor, 1)[0] if cursor else None
    if before is not None and shared.runs.run(before) is None:
        raise not_found("the job that the cursor names is gone", "Begin again without a cursor.")
    found = shared.runs.latest(limit, before)
    following = write_cursor(found[-1].job_id) if len(found) == limit else None
    return JobPage(items=[Job.model_validate(vars(run)) for run in found], next_cursor=following)


@router.get("/jobs/{job_id}", responses=problems(404, 422))
def get_job(shared: Shared, job_id: JobId) -> Job:
    """How far a job is."""
    run = shared.runs.run(job_id)
    if run is None:
        raise not_found(f"there is no job {job_id}", "GET /api/v1/jobs lists them.")
    return Job.model_validate(vars(run))


@router.post("/ingest", status_code=202, responses=problems(400, 403, 413, 422, 503))
def ingest(shared: Shared, body: IngestRequest) -> Claimed:
    """Take a file or folder that is already at or below a watched folder, without waiting for it to settle."""
    return Claimed(batches=take(shared.library, [body.path]))


@router.post("/batches/{batch_id}/retry", status_code=202, responses=problems(400, 404, 422, 503))
def retry_batch(shared: Shared, caller: Asking, batch_id: BatchId, key: RequestKey = None) -> Started:
    """Try the files of a batch again that failed."""
    batch = shared.library.ledger.batch(batch_id)
    if batch is None:
        raise not_found(f"there is no batch {batch_id}", "GET /api/v1/batches lists them.")
    return start(shared, caller, _retrying(shared.library, batch), key, batch_id=batch_id, retry=True)


@router.post("/media/retry", status_code=202, responses=problems(400, 413, 422, 503))
def retry_media(shared: Shared, caller: Asking, body: RetryRequest, key: RequestKey = None) -> StartedMany:
    """Try clips again that failed: a run for each of their batches, which tries all that failed in it."""
    ledger = shared.library.ledger
    batch_ids = sorted({content.batch_id for content in ledger.contents(body.media_ids).values()})
    wanted = set(body.media_ids)
    batches = [ledger.batch(batch_id) for batch_id in batch_ids if wanted & set(_failed(shared.library, batch_id))]
    return StartedMany(
        job_ids=[
            start(shared, caller, _retrying(shared.library, one), key, batch_id=one.batch_id, retry=True).job_id
            for one in batches
            if one is not None
        ]
    )


@router.post("/backup", status_code=202, responses=problems(400, 422, 503))
def back_up(shared: Shared, caller: Asking, key: RequestKey = None) -> Started:
    """Take a snapshot at every target of the settings."""
    if not shared.settings.backup_targets:
        raise SettingsError("THATDAM_BACKUP_TARGETS", "no backup target is set", "See docs/backup.md.")
    return start(shared, caller, "backup", key)


def start(
    shared: Context,
    caller: Caller,
    job: str,
    key: str | None,
    *,
    batch_id: str | None = None,
    retry: bool = False,
    tags: Mapping[str, str] | None = None,
) -> Started:
    """Ask for a run, once for each key of a caller."""
    # Not by the job: which one a retry needs changes while the batch goes on.
    request = key and request_of(caller, batch_id or job, key)
    with shared.starting:
        return Started(job_id=shared.runs.launch(job, batch_id=batch_id, retry=retry, request=request, tags=tags))


def request_of(caller: Caller, what: str, key: str) -> str:
    """What tells the request of a caller for something from every other: 64 hex digits."""
    return hashlib.sha256(f"{caller.name}\0{what}\0{key}".encode()).hexdigest()


def _failed(library: Library, batch_id: str) -> dict[str, str]:
    """The first stage that failed on each content of a batch, by media id or where it was to come from."""
    failed: dict[str, str] = {}
    for table in FAILURE_TABLES:
        for row in library.tables.read(table, batch_id).iter_rows(named=True):
            failed.setdefault(row["media_id"] or row["subject"], row["stage"])
    return failed


def _retrying(library: Library, batch: Batch) -> str:
    """The job that tries again what failed first: the heavy one follows by itself where the other has made more."""
    from thatdam_pipelines.defs.ingest.jobs import LIGHT

    light = batch.state != "done" or set(LIGHT) & set(_failed(library, batch.batch_id).values())
    return "ingest" if light else "understand"


def take(library: Library, paths: Sequence[str], album: str | None = None) -> list[str]:
    """Claim what stands at paths of a client, into the album given, else into that of the watched folder; all or none.

    What is taken in the same way comes together, as in a drop.

    Raises:
        ForeignPathError: One of them leads elsewhere, also by a link.
        SettingsError: There is no such file.
    """
    together: dict[tuple[IngestMode, str | None, str | None], list[FilePath]] = {}
    for path in paths:
        real, folder = below_watched(library, path)
        if not real.exists():
            raise SettingsError(path, "there is no such file or folder", "Check the name.")
        together.setdefault((folder.mode, album or folder.album, folder.category), []).append(real)
    batches = [batch for how, some in together.items() for batch in claim_paths(library, some, *how)]
    return list(dict.fromkeys(batches))
