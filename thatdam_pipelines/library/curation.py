"""What people say of one medium, how it may change, and what a change may hold."""

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from thatdam_pipelines.errors import CurationError, TransitionError

Pick = Literal["pick", "reject"]
State = Literal["new", "in_review", "approved", "rejected", "archived"]
Source = Literal["folder", "embedded", "sidecar", "person"]
"""Where a value comes from, the weaker first: the watched folder, the file itself, a sidecar, a person."""

STATES: tuple[State, ...] = get_args(State)
SOURCES: tuple[Source, ...] = get_args(Source)
NEXT_STATES: Mapping[State, tuple[State, ...]] = {
    "new": ("in_review", "approved", "rejected", "archived"),
    "in_review": ("new", "approved", "rejected"),
    "approved": ("in_review", "archived"),
    "rejected": ("in_review", "archived"),
    "archived": ("in_review",),
}
"""What may follow a state. A decision is taken back by a review, never turned into another one."""

VALUES = (
    "rating", "pick", "label", "title", "description", "people", "licence", "owner", "releases", "rights_expire",
    "state",
)  # fmt: skip
"""The values of a medium, but tags and albums."""

_LISTS = ("people", "releases")
LONGEST_NAME = 200
"""Characters of a name: of a tag, a person, an album, a release."""
_MOST_NAMES = 200


def key_of(name: str) -> str:
    """What two names of one thing share: without case and needless space."""
    return " ".join(unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()).split())


def plain_text(text: str) -> str:
    """Text as it is kept: composed, trimmed, of characters that every database takes.

    Raises:
        ValueError: It has control characters (line breaks and tabs may be) or half of a surrogate pair.
    """
    clean = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
    if any(unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\t" for char in clean):
        raise ValueError("has characters that are no text")
    return clean


def one_line(text: str) -> str:
    """A name as it is kept: ``plain_text`` with single spaces.

    Raises:
        ValueError: It is empty, or no text.
    """
    if clean := " ".join(plain_text(text).split()):
        return clean
    raise ValueError("is empty")


def tidied(text: str, longest: int) -> str:
    """Text that a program wrote, made such that it can be kept: '' when nothing of it can."""
    plain = "".join(char if char in "\n\t" or char.isprintable() else " " for char in text)
    return unicodedata.normalize("NFC", plain).strip()[:longest].strip()


def _nothing_for_empty(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


def _once(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple({key_of(value): value for value in reversed(values)}.values())[::-1]


Name = Annotated[str, Field(max_length=LONGEST_NAME), AfterValidator(one_line)]
Names = Annotated[tuple[Name, ...], Field(max_length=_MOST_NAMES), AfterValidator(_once)]
_Line = Annotated[str, Field(max_length=500), AfterValidator(plain_text)]
_Text = Annotated[str, Field(max_length=20_000), AfterValidator(plain_text)]
Line = Annotated[_Line | None, BeforeValidator(_nothing_for_empty)]
Text = Annotated[_Text | None, BeforeValidator(_nothing_for_empty)]


class Change(BaseModel):
    """What is to be changed: fields that are not given stay as they are, None clears one. ``change_of`` makes one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rating: Annotated[int, Field(ge=0, le=5, strict=True)] | None = Field(None, description="0 to 5; null: unrated.")
    pick: Pick | None = Field(None, description="pick, reject, or null.")
    label: Line = Field(None, description="Colour label, as Lightroom and Bridge name it: Red, Yellow, ...")
    title: Line = Field(None, description="Title.")
    description: Text = Field(None, description="What it shows, in sentences.")
    people: Names = Field((), description="Who is in it: replaces the list.")
    add_people: Names = Field((), description="People to add.")
    remove_people: Names = Field((), description="People to take away.")
    licence: Line = Field(None, description="Licence or terms of use.")
    owner: Line = Field(None, description="Who owns the rights.")
    releases: Names = Field((), description="Model and property releases there are: replaces the list.")
    rights_expire: date | None = Field(None, description="Last day on which it may be used.")
    state: State | None = Field(None, description="new, in_review, approved, rejected, archived; null leaves it.")
    tags: Names | None = Field(None, description="Tags: replaces them; null leaves them.")
    add_tags: Names = Field((), description="Tags to add: paths, names or synonyms of the vocabulary.")
    remove_tags: Names = Field((), description="Tags to take away.")
    albums: Names | None = Field(None, description="Albums it is in: replaces them; null leaves them.")
    add_albums: Names = Field((), description="Albums to add it to; a new name makes an album.")
    remove_albums: Names = Field((), description="Albums to take it out of.")

    def values(self) -> dict[str, Any]:
        """The values that are given, by name; see VALUES."""
        given = {name: getattr(self, name) for name in VALUES if name in self.model_fields_set}
        return {name: value for name, value in given.items() if (name, value) != ("state", None)}


def change_of(**fields: Any) -> Change:
    """A change of these fields; see ``Change``.

    Raises:
        CurationError: A field does not exist, or a value cannot be kept in it.
    """
    try:
        return Change(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise CurationError(name, first["msg"], "See docs/curation.md for what each field may hold.") from error


@dataclass(frozen=True)
class Curation:
    """What is said of one medium; of one that nobody said anything of, the defaults.

    Args:
        tags: Paths in the vocabulary, sorted.
        albums: Names, sorted.
        sources: By field, where its value comes from; of tags and albums by ``tags/<tag>``, ``albums/<album>``.
        version: Number of the change that made it so, counted over the whole library; 0 when nothing was ever said.
    """

    media_id: str
    rating: int | None = None
    pick: Pick | None = None
    label: str | None = None
    title: str | None = None
    description: str | None = None
    people: tuple[str, ...] = ()
    licence: str | None = None
    owner: str | None = None
    releases: tuple[str, ...] = ()
    rights_expire: date | None = None
    state: State = "new"
    tags: tuple[str, ...] = ()
    albums: tuple[str, ...] = ()
    sources: Mapping[str, Source] = field(default_factory=dict)
    version: int = 0
    changed_utc: datetime | None = None
    changed_by: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Past:
    """One field of one change: who made what of what, and when.

    Args:
        version: Number of the change; what was changed together has the same.
    """

    media_id: str
    version: int
    field: str
    old: Any
    new: Any
    source: Source
    changed_utc: datetime
    changed_by: str


def changed_values(now: Curation, change: Change, source: Source) -> dict[str, Any]:
    """Those values of ``change`` that apply to ``now``: a weaker source leaves what a stronger one said.

    Raises:
        TransitionError: The state cannot follow the one it is in.
    """
    given = change.values()
    if change.add_people or change.remove_people:
        gone = {key_of(name) for name in change.remove_people}
        people = (*given.get("people", now.people), *change.add_people)
        given["people"] = tuple(name for name in _once(people) if key_of(name) not in gone)
    state = given.get("state", now.state)
    if state != now.state and state not in NEXT_STATES[now.state]:
        allowed = ", ".join(NEXT_STATES[now.state])
        cause = f"it is {now.state} and cannot become {state}"
        raise TransitionError(now.media_id, cause, f"Allowed next: {allowed}.")
    rank = SOURCES.index(source)
    return {name: value for name, value in given.items() if SOURCES.index(now.sources.get(name, "folder")) <= rank}


def to_column(name: str, value: Any) -> Any:
    """A value as its column keeps it."""
    return json.dumps(value, ensure_ascii=False) if name in _LISTS else value


def from_column(name: str, value: Any) -> Any:
    """A value as its column gives it."""
    return tuple(json.loads(value)) if name in _LISTS else value


def to_text(value: Any) -> str:
    """A value as the history keeps it: JSON."""
    return json.dumps(value, ensure_ascii=False, default=str)
