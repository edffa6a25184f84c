"""Offloads written down in the library's ledger, for its views and checks."""

import secrets
from datetime import UTC, datetime, timedelta

from thatdam_pipelines.backup.offload import Copy, OffloadResult
from thatdam_pipelines.library.files import escape_name
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.offloads import OffloadRow

_STAMP = "%Y%m%dT%H%M%S.%f"
MOST_REASONS = 100
"""Reasons that are kept of one offload; its report has all of them."""


def record_offload(library: Library, result: OffloadResult) -> str:
    """Write an offload down; give its id, which comes after all others, whatever the clock said then and says now."""
    newest = library.ledger.offloads.newest_id() or ""
    before = datetime.strptime(newest.partition("-")[0], _STAMP).replace(tzinfo=UTC) if newest else result.started
    stamp = max(result.started, before + timedelta(microseconds=1))
    offload_id = f"{stamp:{_STAMP}}-{secrets.token_hex(4)}"
    library.ledger.offloads.record([_row(offload_id, result, copy) for copy in result.copies])
    return offload_id


def reasons_of(result: OffloadResult) -> list[str]:
    """Why a card is not safe, the first ``MOST_REASONS``, escaped; then how many more there are."""
    lines = [escape_name(line) for line in result.reasons]
    more = len(lines) - MOST_REASONS
    return lines if more <= 0 else [*lines[:MOST_REASONS], f"... and {more} more"]


def _row(offload_id: str, result: OffloadResult, copy: Copy) -> OffloadRow:
    return OffloadRow(
        offload_id,
        escape_name(str(copy.root)),
        escape_name(result.card.root.name),
        escape_name(str(result.card.root)),
        escape_name(str(copy.folder)) if copy.folder else None,
        result.started,
        round(result.seconds, 3),
        len(result.card.files),
        result.card.size_bytes,
        result.verdict,
        len(copy.records),
        len(copy.earlier),
        copy.is_whole,
        "\n".join(reasons_of(result)),
    )
