"""Stills: facts from their headers, upright pictures in sRGB, raw stills by the JPEG in them."""

import io
import struct
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.library.curation import Curation
from thatdam_pipelines.media.boxes import XMP_BOX
from thatdam_pipelines.media.facts import Probe
from thatdam_pipelines.media.probe import Limits, probe_file
from thatdam_pipelines.media.stills import open_still
from thatdam_pipelines.media.xmp import write_xmp
from thatdam_pipelines.samples.damage import box, png

pillow_heif.register_heif_opener()
MAX = 10**8
FORMATS = {
    "jpg": "JPEG",
    "png": "PNG",
    "heic": "HEIF",
    "tif": "TIFF",
    "webp": "WEBP",
    "avif": "AVIF",
    "jp2": "JPEG2000",
}


def scene(width: int = 64, height: int = 32) -> Image.Image:
    """Grey, with a red upper left corner."""
    picture = Image.new("RGB", (width, height), (90, 90, 90))
    picture.paste((220, 20, 20), (0, 0, width // 4, height // 4))
    return picture


def exif(orientation: int = 1) -> Image.Exif:
    tags = Image.Exif()
    tags[271], tags[272], tags[274] = "Canon", "EOS R6", orientation
    tags.get_ifd(0x8769).update({36867: "2024:05:06 07:08:09", 36881: "+02:00", 42033: "012345"})
    tags.get_ifd(0x8825).update({1: "S", 2: (33.0, 52.0, 10.0), 3: "E", 4: (151.0, 12.0, 30.0), 5: b"\0", 6: 12.5})
    return tags


def saved(path: Path, picture: Image.Image, tags: Image.Exif | None = None) -> Path:
    extra = {} if tags is None else {"exif": tags.tobytes() if path.suffix == ".heic" else tags}
    if path.suffix in (".jpg", ".webp", ".heic", ".avif"):
        extra["quality"] = 95
    picture.save(path, FORMATS.get(path.suffix[1:]), **extra)
    return path


def probed(path: Path) -> Probe:
    return probe_file(path, path.name)


def is_red(picture: Image.Image, x: float, y: float) -> bool:
    red, green, _ = picture.getpixel((int(x * picture.width), int(y * picture.height)))  # type: ignore[misc]
    return red > green + 60


@pytest.mark.parametrize(
    ("name", "container", "mime"),
    [
        ("a.jpg", "jpeg", "image/jpeg"),
        ("a.png", "png", "image/png"),
        ("a.heic", "heic", "image/heic"),
        ("a.tif", "tiff", "image/tiff"),
        ("a.webp", "webp", "image/webp"),
        ("a.avif", "avif", "image/avif"),
        ("a.gif", "gif", "image/gif"),
        ("a.bmp", "bmp", "image/bmp"),
    ],
)
def test_every_format_is_an_image_of_its_size(tmp_path: Path, name: str, container: str, mime: str) -> None:
    probe = probed(saved(tmp_path / name, scene()))
    assert (probe.kind, probe.container, probe.mime) == ("image", container, mime)
    assert (probe.width, probe.height, probe.display_width, probe.display_height) == (64, 32, 64, 32)
    assert (probe.bit_depth, probe.hdr, probe.duration_s, probe.has_audio) == (8, "sdr", None, False)
    assert [(stream.type, stream.width) for stream in probe.streams] == [("video", 64)]
    assert probe.warnings == []


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.heic", "a.webp", "a.avif"])
def test_exif_tells_camera_time_and_place(tmp_path: Path, name: str) -> None:
    probe = probed(saved(tmp_path / name, scene(), exif()))
    assert (probe.camera_make, probe.camera_model, probe.camera_serial) == ("Canon", "EOS R6", "012345")
    assert probe.created_utc == datetime(2024, 5, 6, 5, 8, 9, tzinfo=UTC)
    assert probe.created_source == "EXIF DateTimeOriginal"
    assert probe.latitude_deg == pytest.approx(-33.86944, abs=1e-4)
    assert probe.longitude_deg == pytest.approx(151.20833, abs=1e-4)
    assert probe.altitude_m == 12.5


def test_a_camera_without_a_zone_gets_it_from_its_gps_clock(tmp_path: Path) -> None:
    tags = exif()
    del tags.get_ifd(0x8769)[36881]
    tags.get_ifd(0x8825).update({29: "2024:05:05", 7: (21.0, 8.0, 4.0)})
    probe = probed(saved(tmp_path / "a.jpg", scene(), tags))
    assert probe.created_utc == datetime(2024, 5, 5, 21, 8, 9, tzinfo=UTC)
    assert probe.created_source == "EXIF DateTimeOriginal, zone by GPS"


def test_a_time_without_any_zone_says_so(tmp_path: Path) -> None:
    tags = Image.Exif()
    tags[306] = "2024:05:06 07:08:09"
    probe = probed(saved(tmp_path / "a.jpg", scene(), tags))
    assert probe.created_utc == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert probe.created_source == "EXIF DateTime, no zone: taken as UTC"


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.heic", "a.webp", "a.avif", "a.tif"])
@pytest.mark.parametrize(
    ("orientation", "corner"), [(1, (0.05, 0.05)), (6, (0.95, 0.05)), (3, (0.95, 0.95)), (8, (0.05, 0.95))]
)
def test_pictures_are_opened_upright(tmp_path: Path, name: str, orientation: int, corner: tuple[float, float]) -> None:
    path = saved(tmp_path / name, scene(), exif(orientation))
    picture = open_still(path, MAX)
    assert picture.mode == "RGB"
    assert is_red(picture, *corner)
    probe = probed(path)
    assert (probe.display_width, probe.display_height) == picture.size


@pytest.mark.parametrize(
    "picture",
    [
        scene().convert("L"),
        scene().convert("P"),
        scene().convert("RGBA"),
        scene().convert("1"),
        Image.fromarray(np.full((32, 64), 40000, np.uint16)),
        scene().convert("LA"),
    ],
    ids=lambda picture: picture.mode,
)
def test_every_mode_becomes_rgb_of_8_bits(tmp_path: Path, picture: Image.Image) -> None:
    path = saved(tmp_path / "a.png", picture)
    opened = open_still(path, MAX)
    assert (opened.mode, opened.size) == ("RGB", (64, 32))
    assert open_still(path, MAX, at_least=16).size == (16, 8)


def test_sixteen_bits_keep_their_brightness(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(np.full((32, 64), 32768, np.uint16)))
    assert probed(path).bit_depth == 16
    assert open_still(path, MAX).getpixel((5, 5)) == pytest.approx((128, 128, 128), abs=1)


def test_transparency_is_shown_over_black(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.new("RGBA", (8, 8), (255, 255, 255, 0)))
    assert open_still(path, MAX).getpixel((4, 4)) == (0, 0, 0)


def display_p3() -> bytes:
    """A minimal ICC profile (v2, matrix and gamma 2.2) with the primaries of Display P3."""

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))

    gamma = b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(2.2 * 256))
    text = b"text\0\0\0\0P3\0\0"
    name = b"desc\0\0\0\0" + struct.pack(">I", 3) + b"P3\0" + bytes(78)
    tags = {b"desc": name, b"cprt": text, b"wtpt": xyz(0.9642, 1, 0.8249)}
    tags |= {b"rXYZ": xyz(0.5151, 0.2412, -0.0011), b"gXYZ": xyz(0.2919, 0.6922, 0.0419)}
    tags |= {b"bXYZ": xyz(0.1572, 0.0666, 0.7841), b"rTRC": gamma, b"gTRC": gamma, b"bTRC": gamma}
    table, body = struct.pack(">I", len(tags)), b""
    for tag, value in tags.items():
        table += struct.pack(">4sII", tag, 128 + 4 + 12 * len(tags) + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    size = 128 + len(table) + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"none", 0x02100000, b"mntr", b"RGB ", b"XYZ ").ljust(36, b"\0") + b"acsp"
    return header.ljust(68, b"\0") + struct.pack(">3i", 63190, 65536, 54061).ljust(60, b"\0") + table + body


def test_a_wide_gamut_picture_is_brought_to_srgb(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8), (200, 60, 60)).save(path, icc_profile=display_p3())
    red, green, blue = open_still(path, MAX).getpixel((4, 4))  # type: ignore[misc]
    assert red > 205
    assert green < 55
    assert blue < 60


def test_a_colour_profile_that_is_none_is_left_aside(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8), (200, 60, 60)).save(path, icc_profile=b"no profile at all")
    assert open_still(path, MAX).getpixel((4, 4)) == (200, 60, 60)


def test_a_smaller_picture_is_cheaper_and_never_too_small(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", scene(1600, 1200))
    assert 300 <= max(open_still(path, MAX, at_least=300).size) < 600


def test_an_animation_is_an_image_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    scene().save(path, save_all=True, append_images=[scene().rotate(90)], duration=100)
    probe = probed(path)
    assert (probe.kind, probe.duration_s) == ("image", None)
    assert probe.warnings == ["is animated: only its first frame is shown"]


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_a_picture_cut_off_is_told_by_its_probe_and_refused_by_its_decoder(tmp_path: Path, name: str) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    path = saved(tmp_path / name, noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert probed(path).warnings == ["it is cut off: its end is missing"]
    with pytest.raises(MediaError, match="is a picture that cannot be read"):
        open_still(path, MAX)


def test_size_is_checked_before_anything_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    path.write_bytes(png(30_000, 30_000))
    with pytest.raises(MediaError, match="more than the 100,000,000"):
        open_still(path, MAX)
    with pytest.raises(MediaError, match="more than the 1,500 pixels allowed"):
        open_still(saved(tmp_path / "a.png", scene()), 1500)


def jpeg(picture: Image.Image) -> bytes:
    memory = io.BytesIO()
    picture.save(memory, "JPEG", quality=95)
    return memory.getvalue()


def ifd(entries: list[tuple[int, int, int, bytes]], at: int, following: int = 0) -> bytes:
    """A little-endian directory that stands at ``at``: (tag, type, count, value of any length), in order of tags."""
    fixed, heap = b"", b""
    heap_at = at + 2 + 12 * len(entries) + 4
    for tag, kind, count, value in sorted(entries):
        if len(value) <= 4:
            field = value.ljust(4, b"\0")
        else:
            field = struct.pack("<I", heap_at + len(heap))
            heap += value
        fixed += struct.pack("<HHI", tag, kind, count) + field
    return struct.pack("<H", len(entries)) + fixed + struct.pack("<I", following) + heap


def camera_tags(orientation: int = 1) -> list[tuple[int, int, int, bytes]]:
    return [
        (271, 2, 6, b"NIKON\0"),
        (272, 2, 4, b"Z 9\0"),
        (274, 3, 1, struct.pack("<H", orientation)),
        (306, 2, 20, b"2024:05:06 07:08:09\0"),
    ]


def long(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


def raw_tiff(preview: bytes, thumbnail: bytes, orientation: int = 1) -> bytes:
    """A raw still as Nikon, Sony and Adobe build it: thumbnail in the first directory, preview and raw in SubIFDs."""
    thumb_at, preview_at = 4096, 4096 + len(thumbnail)
    first = [*camera_tags(orientation), (330, 4, 2, long(1024, 2048)), (513, 4, 1, long(thumb_at))]
    first += [(514, 4, 1, long(len(thumbnail)))]
    second = [(256, 4, 1, long(320)), (257, 4, 1, long(160)), (259, 3, 1, b"\x07\0"), (273, 4, 1, long(preview_at))]
    second += [(279, 4, 1, long(len(preview)))]
    third = [(256, 4, 1, long(6000)), (257, 4, 1, long(4000)), (259, 3, 1, b"\x01\0"), (273, 4, 1, long(8))]
    data = b"II*\0" + long(8) + ifd(first, 8)
    data = data.ljust(1024, b"\0") + ifd(second, 1024)
    data = data.ljust(2048, b"\0") + ifd(third, 2048)
    return data.ljust(4096, b"\0") + thumbnail + preview


@pytest.mark.parametrize("extension", ["nef", "arw", "dng", "cr2"])
def test_a_raw_still_is_shown_by_its_largest_preview(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"shot.{extension}"
    path.write_bytes(raw_tiff(jpeg(scene(320, 160)), jpeg(scene(32, 16))))
    probe = probed(path)
    assert (probe.kind, probe.container, probe.video_codec) == ("image", extension, "raw")
    assert (probe.width, probe.height) == (6000, 4000)
    assert (probe.camera_make, probe.camera_model) == ("NIKON", "Z 9")
    assert probe.created_utc == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert probe.warnings == ["its embedded preview is small: 320x160 pixels"]
    picture = open_still(path, MAX)
    assert picture.size == (320, 160)
    assert is_red(picture, 0.05, 0.05)


def test_a_raw_still_is_turned_as_the_camera_was(tmp_path: Path) -> None:
    path = tmp_path / "shot.nef"
    path.write_bytes(raw_tiff(jpeg(scene(320, 160)), jpeg(scene(32, 16)), orientation=6))
    assert probed(path).rotation_deg == 90
    picture = open_still(path, MAX)
    assert picture.size == (160, 320)
    assert is_red(picture, 0.95, 0.05)


def test_a_preview_hidden_in_a_makers_note_is_found(tmp_path: Path) -> None:
    path = tmp_path / "shot.orf"
    data = b"IIRO" + long(8) + ifd([*camera_tags(), (256, 4, 1, long(600)), (257, 4, 1, long(400))], 8)
    path.write_bytes(data.ljust(3000, b"\0") + jpeg(scene(320, 160)))
    assert (probed(path).container, probed(path).width) == ("orf", 600)
    assert open_still(path, MAX).size == (320, 160)


def test_a_canon_raw_of_boxes_is_read(tmp_path: Path) -> None:
    tags = camera_tags()
    tags = [(256, 4, 1, long(6000)), (257, 4, 1, long(4000)), *tags]
    cmt1 = box(b"CMT1", b"II*\0" + long(8) + ifd(tags, 8))
    picture = jpeg(scene(320, 160))
    ftyp = box(b"ftyp", b"crx \0\0\0\1crx isom")

    def moov(place: int) -> bytes:
        sizes = box(b"stsz", bytes(4), struct.pack(">II", len(picture), 1))
        offsets = box(b"co64", bytes(4), struct.pack(">IQ", 1, place))
        track = box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", sizes, offsets))))
        return box(b"moov", box(b"uuid", bytes.fromhex("85c0b687820f11e08111f4ce462b6a48"), cmt1), track)

    place = len(ftyp) + len(moov(0)) + 8
    path = tmp_path / "shot.cr3"
    said = box(b"uuid", XMP_BOX, write_xmp(Curation("0" * 32, title="Kiss")))
    path.write_bytes(ftyp + moov(place) + box(b"mdat", picture) + said)
    probe = probed(path)
    assert probe.said is not None and probe.said.title == "Kiss"
    assert (probe.container, probe.mime, probe.camera_model) == ("cr3", "image/x-canon-cr3", "Z 9")
    assert (probe.width, probe.height) == (6000, 4000)
    assert is_red(open_still(path, MAX), 0.05, 0.05)


def test_a_fujifilm_raw_gives_the_jpeg_its_header_points_at(tmp_path: Path) -> None:
    picture = scene(320, 160)
    memory = io.BytesIO()
    picture.save(memory, "JPEG", quality=95, exif=exif())
    data = b"FUJIFILMCCD-RAW 0201".ljust(84, b"\0") + struct.pack(">II", 200, len(memory.getvalue()))
    path = tmp_path / "shot.raf"
    path.write_bytes(data.ljust(200, b"\0") + memory.getvalue())
    assert probed(path).camera_make == "Canon"
    assert open_still(path, MAX).size == (320, 160)


def test_a_raw_still_without_a_preview_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "shot.nef"
    path.write_bytes(b"II*\0" + long(8) + ifd(camera_tags(), 8))
    with pytest.raises(MediaError, match="without a preview") as caught:
        probed(path)
    assert caught.value.next_step == "Export it as JPEG or as DNG with an embedded preview and ingest that beside it."


def test_a_still_named_otherwise_is_found_by_its_bytes(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", scene()).rename(tmp_path / "holiday")
    assert probed(path).container == "png"
    assert probe_file(path, "holiday.mp4", Limits()).warnings == ["is named as video but is a PNG picture"]
