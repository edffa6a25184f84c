"""The hash lists that a card carries: ASC MHL histories and older ``.mhl`` lists, and what they say of its files.

The format and the rules of a history are those of the ``ascmhl`` library (https://github.com/ascmitc/mhl). It is only
ever let at a folder of its own with nothing but histories in it, so that what a card says cannot lead it elsewhere.
"""

import os
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.library.checksum import open_regular
from thatdam_pipelines.media.mhl_legacy import FORMATS, MAX_BYTES, agrees, read_legacy

if TYPE_CHECKING:
    from ascmhl.history import MHLHistory

FOLDER = "ascmhl"
CHAIN = "ascmhl_chain.xml"
FORMAT = "xxh128"
"""What every generation of ours has, and what is taken of every file anyway."""


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
        """What takes the blocks of a file to compare it with its history, but for XXH128, which is taken anyway."""
        legacy = {FORMATS[element] for element in self.legacy.get(path, {})}
        return Hashes(sorted({*self.asc.get(path, {}), *legacy} - {FORMAT}))

    def verdict(self, path: str, hashes: dict[str, str]) -> str | None:
        """``verified`` or ``failed`` as these hashes of a file are those of its history; None: it has none."""
        if not self.names(path):
            return None
        return "failed" if self.differing(path, hashes) else "verified"

    def differing(self, path: str, hashes: dict[str, str]) -> list[str]:
        """Kinds of hash in which a file is not what its history says."""
        asc, legacy = self.asc.get(path, {}), self.legacy.get(path, {})
        found = {form for form, listed in asc.items() if hashes[form] != listed}
        found |= {FORMATS[name] for name, listed in legacy.items() if not agrees(name, listed, hashes[FORMATS[name]])}
        return sorted(found)


class Hashes:
    """Any of ASC MHL's hashes of one stream of blocks."""

    def __init__(self, formats: Collection[str]) -> None:
        self._formats = formats
        self._hashers: dict[str, Any] = {}
        self.begin()

    def begin(self) -> None:
        """Forget what was read: the stream begins anew."""
        for form in self._formats:
            from ascmhl.hasher import new_hasher_for_hash_type

            self._hashers[form] = new_hasher_for_hash_type(form)

    def update(self, block: bytes) -> None:
        for hasher in self._hashers.values():
            hasher.update(block)

    def digests(self) -> dict[str, str]:
        return {form: hasher.string_digest() for form, hasher in self._hashers.items()}


def read_card_history(root: Path, names: Collection[str], folders: Iterable[str]) -> CardHistory:
    """Read every ASC MHL history and every older list on a card. One that cannot be used is told of.

    Args:
        root: Of the card, or of a folder with nothing but its lists.
        names: Every file of the card, relative to it.
        folders: Its folders, or those with histories.
    """
    found = CardHistory()
    if any(FOLDER in Path(folder).parts for folder in folders):
        try:
            with staged_histories(root, root.name or "card") as stage:
                history = load_history(stage, root)
                found.asc.update(_expected(history, names))
                found.missing.extend(_missing(history, stage, names))
        except MediaError as error:
            found.problems.append(error.cause)
    for path in names:
        if path.lower().endswith(".mhl") and FOLDER not in Path(path).parts:
            folder = os.path.dirname(path)  # noqa: PTH120 - relative to the card, as text
            try:
                found.legacy.update(read_legacy(root / path, folder))
            except MediaError as error:
                found.problems.append(f"{path}: {error.cause}")
    found.missing.extend(sorted(path for path in found.legacy if path not in names))
    return found


def is_history(path: str) -> bool:
    return FOLDER in Path(path).parts


@contextmanager
def as_media_error(subject: Path, stage: Path | None = None) -> Iterator[None]:
    try:
        yield
    except (MediaError, OSError):
        raise
    except Exception as error:
        # The library raises whatever what it reads leads it into.
        said = str(error) or type(error).__name__
        if stage is not None:
            said = said.replace(f"{stage}/", "")
        raise MediaError(
            subject, f"its ASC MHL history cannot be used ({said})", "Compare it with where it was written."
        ) from error


def load_history(stage: Path, root: Path) -> "MHLHistory":
    """Read the staged histories of ``root``, each manifest compared with its chain.

    Raises:
        MediaError: One cannot be used; in the words of what is below ``root``.
    """
    from ascmhl.history import MHLHistory

    with as_media_error(root, stage):
        return MHLHistory.load_from_path(str(stage))


@contextmanager
def staged_histories(root: Path, name: str) -> Iterator[Path]:
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
            for file in [CHAIN, *(named for named, _, _ in read_chain(history / CHAIN))]:
                if not os.path.lexists(history / file):
                    raise MediaError(history / file, f"{file} is not there, which {CHAIN} names", "Look for it.")
                copy_small(history / file, into / file)
        yield stage


def read_chain(path: Path) -> list[tuple[str, str, str]]:
    """File name, hash format and hash of each generation."""
    from ascmhl import chain_xml_parser

    with tempfile.TemporaryDirectory(prefix="thatdam-mhl-") as temporary, as_media_error(path):
        copy = Path(temporary, CHAIN)
        copy_small(path, copy)
        generations = chain_xml_parser.parse(str(copy)).generations
    for generation in generations:
        name = generation.ascmhl_filename or ""
        if Path(name).name != name or not name.endswith(".mhl"):
            raise MediaError(path, f"its ASC MHL chain names {name!r}, which is no manifest", "Do not trust it.")
    return [(one.ascmhl_filename, one.hash_format, one.hash_string) for one in generations]


def copy_small(path: Path, target: Path) -> None:
    descriptor = open_regular(path)
    with os.fdopen(descriptor, "rb") as source, target.open("xb") as copy:
        if os.fstat(descriptor).st_size > MAX_BYTES:
            raise MediaError(path, "it is too large for a hash list", "Ask whoever wrote it.")
        shutil.copyfileobj(source, copy)


def _expected(history: "MHLHistory", names: Collection[str]) -> dict[str, dict[str, str]]:
    """The hash a file had first, and its XXH128 where that was taken later."""
    expected: dict[str, dict[str, str]] = {}
    for path in names:
        inside, relative = history.find_history_for_path(path)
        original = inside.find_original_hash_entry_for_path(relative) or inside.find_first_hash_entry_for_path(relative)
        if original is None or is_history(path):
            continue
        expected[path] = {original.hash_format: original.hash_string}
        later = inside.find_first_hash_entry_for_path(relative, FORMAT)
        if later is not None and later.action != "failed":
            expected[path].setdefault(FORMAT, later.hash_string)
    return expected


def _missing(history: "MHLHistory", stage: Path, names: Collection[str]) -> list[str]:
    renamed = history.renamed_path_with_previous_path()
    files: dict[str, None] = {}
    for one in type(history).walk_child_histories(history):
        for generation in one.hash_lists:
            for media_hash in generation.media_hashes:
                if not media_hash.is_directory:
                    path = str(Path(one.get_root_path(), media_hash.path))
                    files[os.path.relpath(renamed.get(path, path), stage)] = None
    return sorted(path for path in files if path not in names)
