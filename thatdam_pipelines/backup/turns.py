"""Work at one target after the other: what fails at one is told, and the others still have their turn."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import sqlalchemy as sa

from thatdam_pipelines.errors import StoreError, ThatdamError
from thatdam_pipelines.library.ledger_problem import in_words
from thatdam_pipelines.settings import BackupTarget, Settings

T = TypeVar("T")


def at_each(
    settings: Settings, targets: Iterable[BackupTarget], work: Callable[[BackupTarget], T]
) -> Iterator[tuple[BackupTarget, T | ThatdamError]]:
    """What ``work`` gives at each target, or why it failed there: also where the system or the database did."""
    for target in targets:
        try:
            yield target, work(target)
        except ThatdamError as error:
            yield target, error
        except sa.exc.DBAPIError as error:
            yield target, in_words(error, settings.database_url)
        except OSError as error:
            subject = error.filename or target.url
            cause = f"the system refused it ({error.strerror or error})"
            yield target, StoreError(subject, cause, "Check that disk or network, then run it again.")
