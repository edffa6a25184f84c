"""Actions that change what is said of media, and write it for other programs."""

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from thatdam_pipelines.curation.changing import change_media
from thatdam_pipelines.curation.sidecar_export import write_sidecars
from thatdam_pipelines.errors import CurationError
from thatdam_pipelines.library.curation import Pick, change_of
from thatdam_pipelines.library.curation import State as ReviewState
from thatdam_pipelines.workflows.action import Desk, OfMedia, Outcome, Reach, WritePath


class Curating(OfMedia):
    """An action that changes media: all that are named or selected, or none."""

    def fields(self) -> dict[str, Any]:
        """What is changed: fields of ``curation.Change``."""
        own = self.model_fields_set - OfMedia.model_fields.keys()
        return {name: getattr(self, name) for name in own}

    def run(self, desk: Desk) -> Outcome:
        media_ids = self.selected(desk)
        changed = change_media(desk.library, media_ids, change_of(**self._asked()), desk.by)
        return Outcome({"media": len(media_ids), "changed": [one.media_id for one in changed]})

    def would(self, desk: Desk) -> str:
        change = change_of(**self._asked())
        said = ", ".join(f"{name} = {getattr(change, name)!r}" for name in sorted(change.model_fields_set))
        return f"set {said} of {len(self.selected(desk))} media"

    def _asked(self) -> dict[str, Any]:
        if fields := self.fields():
            return fields
        raise CurationError(self.action, "it says nothing that is to be changed", "Give one of its parameters.")


class Rate(Curating):
    """Gives media stars, or flags them as picks or rejects."""

    action: Literal["rate"]
    rating: int | None = Field(None, ge=0, le=5, description="Stars, 0 to 5; null: unrated.")
    pick: Pick | None = Field(None, description="pick, reject, or null: neither.")


class Tag(Curating):
    """Gives media tags, or takes them away."""

    action: Literal["tag"]
    add: list[str] = Field([], description="Tags to add: paths, names or synonyms of the vocabulary.")
    remove: list[str] = Field([], description="Tags to take away.")

    def fields(self) -> dict[str, Any]:
        return {f"{name}_tags": tuple(tags) for name, tags in (("add", self.add), ("remove", self.remove)) if tags}


class State(Curating):
    """Moves media along: new, in review, approved or rejected, archived."""

    action: Literal["state"]
    state: ReviewState = Field(description="The state they get.")


class Album(Curating):
    """Puts media into albums, which are made when there are none of that name, or takes them out."""

    action: Literal["album"]
    add: list[str] = Field([], description="Albums to add them to.")
    remove: list[str] = Field([], description="Albums to take them out of.")

    def fields(self) -> dict[str, Any]:
        return {f"{name}_albums": tuple(names) for name, names in (("add", self.add), ("remove", self.remove)) if names}


class Describe(Curating):
    """Says what media show, who is in them and what may be done with them. Null removes a text."""

    action: Literal["describe"]
    title: str | None = Field(None, description="Title.")
    description: str | None = Field(None, description="What it shows, in sentences.")
    label: str | None = Field(None, description="Colour label: Red, Yellow, ...")
    add_people: list[str] = Field([], description="People in it to add.")
    remove_people: list[str] = Field([], description="People who are not in it.")
    licence: str | None = Field(None, description="Licence or terms of use.")
    owner: str | None = Field(None, description="Who owns the rights.")
    releases: list[str] = Field([], description="Releases there are: replaces the list.")
    rights_expire: date | None = Field(None, description="Last day of the rights, as yyyy-mm-dd.")


class Xmp(OfMedia):
    """Writes what is said of media as XMP sidecars: into a folder, or beside originals outside the library."""

    action: Literal["xmp"]
    to: WritePath | None = Field(None, description="Folder they are written into.")
    beside: Annotated[bool, Reach.WRITES] = Field(
        False, description="Beside originals that were ingested by reference."
    )
    force: bool = Field(False, description="Also over sidecars that other programs wrote.")

    def run(self, desk: Desk) -> Outcome:
        written = write_sidecars(desk.library, self.selected(desk), self._place(), force=self.force)
        return Outcome({"written": [vars(one) for one in written]})

    def would(self, desk: Desk) -> str:
        return f"write sidecars of {len(self.selected(desk))} media {self._place() or 'beside their originals'}"

    def _place(self) -> Path | None:
        if (self.to is None) != self.beside:
            raise CurationError(self.action, "it does not say where they are written", "Give one of to and beside.")
        return self.to
