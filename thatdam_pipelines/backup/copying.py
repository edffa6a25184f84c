"""Bringing contents to a target: several at a time, each read back before it counts."""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from thatdam_pipelines.backup.contents import Source, local_path, places_of
from thatdam_pipelines.backup.plan import Plan
from thatdam_pipelines.backup.targets import Target, object_key
from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.library.checksum import digest_file
from thatdam_pipelines.library.copies import Copy
from thatdam_pipelines.library.home import Library

Progress = Callable[[int, int, str], None]
"""Called with (bytes done, bytes to do, name of the file)."""
_RECORD_AT_ONCE = 200
_RECORD_EVERY_S = 5.0
_CHANGES = 3


class Copying:
    """Brings the contents of a plan to a target."""

    def __init__(self, library: Library, target: Target, plan: Plan, progress: Progress | None) -> None:
        self._library = library
        self._target = target
        self._plan = plan
        self._progress = progress
        self._todo_bytes = plan.bytes_of_contents()
        self._done_bytes = 0
        self._proven: list[Copy] = []
        self._recorded = time.monotonic()
        self.new_files = self.new_bytes = self.known_files = self.known_bytes = self.verified = 0

    def run(self) -> None:
        try:
            with ThreadPoolExecutor(self._target.place.workers) as pool:
                for prefix in self._plan.prefixes():
                    self._copy_all(pool, prefix)
        finally:
            self._record()

    def _copy_all(self, pool: ThreadPoolExecutor, prefix: str) -> None:
        contents = list(self._plan.contents(prefix))
        if not contents:
            return
        there = self._target.objects(prefix)
        states = self._library.ledger.copies.states(self._target.target_id, prefix)
        fits = self._target.place.fits
        unknown = []
        known_bytes = 0
        for source in contents:
            blake3, size_bytes = str(source.blake3), source.size_bytes
            size = there.get(blake3)
            if size is not None and states.get(blake3) == "verified" and fits(size, size_bytes):
                known_bytes += size_bytes
            else:
                unknown.append((source, size is not None))
        self.known_files += len(contents) - len(unknown)
        self.known_bytes += known_bytes
        self._done(contents[0], known_bytes)
        work = ((pool.submit(self._bring, source, there), source) for source, there in unknown)
        for outcome, source in _window(work, 2 * self._target.place.workers):
            self._settle(source, outcome)

    def _bring(self, source: Source, is_there: bool) -> bool | MediaError:
        """Have a content at the target, proven. True: copied now; False: it was there; else what is wrong with it."""
        blake3 = str(source.blake3)
        if is_there:
            if self._target.holds(blake3):
                return False
            self._target.set_aside(blake3)
        problem = None
        for place in places_of(self._library, source):
            try:
                with local_path(self._library, place) as path:
                    if self._target.is_local:
                        self._target.require_same()
                    self._target.place.add(path, object_key(blake3), blake3)
                return True
            except MediaError as error:
                problem = problem or error
        return problem or MediaError(source.path, "it has no place", "Ingest it again.")

    def _settle(self, source: Source, outcome: bool | MediaError) -> None:
        now = datetime.now(UTC)
        if isinstance(outcome, MediaError) and source.role == "table":
            source, outcome = self._as_it_is_now(source, outcome)
        if isinstance(outcome, MediaError):
            self._plan.lose(str(source.blake3), outcome.cause)
        else:
            if outcome:
                self.new_files += 1
                self.new_bytes += source.size_bytes
            else:
                self.known_files += 1
                self.known_bytes += source.size_bytes
            self.verified += 1
            self._proven.append(
                Copy(
                    self._target.target_id,
                    str(source.blake3),
                    source.media_id,
                    source.role,
                    source.size_bytes,
                    now,
                    now,
                    "verified",
                )
            )
        self._done(source, source.size_bytes)
        if len(self._proven) >= _RECORD_AT_ONCE or time.monotonic() - self._recorded > _RECORD_EVERY_S:
            self._record()

    def _as_it_is_now(self, source: Source, problem: MediaError) -> tuple[Source, bool | MediaError]:
        """A table that was written again since it was listed goes into the snapshot as it is now."""
        outcome: bool | MediaError = problem
        for _ in range(_CHANGES):
            with contextlib.suppress(MediaError), local_path(self._library, source) as path:
                digest = digest_file(path)
                source = source._replace(blake3=digest.blake3, size_bytes=digest.size_bytes)
                self._plan.replace(source.path, digest.blake3, digest.size_bytes)
                is_there = self._target.place.size(object_key(digest.blake3)) is not None
                outcome = self._bring(source, is_there)
            if not isinstance(outcome, MediaError):
                break
        return source, outcome

    def _record(self) -> None:
        """Count the copies of late: only when their names are on the target's disk too."""
        if not self._proven:
            return
        self._target.place.flush()
        # What was copied while another disk was at its place is on that one.
        self._target.require_same()
        proven, self._proven = self._proven, []
        self._library.ledger.copies.record(proven)
        self._recorded = time.monotonic()

    def _done(self, source: Source, size_bytes: int) -> None:
        self._done_bytes += size_bytes
        if self._progress is not None:
            self._progress(self._done_bytes, self._todo_bytes, source.path.rpartition("/")[2])


def _window(work: Iterable[tuple[Future[Any], Source]], width: int) -> Iterator[tuple[Any, Source]]:
    """The results in order, with no more than ``width`` begun at a time."""
    going: deque[tuple[Future[Any], Source]] = deque()
    for begun in work:
        going.append(begun)
        if len(going) >= width:
            future, source = going.popleft()
            yield future.result(), source
    for future, source in going:
        yield future.result(), source
