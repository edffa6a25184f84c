"""ASC MHL histories: what a card's own says of its files, and a new generation at each copy.

The format and the rules of a history are those of the ``ascmhl`` library (https://github.com/ascmitc/mhl). It is only
ever let at a folder of its own with nothing but histories in it, so that what a card says cannot lead it elsewhere.
"""

import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thatdam_pipelines.backup.mhl_legacy import FORMATS, MAX_BYTES, agrees, read_legacy
from thatdam_pipelines.backup.offload_card import Card
from thatdam_pipelines.backup.offload_journal import Record
from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.library.checksum import open_regular
from thatdam_pipelines.library.files import replacing

if TYPE_CHECKING:
    from ascmhl.generator import MHLGenerationCreationSession
    from ascmhl.history import MHLHistory

FOLDER = "ascmhl"
CHAIN = "ascmhl_chain.xml"
FORMAT = "xxh128"

_NOT_IN_XML = re.compile("[^\t\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PLAIN = re.compile(r"[\w./ ,=@~+-]")


@dataclass(frozen=True)
class CardHistory:
    """What the histories on a card say of its files.

    Args:
        asc: By path: hashes by ASC MHL's names.
        legacy: By path: hashes by the older lists' names.
        missing: Files that a history names and the card does not have.
        problems: Histories that cannot be used, each with the reason.
    """

    asc: dict[str, dict[str, str]] = field(default_factory=dict)
    legacy: dict[str, dict[str, str]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def names(self, path: str) -> bool:
        """Whether a history names this file."""
        return path in self.asc or path in self.legacy

    def hashers(self, path: str) -> "Hashes":
        """What takes the blocks of a file to compare it with its history."""
        legacy = {FORMATS[element] for element in self.legacy.get(path, {})}
        return Hashes(sorted({*self.asc.get(path, {}), *legacy}))

    def verdict(self, path: str, hashes: dict[str, str]) -> str | None:
        """``verified`` or ``failed`` as these hashes of a file are those of its history; None: it has none."""
        said = [hashes[form] == listed for form, listed in self.asc.get(path, {}).items()]
        said += [agrees(name, listed, hashes[FORMATS[name]]) for name, listed in self.legacy.get(path, {}).items()]
        return ("verified" if all(said) else "failed") if said else None


class Hashes:
    """Any of ASC MHL's hashes of one stream of blocks."""

    def __init__(self, formats: Iterable[str]) -> None:
        self._hashers: dict[str, Any] = {}
        for form in formats:
            from ascmhl.hasher import new_hasher_for_hash_type

            self._hashers[form] = new_hasher_for_hash_type(form)

    def update(self, block: bytes) -> None:
        for hasher in self._hashers.values():
            hasher.update(block)

    def digests(self) -> dict[str, str]:
        return {form: hasher.string_digest() for form, hasher in self._hashers.items()}


def read_card_history(card: Card) -> CardHistory:
    """Read every ASC MHL history and every older list on a card. One that cannot be used is told of."""
    found = CardHistory()
    names = {file.path for file in card.files} | set(card.left)
    if any(FOLDER in Path(folder).parts for folder in card.folders):
        try:
            with _staged(card.root, card.root.name or "card") as stage:
                history = _load(stage)
                found.asc.update(_expected(history, names))
                found.missing.extend(_missing(history, stage, names))
        except MediaError as error:
            found.problems.append(error.cause)
    for path in names:
        if path.lower().endswith(".mhl") and FOLDER not in Path(path).parts:
            folder = os.path.dirname(path)  # noqa: PTH120 - relative to the card, as text
            try:
                found.legacy.update(read_legacy(card.root / path, folder))
            except MediaError as error:
                found.problems.append(f"{path}: {error.cause}")
    found.missing.extend(sorted(path for path in found.legacy if path not in names))
    return found


def write_generation(folder: Path, records: Sequence[Record], folders: Sequence[str], comment: str) -> None:
    """Append a generation with ``records`` to the history of ``folder``, or begin one.

    Directory hashes are those of what is recorded. A path that XML cannot hold is ignored by the history. A kill leaves
    the history as it was.

    Args:
        folder: The copy of a card.
        records: Files that were read back there.
        folders: Every folder below it, relative to it.
        comment: Goes into the generation.

    Raises:
        MediaError: The history that is there cannot be continued.
        OSError: The folder cannot be written.
    """
    held = {record.path: record for record in records if not _is_history(record.path)}
    _drop_unfinished(folder, {record.path for record in records})
    with _staged(folder, folder.name) as stage:
        before = {path: path.stat().st_mtime_ns for path in stage.rglob("*") if path.is_file()}
        history = _load(stage)
        with _as_media_error(folder):
            session = _session(history, {path for path in (*held, *folders) if not is_sayable(path)})
            _append(session, stage, held, [name for name in folders if not _is_history(name)])
            _commit(session, comment)
        written = [path for path in stage.rglob("*") if path.is_file() and path.name != CHAIN and path not in before]
        chains = list(stage.rglob(CHAIN))
        # A manifest that no chain names is not there yet: chains come last, the innermost first.
        for path in [*written, *sorted(chains, key=lambda path: len(path.parts), reverse=True)]:
            with replacing(folder / path.relative_to(stage)) as part:
                shutil.copyfile(path, part)


def extends(chain: Path, copy: Path) -> bool:
    """Whether the chain ``copy`` begins with all of ``chain``: generations were added, none was changed."""
    try:
        theirs, ours = (_chain(path) for path in (chain, copy))
    except MediaError:
        return False
    return bool(theirs) and ours[: len(theirs)] == theirs


def is_sayable(path: str) -> bool:
    """Whether an ASC MHL can name a path: XML holds its characters, and it is one line.

    The library indents what it writes line by line, and so changes names that have several.
    """
    return not _NOT_IN_XML.search(path) and len(path.splitlines()) == 1


def is_chain(path: str) -> bool:
    """Whether a path of a card is the chain of a history."""
    return Path(path).parts[-2:] == (FOLDER, CHAIN)


def _is_history(path: str) -> bool:
    return FOLDER in Path(path).parts


@contextmanager
def _as_media_error(subject: Path) -> Iterator[None]:
    try:
        yield
    except (MediaError, OSError):
        raise
    except Exception as error:
        # The library raises whatever what it reads leads it into.
        said = str(error) or type(error).__name__
        raise MediaError(
            subject, f"its ASC MHL history cannot be used ({said})", "Compare it with where it was written."
        ) from error


def _load(stage: Path) -> "MHLHistory":
    from ascmhl.history import MHLHistory

    with _as_media_error(stage):
        return MHLHistory.load_from_path(str(stage))


@contextmanager
def _staged(root: Path, name: str) -> Iterator[Path]:
    """A temporary folder with the histories below ``root``, and only what their chains name."""
    with tempfile.TemporaryDirectory(prefix="thatdam-mhl-") as temporary:
        stage = Path(temporary, name)
        stage.mkdir()
        for folder, folders, _ in os.walk(root):
            if FOLDER not in folders:
                continue
            history = Path(folder, FOLDER)
            into = stage / history.relative_to(root)
            into.mkdir(parents=True)
            if not (history / CHAIN).exists():
                raise MediaError(history, f"{history.relative_to(root)} has no {CHAIN}", "Compare it with its source.")
            for file in [CHAIN, *(named for named, _, _ in _chain(history / CHAIN))]:
                _copy_small(history / file, into / file)
        yield stage


def _chain(path: Path) -> list[tuple[str, str, str]]:
    """File name, hash format and hash of each generation."""
    from ascmhl import chain_xml_parser

    with tempfile.TemporaryDirectory(prefix="thatdam-mhl-") as temporary, _as_media_error(path):
        copy = Path(temporary, CHAIN)
        _copy_small(path, copy)
        generations = chain_xml_parser.parse(str(copy)).generations
    for generation in generations:
        name = generation.ascmhl_filename or ""
        if Path(name).name != name or not name.endswith(".mhl"):
            raise MediaError(path, f"its ASC MHL chain names {name!r}, which is no manifest", "Do not trust it.")
    return [(one.ascmhl_filename, one.hash_format, one.hash_string) for one in generations]


def _copy_small(path: Path, target: Path) -> None:
    descriptor = open_regular(path)
    with os.fdopen(descriptor, "rb") as source, target.open("xb") as copy:
        if os.fstat(descriptor).st_size > MAX_BYTES:
            raise MediaError(path, "it is too large for a hash list", "Ask whoever wrote it.")
        shutil.copyfileobj(source, copy)


def _drop_unfinished(folder: Path, from_card: set[str]) -> None:
    """Remove manifests that a kill left before any chain named them."""
    for history in [Path(at, FOLDER) for at, folders, _ in os.walk(folder) if FOLDER in folders]:
        chain = history / CHAIN
        named = {name for name, _, _ in _chain(chain)} if chain.exists() else set()
        for manifest in history.glob("*.mhl"):
            if manifest.name not in named and str(manifest.relative_to(folder)) not in from_card:
                manifest.unlink()
        if not any(history.iterdir()):
            history.rmdir()


def _expected(history: "MHLHistory", names: Iterable[str]) -> dict[str, dict[str, str]]:
    """The hash a file had first, and its XXH128 where that was taken later."""
    expected: dict[str, dict[str, str]] = {}
    for path in names:
        inside, relative = history.find_history_for_path(path)
        original = inside.find_original_hash_entry_for_path(relative) or inside.find_first_hash_entry_for_path(relative)
        if original is None or _is_history(path):
            continue
        expected[path] = {original.hash_format: original.hash_string}
        later = inside.find_first_hash_entry_for_path(relative, FORMAT)
        if later is not None and later.action != "failed":
            expected[path].setdefault(FORMAT, later.hash_string)
    return expected


def _missing(history: "MHLHistory", stage: Path, names: set[str]) -> list[str]:
    renamed = history.renamed_path_with_previous_path()
    files: dict[str, None] = {}
    for one in type(history).walk_child_histories(history):
        for generation in one.hash_lists:
            for media_hash in generation.media_hashes:
                if not media_hash.is_directory:
                    path = str(Path(one.get_root_path(), media_hash.path))
                    files[os.path.relpath(renamed.get(path, path), stage)] = None
    return sorted(path for path in files if path not in names)


def _session(history: "MHLHistory", unsayable: set[str]) -> "MHLGenerationCreationSession":
    from ascmhl.generator import MHLGenerationCreationSession
    from ascmhl.ignore import MHLIgnoreSpec

    patterns = sorted({_pattern(path) for path in unsayable})
    return MHLGenerationCreationSession(history, MHLIgnoreSpec(history.latest_ignore_patterns(), patterns))


def _pattern(path: str) -> str:
    """A pattern that matches a path which XML cannot hold: what cannot be said is any character."""
    plain = "".join(char if _PLAIN.match(char) and not _NOT_IN_XML.match(char) else "?" for char in path)
    return f"/**/{plain[:-1]}?" if plain.endswith(" ") else f"/**/{plain}"


def _append(
    session: "MHLGenerationCreationSession", stage: Path, held: dict[str, Record], folders: Sequence[str]
) -> None:
    """Add files and folders, what is in a folder before the folder, each with its hashes."""
    from ascmhl.hasher import DirectoryHashContext

    inside: dict[str, list[tuple[str, bool]]] = {"": []}
    for path, is_folder in [*((path, False) for path in held), *((path, True) for path in folders)]:
        if is_sayable(path):
            inside.setdefault(path.rpartition("/")[0], []).append((path, is_folder))

    def add_folder(folder: str) -> tuple[str, str]:
        context = DirectoryHashContext(FORMAT)
        for path, is_folder in sorted(inside.get(folder, [])):
            if is_folder:
                context.append_directory_hashes(path, *add_folder(path))
            else:
                _append_file(session, stage, held[path])
                context.append_file_hash(path, held[path].xxh128)
        content, structure = context.final_content_hash_str(), context.final_structure_hash_str()
        session.append_directory_hashes(str(stage / folder), None, FORMAT, content, structure)
        return content, structure

    add_folder("")


def _append_file(session: "MHLGenerationCreationSession", stage: Path, record: Record) -> None:
    # What the history has another hash of is written down as failed; a new kind of hash would need the old to agree.
    hashes = record.hashes if record.history == "failed" and record.hashes else {**record.hashes, FORMAT: record.xxh128}
    for form, digest in hashes.items():
        session.append_file_hash(
            str(stage / record.path), record.size_bytes, _local_time(record.mtime_ns), form, digest
        )


def _commit(session: "MHLGenerationCreationSession", comment: str) -> None:
    from ascmhl.hashlist import MHLCreatorInfo, MHLProcess, MHLProcessInfo, MHLTool
    from ascmhl.utils import datetime_now_isostring

    creator = MHLCreatorInfo()
    creator.tool = MHLTool("thatdam", version("thatdam"))
    creator.creation_date = datetime_now_isostring()
    creator.host_name = platform.node()
    creator.comment = comment
    process = MHLProcessInfo()
    process.process = MHLProcess("transfer")
    session.commit(creator, process)


def _local_time(mtime_ns: int) -> datetime | None:
    """As the library wants it: local and without a zone."""
    try:
        return datetime.fromtimestamp(mtime_ns / 1e9)
    except (ValueError, OverflowError, OSError):
        return None
