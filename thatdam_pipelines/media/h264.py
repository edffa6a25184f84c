"""H.264 sequence parameter sets (ITU-T H.264, 7.3.2.1): what a decoder would say of a stream, without decoding it."""

from dataclasses import dataclass

_CHROMA = {0: "yuv420p", 1: "yuv420p", 2: "yuv422p", 3: "yuv444p"}
"""By chroma_format_idc; ffmpeg decodes monochrome as 4:2:0."""
_HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_SHAPES = (
    *((1, 1), (12, 11), (10, 11), (16, 11), (40, 33), (24, 11), (20, 11), (32, 11)),
    *((80, 33), (18, 11), (15, 11), (64, 33), (160, 99), (4, 3), (3, 2), (2, 1)),
)
"""Sample aspect ratios by number, from 1 (table E-1)."""


@dataclass(frozen=True)
class Sequence:
    """What a sequence parameter set says.

    Args:
        pixel_format: ffmpeg's name.
        full_range: Luma uses 0 to the top, not 16 to 235; None when it does not say.
        primaries, transfer, matrix: Numbers of ITU-T H.273; 2 is unspecified.
        sample_aspect: Width to height of a pixel; None when it does not say.
    """

    pixel_format: str
    full_range: bool | None = None
    primaries: int = 2
    transfer: int = 2
    matrix: int = 2
    sample_aspect: tuple[int, int] | None = None


class _Bits:
    def __init__(self, data: bytes) -> None:
        self._number = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        """The next bits as a number."""
        if count > self._left:
            raise ValueError("the parameter set ends early")
        self._left -= count
        return (self._number >> self._left) & ((1 << count) - 1)

    def golomb(self) -> int:
        """An unsigned Exp-Golomb number (9.1)."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 32:
                raise ValueError("the parameter set is damaged")
        return (1 << zeros) - 1 + self.take(zeros)

    def signed_golomb(self) -> int:
        number = self.golomb()
        return (number + 1) // 2 if number % 2 else -number // 2


def read_sequence(extradata: bytes | None) -> Sequence | None:
    """The first sequence parameter set of a stream's extra data (``avcC`` or Annex B); None when it has none."""
    unit = _parameter_set(extradata or b"")
    if unit is None:
        return None
    try:
        return _read(unit[:1024].replace(b"\0\0\3", b"\0\0"))
    except ValueError:
        return None


def _parameter_set(extradata: bytes) -> bytes | None:
    if extradata[:1] == b"\1" and len(extradata) > 8 and extradata[5] & 0x1F:
        length = int.from_bytes(extradata[6:8], "big")
        return extradata[8 : 8 + length]
    for unit in extradata.split(b"\0\0\1"):
        if unit and unit[0] & 0x1F == 7:
            return unit
    return None


def _read(unit: bytes) -> Sequence:
    bits = _Bits(unit[1:])
    profile = bits.take(8)
    bits.take(16)
    bits.golomb()
    chroma, depth = 1, 8
    if profile in _HIGH_PROFILES:
        chroma = bits.golomb()
        if chroma == 3:
            bits.take(1)
        depth = 8 + bits.golomb()
        bits.golomb()
        bits.take(1)
        if bits.take(1):
            for number in range(12 if chroma == 3 else 8):
                if bits.take(1):
                    _skip_scaling_list(bits, 16 if number < 6 else 64)
    bits.golomb()
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.take(1)
        bits.signed_golomb()
        bits.signed_golomb()
        for _ in range(min(bits.golomb(), 255)):
            bits.signed_golomb()
    bits.golomb()
    bits.take(1)
    bits.golomb()
    bits.golomb()
    if not bits.take(1):
        bits.take(1)
    bits.take(1)
    if bits.take(1):
        for _ in range(4):
            bits.golomb()
    return _read_usability(bits, chroma, depth) if bits.take(1) else Sequence(_pixel_format(chroma, depth, None, 2))


def _read_usability(bits: _Bits, chroma: int, depth: int) -> Sequence:
    """The first part of the video usability information (E.1.1)."""
    aspect = None
    if bits.take(1):
        number = bits.take(8)
        if number == 255:
            aspect = bits.take(16), bits.take(16)
        elif 1 <= number <= len(_SHAPES):
            aspect = _SHAPES[number - 1]
    if bits.take(1):
        bits.take(1)
    full_range: bool | None = None
    primaries = transfer = matrix = 2
    if bits.take(1):
        bits.take(3)
        full_range = bool(bits.take(1))
        if bits.take(1):
            primaries, transfer, matrix = bits.take(8), bits.take(8), bits.take(8)
    pixels = _pixel_format(chroma, depth, full_range, matrix)
    return Sequence(pixels, full_range, primaries, transfer, matrix, aspect)


def _pixel_format(chroma: int, depth: int, full_range: bool | None, matrix: int) -> str:
    if chroma not in _CHROMA or depth not in (8, 9, 10, 12, 14):
        raise ValueError("the parameter set is damaged")
    if chroma == 3 and matrix == 0:
        return "gbrp" if depth == 8 else f"gbrp{depth}le"
    name = _CHROMA[chroma]
    if depth == 8:
        return name.replace("yuv", "yuvj") if full_range else name
    return f"{name}{depth}le"


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed_golomb()) % 256
        last = following or last
