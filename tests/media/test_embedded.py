"""What is written into a still is proposed when it is probed: XMP before IPTC before EXIF, sidecars before all."""

import io
from pathlib import Path

import pillow_heif
import pytest
from PIL import Image

from thatdam_pipelines.library.curation import Curation
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import MEDIA, PROBES
from thatdam_pipelines.media.boxes import XMP_BOX
from thatdam_pipelines.media.probe import probe_file
from thatdam_pipelines.media.probes import probe_batch
from thatdam_pipelines.media.xmp import write_xmp
from thatdam_pipelines.samples.damage import box
from thatdam_pipelines.samples.drops import ingest, write
from thatdam_pipelines.samples.good_files import run_ffmpeg

PICTURE = Image.new("RGB", (64, 48), "red")


def packet(**fields: object) -> bytes:
    return write_xmp(Curation("0" * 32, **fields))  # type: ignore[arg-type]


def exif(**texts: object) -> Image.Exif:
    made = Image.Exif()
    tags = {"description": 270, "copyright": 33432, "rating": 18246, "keywords": 40094}
    for name, value in texts.items():
        made[tags[name]] = str(value).encode("utf-16-le") if name == "keywords" else value
    return made


def iptc(*datasets: tuple[int, bytes]) -> bytes:
    return b"".join(b"\x1c\x02" + bytes([number]) + len(text).to_bytes(2, "big") + text for number, text in datasets)


def probed(library: Library, folder: Path) -> tuple[Curation, list[str]]:
    """What is said of the one picture of a folder after its probe, and the probe's warnings."""
    batch = ingest(library, folder)
    report = probe_batch(library, batch)
    assert report.failures == []
    (clip,) = library.tables.read(MEDIA, batch).filter(kind="image")["media_id"]
    return library.ledger.curation.get(clip), library.tables.read(PROBES, batch)["warnings"][0].to_list()


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "a.heic"])
def test_xmp_of_every_kind_of_still_is_read(library: Library, tmp_path: Path, name: str) -> None:
    pillow_heif.register_heif_opener()
    (tmp_path / "drop").mkdir()
    said = packet(rating=4, title="Kiss", tags=("place/Paris",), people=("Ada",))
    extra = {"tiffinfo": {700: said}} if name.endswith("tif") else {"xmp": said}
    if name.endswith("png"):
        from PIL.PngImagePlugin import PngInfo

        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", said.decode())
        extra = {"pnginfo": text}  # type: ignore[dict-item]
    PICTURE.save(tmp_path / "drop" / name, **extra)
    now, _ = probed(library, tmp_path / "drop")
    assert (now.rating, now.title, now.tags, now.people) == (4, "Kiss", ("place/Paris",), ("Ada",))
    assert now.sources["title"] == "embedded" and now.changed_by == str(tmp_path / "drop" / name)


def test_iptc_is_read_where_xmp_says_nothing_and_exif_where_neither_does(library: Library, tmp_path: Path) -> None:
    (tmp_path / "drop").mkdir()
    datasets = iptc((5, "Küste".encode()), (25, b"sea"), (25, b"caf\xe9"), (116, b"(c) Ada"))
    info = {33723: datasets, 700: packet(title="From XMP"), 270: "From EXIF", 33432: "(c) EXIF"}
    PICTURE.save(tmp_path / "drop" / "a.tif", tiffinfo=info)
    now, warnings = probed(library, tmp_path / "drop")
    assert (now.title, now.tags, now.licence, now.description) == ("From XMP", ("café", "sea"), "(c) Ada", "From EXIF")
    assert warnings == []


def test_exif_of_windows_is_read_and_what_cameras_write_is_not(library: Library, tmp_path: Path) -> None:
    (tmp_path / "drop").mkdir()
    written = exif(description="OLYMPUS DIGITAL CAMERA", rating=3, keywords="sea;sun")
    PICTURE.save(tmp_path / "drop" / "a.jpg", exif=written)
    now, _ = probed(library, tmp_path / "drop")
    assert (now.rating, now.tags, now.description) == (3, ("sea", "sun"), None)


def test_a_sidecar_outweighs_the_file_in_either_order(library: Library, tmp_path: Path) -> None:
    (tmp_path / "drop").mkdir()
    PICTURE.save(tmp_path / "drop" / "a.jpg", xmp=packet(rating=2, title="In the file"))
    write(tmp_path / "drop" / "a.xmp", packet(rating=5))
    now, _ = probed(library, tmp_path / "drop")
    assert (now.rating, now.title) == (5, "In the file")


def test_a_hostile_packet_costs_the_picture_nothing_but_a_warning(library: Library, tmp_path: Path) -> None:
    (tmp_path / "drop").mkdir()
    hostile = b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><x>&f;</x>'
    PICTURE.save(tmp_path / "drop" / "a.jpg", xmp=hostile, exif=exif(copyright="(c) Ada"))
    now, warnings = probed(library, tmp_path / "drop")
    assert now.licence == "(c) Ada" and any("document type" in warning for warning in warnings)


def film(tmp_path: Path) -> bytes:
    path = tmp_path / "made.mov"
    run_ffmpeg(["-f", "lavfi", "-i", "color=red:s=64x48:d=0.2", "-c:v", "prores_ks", str(path)])
    return path.read_bytes()


@pytest.mark.parametrize("place", ["uuid", "XMP_"])
def test_xmp_of_a_film_is_read_wherever_programs_write_it(tmp_path: Path, place: str) -> None:
    made, said = film(tmp_path), packet(rating=5, title="Kiss", tags=("place/Paris",), description="At last")
    if place == "uuid":
        made += box(b"uuid", XMP_BOX, said)
    else:
        at, texts = made.rindex(b"moov") - 4, box(b"udta", box(b"XMP_", said))
        size = int.from_bytes(made[at : at + 4])
        made = made[:at] + (size + len(texts)).to_bytes(4) + made[at + 4 : at + size] + texts + made[at + size :]
    now = probe_file(write(tmp_path / "clip.mov", made), "clip.mov").said
    assert now is not None
    assert (now.rating, now.title, now.tags, now.description) == (5, "Kiss", ("place/Paris",), "At last")


def test_a_film_with_damaged_xmp_says_so_and_is_read(tmp_path: Path) -> None:
    made = film(tmp_path) + box(b"uuid", XMP_BOX, b"<x:xmpmeta")
    probe = probe_file(write(tmp_path / "clip.mov", made), "clip.mov")
    assert probe.said is None and probe.video_codec == "prores"
    assert any("XMP cannot be read" in warning for warning in probe.warnings)


def test_what_is_written_into_a_raw_still_is_read_xmp_before_exif(tmp_path: Path) -> None:
    preview = io.BytesIO()
    PICTURE.save(preview, "JPEG")
    info = {700: packet(title="Kiss", tags=("place/Paris",)), 270: "By hand", 33432: "(c) Ada"}
    PICTURE.save(tmp_path / "raw.tif", tiffinfo=info)
    raw = (tmp_path / "raw.tif").read_bytes() + preview.getvalue()
    now = probe_file(write(tmp_path / "a.dng", raw), "a.dng").said
    assert now is not None
    assert (now.title, now.tags, now.description, now.licence) == ("Kiss", ("place/Paris",), "By hand", "(c) Ada")
