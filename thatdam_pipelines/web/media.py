"""Clips: browsing them, their filters with counts, and everything known of one."""

from dataclasses import asdict
from typing import Annotated, Any

import polars as pl
from fastapi import APIRouter, Query
from pydantic import Field

from thatdam_pipelines.library.copies import LIBRARY
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.locations import locations_by
from thatdam_pipelines.library.schemas import (
    AUDIO,
    FAILURE_TABLES,
    MEDIA,
    PROBES,
    PROXIES,
    SCENES,
    STREAMS,
    TAGS,
    TRANSCRIPTS,
)
from thatdam_pipelines.library.schemas_motion import DESCRIPTIONS, MOTION
from thatdam_pipelines.library.table import Table
from thatdam_pipelines.search.browse import After, Order, browse, clips_of, facets
from thatdam_pipelines.search.filters import Filters
from thatdam_pipelines.search.pairs import pairs_of
from thatdam_pipelines.search.related import related, synced
from thatdam_pipelines.search.timeline import timeline
from thatdam_pipelines.search.transcripts import transcript_of
from thatdam_pipelines.web.context import VECTORS_WAIT_S, Shared
from thatdam_pipelines.web.cursors import read_cursor, write_cursor
from thatdam_pipelines.web.models import (
    ClipPage,
    CopyFacts,
    Cursor,
    Facets,
    FacetValue,
    Failure,
    MediaDetail,
    MediaId,
    Pairs,
    RelatedClip,
    Relations,
    SceneFacts,
    Scenes,
    SpokenWords,
    Stages,
    SyncedClip,
    Timeline,
    clip_of,
    links_of,
)
from thatdam_pipelines.web.problems import Refusal, not_found, problems

router = APIRouter(prefix="/api/v1", tags=["library"])


class ClipsQuery(Filters):
    sort: Order = Field("-shot", description="Order; `-` begins with the greatest.")
    limit: int = Field(60, ge=1, le=500)
    cursor: Cursor = None


@router.get("/media", responses=problems(400, 422, 503))
def list_media(shared: Shared, asked: Annotated[ClipsQuery, Query()]) -> ClipPage:
    """Clips that fit the filters, page by page."""
    after = None
    if asked.cursor:
        sort, key, media_id = read_cursor(asked.cursor, 3)
        if sort != asked.sort:
            raise Refusal(422, "cursor", "the cursor is of another order", "Begin again without a cursor.")
        after = After(key, media_id)
    page = browse(shared.library, asked, asked.sort, asked.limit, after)
    following = page.after and write_cursor(asked.sort, page.after.key, page.after.media_id)
    return ClipPage(items=[clip_of(row) for row in page.clips], total=page.total, next_cursor=following)


@router.get("/facets", responses=problems(400, 422, 503))
def list_facets(shared: Shared, asked: Annotated[Filters, Query()]) -> Facets:
    """What each filter could be set to, with how many clips that would leave."""
    found = facets(shared.library, asked)
    return Facets(
        facets={
            name: [FacetValue(value=value, count=count) for value, count in counts.items()]
            for name, counts in found.items()
        }
    )


@router.get("/media/{media_id}", responses=problems(404, 422, 503))
def get_media(shared: Shared, media_id: MediaId) -> MediaDetail:
    """Everything known of a clip: facts, streams, places, copies, failures."""
    library = shared.library
    batch_id = batch_of(library, media_id)
    media = _rows(library, MEDIA, batch_id, media_id)
    if not media:
        raise not_found(f"{media_id} has no row in the tables", "Wait for its batch to be taken.")
    return MediaDetail(
        **media[0],
        facts=next(iter(_rows(library, PROBES, batch_id, media_id)), None),
        streams=_rows(library, STREAMS, batch_id, media_id),
        locations=locations_by(library.tables, "media_id", [media_id]).sort("batch_id", "source_path").to_dicts(),
        copies=_copies(library, media[0]["blake3"]),
        proxy=next(iter(_rows(library, PROXIES, batch_id, media_id)), None),
        sound=next(iter(_rows(library, AUDIO, batch_id, media_id)), None),
        tags=_rows(library, TAGS, batch_id, media_id),
        motion=next(iter(_rows(library, MOTION, batch_id, media_id)), None),
        described=_rows(library, DESCRIPTIONS, batch_id, media_id),
        failures=[
            Failure.model_validate(row, extra="ignore")
            for table in FAILURE_TABLES
            for row in _rows(library, table, batch_id, media_id)
        ],
        curation=library.ledger.curation.get(media_id).as_dict(),
        links=links_of(media_id),
    )


@router.get("/media/{media_id}/stages", responses=problems(404, 422, 503))
def get_stages(shared: Shared, media_id: MediaId) -> Stages:
    """The lineage of a clip: every stage, its recipe, its run in Dagster, and what is missing and why."""
    from thatdam_pipelines.search.explain import explain

    batch_of(shared.library, media_id)
    with shared.vectors():
        explained = explain(shared.library, media_id, shared.last_run, vectors_wait_s=VECTORS_WAIT_S)
    return Stages.model_validate({"items": explained.as_dict()["stages"]})


@router.get("/media/{media_id}/pairs", responses=problems(404, 422, 503))
def get_pairs(shared: Shared, media_id: MediaId) -> Pairs:
    """What belongs to a clip as a phone exports it: the other half of a Live Photo, its edit, its .AAE."""
    batch_of(shared.library, media_id)
    return Pairs.model_validate({"items": pairs_of(shared.settings, media_id)})


@router.get("/media/{media_id}/scenes", responses=problems(404, 422, 503))
def get_scenes(shared: Shared, media_id: MediaId) -> Scenes:
    """The scenes of a clip with their tags."""
    library = shared.library
    batch_id = batch_of(library, media_id)
    tags: dict[str, list[str]] = {}
    for row in sorted(_rows(library, TAGS, batch_id, media_id), key=lambda row: -row["score"]):
        tags.setdefault(row["item_id"], []).append(row["tag"])
    scenes = sorted(_rows(library, SCENES, batch_id, media_id), key=lambda row: row["start_s"])
    return Scenes(
        items=[
            SceneFacts.model_validate(row | {"tags": tags.get(row["scene_id"], [])}, extra="ignore") for row in scenes
        ]
    )


@router.get("/media/{media_id}/timeline", responses=problems(404, 422, 503))
def get_timeline(shared: Shared, media_id: MediaId) -> Timeline:
    """What is known of a clip over time: what is said, speech, music, silence, what the camera does, motion."""
    tracks = timeline(shared.library, media_id, batch_of(shared.library, media_id))
    return Timeline.model_validate({"tracks": [asdict(track) for track in tracks]})


@router.get("/media/{media_id}/transcript", responses=problems(404, 422, 503))
def get_transcript(shared: Shared, media_id: MediaId) -> SpokenWords:
    """What is said in a clip: subtitles with their words and times, and where the subject changes.

    As files: `transcript.srt`, `transcript.vtt` and `transcript.txt` beside it.
    """
    batch_id = batch_of(shared.library, media_id)
    if not _rows(shared.library, TRANSCRIPTS, batch_id, media_id):
        raise not_found(f"there is no transcript of {media_id}", f"GET /api/v1/media/{media_id}/stages says why.")
    return SpokenWords.model_validate(transcript_of(shared.library, media_id).as_dict())


@router.get("/media/{media_id}/related", responses=problems(400, 404, 422, 503))
def get_related(shared: Shared, media_id: MediaId) -> Relations:
    """What a clip has to do with others, as it was last published: copies, takes, places, sessions, synced cameras."""
    batch_of(shared.library, media_id)
    if not shared.settings.catalog_path.exists():
        return Relations(items=[], synced=[])
    relatives = related(shared.library, media_id)
    beside = synced(shared.library, media_id)
    others = {one.media_id for one in relatives} | {one.media_id for one in beside}
    clips = clips_of(shared.library, others)

    def other(media_id: str) -> dict[str, Any]:
        return {"clip": clip_of(clips[media_id]) if media_id in clips else None, "links": links_of(media_id)}

    return Relations(
        items=[RelatedClip(**vars(one), **other(one.media_id)) for one in relatives],
        synced=[SyncedClip(**vars(one), **other(one.media_id)) for one in beside],
    )


def batch_of(library: Library, media_id: str) -> str:
    """The batch that a content was first seen in.

    Raises:
        Refusal: It is not in the library.
    """
    batch_id = library.ledger.content_batch(media_id)
    if batch_id is None:
        raise not_found(f"no content of the library has the id {media_id}", "GET /api/v1/media lists them.")
    return batch_id


def _rows(library: Library, table: Table, batch_id: str, media_id: str) -> list[dict[str, Any]]:
    return library.tables.read(table, batch_id).filter(pl.col("media_id") == media_id).to_dicts()


def _copies(library: Library, blake3: str) -> list[CopyFacts]:
    targets = {row["target_id"]: row for row in library.ledger.copies.targets()}
    at_home = {"target": LIBRARY, "volume": LIBRARY, "offsite": False}
    return [
        CopyFacts(
            target=place["target"],
            volume=place["volume"],
            offsite=place["offsite"],
            state=copy.state,
            reason=copy.reason,
            verified_utc=copy.verified_utc,
        )
        for copy in library.ledger.copies.find([blake3])
        if (place := at_home if copy.target_id == LIBRARY else targets.get(copy.target_id)) is not None
    ]
