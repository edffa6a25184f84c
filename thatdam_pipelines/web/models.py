"""What the API answers with: documented shapes. Times are UTC, names carry their unit."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel, Field

MediaId = Annotated[
    str,
    Path(
        pattern=r"^[0-9a-f]{32}$",
        description="First 32 hex digits of the BLAKE3 of the content.",
        examples=["0f343b0931126a20f133d67c2b018a3b"],
    ),
]
Cursor = Annotated[str | None, Field(max_length=2000, description="`next_cursor` of the page before.")]


class Links(BaseModel):
    """Addresses below this server. Those of what was not made answer 404."""

    self: str = Field(examples=["/api/v1/media/0f343b0931126a20f133d67c2b018a3b"])
    page: str = Field(description="The clip's page in the Explorer.")
    poster: str
    thumbnail: str
    frame: str = Field(description="Small picture; with `?t=` seconds, of that time.")
    sprite: str
    sprite_vtt: str
    proxy: str
    scenes: str
    original: str


class Clip(BaseModel):
    """A file of the library in short."""

    media_id: str
    name: str = Field(examples=["GX010042.MP4"])
    kind: str = Field(examples=["video"])
    status: str = Field(description="stored, probed, proxied, ready, failed or sidecar.", examples=["ready"])
    shot_utc: datetime = Field(description="When it was shot; else when it was changed, else when it came.")
    first_seen_utc: datetime
    duration_s: float | None
    display_width: int | None
    display_height: int | None
    resolution: str | None = Field(examples=["4k"])
    codec: str | None = Field(examples=["hevc"])
    codec_name: str | None = Field(None, description="With the kind of ProRes.", examples=["ProRes 422 HQ"])
    log_profile: str | None = Field(None, description="Logarithmic curve of the picture.", examples=["Apple Log"])
    frame_rate_fps: float | None
    hdr: str | None
    timecode: str | None
    camera: str | None = Field(examples=["GoPro HERO12 Black"])
    has_audio: bool
    size_bytes: int
    folder: str
    albums: list[str] = Field(description="Albums it is in, that of its watched folder among them.")
    category: str | None
    rating: int | None
    pick: str | None
    state: str = Field(description="new, in_review, approved, rejected or archived.", examples=["new"])
    title: str | None
    tags: list[str] = Field(description="Tags that people gave it; those of machines are in the detail.")
    batch_id: str
    scenes: int
    take_id: str | None
    offline: bool
    backed_up: bool
    failed_stage: str | None
    failed_reason: str | None
    links: Links


class ClipPage(BaseModel):
    """Some clips, and where the next page begins."""

    items: list[Clip]
    total: int = Field(description="Clips that fit the filters.")
    next_cursor: str | None = Field(description="For the next page; null on the last.")


class FoundMoment(BaseModel):
    """A stretch of a clip that answers a search, and why."""

    media_id: str
    path: str = Field(description="Path it came from.")
    start_s: float
    end_s: float
    score: float = Field(description="0 to 1; 1 means first by every source that had something to say.")
    level: str = Field(description="l2 a scene, l1 frames, l0 the whole file, said words that are heard.")
    reasons: list[str] = Field(description="Why it is here, one sentence a source.")
    take_id: str | None
    take_start_s: float | None
    take_end_s: float | None
    clip: Clip | None = Field(description="The file in short; null while the catalogue does not know it yet.")
    links: Links


class FoundMoments(BaseModel):
    """Moments, best first."""

    items: list[FoundMoment]
    next_cursor: str | None = Field(description="For the next page; null on the last.")
    embedder: str = Field(description="The embedder that answered.")
    knows_words: bool = Field(description="Whether it understands text; else words find only names, tags and facts.")
    notes: list[str] = Field(description="What people should know about the answer.")


class FacetValue(BaseModel):
    value: str
    count: int = Field(description="Clips there would be with this value chosen.")


class Facets(BaseModel):
    """For each filter, what it could be set to."""

    facets: dict[str, list[FacetValue]]


class CopyFacts(BaseModel):
    """A place where the content is kept."""

    target: str = Field(description="library, or the backup target's name.")
    volume: str
    offsite: bool
    state: str = Field(description="verified, damaged or missing.")
    reason: str
    verified_utc: datetime | None


class Failure(BaseModel):
    stage: str
    reason: str
    next_step: str
    failed_utc: datetime


class MediaDetail(BaseModel):
    """Everything known of one content, read from the tables as they are now."""

    media_id: str
    batch_id: str
    name: str
    kind: str
    size_bytes: int
    blake3: str
    xxh128: str
    first_seen_utc: datetime
    facts: dict[str, Any] | None = Field(description="Columns of the table probes; null before it is probed.")
    streams: list[dict[str, Any]] = Field(description="Rows of the table streams.")
    locations: list[dict[str, Any]] = Field(description="Rows of the table locations: every place of it.")
    copies: list[CopyFacts]
    proxy: dict[str, Any] | None = Field(description="Columns of the table proxies; null before it is made.")
    sound: dict[str, Any] | None = Field(description="Columns of the table audio; null where nothing was heard.")
    tags: list[dict[str, Any]] = Field(description="Words a machine gave to it and to its scenes.")
    motion: dict[str, Any] | None = Field(description="Columns of the table motion; null before it is measured.")
    described: list[dict[str, Any]] = Field(description="Rows of the table descriptions, of it and of its scenes.")
    failures: list[Failure]
    curation: dict[str, Any] = Field(description="What people say of it; `version` guards changes.")
    links: Links


class SceneFacts(BaseModel):
    scene_id: str
    scene_index: int
    start_s: float
    end_s: float
    transition_in: str
    hero_s: float
    brightness: float | None
    motion: float | None
    tags: list[str]


class Scenes(BaseModel):
    items: list[SceneFacts]


class Pair(BaseModel):
    """Two files that belong together."""

    kind: str = Field(description="live_photo, edited or adjustments.", examples=["live_photo"])
    media_id: str = Field(description="The picture of a Live Photo, the original of an edit or of adjustments.")
    name: str = Field(examples=["IMG_0042.HEIC"])
    other_id: str = Field(description="The film of a Live Photo, the edit, the .AAE file.")
    other_name: str = Field(examples=["IMG_0042.MOV"])
    said_by: str = Field(description="content identifier, or name.")


class Pairs(BaseModel):
    items: list[Pair]


class Stretch(BaseModel):
    start_s: float
    end_s: float
    text: str = Field(description="What is said of it; empty where the track's title says all.")
    strength: float | None = Field(description="0 to 1, how much there is of it; null: it is there or not.")


class Track(BaseModel):
    name: str = Field(examples=["speech"])
    title: str
    items: list[Stretch]


class Timeline(BaseModel):
    """What is known of a clip over time; tracks with nothing in them are left out."""

    tracks: list[Track]


class SpokenWord(BaseModel):
    text: str = Field(examples=["garden,"])
    start_s: float
    end_s: float
    confidence: float | None = Field(description="0 to 1; null where the engine tells none.")


class Cue(BaseModel):
    """What is shown together as a subtitle."""

    start_s: float
    end_s: float
    text: str = Field(examples=["She planted roses beside the wall."])
    words: list[SpokenWord]


class Section(BaseModel):
    """A stretch about one subject."""

    start_s: float
    end_s: float
    title: str = Field(description="The words that tell it from the rest.", examples=["garden, roses, apple"])


class SpokenWords(BaseModel):
    """What is said in a clip; no cues where nobody speaks."""

    media_id: str
    engine: str = Field(examples=["moonshine/tiny-en/0.0.73"])
    language: str | None = Field(description="ISO 639-1 code.", examples=["en"])
    confidence: float | None
    cues: list[Cue]
    sections: list[Section]


class RelatedClip(BaseModel):
    """What the clip has to do with another."""

    relation: str = Field(examples=["derived_from"])
    direction: str = Field(description="copy: it was made of the other; source: the other of it; both: neither.")
    media_id: str = Field(description="The other.")
    path: str = Field(description="Path the other came from.")
    score: float = Field(description="How sure, 0 to 1.")
    method: str = Field(description="What said so: picture, sound, look, position, recorder, clock.")
    start_s: float | None = Field(description="Begin of the stretch that it is about; null: all of the clip.")
    end_s: float | None
    other_start_s: float | None = Field(description="Begin of the same stretch in the other.")
    other_end_s: float | None
    speed: float | None = Field(description="Seconds of the other a second of the clip.")
    mirrored: bool | None
    operations: list[str] | None = Field(description="What was done to the copy: transcode, trim, crop, ...")
    clip: Clip | None = Field(description="The other in short.")
    links: Links


class SyncedClip(BaseModel):
    """Where the clip lies on the time line of another that was recorded with it."""

    media_id: str = Field(description="The other.")
    path: str
    offset_s: float | None = Field(description="Time in the other at which the clip begins; null: refused.")
    drift_ppm: float | None
    method: str
    confidence: float
    sure: bool
    error_s: float | None
    overlap_s: float | None
    reason: str = Field(description="Why it was refused.")
    clip: Clip | None = Field(description="The other in short.")
    links: Links


class Relations(BaseModel):
    items: list[RelatedClip]
    synced: list[SyncedClip]


class Stage(BaseModel):
    """What one stage knows of the file."""

    stage: str = Field(examples=["proxies"])
    state: str = Field(description="done, failed, missing, not needed, or unknown while an index cannot be reached.")
    recipe: str
    at_utc: datetime | None
    run_url: str = Field(description="That run in Dagster.")
    reason: str
    next_step: str


class Stages(BaseModel):
    """The lineage of a file: every stage in the order of work."""

    items: list[Stage]


class Explained(BaseModel):
    """What became of one file."""

    subject: str = Field(description="What was asked for.")
    media_id: str | None = Field(description="Null where its bytes were never read.")
    paths: list[str] = Field(description="Where it came from.")
    batch_id: str | None
    stages: list[Stage]


class BatchFacts(BaseModel):
    """An arrival."""

    batch_id: str = Field(examples=["20261120T101500-1f2e3d4c"])
    root: str = Field(description="Folder it came from.")
    mode: str
    album: str | None
    category: str | None
    created_utc: datetime
    finished_utc: datetime | None
    state: str = Field(description="claimed, running, done or failed.")
    run_id: str | None
    run_url: str | None
    files: int
    bytes: int


class BatchPage(BaseModel):
    items: list[BatchFacts]
    next_cursor: str | None


class BatchFile(BaseModel):
    rel_path: str
    size_bytes: int
    state: str
    reason: str


class BatchDetail(BatchFacts):
    """An arrival, its files and which stages have run on it."""

    items: list[BatchFile]
    stages: dict[str, bool]


class Health(BaseModel):
    status: str = Field(examples=["ok"])
    service: str = Field(examples=["thatdam"])


class MimeCount(BaseModel):
    mime: str
    count: int
    size: int


class BatchCount(BaseModel):
    batch: str
    count: int


class Stats(BaseModel):
    """The library in numbers."""

    total_files: int
    total_size_bytes: int
    by_mime: list[MimeCount]
    by_batch: list[BatchCount]


def links_of(media_id: str) -> Links:
    """Where everything of a clip is, on this server."""
    base = f"/api/v1/media/{media_id}"
    return Links(
        self=base,
        page=f"/clips/{media_id}",
        poster=f"{base}/poster.jpg",
        thumbnail=f"{base}/thumbnail.jpg",
        frame=f"{base}/frame.jpg",
        sprite=f"{base}/sprite.jpg",
        sprite_vtt=f"{base}/sprite.vtt",
        proxy=f"{base}/proxy",
        scenes=f"{base}/scenes",
        original=f"{base}/original",
    )


def clip_of(row: dict[str, Any]) -> Clip:
    """A row of ``browse.EVERY`` as the API gives it."""
    return Clip.model_validate(row | {"links": links_of(row["media_id"])})
