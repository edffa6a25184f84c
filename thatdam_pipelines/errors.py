"""The errors people see: each names the thing, the cause and the next step."""

from collections.abc import Sequence
from dataclasses import dataclass


class ThatdamError(Exception):
    """Something a person can act on.

    Args:
        subject: What it happened to: a file path, a setting, a batch id.
        cause: What is wrong, as a plain clause.
        next_step: What to do about it.
    """

    def __init__(self, subject: object, cause: str, next_step: str) -> None:
        self.subject = str(subject)
        self.cause = cause
        self.next_step = next_step
        super().__init__(f"{self.subject}: {cause}. {next_step}")

    def __reduce__(self) -> tuple[object, ...]:
        # Workers send errors across process boundaries; the default would pass one argument to __init__.
        return type(self), (self.subject, self.cause, self.next_step)


class SettingsError(ThatdamError):
    """A setting has a value that cannot work."""


class MediaError(ThatdamError):
    """A file is not media that can be read: it is quarantined and its batch goes on."""


class ChangedError(MediaError):
    """A file changed while it was read: what was read is not used."""


class AwayError(MediaError):
    """The disk with a file is not there now: the file waits for it, and its batch goes on."""


class StoreError(ThatdamError):
    """A copy could not be made or proven; the source is untouched."""


class DamagedError(StoreError):
    """What is kept somewhere is not what was put there."""


class OverwriteError(StoreError):
    """Something else stands where a file would go in the store; it is never overwritten."""


class OfflineError(ThatdamError):
    """A disk, folder or server cannot be reached now. Nothing is dropped because of it."""


class UnansweredError(OfflineError):
    """A server was asked and did not answer: whether it did as it was asked is not known."""


class TableError(ThatdamError):
    """Rows do not fit the schema their table declares."""


class DatabaseError(ThatdamError):
    """The library database is damaged or cannot be used."""


class QueryError(ThatdamError):
    """A question cannot be answered as asked."""


class DamagedIndexError(QueryError):
    """An index cannot be read; it is made anew from the tables."""


class ModelError(ThatdamError):
    """An embedder cannot be loaded or its vectors cannot be trusted."""


class CurationError(ThatdamError):
    """A change to what people say of media cannot be made as asked; nothing was changed."""


class UnknownMediaError(CurationError):
    """Nothing of that id is in the library."""


class TransitionError(CurationError):
    """A state cannot follow the one that a medium is in."""


class ConflictError(CurationError):
    """Somebody else changed it meanwhile; nothing was changed."""


class UploadError(ThatdamError):
    """An upload cannot begin, go on or arrive; what is here of it stays."""


class UnknownUploadError(UploadError):
    """There is no upload of that id: it was given up, is long past, or arrived."""


class ForeignPathError(ThatdamError):
    """A path leads to where a request may not."""


@dataclass(frozen=True)
class Problem:
    """What is wrong at one place of a workflow's text.

    Args:
        line: From 1.
        column: From 1.
        where: The step, by number and action, or ''.
    """

    line: int
    column: int
    where: str
    cause: str
    next_step: str

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        return f"line {self.line}, column {self.column}: {where}{self.cause}. {self.next_step}"


class WorkflowError(ThatdamError):
    """A workflow cannot be run as it is written: nothing of it was done.

    Args:
        subject: Its file, or what it is called.
        problems: All that is wrong, at least one.
    """

    def __init__(self, subject: object, problems: Sequence[Problem]) -> None:
        first, *more = problems
        super().__init__(subject, "; ".join(str(one) for one in problems), first.next_step)
        self.problems = [first, *more]
        self.args = ("\n".join(f"{subject}: {one}" for one in problems),)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.subject, self.problems)
