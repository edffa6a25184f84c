"""What people say of clips, over the API: ratings, texts, rights, states, tags and albums, with their history."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from thatdam_pipelines.curation.changing import change_media
from thatdam_pipelines.library.curation import Change
from thatdam_pipelines.web.context import Asking, Shared
from thatdam_pipelines.web.media import batch_of
from thatdam_pipelines.web.models import MediaId
from thatdam_pipelines.web.problems import problems

router = APIRouter(prefix="/api/v1", tags=["curation"])

AlbumName = Annotated[str, Path(max_length=200, description="Name of the album.")]


class ManyChanges(BaseModel):
    """One change of many clips: all or none."""

    model_config = ConfigDict(extra="forbid")

    media_ids: list[Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]] = Field(min_length=1, max_length=5000)
    change: Change
    versions: dict[str, int] | None = Field(None, description="By media id, the version that was seen: guards it.")


class Said(BaseModel):
    """What is now said of the clips that changed."""

    items: list[dict[str, Any]]


class NamedAlbum(BaseModel):
    """Name of an album."""

    model_config = ConfigDict(extra="forbid")

    album: str = Field(max_length=200, examples=["Summer 2026"])


class NewTag(BaseModel):
    """A tag for the vocabulary."""

    model_config = ConfigDict(extra="forbid")

    tag: str = Field(max_length=900, description="Its path.", examples=["place/coast/beach"])
    synonyms: list[str] = Field([], max_length=100)


class Rows(BaseModel):
    items: list[dict[str, Any]]


@router.patch("/media", responses=problems(400, 404, 409, 413, 422))
def change_many(shared: Shared, caller: Asking, body: ManyChanges) -> Said:
    """Change what is said of many clips, in one transaction."""
    said = change_media(shared.library, body.media_ids, body.change, caller.name, body.versions)
    return Said(items=[one.as_dict() for one in said])


@router.patch("/media/{media_id}", responses=problems(400, 404, 409, 413, 422))
def change_one(
    shared: Shared,
    caller: Asking,
    media_id: MediaId,
    change: Change,
    version: Annotated[int | None, Query(ge=0, le=2**62, description="The version that was seen: guards it.")] = None,
) -> dict[str, Any]:
    """Change what is said of a clip: fields that are not given stay as they are, null clears one."""
    versions = None if version is None else {media_id: version}
    change_media(shared.library, [media_id], change, caller.name, versions)
    return shared.library.ledger.curation.get(media_id).as_dict()


@router.get("/media/{media_id}/history", responses=problems(404, 422))
def get_history(shared: Shared, media_id: MediaId) -> Rows:
    """Who changed what is said of a clip, what it was before, and when; the latest change first."""
    batch_of(shared.library, media_id)
    return Rows(items=[vars(past) for past in shared.library.ledger.curation.history(media_id)])


@router.get("/albums")
def list_albums(shared: Shared) -> Rows:
    """The albums by name, with how many clips are in each."""
    return Rows(items=[vars(album) for album in shared.library.ledger.albums.all()])


@router.post("/albums", status_code=201, responses=problems(400, 413, 422))
def create_album(shared: Shared, caller: Asking, body: NamedAlbum) -> NamedAlbum:
    """Make an album; one that is there stays."""
    shared.library.ledger.albums.create(body.album, caller.name)
    return body


@router.patch("/albums/{album}", responses=problems(400, 413, 422))
def rename_album(shared: Shared, caller: Asking, album: AlbumName, body: NamedAlbum) -> NamedAlbum:
    """Give an album another name."""
    shared.library.ledger.albums.rename(album, body.album, caller.name)
    return body


@router.delete("/albums/{album}", status_code=204, responses=problems(422))
def remove_album(shared: Shared, caller: Asking, album: AlbumName) -> None:
    """Remove an album; what is in it stays in the library."""
    shared.library.ledger.albums.remove(album, caller.name)


@router.get("/tags")
def list_tags(shared: Shared) -> Rows:
    """The vocabulary: tags by path, their synonyms, and how many clips carry each."""
    return Rows(items=[vars(term) for term in shared.library.ledger.vocabulary.terms()])


@router.post("/tags", status_code=201, responses=problems(400, 413, 422))
def add_tag(shared: Shared, caller: Asking, body: NewTag) -> NewTag:
    """Put a tag into the vocabulary."""
    shared.library.ledger.vocabulary.add(body.tag, caller.name, body.synonyms)
    return body
