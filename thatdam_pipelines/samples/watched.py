"""A watched folder for tests of what scans make of it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from thatdam_pipelines.library.arrivals import FileState, Sighting
from thatdam_pipelines.library.ledger import Ledger
from thatdam_pipelines.library.watch import ScanReport, scan_folder
from thatdam_pipelines.settings import IngestMode, Settings, WatchedFolder

_START = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
_ALL_STATES: tuple[FileState, ...] = ("seen", "settled", "claimed", "done", "failed", "gone")


class Watched:
    """A watched folder with a clock of its own: each tick is six seconds after the last.

    Attributes:
        mode: How its files are taken.
    """

    def __init__(self, settings: Settings, path: Path) -> None:
        self.settings = settings.model_copy(update={"watched": [*settings.watched, WatchedFolder(path=path)]})
        self.ledger = Ledger(settings.database_url)
        self.path = path
        self.mode: IngestMode = "copy"
        self.now = _START
        path.mkdir(parents=True)

    def drop(self, name: str, content: bytes = b"frames") -> Path:
        """Write a file of this name into the folder."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def tick(self, seconds: float = 6) -> ScanReport:
        """Look at the folder once, so many seconds after the last look."""
        self.now += timedelta(seconds=seconds)
        folder = WatchedFolder(path=self.path, mode=self.mode, settle_seconds=5)
        return scan_folder(self.ledger, self.settings, folder, self.now)

    def batches(self) -> list[set[str]]:
        """The paths in each batch that waits for a run."""
        pending = self.ledger.pending_batches()
        return [{file.rel_path for file in self.ledger.batch_files(batch.batch_id)} for batch in pending]

    def states(self) -> dict[str, str]:
        """What the ledger says of each file that was ever seen."""
        return {file.rel_path: file.state for file in self.ledger.files_in(str(self.path), _ALL_STATES)}

    def ingest(self, *, moved: bool = False) -> None:
        """What a run does to the pending batches, as the ledger sees it."""
        for batch in self.ledger.pending_batches():
            files = [Sighting(f.rel_path, f.size_bytes, f.mtime_ns) for f in self.ledger.batch_files(batch.batch_id)]
            if moved:
                for file in files:
                    (self.path / file.rel_path).unlink()
            self.ledger.mark_files(batch.batch_id, done=[] if moved else files, moved=files if moved else [])
            self.ledger.finish_batch(batch.batch_id, "done")
