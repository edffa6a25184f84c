"""Camera cards for tests: small files with known bytes in the folders that cameras make, and names that are odd."""

import hashlib
import os
import random
from pathlib import Path

from xxhash import xxh64

ODD_NAMES = (
    b"DCIM/100TEST/-rf.MOV",
    b"DCIM/100TEST/two\nlines.MOV",
    "DCIM/100TEST/🎬 take é.MOV".encode(),
    b"DCIM/100TEST/not utf-8 \xff\xfe.MOV",
    b'DCIM/100TEST/quote\'s "and" <tag> & $(x).MOV',
    b"DCIM/100TEST/\xe2\x80\xa8separator.MOV",
    b"DCIM/ends with a space /clip.MOV",
    b"folder\xff/clip.MOV",
)
"""Names that break what takes names for text, a line, an option or markup."""


def write_card(card: Path, *, seed: int = 1, clips: int = 6, clip_bytes: int = 300_000) -> dict[str, bytes]:
    """Make a card with clips, their sidecars, an empty file and an empty folder.

    Returns:
        The bytes of every file by its path relative to the card.
    """
    bits = random.Random(seed)
    files = {f"DCIM/100TEST/C{number:04d}.MOV": bits.randbytes(clip_bytes + number) for number in range(clips)}
    files |= {f"DCIM/100TEST/C{number:04d}.XML": bits.randbytes(500) for number in range(clips)}
    files["MISC/empty.dat"] = b""
    put_files(card, files)
    (card / "PRIVATE" / "DATABASE").mkdir(parents=True)
    return files


def put_files(card: Path, files: dict[str, bytes]) -> None:
    """Write files below a card, with their folders."""
    for name, content in files.items():
        path = card / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def odd_files(seed: int = 3) -> dict[str, bytes]:
    """Files of every odd name."""
    bits = random.Random(seed)
    return {os.fsdecode(name): bits.randbytes(2000) for name in ODD_NAMES}


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of every file below a folder, without its ASC MHL."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "ascmhl" not in path.relative_to(folder).parts
    }


def legacy_list(files: dict[str, bytes], form: str) -> bytes:
    """A hash list of before ASC MHL, with hashes of kind md5, sha1, xxhash64be or xxhash64."""

    def entry(name: str, content: bytes) -> str:
        digests = {
            "md5": hashlib.md5(content).hexdigest(),
            "sha1": hashlib.sha1(content).hexdigest(),
            "xxhash64be": xxh64(content).hexdigest(),
            "xxhash64": xxh64(content).digest()[::-1].hex(),
        }
        return f"<hash><file>{name}</file><size>{len(content)}</size><{form}>{digests[form]}</{form}></hash>"

    hashes = "".join(entry(name, content) for name, content in files.items())
    return f'<?xml version="1.0"?><hashlist version="1.1">{hashes}</hashlist>'.encode()
