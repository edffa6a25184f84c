"""What indexing a batch, or everything, did."""

from dataclasses import dataclass


@dataclass(frozen=True)
class IndexReport:
    """Items are vectors or documents.

    Args:
        added: Items that were missing or have changed.
        removed: Items that changed or that the tables no longer have.
        unchanged: Items that were there already.
        expected: Items that the tables make.
        present: Items in the index afterwards, counted there.
    """

    added: int
    removed: int
    unchanged: int
    expected: int
    present: int
