"""What an action of a workflow is: its parameters, what it does, and what it says it would do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from thatdam_pipelines.curation.selecting import select_media
from thatdam_pipelines.errors import ForeignPathError, SettingsError
from thatdam_pipelines.library.accounts import Role
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.reach import below_watched, folder_allowed
from thatdam_pipelines.settings import Settings

OnError = Literal["continue", "stop"]


class Reach(Enum):
    """What a parameter lets whoever wrote it reach; strangers, who come over the network, may not have all of it."""

    READS = "reads files"
    WATCHES = "watches a folder"
    WRITES = "writes files"
    ASKS = "asks in SQL"


ReadPath = Annotated[Path, Reach.READS]
WritePath = Annotated[Path, Reach.WRITES]
Condition = Annotated[str, Reach.ASKS]


@dataclass(frozen=True)
class Outcome:
    """What came of an action.

    Args:
        result: As JSON keeps it.
        wrong: Why the step counts as failed although it has a result; '' when it does not.
    """

    result: Any
    wrong: str = ""


@dataclass(frozen=True)
class Desk:
    """What an action works with: the open library, and who asked."""

    library: Library
    by: str

    @property
    def settings(self) -> Settings:
        return self.library.settings


class Action(BaseModel):
    """A step of a workflow. Each action is a subclass: its docstring is what it does, its fields what it is given."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    role: ClassVar[Role] = "editor"
    """The least role that may start it over the network."""
    brings: ClassVar[bool] = False
    """Whether the library may have more after it."""

    action: str
    on_error: OnError | None = Field(None, description="What follows when it fails: as for the workflow, if null.")

    @property
    def needs(self) -> Role:
        """The least role that may do it as it is asked for."""
        return self.role

    def run(self, desk: Desk) -> Outcome:
        """Do it.

        Raises:
            ThatdamError: It cannot be done.
        """
        raise NotImplementedError

    def would(self, desk: Desk) -> str:
        """What it would do, as one sentence, with as much as can be known without doing it.

        Raises:
            ThatdamError: It could not be done.
        """
        raise NotImplementedError

    def grounded(self, library: Library, base: Path, *, stranger: bool) -> Self:
        """The same with absolute paths.

        Args:
            base: Folder that relative paths are of.
            stranger: It came over the network: it may read at or below watched folders only, and write nowhere.

        Raises:
            ForeignPathError: A stranger may not reach that far.
        """
        changed = {}
        for name, field in type(self).model_fields.items():
            given = getattr(self, name)
            for reach in _reaches(field.annotation, field.metadata) if given else ():
                placed = _for_strangers(library, reach, f"{self.action}.{name}") if stranger else _at(base)
                changed[name] = _absolute(given, placed)
        return self.model_copy(update=changed)


class OfMedia(Action):
    """An action on media that are named or selected."""

    media: list[str] = Field([], description="Media: paths as they came, names, or media ids.")
    where: Condition | None = Field(None, description="SQL condition over the view curation: all media it holds of.")

    def selected(self, desk: Desk) -> list[str]:
        return select_media(desk.library, self.media, self.where)


def named(items: Sequence[object]) -> str:
    """Some things in words: the first three, and how many more."""
    said = ", ".join(str(item) for item in items[:3])
    return f"{said} and {len(items) - 3} more" if len(items) > 3 else said


def _reaches(annotation: Any, metadata: Sequence[Any]) -> list[Reach]:
    """How far a field reaches: it is marked itself, or what it may hold is."""
    found = [mark for mark in (*metadata, *getattr(annotation, "__metadata__", ())) if isinstance(mark, Reach)]
    inner = [mark for part in getattr(annotation, "__args__", ()) for mark in _reaches(part, ())]
    return [*found, *inner][:1]


def _at(base: Path) -> Callable[[Path], Path]:
    def placed(path: Path) -> Path:
        try:
            return base / path.expanduser()
        except RuntimeError as error:
            raise SettingsError(path, "there is no such user", "Write the whole path.") from error

    return placed


def _for_strangers(library: Library, reach: Reach, field: str) -> Callable[[Path], Path]:
    if reach is Reach.READS:
        return lambda path: below_watched(library, str(path))[0]
    if reach is Reach.WATCHES:
        return lambda path: folder_allowed(library, str(path))
    cause = f"a workflow that comes over the network gives no parameter that {reach.value}"
    raise ForeignPathError(field, cause, "Run it with `thatdam workflow run`, or put it into the workflows folder.")


def _absolute(given: Any, placed: Callable[[Path], Path]) -> Any:
    """A value of a field with its paths, if it has any, as ``placed`` places them."""
    if isinstance(given, list):
        return [_absolute(one, placed) for one in given]
    return placed(given) if isinstance(given, Path) else given
