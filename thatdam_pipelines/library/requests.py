"""Requests that were answered, by the key their sender gave them: sent again, they are not done again."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from thatdam_pipelines.library.ledger_metadata import METADATA, UtcTime

KEPT_FOR = timedelta(days=7)
"""How long an answer is remembered."""

_ANSWERS = sa.Table(
    "answers",
    METADATA,
    sa.Column("request_id", sa.Text, primary_key=True),
    sa.Column("asked", sa.Text, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("headers", sa.JSON, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("answered_utc", UtcTime, nullable=False),
)


@dataclass(frozen=True)
class Answer:
    """What a request was answered with.

    Args:
        asked: Digest of the request itself.
        status: HTTP status.
        headers: Those that belong to the answer.
    """

    asked: str
    status: int
    headers: dict[str, str]
    body: bytes


class Requests:
    """The answers in an open ledger. A write is one transaction."""

    def __init__(self, engine: sa.Engine, writer: sa.Engine, insert: Callable[[sa.Table], Any]) -> None:
        self._engine = engine
        self._writer = writer
        self._insert = insert

    def answer(self, request_id: str) -> Answer | None:
        """What a request was answered with; None when it is new, or long past."""
        columns = [_ANSWERS.c[name] for name in Answer.__dataclass_fields__]
        fresh = _ANSWERS.c.answered_utc > datetime.now(UTC) - KEPT_FOR
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(*columns).where(_ANSWERS.c.request_id == request_id, fresh)).first()
        return None if row is None else Answer(*row)

    def keep(self, request_id: str, answer: Answer) -> None:
        """Remember an answer, and forget those that are long past."""
        now = datetime.now(UTC)
        with self._writer.begin() as connection:
            connection.execute(sa.delete(_ANSWERS).where(_ANSWERS.c.answered_utc <= now - KEPT_FOR))
            connection.execute(self._insert(_ANSWERS).values(request_id=request_id, answered_utc=now, **asdict(answer)))
