"""Actions that ask the library and change nothing."""

from typing import ClassVar, Literal

from pydantic import Field

from thatdam_pipelines.library import catalog
from thatdam_pipelines.library.accounts import Role
from thatdam_pipelines.library.curation import State
from thatdam_pipelines.library.curation_ledger import Filter
from thatdam_pipelines.search.filters import narrowed
from thatdam_pipelines.search.related import instant_of, related
from thatdam_pipelines.search.search import Level, Query, Searcher
from thatdam_pipelines.sync_command import sync_named
from thatdam_pipelines.workflows.action import Action, Condition, Desk, Outcome, named


class Asking(Action):
    """An action that only reads: a dry run says what it asks for."""

    role: ClassVar[Role] = "viewer"

    def would(self, desk: Desk) -> str:
        given = self.model_dump(exclude={"action", "on_error"}, exclude_defaults=True)
        asked = ", ".join(f"{name} = {value!r}" for name, value in given.items())
        return f"answer {self.action}" + (f" with {asked}" if asked else "")


class Search(Asking):
    """Finds moments, to the second, with the reason each was found."""

    action: Literal["search"]
    query: str = Field("", description="What to look for, in words; may be empty with like.")
    mime: str | None = Field(None, description="Only media of this type: video, video/* or video/mp4.")
    limit: int = Field(50, ge=1, le=1000, description="Most moments given.")
    like: str | None = Field(None, description="A file, or FILE@SECONDS: what looks like that frame.")
    level: Level = Field("any", description="Search files (l0), frames (l1), scenes (l2), or all of them.")
    where: Condition | None = Field(None, description="SQL condition over the view media.")
    rating: int | None = Field(None, ge=1, le=5, description="Only media with at least so many stars.")
    state: State | None = Field(None, description="Only media in this state.")
    tags: list[str] = Field([], description="Only media that people tagged so, or below it.")
    albums: list[str] = Field([], description="Only media in these albums.")

    def run(self, desk: Desk) -> Outcome:
        query = Query(
            text=self.query,
            like=instant_of(desk.library, self.like) if self.like else None,
            level=self.level,
            where=narrowed(self.where, self.mime),
            curated=Filter(
                self.rating, None, (self.state,) if self.state else (), tuple(self.tags), tuple(self.albums)
            ),
            limit=self.limit,
        )
        with Searcher(desk.settings) as searcher:
            found = searcher.search(query)
        moments = [moment.as_dict() for moment in found.moments]
        return Outcome({"moments": moments, "embedder": found.embedder, "notes": found.notes})


class Related(Asking):
    """Says what a file has to do with others: copies and sources, takes, places, sessions."""

    action: Literal["related"]
    media: str = Field(description="A path as it came, a name, or a media id.")
    kind: str | None = Field(None, description="Only relations of this kind: near_duplicate, same_take, ...")

    def run(self, desk: Desk) -> Outcome:
        return Outcome([one.as_dict() for one in related(desk.library, self.media, self.kind)])


class Sync(Asking):
    """Says where recordings of one event lie on one time line. The step fails when one is not sure."""

    action: Literal["sync"]
    media: list[str] = Field(min_length=1, description="Media ids, paths or names; or a group of the recorder.")

    def run(self, desk: Desk) -> Outcome:
        placed = sync_named(desk.settings, self.media)
        unsure = [one.name for one in placed if not one.aligned.sure]
        return Outcome([one.as_dict() for one in placed], f"refused: {named(unsure)}" if unsure else "")


class Sql(Asking):
    """Asks the published catalogue, read-only."""

    action: Literal["sql"]
    query: Condition = Field(description="A SELECT, or the name of a ready-made query.")
    limit: int = Field(1000, ge=1, le=100_000, description="Most rows given.")

    def run(self, desk: Desk) -> Outcome:
        ready = {entry.name: entry.sql for entry in catalog.list_queries()}
        found = catalog.run_sql(desk.settings, ready.get(self.query, self.query), most_rows=self.limit)
        return Outcome(catalog.as_rows(found))
