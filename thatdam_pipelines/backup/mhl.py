"""ASC MHL histories of ours: a new generation at each copy of a card."""

import os
import platform
import re
import shutil
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from thatdam_pipelines.backup.offload_journal import Record
from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.library.files import PART_SUFFIX, replacing
from thatdam_pipelines.media.hash_lists import (
    CHAIN,
    FOLDER,
    FORMAT,
    as_media_error,
    is_history,
    load_history,
    read_chain,
    staged_histories,
)

if TYPE_CHECKING:
    from ascmhl.generator import MHLGenerationCreationSession
    from ascmhl.history import MHLHistory

_NOT_IN_XML = re.compile("[^\t\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NEXT_STEP = f"Move the folder {FOLDER} elsewhere and run it again: a new history is begun."
_PLAIN = re.compile(r"[\w./ ,=@~+-]")


def write_generation(folder: Path, records: Sequence[Record], folders: Sequence[str] | None, comment: str) -> None:
    """Append a generation with ``records`` to the history of ``folder``, or begin one.

    Directory hashes are those of what is recorded. A path that XML cannot hold is ignored by the history. A kill leaves
    the history as it was. What was written is read back.

    Args:
        folder: The copy of a card.
        records: Files that were read back there.
        folders: Every folder below it, relative to it. None: the records are a part of what is there, and say nothing
            of folders.
        comment: Goes into the generation.

    Raises:
        MediaError: The history that is there cannot be continued, or what was written does not read back.
        OSError: The folder cannot be written.
    """
    held = {record.path: record for record in records if not is_history(record.path)}
    _drop_unfinished(folder, {record.path for record in records})
    with staged_histories(folder, folder.name) as stage:
        before = {path: path.stat().st_mtime_ns for path in stage.rglob("*") if path.is_file()}
        history = load_history(stage, folder)
        with as_media_error(folder):
            session = _session(history, {path for path in (*held, *(folders or ())) if not is_sayable(path)})
            if folders is None:
                for name in filter(is_sayable, held):
                    _append_file(session, stage, held[name])
            else:
                _append(session, stage, held, [name for name in folders if not is_history(name)])
            _commit(session, comment)
        written = [path for path in stage.rglob("*") if path.is_file() and path.name != CHAIN and path not in before]
        chains = list(stage.rglob(CHAIN))
        # A manifest that no chain names is not there yet: chains come last, the innermost first.
        for path in [*written, *sorted(chains, key=lambda path: len(path.parts), reverse=True)]:
            with replacing(folder / path.relative_to(stage)) as part:
                shutil.copyfile(path, part)
    require_sound(folder)


def require_sound(folder: Path) -> None:
    """Compare every manifest of the histories in and below ``folder`` with the chain that names it.

    Raises:
        MediaError: One is missing or is not what its chain says, or a chain cannot be read.
    """
    from ascmhl.hasher import hash_file

    for history in _histories(folder):
        for name, form, listed in read_chain(history / CHAIN):
            manifest = history / name
            if not manifest.is_file():
                raise MediaError(manifest, f"{name} is not there, which {CHAIN} names", _NEXT_STEP)
            if hash_file(str(manifest), form) != listed:
                raise MediaError(manifest, f"the manifest {name} is not what {CHAIN} says", _NEXT_STEP)


def extends(chain: Path, copy: Path) -> bool:
    """Whether the chain ``copy`` begins with all of ``chain``: generations were added, none was changed."""
    try:
        theirs, ours = (read_chain(path) for path in (chain, copy))
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


def _drop_unfinished(folder: Path, from_card: set[str]) -> None:
    """Remove what a kill left: files half written, and manifests of the next generation, which no chain names yet."""
    for history in _histories(folder):
        chain = history / CHAIN
        named = {name for name, _, _ in read_chain(chain)} if chain.exists() else set()
        next_ones = history.glob(f"{len(named) + 1:04d}_*.mhl")
        for left in [*history.glob(f".*{PART_SUFFIX}"), *next_ones]:
            if left.name not in named and str(left.relative_to(folder)) not in from_card:
                left.unlink()
        if not any(history.iterdir()):
            history.rmdir()


def _histories(folder: Path) -> list[Path]:
    return [Path(at, FOLDER) for at, folders, _ in os.walk(folder) if FOLDER in folders]


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
