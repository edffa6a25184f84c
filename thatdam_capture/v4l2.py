"""What a V4L2 node says of itself, asked by ioctl."""

import contextlib
import fcntl
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

QUERYCAP = 0x80685600
ENUM_FMT = 0xC0405602
ENUM_FRAMESIZES = 0xC02C564A
ENUM_FRAMEINTERVALS = 0xC034564B
CAP_VIDEO_CAPTURE = 0x1
CAP_VIDEO_CAPTURE_MPLANE = 0x1000
CAP_DEVICE_CAPS = 0x80000000
BUF_TYPE_VIDEO_CAPTURE = 1
DISCRETE = 1
MOST_ENTRIES = 256


@dataclass(frozen=True)
class Mode:
    """A picture that a camera offers.

    Attributes:
        pixel_format: Its four letters, such as MJPG, H264, YUYV.
        rates: Frames a second as fractions, fastest first; none where the camera names a range.
    """

    pixel_format: str
    width: int
    height: int
    rates: tuple[str, ...] = ()


@dataclass(frozen=True)
class NodeFacts:
    """Whether a node gives video, and in which modes."""

    captures: bool
    modes: tuple[Mode, ...]


def ask_node(path: Path) -> NodeFacts:
    """Ask a node.

    A camera has a node for its pictures and often one for their metadata. ``capabilities`` is of the whole camera,
    ``device_caps`` of the node.

    Raises:
        OSError: it cannot be opened or is no V4L2 node.
    """
    node = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        answer = bytearray(104)
        fcntl.ioctl(node, QUERYCAP, answer)
        whole, own = struct.unpack_from("II", answer, 84)
        caps = own if whole & CAP_DEVICE_CAPS else whole
        captures = bool(caps & (CAP_VIDEO_CAPTURE | CAP_VIDEO_CAPTURE_MPLANE))
        return NodeFacts(captures, tuple(_modes(node)) if captures else ())
    finally:
        os.close(node)


def _entries(node: int, request: int, size: int, fixed: bytes, offset: int) -> Iterator[bytearray]:
    """Answers of an ioctl that counts: ``fixed`` stands at ``offset``, the index at 0."""
    with contextlib.suppress(OSError):
        for index in range(MOST_ENTRIES):
            entry = bytearray(size)
            struct.pack_into("I", entry, 0, index)
            entry[offset : offset + len(fixed)] = fixed
            fcntl.ioctl(node, request, entry)
            yield entry


def _modes(node: int) -> Iterator[Mode]:
    for form in _entries(node, ENUM_FMT, 64, struct.pack("I", BUF_TYPE_VIDEO_CAPTURE), 4):
        letters = bytes(form[44:48])
        for size in _entries(node, ENUM_FRAMESIZES, 44, letters, 4):
            kind, width, height = struct.unpack_from("III", size, 8)
            if kind != DISCRETE:
                # Stepwise: smallest, largest, step of the width, then of the height.
                _, width, _, _, height, _ = struct.unpack_from("6I", size, 12)
            rates = tuple(_rates(node, letters + struct.pack("II", width, height)))
            yield Mode(letters.decode("ascii", "replace").strip(), width, height, rates)
            if kind != DISCRETE:
                break


def _rates(node: int, mode: bytes) -> Iterator[str]:
    for interval in _entries(node, ENUM_FRAMEINTERVALS, 52, mode, 4):
        kind, seconds, per = struct.unpack_from("III", interval, 16)
        if kind != DISCRETE:
            return
        if seconds and per:
            yield str(Fraction(per, seconds))
