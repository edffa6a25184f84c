"""Cursors: where the next page begins, as text that clients hand back without looking into it."""

import base64
import binascii
import json

from thatdam_pipelines.web.problems import Refusal


def write_cursor(*parts: str) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def read_cursor(cursor: str, parts: int) -> list[str]:
    """What ``write_cursor`` was given.

    Raises:
        Refusal: It is none of ours.
    """
    try:
        found = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise _foreign() from None
    if not isinstance(found, list) or len(found) != parts or not all(isinstance(part, str) for part in found):
        raise _foreign()
    return found


def _foreign() -> Refusal:
    return Refusal(422, "cursor", "the cursor is none that was given", "Begin again without a cursor.")
