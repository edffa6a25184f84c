"""Recordings that are wanted now, written down so that a recorder that was killed goes on with them."""

import json
import threading

from thatdam_capture.atomic import replace_text
from thatdam_capture.sessions import Wanted
from thatdam_capture.store import Store


class WantedList:
    """What ``wanted.json`` in the store's state folder says, or is to say. May be used from several threads."""

    def __init__(self, store: Store) -> None:
        self._path = store.state / "wanted.json"
        self._wanted: dict[str, Wanted] = {}
        self._writing = threading.Lock()

    def all(self) -> list[Wanted]:
        return list(self._wanted.values())

    def put(self, *wanted: Wanted) -> None:
        """Add recordings, or what is new about them; ``write`` makes it last."""
        self._wanted |= {one.id: one for one in wanted}

    def drop(self, *wanted: Wanted) -> None:
        for one in wanted:
            self._wanted.pop(one.id, None)

    def write(self) -> None:
        """Raises OSError when the store cannot be written."""
        with self._writing:
            rows = [one.model_dump(mode="json") for one in self.all()]
            replace_text(self._path, json.dumps(rows, indent=1) + "\n")

    def read(self) -> list[Wanted]:
        """What the recorder before wanted; nothing is added by it.

        Raises:
            OSError, ValueError: there is a list that cannot be read.
        """
        try:
            rows = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return []
        return [Wanted.model_validate(row) for row in rows]
