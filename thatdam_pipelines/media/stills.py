"""Stills by Pillow and pillow-heif; raw stills by the JPEG in them. Sizes are checked before anything is decoded."""

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.media.containers import BoundedFile, reading
from thatdam_pipelines.media.embedded import embedded_change, written_change
from thatdam_pipelines.media.exif import CLOCKWISE, ORIENTATION, describe_from, describe_still, size_of
from thatdam_pipelines.media.facts import Probe, StreamFacts
from thatdam_pipelines.media.kinds import HEAD_BYTES, RAW_EXTENSIONS, extension_of, signature_of
from thatdam_pipelines.media.raw_stills import RawStill, read_raw_still
from thatdam_pipelines.media.tiff import Tiff, tiff_of

if TYPE_CHECKING:
    from PIL import Image

_FORMATS = ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "DIB", "AVIF", "HEIF", "JPEG2000", "PSD")
"""Pillow's readers that may see a file: none that runs a program (EPS) or is seldom maintained."""

_RAW_SIGNATURES = frozenset({"cr3", "orf", "rw2", "raf"})
_DNG_VERSION = 50706
_RAISE_LIMIT = "Its header is probably damaged; if not, raise THATDAM_IMAGE_MAX_PIXELS."
_ICC_BYTES_MAX = 4 * 2**20
_RAW_MIME = {"dng": "image/x-adobe-dng", "cr2": "image/x-canon-cr2", "cr3": "image/x-canon-cr3"} | {
    "nef": "image/x-nikon-nef",
    "arw": "image/x-sony-arw",
    "raf": "image/x-fuji-raf",
    "rw2": "image/x-panasonic-rw2",
    "orf": "image/x-olympus-orf",
}
_PIXELS = {
    "1": ("monob", 1),
    "L": ("gray", 8),
    "LA": ("ya8", 8),
    "P": ("pal8", 8),
    "RGB": ("rgb24", 8),
    "RGBA": ("rgba", 8),
    "CMYK": ("cmyk", 8),
    "YCbCr": ("yuvj444p", 8),
    "LAB": ("lab", 8),
    "I": ("gray32le", 32),
    "I;16": ("gray16le", 16),
    "I;16B": ("gray16be", 16),
    "F": ("grayf32le", 32),
}
_JPEG_SAMPLING = {0: "yuvj444p", 1: "yuvj422p", 2: "yuvj420p"}
_ANIMATED = frozenset({"GIF", "PNG", "WEBP", "AVIF"})
_TURNED = frozenset({"HEIF", "TIFF"})
"""Formats whose readers turn the picture upright themselves."""
_ENDS = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND", "GIF": b";"}


def probe_still(file: BoundedFile, name: str, max_pixels: int) -> Probe:
    """Facts of a still, from its headers: nothing is decoded.

    Args:
        file: The open file.
        name: The file as people know it.
        max_pixels: Pictures of more pixels are refused.

    Raises:
        MediaError: It cannot be read, is too large, or is a raw still without a preview.
    """
    if form := _raw_form(file, name):
        return _probe_raw(read_raw_still(file, form), form, name, max_pixels)
    with _opening(file, name, max_pixels) as image:
        container = {"JPEG2000": "jp2", "MPO": "jpeg", "DIB": "bmp", "HEIF": "heic"}.get(
            str(image.format), str(image.format).lower()
        )
        probe = Probe("image", container, f"image/{container}", hdr="sdr")
        probe.video_codec = "hevc" if container == "heic" else container
        probe.width, probe.height = image.size
        probe.pixel_format, probe.bit_depth = _PIXELS.get(image.mode, (None, None))
        if image.format in ("JPEG", "MPO") and image.mode == "RGB":
            probe.pixel_format = _sampling(image)
        if bits := image.info.get("bit_depth"):
            probe.bit_depth = int(bits)
        exif = image.info.get("exif")
        if image.format == "TIFF":
            describe_still(probe, Tiff(file.read_at))
        elif isinstance(exif, bytes):
            describe_still(probe, tiff_of(exif))
        probe.said, problems = embedded_change(image, name)
        probe.warnings += problems
        if image.format in _TURNED or probe.rotation_deg is None:
            probe.rotation_deg = 0
        if image.format in _ANIMATED and getattr(image, "is_animated", False):
            probe.warnings.append("is animated: only its first frame is shown")
        end = _ENDS.get(str(image.format))
    if end is not None and end not in file.read_at(max(0, file.size - 2**16), 2**16)[-(2 if end == b";" else 2**16) :]:
        probe.warnings.append("it is cut off: its end is missing")
    return _finished(probe)


def open_still(path: Path, max_pixels: int, *, name: str | None = None, at_least: int | None = None) -> "Image.Image":
    """Decode a still: upright, RGB, 8 bits, sRGB; transparency over black.

    Args:
        path: The file.
        max_pixels: Pictures of more pixels are refused before they are decoded.
        name: The file as people know it, for its extension and for messages; the path's name when left out.
        at_least: The longer side may come smaller, down to this many pixels, where that is cheaper.

    Raises:
        MediaError: It cannot be decoded or is too large.
    """
    name = name if name is not None else path.name
    with reading(path, name) as file:
        turn = None
        source: BoundedFile | io.BytesIO = file
        if form := _raw_form(file, name):
            raw = read_raw_still(file, form)
            if raw.preview is None:
                raise _no_preview(name)
            source = io.BytesIO(file.read_at(raw.preview.offset, raw.preview.length))
            turn = raw.main.integer(ORIENTATION) or 1
        with _opening(source, name, max_pixels) as image:
            if turn is None and image.format in _TURNED:
                turn = 1
            return _upright_rgb(image, turn, at_least)


@contextlib.contextmanager
def _opening(source: BoundedFile | io.BytesIO, name: str, max_pixels: int) -> Iterator["Image.Image"]:
    """An image opened by an allowed reader, its size checked; everything a reader raises becomes a ``MediaError``."""
    import pillow_heif
    from PIL import Image

    Image.init()
    pillow_heif.register_heif_opener(thumbnails=False, decode_threads=1)
    # Pillow warns over this limit and refuses over twice as much, before it decodes.
    Image.MAX_IMAGE_PIXELS = max(1, max_pixels // 2)
    source.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(source, formats=_FORMATS) as image:  # type: ignore[arg-type]
                yield image
    except Image.DecompressionBombError as error:
        cause = f"claims more than the {max_pixels:,} pixels allowed"
        raise MediaError(name, cause, _RAISE_LIMIT) from error
    except (MediaError, MemoryError):
        raise
    except Exception as error:
        # Pillow's readers meet damage with nearly every exception there is.
        detail = str(error).split(": <")[0].split(" <")[0] or type(error).__name__
        cause = f"is a picture that cannot be read ({detail})"
        raise MediaError(name, cause, "Copy it from the card again.") from error


def _raw_form(file: BoundedFile, name: str) -> str | None:
    """``cr3``, ``raf``, ``dng``, ... for a raw still; None for other pictures."""
    signature = signature_of(file.read_at(0, HEAD_BYTES))
    extension = extension_of(name)
    if signature is not None and signature.format in _RAW_SIGNATURES:
        return signature.format
    if signature is None or signature.format != "tiff":
        return None
    if extension in RAW_EXTENSIONS:
        return extension
    first = Tiff(file.read_at).directories()[:1]
    return "dng" if first and _DNG_VERSION in first[0].values else None


def _probe_raw(raw: RawStill, form: str, name: str, max_pixels: int) -> Probe:
    if raw.preview is None:
        raise _no_preview(name)
    if raw.preview.width * raw.preview.height > max_pixels:
        raise _too_large(name, raw.preview.width, raw.preview.height, max_pixels)
    probe = Probe("image", form, _RAW_MIME.get(form, f"image/x-{form}"), video_codec="raw", hdr="sdr")
    describe_from(probe, raw.main, raw.exif, raw.gps)
    probe.said, problems = written_change(raw.xmp, raw.main.values, name)
    probe.warnings += problems
    sizes = [(raw.width or 0, raw.height or 0), size_of(raw.exif) or (0, 0), (raw.preview.width, raw.preview.height)]
    probe.width, probe.height = max(
        (size for size in sizes if size[0] * size[1] <= max_pixels), key=lambda size: size[0] * size[1]
    )
    if 4 * raw.preview.width * raw.preview.height < probe.width * probe.height:
        probe.warnings.append(f"its embedded preview is small: {raw.preview.width}x{raw.preview.height} pixels")
    return _finished(probe)


def _finished(probe: Probe) -> Probe:
    probe.set_display()
    probe.streams = [
        StreamFacts(
            0, "video", probe.video_codec, width=probe.width, height=probe.height, pixel_format=probe.pixel_format
        )
    ]
    return probe


def _no_preview(name: str) -> MediaError:
    return MediaError(
        name,
        "is a raw still without a preview that can be shown",
        "Export it as JPEG or as DNG with an embedded preview and ingest that beside it.",
    )


def _too_large(name: str, width: int, height: int, max_pixels: int) -> MediaError:
    cause = f"claims {width}x{height} pixels, more than the {max_pixels:,} allowed"
    return MediaError(name, cause, _RAISE_LIMIT)


def _sampling(image: "Image.Image") -> str:
    from PIL import JpegImagePlugin

    return _JPEG_SAMPLING.get(JpegImagePlugin.get_sampling(image), "yuvj444p")


def _upright_rgb(image: "Image.Image", orientation: int | None, at_least: int | None) -> "Image.Image":
    from PIL import ImageOps

    if at_least is not None and image.format in ("JPEG", "MPO"):
        scale = max(image.size) / at_least
        if scale > 1:
            image.draft("RGB", (int(image.width / scale), int(image.height / scale)))
    image.load()
    profile = image.info.get("icc_profile")
    if orientation is None:
        turned: Image.Image = ImageOps.exif_transpose(image)
    else:
        turned = _turned(image, orientation)
    if turned.mode in ("L", "RGB", "RGBA", "CMYK"):
        return _in_rgb(_reduced(turned, at_least), profile)
    return _reduced(_in_rgb(turned, profile), at_least)


def _reduced(image: "Image.Image", at_least: int | None) -> "Image.Image":
    factor = max(image.size) // at_least if at_least is not None else 1
    return image.reduce(factor) if factor > 1 else image


def _turned(image: "Image.Image", orientation: int) -> "Image.Image":
    """The image as an EXIF orientation of 1, 3, 6 or 8 says (cameras' raw stills know no others)."""
    from PIL import Image

    clockwise = CLOCKWISE.get(orientation, 0)
    turns = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}
    return image.transpose(turns[clockwise]) if clockwise else image.copy()


def _in_rgb(image: "Image.Image", profile: Any) -> "Image.Image":
    from PIL import Image

    if image.mode in ("I", "I;16", "I;16B", "I;16L", "F"):
        return _deep_gray(image)
    if isinstance(profile, bytes) and len(profile) <= _ICC_BYTES_MAX and image.mode in ("RGB", "CMYK", "L"):
        image = _in_srgb(image, profile)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba).convert("RGB")
    return image.convert("RGB") if image.mode != "RGB" else image


def _in_srgb(image: "Image.Image", profile: bytes) -> "Image.Image":
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return image
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    return converted if converted is not None else image


def _deep_gray(image: "Image.Image") -> "Image.Image":
    """16-bit, 32-bit or float grey to 8 bits: by its format's range, or by what is in it where that is not known."""
    import numpy as np
    from PIL import Image

    values = np.nan_to_num(np.asarray(image, dtype=np.float32))
    top = 65535.0 if image.mode.startswith("I;16") or (image.mode == "I" and values.max() > 255) else 255.0
    if image.mode == "F":
        top = 1.0 if values.max() <= 1 else float(values.max())
    scaled = np.clip(values * (255.0 / top), 0, 255).astype(np.uint8)
    return Image.fromarray(scaled, "L").convert("RGB")
