"""The report of an offload, at each of its destinations: a page, a table, and contact sheets with a picture a clip."""

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from thatdam_pipelines.backup.offload import Copy, OffloadResult
from thatdam_pipelines.backup.offload_card import CardFile
from thatdam_pipelines.backup.report_page import page
from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.library.files import escape_name, replacing
from thatdam_pipelines.library.workers import Job, Workers
from thatdam_pipelines.media.kinds import extension_of, kind_of_extension
from thatdam_pipelines.settings import Settings

if TYPE_CHECKING:
    from PIL import Image

MOST_PICTURES = 2000
"""Clips of which the report has a picture; a card with more has the rest in the tables."""

SHEET_CLIPS = 60
THUMBNAIL = (256, 144)
"""Largest width and height of a picture, in pixels."""

PREVIEW = (600, 600)
"""Largest width and height of the preview of a contact sheet, in pixels."""

_COLUMNS = 5
_MARGIN = 12
_CAPTION = 40


@dataclass(frozen=True)
class Picture:
    """A clip as one small picture.

    Args:
        jpeg: None when none could be made.
        said: Its length, or why there is no picture.
    """

    jpeg: bytes | None
    said: str


@dataclass(frozen=True)
class _Order:
    path: Path
    name: str
    settings: Settings


def write_reports(result: OffloadResult, settings: Settings) -> list[str]:
    """Write ``report.html``, ``report.csv`` and ``contact_sheet*.png`` beside each copy that did not fail.

    Pictures are made in worker processes, from the first of these copies. The verdict does not depend on any of it.

    Returns:
        What could not be written, a line each.
    """
    copies = [copy for copy in result.copies if copy.failure is None]
    if not copies:
        return []
    pictures = _pictures(copies[0], result, settings)
    shown = {path: (one.jpeg, one.said) for path, one in pictures.items()}
    sheets = list(_sheets(pictures))
    problems = []
    for folder in [copy.report_folder for copy in copies if copy.report_folder is not None]:
        # A piece at a time: a card may have a hundred thousand files.
        files: dict[str, Iterable[bytes]] = {
            "report.csv": map(str.encode, _table(result)),
            "report.html": map(str.encode, page(result, shown, MOST_PICTURES)),
        }
        files |= {f"contact_sheet{f'-{one}' if one > 1 else ''}.png": [png] for one, png in enumerate(sheets, 1)}
        try:
            for name, pieces in files.items():
                if not folder.is_dir():
                    raise FileNotFoundError(2, os.strerror(2), str(folder))
                with replacing(folder / name) as part, part.open("wb") as file:
                    file.writelines(pieces)
        except OSError as error:
            problems.append(f"{folder}: the report cannot be written ({error.strerror})")
    return problems


def preview(sheet: Path) -> bytes:
    """A contact sheet made small, as a JPEG to be shown in a page.

    Raises:
        OSError: It cannot be read, or is no picture.
    """
    from PIL import Image

    with Image.open(sheet) as opened:
        small = opened.convert("RGB")
    small.thumbnail(PREVIEW)
    return _jpeg(small)


def _pictures(copy: Copy, result: OffloadResult, settings: Settings) -> dict[str, Picture]:
    clips = [file for file in result.card.files if _is_clip(file) and file.path in copy.records][:MOST_PICTURES]
    folder = copy.folder or copy.root
    jobs = [
        Job(
            file.path,
            escape_name(Path(file.path).name),
            _Order(folder / file.path, escape_name(Path(file.path).name), settings),
            settings.decode_timeout_s,
        )
        for file in clips
    ]
    workers = Workers(settings.workers, settings.worker_memory_bytes)
    try:
        return {
            job.media_id: Picture(None, found.cause) if isinstance(found, MediaError) else found
            for job, found in workers.run(_picture, jobs)
        }
    finally:
        workers.close()


def _is_clip(file: CardFile) -> bool:
    return kind_of_extension(extension_of(Path(file.path).name)) in ("video", "image")


def _picture(order: _Order) -> Picture:
    """Runs in a worker."""
    from PIL import Image

    from thatdam_pipelines.media.frames import evenly_spread, still_frame
    from thatdam_pipelines.media.probe import Limits, probe_file

    settings = order.settings
    probe = probe_file(order.path, order.name, Limits.of(settings, None))
    if probe.kind == "image":
        frame = still_frame(order.path, short_edge=THUMBNAIL[1], name=order.name, max_pixels=settings.image_max_pixels)
        said = "still"
    else:
        found = evenly_spread(
            order.path,
            duration_s=probe.duration_s,
            count=1,
            short_edge=THUMBNAIL[1],
            name=order.name,
            timeout_s=settings.decode_timeout_s,
            max_pixels=settings.image_max_pixels,
        )
        frame, said = found[0][1], _clock(probe.duration_s)
    small = Image.fromarray(frame)
    small.thumbnail(THUMBNAIL)
    return Picture(_jpeg(small), said)


def _jpeg(picture: "Image.Image") -> bytes:
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=80)
    return written.getvalue()


def _table(result: OffloadResult) -> Iterator[str]:
    ends = [escape_name(str(copy.root)) for copy in result.copies]
    yield _line(["path", "size_bytes", "modified", "media_id", "blake3", "xxh128", "card_hash_list", "problem", *ends])
    for file in result.card.files:
        record = next((copy.records[file.path] for copy in result.copies if file.path in copy.records), None)
        facts = [record.digest.media_id, record.blake3, record.xxh128, record.history or ""] if record else [""] * 4
        said = [_status(copy, file.path) for copy in result.copies]
        time = _time(file.mtime_ns)
        yield _line([escape_name(file.path), file.size_bytes, time, *facts, result.problems.get(file.path, ""), *said])


def _line(cells: Sequence[object]) -> str:
    written = io.StringIO()
    csv.writer(written).writerow(cells)
    return written.getvalue()


def _status(copy: Copy, path: str) -> str:
    if path not in copy.records:
        return f"NOT VERIFIED: {copy.failure or copy.failures.get(path, 'not copied')}"
    earlier = " by an earlier run" if path in copy.earlier else ""
    return f"verified {copy.records[path].verified_at}{earlier}"


def _sheets(pictures: dict[str, Picture]) -> Iterator[bytes]:
    from PIL import Image, ImageDraw, ImageFont

    clips = list(pictures.items())
    cell = (THUMBNAIL[0] + _MARGIN, THUMBNAIL[1] + _CAPTION + _MARGIN)
    font = ImageFont.load_default(13)
    for first in range(0, len(clips), SHEET_CLIPS):
        shown = clips[first : first + SHEET_CLIPS]
        lines = -(-len(shown) // _COLUMNS)
        sheet = Image.new("RGB", (_MARGIN + _COLUMNS * cell[0], _MARGIN + lines * cell[1]), "#1b1b1b")
        draw = ImageDraw.Draw(sheet)
        for place, (path, picture) in enumerate(shown):
            left, top = _MARGIN + place % _COLUMNS * cell[0], _MARGIN + place // _COLUMNS * cell[1]
            _put(sheet, picture, left, top)
            for line, text in enumerate((_printable(Path(path).name), picture.said)):
                draw.text((left, top + THUMBNAIL[1] + 4 + 16 * line), _fitting(text), fill="#dddddd", font=font)
        written = io.BytesIO()
        sheet.save(written, "PNG")
        yield written.getvalue()


def _put(sheet: "Image.Image", picture: Picture, left: int, top: int) -> None:
    from PIL import Image

    box = Image.new("RGB", THUMBNAIL, "#333333")
    if picture.jpeg is not None:
        small = Image.open(io.BytesIO(picture.jpeg))
        box.paste(small, ((THUMBNAIL[0] - small.width) // 2, (THUMBNAIL[1] - small.height) // 2))
    sheet.paste(box, (left, top))


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _fitting(text: str) -> str:
    # The end of a clip's name tells it from its neighbours.
    return text if len(text) <= 34 else f"{text[:12]}...{text[-19:]}"


def _clock(seconds: float | None) -> str:
    minutes, rest = divmod(seconds or 0.0, 60)
    return f"{int(minutes)}:{rest:04.1f}"


def _time(mtime_ns: int) -> str:
    try:
        return datetime.fromtimestamp(mtime_ns / 1e9, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return ""
