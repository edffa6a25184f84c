"""What is known of an original before it is decoded: the facts of its probe that decide how its proxy is made."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

HDR_TRANSFERS = {"hlg": "arib-std-b67", "pq": "smpte2084", "hdr10": "smpte2084", "hdr10plus": "smpte2084"}
_UNTAGGED = {None, "", "unknown", "unspecified", "reserved"}
_RGB = ("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal8", "x2rgb", "x2bgr")


@dataclass(frozen=True)
class Original:
    """A media file by the columns of table ``probes``, where they are described.

    Args:
        name: The file as people know it, for messages.
        size_bytes: Size of the file.
    """

    name: str
    kind: str
    container: str
    size_bytes: int
    duration_s: float | None = None
    display_width: int | None = None
    display_height: int | None = None
    rotation_deg: int | None = None
    pixel_format: str | None = None
    color_primaries: str | None = None
    color_transfer: str | None = None
    color_space: str | None = None
    hdr: str | None = None
    interlace: str | None = None
    has_audio: bool = False

    @classmethod
    def of(cls, probe: Mapping[str, Any], name: str, size_bytes: int) -> Self:
        """The original that a row of ``probes`` is about."""
        known = {field.name for field in fields(cls)} - {"name", "size_bytes"}
        return cls(name=name, size_bytes=size_bytes, **{key: probe[key] for key in known if key in probe})

    @property
    def plausible_s(self) -> float:
        """Its duration as far as a file of its size can have it: at least 1,000 bytes a second."""
        return min(self.duration_s or 0.0, self.size_bytes / 1000)

    @property
    def hdr_transfer(self) -> str | None:
        """ffmpeg's name of the HDR transfer it was graded in; None for SDR."""
        if self.hdr == "dolby_vision":
            return "arib-std-b67" if self.color_transfer == "arib-std-b67" else "smpte2084"
        return HDR_TRANSFERS.get(self.hdr or "")

    @property
    def is_interlaced(self) -> bool:
        return self.interlace in ("tff", "bff")

    @property
    def is_wide_gamut(self) -> bool:
        """SDR in BT.2020 colours."""
        wide = self.color_primaries == "bt2020" or (self.color_space or "").startswith("bt2020")
        return self.hdr_transfer is None and wide

    @property
    def is_rgb(self) -> bool:
        return (self.pixel_format or "").startswith(_RGB)

    @property
    def assumed_matrix(self) -> str | None:
        """Matrix that players assume where none is tagged: BT.709 from 720 lines on; None where one is."""
        if self.color_space not in _UNTAGGED or self.is_rgb:
            return None
        edges = (self.display_width or 0, self.display_height or 0)
        return "bt709" if max(edges) >= 1280 or min(edges) >= 720 else "smpte170m"
