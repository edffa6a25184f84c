"""Recipes: what was done to make a derived item, as an identity that can be compared."""

import json
from dataclasses import dataclass, field
from typing import Any

from blake3 import blake3


@dataclass(frozen=True)
class Recipe:
    """An operation, its version and its parameters.

    A derived item is identified by ``(media_id, recipe.id)``: the same pair is never computed twice, and a change of
    version, parameters or upstream recipe gives a new id, so that only what depends on it becomes stale.

    Args:
        operation: What is done: ``probe``, ``proxy``, ``scenes``, ...
        version: Raised by hand when the operation's code gives other results.
        params: JSON-serialisable parameters that decide the result. Upstream recipes go in by their id.
    """

    operation: str
    version: str
    params: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def id(self) -> str:
        """``<operation>-<version>-<10 hex digits of the BLAKE3 of the canonical JSON>``."""
        canonical = json.dumps([self.operation, self.version, self.params], sort_keys=True, separators=(",", ":"))
        return f"{self.operation}-{self.version}-{blake3(canonical.encode()).hexdigest()[:10]}"
