"""One destination of an offload: a thread that writes what is read from the card, reads it back and records it."""

import contextlib
import errno
import hashlib
import os
import queue
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from thatdam_pipelines.backup.mhl import is_chain
from thatdam_pipelines.backup.offload_card import Card, CardFile
from thatdam_pipelines.backup.offload_journal import Journal, Record, is_of_card
from thatdam_pipelines.backup.offload_part import PARTS, Part, Source, now
from thatdam_pipelines.errors import MediaError, OfflineError, StoreError, ThatdamError
from thatdam_pipelines.library.checksum import read_back
from thatdam_pipelines.library.files import fsync_dir
from thatdam_pipelines.media.hash_lists import CHAIN, FOLDER

QUEUE_BLOCKS = 16
"""Blocks of the card that one slow destination may lag behind the reading: 64 MiB."""

REPORT_SUFFIX = ".offload"
"""What the folder beside a card's copy is called, with the journal and the report."""

_GROUP_BYTES = 64 * 2**20
_GROUP_FILES = 64
_LET_GO_S = 5.0

# What is wrong with one name or one file here, and not with the disk.
_ONE_FILE = {errno.EINVAL, errno.ENAMETOOLONG, errno.EILSEQ, errno.EFBIG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR}


class Destination:
    """Where a card is copied to: ``<root>/<name>`` with the card's files, ``<root>/<name>.offload`` with the rest.

    Blocks are given by one thread and written by another; a failure of the destination ends it, and whoever gives
    blocks goes on with the others. Read ``failure`` and ``failures`` after ``finish``.

    Args:
        root: A folder that is there.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = ""
        self.failure: str | None = None
        self.failures: dict[str, str] = {}
        self.resumed = False
        self.earlier: frozenset[str] = frozenset()
        self.done_bytes = 0
        self._identity = _identity(root)
        self._journal: Journal | None = None
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue(QUEUE_BLOCKS)
        self._thread: threading.Thread | None = None
        self._let_go = False
        self._part: Part | None = None
        self._group: list[Part] = []

    @property
    def folder(self) -> Path:
        """The copy of the card."""
        return self.root / self.name

    @property
    def report_folder(self) -> Path:
        return self.root / f"{self.name}{REPORT_SUFFIX}"

    @property
    def records(self) -> dict[str, Record]:
        """What is verified here, by path."""
        return self._journal.records if self._journal else {}

    def begin(self, card: Card, name: str) -> None:
        """Take up an offload of this card that is here already, or begin one called ``name``; then make its folders.

        Anything that fails is kept as ``failure``.
        """
        with self._ending():
            self._open(card, name)
            for folder in card.folders:
                self._make_folder(folder)
            self._drop_stale(card)
            self._require_space(card)
            self.earlier = frozenset(self.records)
        if self.failure is None:
            self._thread = threading.Thread(target=self._work, name=f"offload to {self.root}", daemon=True)
            self._thread.start()

    def needs(self, file: CardFile) -> bool:
        """Whether the file still has to be written here."""
        return self.failure is None and file.path not in self.failures and file.path not in self.records

    def start_file(self, file: CardFile) -> None:
        self._give(lambda: self._begin_part(file))

    def write(self, block: bytes) -> None:
        self._give(lambda: self._write(block))

    def end_file(self, source: Source) -> None:
        self._give(lambda: self._end_part(source))

    def drop_file(self) -> None:
        """What was given of the current file is not to be used."""
        self._give(self._drop_part)

    def compare(self, file: CardFile, source: Source) -> None:
        """Read back a copy that an earlier run verified, against what the card has now."""
        self._give(lambda: self._compare(file, source))

    def finish(self, waiting: Callable[[], None]) -> None:
        """Wait until all that was given is on the disk and read back.

        Args:
            waiting: Called a few times a second meanwhile.
        """
        if self._thread is None:
            return
        while self._thread.is_alive():
            with contextlib.suppress(queue.Full):
                self._queue.put(None, timeout=0.2)
                break
            waiting()
        while self._thread.is_alive():
            self._thread.join(0.2)
            waiting()

    def check(self, card: Card, is_extended: Callable[[Path, str], bool]) -> None:
        """Look once more for every copy where it was put: same disk, same size, same time.

        Args:
            is_extended: Whether the file at a path here, relative to the card, is one that was added to rightly.
        """
        with self._ending():
            self.require_there()
            for file in card.files:
                record = self.records.get(file.path)
                if record is None or file.path in self.failures:
                    continue
                if not self._stands(record) and not is_extended(self.folder, file.path):
                    self.failures[file.path] = "its copy is gone or was changed after it was verified"

    def require_there(self) -> None:
        """Raise when the disk that was there at the start is not at the path any more.

        Raises:
            OfflineError: Another disk is, or none.
        """
        if _identity(self.root) != self._identity:
            raise OfflineError(
                self.root, "the disk that was there is gone", "Mount it again, then run the offload again."
            )

    def has_generation(self, records: list[Record]) -> bool:
        """Whether the ASC MHL here was written of exactly these records."""
        written = self._journal.generation if self._journal else None
        return written == _state(records) and (self.folder / FOLDER / CHAIN).is_file()

    def note_generation(self, records: list[Record]) -> None:
        """Remember that the ASC MHL here was written of these records."""
        if self._journal is not None:
            self._journal.note_generation(_state(records))

    def fail(self, error: Exception) -> None:
        """End this destination with the reason, unless it has one."""
        if self.failure is None:
            self.failure = self._reason(error)

    def close(self) -> None:
        """Let go of the destination. What is not verified by now is dropped; a disk that stalls is not waited for."""
        if self._thread is not None and self._thread.is_alive():
            self.fail(StoreError(self.root, "the offload was interrupted", "Run it again."))
            with contextlib.suppress(queue.Full):
                self._queue.put(None, timeout=_LET_GO_S)
            self._thread.join(_LET_GO_S)
            if self._thread.is_alive():
                self._let_go = True
                return
        if self._journal is not None:
            self._journal.close()

    def _give(self, work: Callable[[], None]) -> None:
        while self.failure is None:
            with contextlib.suppress(queue.Full):
                self._queue.put(work, timeout=0.2)
                return

    def _work(self) -> None:
        try:
            while (work := self._queue.get()) is not None:
                if self.failure is None:
                    with self._ending():
                        work()
            with self._ending():
                if self.failure is None:
                    self._commit()
        finally:
            for part in [*self._group, *([self._part] if self._part else [])]:
                part.discard()
            if self._let_go and self._journal is not None:
                self._journal.close()

    @contextlib.contextmanager
    def _ending(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            # Whatever it is, the other destinations go on and this one is never taken for done.
            self.fail(error)

    def _reason(self, error: Exception) -> str:
        try:
            self.require_there()
        except (OSError, OfflineError) as gone:
            error = gone
        if isinstance(error, ThatdamError):
            return error.cause
        if isinstance(error, OSError):
            return f"it cannot be written ({error.strerror or error})"
        return f"writing there failed unexpectedly ({type(error).__name__}: {error})"

    def _open(self, card: Card, name: str) -> None:
        # The newest first: a card that was filled, formatted and filled again is told apart by what is on it.
        for found in sorted(self.root.glob(f"*{REPORT_SUFFIX}"), key=lambda path: path.name, reverse=True):
            if is_of_card(found, card) and (journal := Journal.open(found)) is not None:
                self._journal = journal
                self.name = found.name.removesuffix(REPORT_SUFFIX)
                self.resumed = True
                self.folder.mkdir(exist_ok=True)
                for leftover in self.folder.rglob(PARTS):
                    leftover.unlink()
                return
        self.name = self._free_name(name)
        self.report_folder.mkdir()
        self.folder.mkdir()
        fsync_dir(self.root)
        self._journal = Journal.new(self.report_folder, card, self.name)

    def _free_name(self, name: str) -> str:
        number, free = 1, name
        while os.path.lexists(self.root / free) or os.path.lexists(self.root / f"{free}{REPORT_SUFFIX}"):
            number += 1
            free = f"{name}-{number}"
        return free

    def _make_folder(self, folder: str) -> None:
        try:
            (self.folder / folder).mkdir(exist_ok=True)
        except OSError as error:
            if error.errno not in _ONE_FILE and not isinstance(error, (FileNotFoundError, FileExistsError)):
                raise
            self.require_there()

    def _drop_stale(self, card: Card) -> None:
        """Forget records that no longer hold: the copy is gone or changed, and is to be made or compared again."""
        files = {file.path: file for file in card.files}
        for path, record in list(self.records.items()):
            if path not in files or not record.is_of(files[path]) or (not self._stands(record) and not is_chain(path)):
                del self.records[path]

    def _require_space(self, card: Card) -> None:
        needed = sum(file.size_bytes for file in card.files if self.needs(file))
        free = shutil.disk_usage(self.root).free
        if needed > free:
            raise StoreError(
                self.root,
                f"it has {free / 2**30:.1f} GiB free and {needed / 2**30:.1f} GiB are missing here",
                "Free some.",
            )

    def _stands(self, record: Record) -> bool:
        try:
            found = (self.folder / record.path).lstat()
        except OSError:
            return False
        return (found.st_size, found.st_mtime_ns) == (record.size_bytes, record.copy_mtime_ns)

    def _begin_part(self, file: CardFile) -> None:
        with self._one_file(file):
            self._part = Part.begin(self.folder, file)

    def _write(self, block: bytes) -> None:
        part = self._part
        if part is None:
            return
        with self._one_file(part.file):
            part.write(block)
            self.done_bytes += len(block)

    def _end_part(self, source: Source) -> None:
        part, self._part = self._part, None
        if part is None:
            return
        part.source = source
        self._group.append(part)
        if len(self._group) >= _GROUP_FILES or sum(part.written for part in self._group) >= _GROUP_BYTES:
            self._commit()

    def _drop_part(self) -> None:
        part, self._part = self._part, None
        if part is not None:
            self.done_bytes -= part.written
            part.discard()

    def _commit(self) -> None:
        """Make the group durable: all to the disk, each read back, named, and recorded."""
        group, records = list(self._group), []
        for part in group:
            part.to_disk()
        for part in group:
            if (record := self._verified(part)) is not None:
                records.append(record)
            self.done_bytes += part.written
        for folder in {part.path.parent for part in group}:
            fsync_dir(folder)
        self.require_there()
        if records and self._journal is not None:
            self._journal.add(records)
        for part in group:
            part.discard()
        self._group.clear()

    def _verified(self, part: Part) -> Record | None:
        """The record of a part that reads back as what the card has and got its name; else None, with the reason."""
        try:
            return part.verified(self.folder / part.file.path)
        except (MediaError, StoreError) as error:
            self.require_there()
            self.failures[part.file.path] = error.cause
            return None

    def _compare(self, file: CardFile, source: Source) -> None:
        record = self.records[file.path]
        if record.digest != source.digest:
            self._refute(file, "the card has another content than when it was copied")
            return
        if is_chain(file.path) and not self._stands(record):
            return
        try:
            same = read_back(self.folder / file.path) == source.digest
        except MediaError as error:
            self._refute(file, error.cause)
            return
        if not same:
            self._refute(file, "its copy does not equal the card any more")
        elif self._journal is not None:
            proven = replace(record, verified_at=now(), hashes=source.hashes, history=source.history)
            self._journal.add([proven])
            self.earlier -= {file.path}
        self.done_bytes += 2 * file.size_bytes

    def _refute(self, file: CardFile, reason: str) -> None:
        # First told, then forgotten: whoever gives the files is not to give this one anew.
        self.failures[file.path] = reason
        if self._journal is not None:
            self._journal.revoke(file.path)

    @contextlib.contextmanager
    def _one_file(self, file: CardFile) -> Iterator[None]:
        """Errors that are about one name or one size cost that file; others the destination."""
        try:
            yield
        except OSError as error:
            folder = (self.folder / file.path).parent
            if error.errno not in _ONE_FILE and not (error.errno == errno.ENOENT and not folder.is_dir()):
                raise
            self.require_there()
            self.failures[file.path] = f"it cannot be written there ({error.strerror})"
            self._drop_part()


def _identity(root: Path) -> tuple[int, int]:
    found = root.stat()
    return found.st_dev, found.st_ino


def _state(records: list[Record]) -> str:
    hasher = hashlib.blake2b(digest_size=16)
    for record in sorted(records, key=lambda record: record.path):
        line = f"{record.path}\0{record.blake3}\0{record.verified_at}\0"
        hasher.update(line.encode(errors="surrogateescape"))
    return hasher.hexdigest()
