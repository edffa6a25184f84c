"""How much of a file is missing at its end, where its header says how long it should be."""

from thatdam_pipelines.media.containers import BoundedFile


def missing_bytes(file: BoundedFile, form: str) -> int:
    """Bytes that an AVI, WAV or Matroska header claims beyond the end of the file; 0 where it does not say.

    Args:
        form: Format by signature.
    """
    if form in ("avi", "wav"):
        head = file.read_at(0, 8)
        claimed = int.from_bytes(head[4:8], "little")
        # Live recorders write 0 or the largest number; an AVI of more than 1 GB goes on in further chunks.
        return max(0, claimed + 8 - file.size) if head[:4] == b"RIFF" and 0 < claimed < 2**32 - 8192 else 0
    if form == "matroska":
        return _missing_of_matroska(file)
    return 0


def _missing_of_matroska(file: BoundedFile) -> int:
    """By the size of the first segment (EBML, RFC 8794)."""
    head = file.read_at(0, 4096)
    size, length = _number(head, 4)
    at = 4 + length + size
    if head[at : at + 4] != b"\x18\x53\x80\x67":
        return 0
    size, length = _number(head, at + 4)
    # A segment of unknown size is one that was recorded live.
    unknown = length == 0 or size == 2 ** (7 * length) - 1
    return 0 if unknown else max(0, at + 4 + length + size - file.size)


def _number(data: bytes, at: int) -> tuple[int, int]:
    """An EBML number of variable length, and its length in bytes; length 0 when there is none."""
    first = data[at] if at < len(data) else 0
    if first == 0:
        return 0, 0
    length = 9 - first.bit_length()
    number = int.from_bytes(data[at : at + length], "big") & (2 ** (7 * length) - 1)
    return (number, length) if at + length <= len(data) else (0, 0)
