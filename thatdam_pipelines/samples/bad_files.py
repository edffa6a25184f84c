"""A corpus of bad files: what cards, downloads and attackers hand in, each with what must become of it.

``python -m thatdam_pipelines.samples.bad_files FOLDER`` writes it.
"""

import itertools
import os
import random
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from thatdam_pipelines.samples import damage
from thatdam_pipelines.samples.bad_headers import (
    lying_movies,
    lying_sounds,
    lying_stills,
    too_much_of_something,
    without_streams,
)
from thatdam_pipelines.samples.bad_links import pointing_elsewhere
from thatdam_pipelines.samples.good_files import Expected, GoodFiles, Spec, good_files, run_ffmpeg


@dataclass(frozen=True)
class BadFile:
    """One file of the corpus.

    Args:
        path: Where it is. Bytes of its name that are not UTF-8 are surrogates, as everywhere in Python.
        expected: ingested (its probe succeeds), quarantined (its probe gives a reason), ignored (it is no regular file:
            the scan passes it by, the probe refuses it), sidecar (kept, not probed), either (both are right, a crash
            or a hang is not).
        why: What is wrong with it.
        says: What the reason, or a warning of the probe, contains; '' for nothing in particular.
        kind: What the probe finds it to be; None where that does not matter.
    """

    path: Path
    expected: Expected
    why: str
    says: str = ""
    kind: str | None = None


def write_bad_files(folder: Path, canary: Path, url: str) -> list[BadFile]:
    """Write the corpus into an empty folder.

    Args:
        canary: A file outside of the corpus that no one may open; some files point at it.
        url: An address, ending in '/', where no one may call; some files point at it.

    Returns:
        What was written, more than 200 files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    good = good_files()
    written = []
    families = (
        _nothing_in_them(),
        _cut_off(good),
        _flipped(good),
        _wrongly_named(good),
        lying_movies(good),
        lying_stills(good),
        lying_sounds(good),
        without_streams(good),
        pointing_elsewhere(good, canary, url),
        too_much_of_something(good),
        _odd_names(good),
    )
    for name, data, expected, why, says, kind in itertools.chain(*families):
        path = folder / name
        path.write_bytes(data)
        written.append(BadFile(path, expected, why, says, kind))
    return written + _no_regular_files(folder, good, canary)


def make_canary(folder: Path) -> Path:
    """A whole clip that a player sent there would play, with a title that must never be seen."""
    path = folder / "canary.mkv"
    run_ffmpeg(["-f", "lavfi", "-i", "color=red:s=64x36:d=0.2", "-metadata:s:v", "title=CANARY", str(path)])
    return path


def _nothing_in_them() -> Iterator[Spec]:
    empty = "is empty (0 bytes)"
    yield "empty.mp4", b"", "quarantined", "zero bytes", empty, None
    yield "empty.jpg", b"", "quarantined", "zero bytes", empty, None
    yield "empty", b"", "quarantined", "zero bytes, no extension", empty, None
    yield "one-byte.mov", b"x", "quarantined", "one byte", "", None
    yield "zeros.mp4", bytes(65536), "quarantined", "nothing but zeros", "begins with zeros", None
    yield "zeros.nef", bytes(65536), "quarantined", "nothing but zeros", "begins with zeros", None
    chance = random.Random(1)
    for name in ("random.mp4", "random.mxf", "random.r3d", "random.braw", "random.mts", "random.jpg", "random.cr2"):
        yield name, b"\xe5" + chance.randbytes(50_000), "quarantined", "random bytes", "", None
    yield (
        "random",
        b"\xe5" + chance.randbytes(9_000),
        "quarantined",
        "random bytes, no extension",
        "can be read",
        None,
    )


def _cut_off(good: GoodFiles) -> Iterator[Spec]:
    missing = "the index (moov) is missing"
    for share in (0.001, 0.05, 0.5, 0.9):
        yield f"cut-{share}.mp4", damage.cut(good.mp4, share), "quarantined", "cut off, index last", missing, None
    yield "cut-0.99.mov", damage.cut(good.mov, 0.99), "quarantined", "cut off in its index", missing, None
    header = good.faststart.index(b"mdat") + 4
    yield "cut-header-only.mp4", good.faststart[:header], "quarantined", "header, no frame", "holds no frames", None
    for share in (0.3, 0.6, 0.95):
        data = damage.cut(good.faststart, share)
        yield f"cut-faststart-{share}.mp4", data, "ingested", "cut off, index first", "it is cut off", "video"
    yield "cut-0.002.mkv", damage.cut(good.mkv, 0.002), "quarantined", "cut off in its header", "", None
    for share in (0.2, 0.5, 0.9):
        yield f"cut-{share}.mkv", damage.cut(good.mkv, share), "ingested", "cut off", "", "video"
        yield f"cut-{share}.ts", damage.cut(good.ts, share), "ingested", "cut off", "", "video"
        yield f"cut-{share}.avi", damage.cut(good.avi, share), "ingested", "cut off", "", "video"
    yield "cut.wav", damage.cut(good.wav, 0.5), "ingested", "cut off", "", "audio"
    yield "cut.mp3", damage.cut(good.mp3, 0.5), "ingested", "cut off", "", "audio"
    yield "cut-0.02.jpg", damage.cut(good.jpg, 0.02), "quarantined", "cut off in its header", "", None
    yield "cut-0.7.jpg", damage.cut(good.jpg, 0.7), "ingested", "cut off", "it is cut off", "image"
    yield "cut-0.7.png", damage.cut(good.png, 0.7), "ingested", "cut off", "it is cut off", "image"
    yield "cut-0.5.heic", damage.cut(good.heic, 0.5), "either", "cut off", "", None
    yield "cut-0.5.tif", damage.cut(good.tiff, 0.5), "either", "cut off", "", None


def _flipped(good: GoodFiles) -> Iterator[Spec]:
    for seed in range(4):
        for form in ("faststart", "mkv", "mov", "ts", "avi", "jpg", "png", "gif", "heic", "tiff", "wav", "mp3"):
            data = getattr(good, form)
            name = f"flipped-header-{seed}.{'mp4' if form == 'faststart' else form}"
            yield (
                name,
                damage.flipped(data, 0, 0.03, 1 + seed * 3, seed),
                "either",
                "bytes of its header flipped",
                "",
                None,
            )
    body = good.faststart.index(b"mdat") / len(good.faststart) + 0.01
    yield "flipped-body.mp4", damage.flipped(good.faststart, body, 1, 200, 5), "ingested", "body flipped", "", "video"
    yield "flipped-body.ts", damage.flipped(good.ts, 0.5, 1, 50, 6), "ingested", "body flipped", "", "video"
    yield "flipped-body.jpg", damage.flipped(good.jpg, 0.5, 0.9, 20, 7), "ingested", "body flipped", "", "image"


def _wrongly_named(good: GoodFiles) -> Iterator[Spec]:
    yield "jpeg.mp4", good.jpg, "ingested", "a JPEG named as video", "is a JPEG picture", "image"
    yield "clip.jpg", good.mp4, "ingested", "a video named as picture", "but is", "video"
    yield "png.jpg", good.png, "ingested", "a PNG named as JPEG", "", "image"
    yield "clip.wav", good.mp4, "ingested", "a video named as sound", "but is", "video"
    yield "matroska.mp4", good.mkv, "ingested", "Matroska named as MP4", "", "video"
    yield "clip-as.gif", good.ts, "ingested", "a transport stream named as GIF", "but is", "video"
    yield "text.mp4", b"this is a text, and no video at all\n" * 50, "quarantined", "text", "is a text, not video", None
    yield "text.jpg", b"this is a text\n", "quarantined", "text", "is a text, not a picture", None
    yield "page.mov", b"<!DOCTYPE html><html>404</html>", "quarantined", "a web page", "HTML text, not video", None
    yield "utf16.mkv", "a text in UTF-16".encode("utf-16"), "quarantined", "text in UTF-16", "is a text", None
    yield "document.mp4", b"%PDF-1.7\n\xe2\xe3\xcf\xd3\n" + bytes(500), "quarantined", "a PDF", "PDF document", None
    yield "program.mov", b"\x7fELF\x02\x01\x01" + bytes(500), "quarantined", "a program", "is a program", None
    yield "archive.mp4", _zip_bomb(), "quarantined", "a zip bomb", "is a zip archive", None
    yield "gzip.mkv", b"\x1f\x8b\x08" + zlib.compress(bytes(10**6)), "quarantined", "gzip", "is a gzip archive", None
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + b"".join(
        b'<!ENTITY %c "%s">' % (letter, b"&%c;" % (letter - 1) * 10) for letter in range(98, 110)
    )
    svg = b"<?xml version='1.0'?>" + bomb + b"]><svg xmlns='http://www.w3.org/2000/svg'><text>&m;</text></svg>"
    yield "laughs.mp4", svg, "quarantined", "an XML bomb", "is an XML", None
    yield "laughs.svg", svg, "sidecar", "an XML bomb in a drawing", "", None


def _zip_bomb() -> bytes:
    memory = BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("clip.mp4", bytes(10**7))
    return memory.getvalue()


def _odd_names(good: GoodFiles) -> Iterator[Spec]:
    names = {
        "new\nline.mp4": "a newline",
        "tab\tand\rreturn.mp4": "a tab and a carriage return",
        "it's.mp4": "a quote",
        'say "cheese".mp4': "double quotes",
        "🎬 Überflug 東京.mp4": "emoji and other scripts",
        "-i.mp4": "a leading dash",
        "--help.mp4": "two leading dashes",
        "n" * 246 + ".mp4": "250 characters",
        "no extension": "no extension",
        "not-utf8-\udcff\udcfe.mp4": "bytes that are not UTF-8",
        "frame%03d.mp4": "a pattern of an image sequence",
        "shot-[0-9]*.mp4": "a pattern of a shell",
        "$(touch pwned); `id` & .mp4": "a shell command",
        "concat:a.mp4|b.mp4": "a protocol of ffmpeg",
        "http:__127.0.0.1_a.mp4": "looks like an address",
        "back\\slash.mp4": "a backslash",
        " spaces at both ends .mp4 ": "spaces at its ends",
        "abc\u202e4pm.mp4": "a sign that turns the direction of writing",
        "zero\u200bwidth.mp4": "a sign that is not seen",
        "double.mp4.mp4": "its extension twice",
        "dots...mp4": "dots",
        "UPPER.MP4": "capitals",
        "<b>bold&amp;.mp4": "HTML",
        "{curly} {0} %s.mp4": "placeholders",
    }
    for number, (name, why) in enumerate(names.items()):
        # Different bytes each, so that none is a duplicate of another.
        yield name, good.mp4 + damage.box(b"free", struct.pack(">I", number)), "ingested", why, "", "video"


def _no_regular_files(folder: Path, good: GoodFiles, canary: Path) -> list[BadFile]:
    made = []
    (folder / "loop-a.mp4").symlink_to("loop-b.mp4")
    (folder / "loop-b.mp4").symlink_to("loop-a.mp4")
    (folder / "link.mp4").symlink_to(canary)
    (folder / "dangling.mp4").symlink_to("nowhere.mp4")
    for name in ("loop-a.mp4", "loop-b.mp4", "link.mp4", "dangling.mp4"):
        made.append(BadFile(folder / name, "ignored", "a symbolic link", "is a symbolic link"))
    os.mkfifo(folder / "pipe.mp4")
    made.append(BadFile(folder / "pipe.mp4", "ignored", "a pipe nobody writes to", "is not a regular file"))
    (folder / "folder.mp4").mkdir()
    made.append(BadFile(folder / "folder.mp4", "ignored", "a folder named as a file", "is not a regular file"))
    locked = folder / "locked.mp4"
    locked.write_bytes(good.mp4 + damage.box(b"free", b"locked"))
    locked.chmod(0)
    # The superuser reads it all the same.
    readable = os.access(locked, os.R_OK)
    made.append(
        BadFile(
            locked, "ingested" if readable else "quarantined", "no right to read it", "" if readable else "permission"
        )
    )
    return made


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    corpus = write_bad_files(target / "bad", make_canary(target), "http://127.0.0.1:9/")
    sys.stdout.write(f"{len(corpus)} files in {target / 'bad'}\n")
