"""Bad files whose headers lie, or hold too much or too little."""

import random
import struct
import zlib
from collections.abc import Iterator

from thatdam_pipelines.samples import damage
from thatdam_pipelines.samples.good_files import GoodFiles, Spec


def lying_movies(good: GoodFiles) -> Iterator[Spec]:
    ten_hours = damage.claiming_hours(good.mp4, 10)
    yield "ten-hours.mp4", ten_hours, "ingested", "header claims 10 hours", "its header claims 36000.0 s", "video"
    yield (
        "ten-hours.mov",
        damage.claiming_hours(good.mov, 10),
        "ingested",
        "claims 10 hours",
        "its header claims",
        "video",
    )
    at = good.mkv.index(b"\x44\x89\x88") + 3
    hours = good.mkv[:at] + struct.pack(">d", 36_000_000.0) + good.mkv[at + 8 :]
    yield "ten-hours.mkv", hours, "ingested", "header claims 10 hours", "its header claims", "video"
    huge = damage.claiming_size(good.mp4, 60000, 60000)
    yield "huge.mp4", huge, "ingested", "header claims 60000x60000", "its header claims 60000x60000", "video"
    y4m = b"YUV4MPEG2 W60000 H60000 F25:1 C420jpeg\nFRAME\n" + bytes(5000)
    yield "huge.y4m", y4m, "quarantined", "header claims 60000x60000", "can", None
    size = struct.pack(">H", 60000)
    raw = good.raw_mkv.replace(b"\xb0\x82\x01\x40\xba\x82\x01\x40", b"\xb0\x82" + size + b"\xba\x82" + size)
    yield "huge.mkv", raw, "quarantined", "header claims 60000x60000", "no picture of a size that can be read", None
    strange = good.mov.replace(b"avc1", b"brst").replace(b"avcC", b"free")
    yield "strange-codec.mov", strange, "ingested", "a codec nobody knows", "cannot be decoded here", "video"
    avi = good.avi.index(b"strf") + 12
    wide = good.avi[:avi] + struct.pack("<ii", 60000, 60000) + good.avi[avi + 8 :]
    yield "huge.avi", wide, "either", "header claims 60000x60000", "", None
    negative = damage.patched(good.mp4, b"mdhd", 16, b"\xff\xff\xff\xf0")
    yield "negative-duration.mp4", negative, "ingested", "a negative duration", "", "video"
    yield "no-timescale.mp4", damage.patched(good.mp4, b"mdhd", 12, bytes(4)), "either", "a clock of 0 Hz", "", None
    many = damage.patched(good.mp4, b"stsz", 4, struct.pack(">II", 0, 2**31 - 1))
    yield "two-billion-samples.mp4", many, "quarantined", "claims 2^31 samples", "samples, more than", None
    sized = damage.patched(good.mp4, b"stsz", 4, struct.pack(">II", 1, 2**32 - 1))
    yield "four-billion-samples.mp4", sized, "quarantined", "claims 2^32 samples", "samples, more than", None
    durations = damage.patched(good.mp4, b"stts", 4, struct.pack(">I", 2**29))
    yield "many-durations.mp4", durations, "quarantined", "claims 2^29 durations", "frame durations", None
    yield (
        "many-chunks.mp4",
        damage.patched(good.mp4, b"stco", 4, b"\x1f\xff\xff\xff"),
        "either",
        "2^29 chunks",
        "",
        None,
    )
    start = good.mp4.index(b"moov") - 4
    yield (
        "moov-too-large.mp4",
        good.mp4[:start] + b"\x7f\xff\xff\xff" + good.mp4[start + 4 :],
        "quarantined",
        "moov of 2 GB",
        "",
        None,
    )
    nested = b""
    for _ in range(5000):
        nested = damage.box(b"moov", nested)
    yield (
        "nested.mp4",
        damage.box(b"ftyp", b"isom\0\0\0\0") + nested,
        "quarantined",
        "5,000 boxes in one another",
        "",
        None,
    )
    at = good.avi.index(b"idx1") + 8
    index = good.avi[:at] + bytes(byte ^ 0xA5 for byte in good.avi[at:])
    yield "odd-index.avi", index, "ingested", "its index is nonsense", "", "video"
    at = good.mkv.index(b"\x1f\x43\xb6\x75") + 4
    yield (
        "odd-cluster.mkv",
        good.mkv[:at] + b"\x01" + b"\xfe" * 7 + good.mkv[at + 8 :],
        "either",
        "odd cluster size",
        "",
        None,
    )


def lying_stills(good: GoodFiles) -> Iterator[Spec]:
    too_many = "more than the 300,000,000"
    yield "huge.png", damage.png(60000, 60000), "quarantined", "claims 60000x60000", too_many, None
    yield "largest.png", damage.png(2**31 - 1, 2**31 - 1), "quarantined", "claims 2^31 x 2^31", "", None
    yield "huge.jpg", damage.jpeg_claiming(good.jpg, 65500, 65500), "quarantined", "claims 65500x65500", too_many, None
    gif = good.gif[:6] + struct.pack("<HH", 65535, 65535) + good.gif[10:]
    yield "huge.gif", gif, "quarantined", "claims 65535x65535", too_many, None
    yield "huge.bmp", damage.bmp(60000, 60000), "quarantined", "claims 60000x60000", too_many, None
    yield "upside-down.bmp", damage.bmp(60000, -60000), "quarantined", "claims 60000x-60000", "", None
    entries = [(256, 4, 1, 60000), (257, 4, 1, 60000), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8)]
    huge = damage.tiff_of_entries([*entries, (277, 3, 1, 1), (279, 4, 1, 2**31)])
    yield "huge.tif", huge, "quarantined", "claims 60000x60000", too_many, None
    yield "huge.dng", huge, "quarantined", "claims 60000x60000, no preview", "without a preview", None
    loop = damage.tiff_of_entries([(256, 4, 1, 64), (257, 4, 1, 64), (330, 4, 1, 8)], next_directory=8)
    yield "loop.tif", loop, "quarantined", "its directories are a loop", "", None
    yield "loop.nef", loop, "quarantined", "its directories are a loop", "without a preview", None
    heads = damage.tiff_of_entries([(n, 4, 2**30, 8) for n in range(254, 754)])
    yield "long-values.cr2", heads + bytes(400), "quarantined", "500 values of 4 GB each", "without a preview", None
    yield "no-strips.tif", damage.tiff_of_entries(entries[:2]), "quarantined", "no picture in it", "", None
    exif = damage.tiff_of_entries([(1000 + n, 2, 100, 8) for n in range(5000)])
    yield "many-tags.jpg", damage.jpeg_with_exif(good.jpg, exif[:65000]), "ingested", "5,000 EXIF tags", "", "image"
    bomb = zlib.compress(bytes(2**28), 9)
    icc = damage.png_chunk(b"iCCP", b"profile\0\0" + bomb)
    yield "icc-bomb.png", damage.png(1, 1, icc), "either", "a colour profile of 256 MB", "", None
    text = damage.png_chunk(b"zTXt", b"Comment\0\0" + bomb)
    yield "text-bomb.png", damage.png(1, 1, text), "either", "a comment of 256 MB", "", None
    ftyp = damage.box(b"ftyp", b"heic\0\0\0\0mif1heic")
    garbage = random.Random(3).randbytes(5000)
    yield "garbage.heic", ftyp + garbage, "quarantined", "random bytes after its first box", "", None
    yield "garbage.avif", ftyp.replace(b"heic", b"avif") + garbage, "quarantined", "random bytes", "", None
    yield "garbage.cr3", damage.box(b"ftyp", b"crx \0\0\0\1crx isom") + garbage, "quarantined", "random bytes", "", None
    meta = damage.box(b"meta", bytes(4), damage.box(b"iloc", b"\xff" * 3000))
    yield "lying-iloc.heic", ftyp + meta, "quarantined", "places of items are nonsense", "", None
    webp = b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\xff\xff" * 2
    yield "huge.webp", webp, "quarantined", "claims 16777216x16777216", "", None


def lying_sounds(good: GoodFiles) -> Iterator[Spec]:
    sound = good.wav[-8000:]
    yield "four-gigabytes.wav", damage.wav(2**32 - 1, sound), "ingested", "claims 4 GB of sound", "", "audio"
    yield (
        "no-channels.wav",
        damage.wav(8000, sound).replace(b"\x01\0\x01\0", b"\x01\0\0\0", 1),
        "either",
        "0 channels",
        "",
        None,
    )
    yield "large-tag.mp3", damage.id3(200 * 2**20) + good.mp3, "either", "an ID3 tag that claims 200 MB", "", None
    garbage = damage.id3(1000) + bytes(1000) + random.Random(4).randbytes(4000)
    yield "garbage.mp3", garbage, "either", "garbage after an ID3 tag", "", None


def without_streams(good: GoodFiles) -> Iterator[Spec]:
    ftyp = damage.box(b"ftyp", b"isom\0\0\2\0isom")
    (start, end), *_ = damage.box_places(good.mp4, b"mvhd")
    header = damage.box(b"moov", good.mp4[start - 8 : end])
    media = damage.box(b"mdat", bytes(1000))
    yield "no-tracks.mp4", ftyp + header + media, "quarantined", "no track", "", None
    yield "no-media.mp4", ftyp + header, "quarantined", "no track and no data", "holds no frames", None
    yield (
        "no-tracks.mkv",
        b"\x1aE\xdf\xa3\x8fB\x82\x88matroskaB\x87\x81\x04\x18\x53\x80\x67\x80",
        "quarantined",
        "no track",
        "",
        None,
    )
    yield "sound-only.mov", good.m4a, "ingested", "sound alone, named .mov", "", "audio"
    yield "sound-only.mp4", good.wav, "ingested", "a WAV named .mp4", "", "audio"
    samples = damage.patched(good.mp4, b"stsz", 4, bytes(8))
    yield "no-samples.mp4", samples, "either", "tables without a sample", "", None


def too_much_of_something(good: GoodFiles) -> Iterator[Spec]:
    yield "thousand-tracks.mp4", damage.with_tracks(good.mp4, 1000), "either", "1,000 tracks", "", None
    yield "many-tracks.mp4", damage.with_tracks(good.mp4, 40), "ingested", "40 tracks", "", "video"
    forged = good.mkv.replace(
        b"T" * 60, b"\n  Stream #0:9: Video: forged, yuv420p, 9999x9999, 1 fps   \x00\x01\x02"[:60].ljust(60)
    )
    yield "forged-title.mkv", forged, "ingested", "a title that imitates ffmpeg's messages", "", "video"
    yield (
        "garbage-after.mp4",
        good.faststart + random.Random(8).randbytes(200_000),
        "ingested",
        "garbage at its end",
        "",
        "video",
    )
    yield "two-in-one.mp4", good.mp4 + good.mp4, "ingested", "two files in one", "", "video"
