"""Offload: copy a camera card to several destinations at once, prove every copy, say whether it may be formatted."""

import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from thatdam_pipelines.backup.mhl import extends, is_chain, is_sayable, require_sound, write_generation
from thatdam_pipelines.backup.offload_card import Card, CardFile, changes, edges_of, read_card
from thatdam_pipelines.backup.offload_destination import REPORT_SUFFIX, Destination
from thatdam_pipelines.backup.offload_journal import Record
from thatdam_pipelines.backup.offload_part import Source
from thatdam_pipelines.errors import MediaError, SettingsError, ThatdamError
from thatdam_pipelines.library.checksum import changed, digest_open, open_regular
from thatdam_pipelines.library.files import escape_name
from thatdam_pipelines.library.offloads import Verdict
from thatdam_pipelines.media.hash_lists import FOLDER, FORMAT, CardHistory, read_card_history


@dataclass(frozen=True)
class Progress:
    """How far an offload is.

    Args:
        done_bytes: Of ``total_bytes``, at the destination that is behind: written counts half, read back the rest.
        file: Being read.
    """

    done_bytes: int
    total_bytes: int
    file: str


@dataclass(frozen=True)
class Copy:
    """A card at one destination.

    Args:
        root: The destination as it was asked for.
        folder: The copy of the card there.
        failure: Why it is not whole; None unless the destination itself failed.
        failures: Files without a verified copy here, by path, with the reason.
        records: Files with one.
        earlier: Those of them that an earlier run verified and this one did not read again.
        resumed: It went on with what an earlier run began.
        mhl: ``written``, ``unchanged``, or why no generation was written.
        unsayable: Files that an ASC MHL cannot name.
    """

    root: Path
    folder: Path | None
    failure: str | None
    failures: dict[str, str]
    records: dict[str, Record]
    earlier: frozenset[str]
    resumed: bool
    mhl: str
    unsayable: list[str]

    @property
    def report_folder(self) -> Path | None:
        """Beside ``folder``: the journal and the report."""
        return self.folder and self.folder.with_name(f"{self.folder.name}{REPORT_SUFFIX}")

    @property
    def is_whole(self) -> bool:
        return self.failure is None and not self.failures


@dataclass(frozen=True)
class OffloadResult:
    """What became of a card.

    Args:
        problems: What is wrong with the card itself, by path (``.`` for the card), with the reason.
        warnings: What to know that does not change the verdict.
        copies: One for each destination asked for.
    """

    card: Card
    problems: dict[str, str]
    warnings: list[str]
    copies: list[Copy]
    history: CardHistory
    started: datetime
    seconds: float

    @property
    def is_safe(self) -> bool:
        """Whether every file of the card has its verified copy at every destination asked for."""
        return not self.problems and bool(self.copies) and all(copy.is_whole for copy in self.copies)

    @property
    def verdict(self) -> Verdict:
        return "SAFE TO FORMAT" if self.is_safe else "NOT SAFE"

    @property
    def reasons(self) -> list[str]:
        """Why it is not safe, a line each."""
        lines = [f"{path}: {reason}" for path, reason in sorted(self.problems.items())]
        for copy in self.copies:
            if copy.failure:
                lines.append(f"{copy.root}: {copy.failure}")
            lines += [f"{path} at {copy.root}: {reason}" for path, reason in sorted(copy.failures.items())]
        return lines

    def as_dict(self) -> dict[str, Any]:
        """For programs. Paths are escaped, see ``escape_name``."""
        return {
            "safe_to_format": self.is_safe,
            "card": escape_name(str(self.card.root)),
            "files": len(self.card.files),
            "size_bytes": self.card.size_bytes,
            "seconds": round(self.seconds, 3),
            "started": self.started.isoformat(timespec="seconds"),
            "warnings": self.warnings,
            "left": [escape_name(path) for path in self.card.left],
            "problems": {escape_name(path): reason for path, reason in self.problems.items()},
            "history": self._history_counts(),
            "copies": [
                {
                    "destination": escape_name(str(copy.root)),
                    "folder": escape_name(str(copy.folder)) if copy.folder else None,
                    "whole": copy.is_whole,
                    "failure": copy.failure,
                    "failures": {escape_name(path): reason for path, reason in copy.failures.items()},
                    "verified": len(copy.records),
                    "verified_earlier": len(copy.earlier),
                    "resumed": copy.resumed,
                    "mhl": copy.mhl,
                    "not_in_mhl": [escape_name(path) for path in copy.unsayable],
                }
                for copy in self.copies
            ],
        }

    def _history_counts(self) -> dict[str, int]:
        said = {path: record.history for copy in self.copies for path, record in copy.records.items()}
        return {
            "verified": sum(one == "verified" for one in said.values()),
            "failed": sum(one == "failed" for one in said.values()),
            "missing": len(self.history.missing),
        }


@dataclass
class _Run:
    """One offload while it goes on."""

    card: Card
    history: CardHistory
    destinations: list[Destination]
    on_progress: Callable[[Progress], None]
    reverify: bool
    problems: dict[str, str] = field(default_factory=dict)
    current: str = ""

    def read_all(self) -> None:
        """Read what any destination lacks, once, and give it to all that lack it."""
        for file in self.card.files:
            self.current = file.path
            lacking = [one for one in self.destinations if one.needs(file)]
            holding = [one for one in self.destinations if one.failure is None and file.path in one.records]
            if lacking or any(self._is_in_doubt(file, one, holding) for one in holding):
                self._read(file, lacking, holding)
            self.tell()

    def tell(self) -> None:
        working = [one for one in self.destinations if one.failure is None] or self.destinations
        done = min(one.done_bytes for one in working) // 2
        self.on_progress(Progress(done, self.card.size_bytes, escape_name(self.current)))

    def _read(self, file: CardFile, lacking: list[Destination], holding: list[Destination]) -> None:
        for one in lacking:
            one.start_file(file)
        try:
            source = self._digest(file, lacking)
        except MediaError as error:
            self.problems[file.path] = error.cause
            for one in lacking:
                one.drop_file()
            return
        for one in lacking:
            one.end_file(source)
        # Two destinations that were filled in two runs must hold the same, whatever the card says of size and time.
        doubtful = [
            one
            for one in holding
            if one.records[file.path].digest != source.digest or self._is_in_doubt(file, one, holding)
        ]
        for one in doubtful:
            one.compare(file, source)

    def _is_in_doubt(self, file: CardFile, one: Destination, holding: list[Destination]) -> bool:
        """Whether what an earlier run verified is to be read again: on request, or as less was known of it then."""
        record = one.records[file.path]
        return (
            self.reverify
            or any(other.records[file.path].blake3 != record.blake3 for other in holding)
            or (record.history is None and self.history.names(file.path))
        )

    def _digest(self, file: CardFile, lacking: list[Destination]) -> Source:
        path = self.card.root / file.path
        hashes = self.history.hashers(file.path)

        def give(block: bytes) -> None:
            hashes.update(block)
            for one in lacking:
                one.write(block)
            self.tell()

        descriptor = open_regular(path)
        try:
            if hasattr(os, "posix_fadvise"):
                # From the card, and not what the system still holds of it in memory.
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            _require_same(os.fstat(descriptor), file, path)
            digest = digest_open(descriptor, path, give)
            edges = edges_of(path)
            _require_same(_lstat(path), file, path)
        finally:
            os.close(descriptor)
        digests = {FORMAT: digest.xxh128, **hashes.digests()}
        kept = {form: digests[form] for form in self.history.asc.get(file.path, {})}
        return Source(digest, edges, kept, self.history.verdict(file.path, digests))


def offload(
    card: Path,
    destinations: Sequence[Path],
    *,
    reverify: bool = False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> OffloadResult:
    """Copy a card to every destination, reading it once, and verify every copy by reading it back.

    An offload of this card that is at a destination already goes on: files that it records as verified there are
    taken as such where size and time are the same at both ends and the first and last 64 KiB on the card are; with
    ``reverify`` they are read again, all of them at both ends. A destination that fails costs only itself.

    Args:
        card: Folder where the card is mounted.
        destinations: Folders that are there; below each comes one for this card.
        on_progress: Called often, from this thread.

    Raises:
        SettingsError: There is no such card, nothing is on it, or a destination is no folder of its own.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    listed = read_card(_existing(card, "Name the folder where the card is mounted."))
    if not listed.files:
        raise SettingsError(card, "there are no files on it", "Mount the card, then name its folder.")
    roots = _separate(listed.root, destinations)
    history = read_card_history(listed.root, {*(file.path for file in listed.files), *listed.left}, listed.folders)
    listed = listed.taking(path for path in listed.left if history.names(path))
    ends = [Destination(root) for root in roots]
    warnings = _warnings(listed.root, roots)
    run = _Run(listed, history, ends, on_progress, reverify)
    run.problems |= listed.refused
    try:
        name = _folder_name(listed.root, started)
        for end in ends:
            end.begin(listed, name)
            if not reverify:
                end.done_bytes = 2 * sum(record.size_bytes for record in end.records.values())
        run.read_all()
        run.current = ""
        for end in ends:
            end.finish(run.tell)
        run.problems |= changes(listed)
        run.problems |= _history_problems(history, ends)
        copies = [_concluded(end, run) for end in ends]
    finally:
        for end in ends:
            end.close()
    seconds = time.monotonic() - clock
    return OffloadResult(listed, run.problems, warnings, copies, history, started, seconds)


def _concluded(end: Destination, run: _Run) -> Copy:
    mhl = "none"
    if end.failure is None:
        try:
            mhl = _generation(end, run)
        except MediaError as error:
            mhl = error.cause
            if not run.history.problems:
                end.failures[FOLDER] = error.cause
        except (OSError, ThatdamError) as error:
            end.fail(error)
    if end.failure is None:
        end.check(run.card, lambda folder, path: is_chain(path) and extends(run.card.root / path, folder / path))
    for file in run.card.files:
        if end.needs(file) and file.path not in run.problems:
            end.failures[file.path] = "it was not copied"
    records = {path: record for path, record in end.records.items() if path not in end.failures}
    # A destination that failed says nothing of its files: it may not have what it is said to have.
    return Copy(
        end.root,
        end.folder if end.name else None,
        end.failure,
        dict(end.failures),
        records if end.failure is None else {},
        end.earlier & records.keys() if end.failure is None else frozenset(),
        end.resumed,
        mhl,
        sorted(path for path in records if not is_sayable(path)),
    )


def _generation(end: Destination, run: _Run) -> str:
    end.require_there()
    records = [record for path, record in end.records.items() if path not in end.failures]
    if end.has_generation(records):
        require_sound(end.folder)
        return "unchanged"
    comment = f"offload of {escape_name(run.card.root.name)}"
    write_generation(end.folder, records, run.card.folders, comment)
    end.note_generation(records)
    return "written"


def _history_problems(history: CardHistory, ends: list[Destination]) -> dict[str, str]:
    found = dict.fromkeys(history.missing, "the card's own hash list names it, and it is not on the card")
    for end in ends:
        for path, record in end.records.items():
            if record.history == "failed":
                found[path] = "it is not what the card's own hash list says"
    if history.problems:
        found["."] = "; ".join(history.problems)
    return found


def _existing(path: Path, next_step: str) -> Path:
    found = path.expanduser().absolute()
    if not found.is_dir():
        raise SettingsError(path, "there is no such folder", next_step)
    return found.resolve()


def _separate(card: Path, destinations: Sequence[Path]) -> list[Path]:
    if not destinations:
        raise SettingsError("--to", "no destination is given", "Name at least one folder.")
    roots: list[Path] = []
    for path in destinations:
        root = _existing(path, "Mount its disk or make the folder; it is not made, lest it be on the wrong disk.")
        if root.is_relative_to(card) or card.is_relative_to(root):
            raise SettingsError(path, f"it and the card {card} are one in the other", "Name a folder elsewhere.")
        if any(root.samefile(other) for other in roots):
            raise SettingsError(path, "it is given twice", "Name different folders, on different disks.")
        roots.append(root)
    return roots


def _warnings(card: Path, roots: list[Path]) -> list[str]:
    devices: dict[int, list[str]] = {card.stat().st_dev: ["the card"]}
    for root in roots:
        devices.setdefault(root.stat().st_dev, []).append(escape_name(str(root)))
    return [
        f"{' and '.join(names)} are on one disk: they would be lost together"
        for names in devices.values()
        if len(names) > 1
    ]


def _folder_name(card: Path, started: datetime) -> str:
    """``<card>_<UTC time>``, of characters that any disk and an ASC MHL can hold."""
    name = re.sub(r"[^\w.+-]+", "_", card.name, flags=re.ASCII).strip("._-")[:80] or "card"
    return f"{name}_{started:%Y%m%dT%H%M%SZ}"


def _require_same(found: os.stat_result, file: CardFile, path: Path) -> None:
    if (found.st_size, found.st_mtime_ns) != (file.size_bytes, file.mtime_ns):
        raise changed(path)


def _lstat(path: Path) -> os.stat_result:
    try:
        return path.lstat()
    except OSError as error:
        raise changed(path) from error
