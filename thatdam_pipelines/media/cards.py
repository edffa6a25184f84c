"""Camera cards: which files belong to one card and which are chapters of one take, from their paths alone."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from blake3 import blake3


@dataclass(frozen=True)
class CardPlace:
    """Where a file stands in a camera's own structure.

    Args:
        card_id: Id of the card: the same for every file below one card's top folder. None outside of a card.
        card_type: DCIM, GoPro, DJI, Insta360, XAVC, XDCAM, XDCAM EX, P2, XF, AVCHD, RED, ARRI, Blackmagic.
        take_id: Id that the chapters of one recording share; None where names do not tell.
        chapter: Place in the take, from 1.
    """

    card_id: str | None
    card_type: str | None
    take_id: str | None = None
    chapter: int | None = None


_STRUCTURES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("XAVC", ("PRIVATE", "M4ROOT")),
    ("XAVC", ("M4ROOT",)),
    ("XAVC", ("PRIVATE", "XDROOT")),
    ("XDCAM", ("XDROOT",)),
    ("XDCAM EX", ("BPAV",)),
    ("AVCHD", ("PRIVATE", "AVCHD")),
    ("AVCHD", ("AVCHD",)),
    ("AVCHD", ("BDMV", "STREAM")),
    ("AVCHD", ("BDMV", "CLIPINF")),
    ("AVCHD", ("BDMV", "PLAYLIST")),
    ("XF", ("CONTENTS", "CLIPS*")),
    ("P2", ("CONTENTS", "VIDEO")),
    ("P2", ("CONTENTS", "AUDIO")),
    ("P2", ("CONTENTS", "CLIP")),
    ("P2", ("CONTENTS", "ICON")),
    ("P2", ("CONTENTS", "PROXY")),
    ("P2", ("CONTENTS", "VOICE")),
    ("P2", ("CONTENTS", "AVCLIP")),
    ("DCIM", ("DCIM",)),
)
"""Folder names, in a row, that make a card; what stands above the first of them is the card's top."""

_CAMERA_FOLDERS = (
    ("GoPro", re.compile(r"\d{3}GOPRO", re.IGNORECASE)),
    ("DJI", re.compile(r"DJI_?.*|\d{3}MEDIA", re.IGNORECASE)),
    ("Insta360", re.compile(r"Camera\d+", re.IGNORECASE)),
)
_CAMERA_FILES = (
    (
        "ARRI",
        re.compile(r"[A-Z]\d{3}C\d{3}_\d{6}_[A-Z0-9]{4}([._].*)?|[A-Z]_\d{4}C\d{3}_\d{6}_\d{6}_.*", re.IGNORECASE),
    ),
    ("Blackmagic", re.compile(r"[A-Z]\d{3}_\d{8}_C\d{3}.*|.*\.braw", re.IGNORECASE)),
)

_GOPRO_CHAPTER = re.compile(r"G([HXS])(\d{2}|[A-Z]{2})(\d{4})\.(MP4|360)", re.IGNORECASE)
_GOPRO_FIRST = re.compile(r"GOPR(\d{4})\.MP4", re.IGNORECASE)
_GOPRO_NEXT = re.compile(r"GP(\d{2})(\d{4})\.MP4", re.IGNORECASE)
_RED_SEGMENT = re.compile(r"(.+)_(\d{3})\.R3D", re.IGNORECASE)
_XDCAM_EX_SEGMENT = re.compile(r"(.+)_(\d{2})\.MP4", re.IGNORECASE)


def read_structure(rel_paths: Iterable[str], root: str = "") -> dict[str, CardPlace]:
    """The place of every file that belongs to a card or a take; files of neither are left out.

    Ids depend on folder and file names only, so that files of one card that arrive in two batches still share them,
    whichever folder of the card was given, and those of two cards at two places never do. No file is opened.

    Args:
        rel_paths: '/'-separated paths below ``root``.
        root: The folder that was given or is watched. What stands above may be a card's, too.
    """
    above = PurePosixPath(root)
    return {path: place for path in rel_paths if (place := _place(above / path)) is not None}


def _place(path: PurePosixPath) -> CardPlace | None:
    folders, name = path.parts[:-1], path.name
    found = _card(folders, name)
    take = _take(name, found[1] if found else None)
    if found is None and take is None:
        return None
    top, card_type = found if found else (None, None)
    card_id = _identity("card", *top) if top is not None else None
    if take is None:
        return CardPlace(card_id, card_type)
    recording, chapter = take
    return CardPlace(card_id, card_type, _identity("take", *folders, recording.upper()), chapter)


def _card(folders: tuple[str, ...], name: str) -> tuple[tuple[str, ...], str] | None:
    for depth, folder in enumerate(folders):
        for card_type, structure in _STRUCTURES:
            if _begins_with(folders[depth:], structure):
                return folders[:depth], _camera_type(card_type, folders[depth:], name)
        if folder.upper().endswith(".RDM"):
            return folders[: depth + 1], "RED"
        if folder.upper().endswith(".RDC"):
            return folders[:depth], "RED"
    for card_type, pattern in _CAMERA_FILES:
        if pattern.fullmatch(name):
            return folders, card_type
    return None


def _begins_with(folders: tuple[str, ...], structure: tuple[str, ...]) -> bool:
    return len(folders) >= len(structure) and all(
        folder.upper().startswith(wanted[:-1]) if wanted.endswith("*") else folder.upper() == wanted
        for folder, wanted in zip(folders, structure, strict=False)
    )


def _camera_type(card_type: str, folders: tuple[str, ...], name: str) -> str:
    if card_type != "DCIM":
        return card_type
    for camera, pattern in _CAMERA_FOLDERS:
        if len(folders) > 1 and pattern.fullmatch(folders[1]):
            if camera == "Insta360" and not name.lower().endswith((".insv", ".insp", ".lrv", ".mp4")):
                continue
            if camera == "DJI" and not name.upper().startswith("DJI"):
                continue
            return camera
    return card_type


def _take(name: str, card_type: str | None) -> tuple[str, int] | None:
    """The recording a file is a chapter of, and which: chapters from 1."""
    if match := _GOPRO_CHAPTER.fullmatch(name):
        codec, chapter, number, _ = match.groups()
        return f"G{codec}{number}", int(chapter) if chapter.isdigit() else _letters(chapter)
    if match := _GOPRO_FIRST.fullmatch(name):
        return f"GOPR{match[1]}", 1
    if match := _GOPRO_NEXT.fullmatch(name):
        return f"GOPR{match[2]}", int(match[1]) + 1
    if match := _RED_SEGMENT.fullmatch(name):
        return match[1], int(match[2])
    if card_type == "XDCAM EX" and (match := _XDCAM_EX_SEGMENT.fullmatch(name)):
        return match[1], int(match[2])
    return None


def _letters(chapter: str) -> int:
    first, second = (ord(letter) - ord("A") for letter in chapter.upper())
    return first * 26 + second + 1


def _identity(*parts: str) -> str:
    return blake3("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]
