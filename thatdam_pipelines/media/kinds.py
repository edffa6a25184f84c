"""What kind of file it is, by the first bytes and the name: nothing is decoded and nothing else is read."""

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["video", "audio", "image", "sidecar", "unknown"]

HEAD_BYTES = 4096
"""As many first bytes as the signatures below look at."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


VIDEO_EXTENSIONS = _words(
    """
    mp4 mov mkv avi wmv flv webm m4v mxf mts m2ts m2t r3d braw insv lrv 3gp 3g2 ts tod mod mpg mpeg m1v m2v mpv mpe
    vob dv dif asf ogv ogm qt f4v divx xvid rm rmvb gxf nut mjpg mjpeg h264 264 avc h265 265 hevc av1 obu ivf y4m
    wtv dvr-ms 360 glv trp tp amv mj2 crm rmf
    """
)
AUDIO_EXTENSIONS = _words(
    """
    mp3 wav wave bwf rf64 w64 aac flac ogg oga opus m4a m4b aif aiff aifc caf wma amr ac3 eac3 dts ape wv mka mp2
    mpa au snd dsf dff tta spx
    """
)
RAW_EXTENSIONS = _words(
    """
    dng cr2 cr3 nef nrw arw srf sr2 orf rw2 raf pef srw gpr 3fr fff iiq rwl dcr kdc erf
    """
)
IMAGE_EXTENSIONS = RAW_EXTENSIONS | _words(
    """
    jpg jpeg jpe jfif png apng gif bmp dib tif tiff webp heic heif hif avif jp2 j2k insp mpo psd tga
    """
)
SIDECAR_EXTENSIONS = _words(
    """
    xml thm xmp srt vtt sub idx ass ssa scc stl ttml edl ale fcpxml fcpxmld otio aaf mhl ascmhl cpi bdm mpl bim ind
    tdt tid bup ifo smi ppn bnp csv tsv json jsonl yaml yml txt md rtf pdf dat log md5 sha1 sha256 sha512 xxh xxh64
    xxh128 c4 sfv url html htm doc docx xls xlsx ppt pptx odt ods odp pages numbers key svg lut cube 3dl cdl cc ccc
    clf amf look vlt rmd rsx rdc rdm gpx kml fit nmea gcsv bin cfg conf ini plist db sqlite lock aae pek sesx prproj
    drp drt dra ctg sav lfm m3u m3u8 mpd pls xspf asx wax wvx ram sdp ffconcat ism cue nfo
    """
)
_SIGNATURE_DECIDES = frozenset({"dat", "bin"})
"""Names that say nothing: a video CD's .dat is MPEG, a camera's is its own business."""


@dataclass(frozen=True)
class Signature:
    """What the first bytes say.

    Args:
        kind: video, audio or image; or, for what is not media, playlist, text, archive, document or program.
        format: Short name: ``mov``, ``matroska``, ``jpeg``, ...
        label: As a clause for people: ``a JPEG picture``.
    """

    kind: Literal["video", "audio", "image", "playlist", "text", "archive", "document", "program"]
    format: str
    label: str

    @property
    def is_media(self) -> bool:
        return self.kind in ("video", "audio", "image")


_MAGIC: tuple[tuple[int, bytes, Signature], ...] = (
    (0, b"\xff\xd8\xff", Signature("image", "jpeg", "a JPEG picture")),
    (0, b"\x89PNG\r\n\x1a\n", Signature("image", "png", "a PNG picture")),
    (0, b"GIF87a", Signature("image", "gif", "a GIF picture")),
    (0, b"GIF89a", Signature("image", "gif", "a GIF picture")),
    (0, b"II*\0", Signature("image", "tiff", "a TIFF picture")),
    (0, b"MM\0*", Signature("image", "tiff", "a TIFF picture")),
    (0, b"II+\0", Signature("image", "tiff", "a BigTIFF picture")),
    (0, b"MM\0+", Signature("image", "tiff", "a BigTIFF picture")),
    (0, b"IIRO", Signature("image", "orf", "an Olympus raw still")),
    (0, b"IIRS", Signature("image", "orf", "an Olympus raw still")),
    (0, b"MMOR", Signature("image", "orf", "an Olympus raw still")),
    (0, b"IIU\0", Signature("image", "rw2", "a Panasonic raw still")),
    (0, b"FUJIFILMCCD-RAW", Signature("image", "raf", "a Fujifilm raw still")),
    (0, b"8BPS", Signature("image", "psd", "a Photoshop picture")),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", Signature("image", "jp2", "a JPEG 2000 picture")),
    (0, b"\xffO\xffQ", Signature("image", "jp2", "a JPEG 2000 picture")),
    (0, b"\x1aE\xdf\xa3", Signature("video", "matroska", "a Matroska file")),
    (0, b"0&\xb2u\x8ef\xcf\x11", Signature("video", "asf", "a Windows Media file")),
    (0, b"FLV\x01", Signature("video", "flv", "a Flash video")),
    (0, b"\0\0\x01\xba", Signature("video", "mpeg", "an MPEG programme stream")),
    (0, b"\0\0\x01\xb3", Signature("video", "mpegvideo", "an MPEG video stream")),
    (0, b"\x1f\x07\0", Signature("video", "dv", "a DV video")),
    (0, b".RMF", Signature("video", "rm", "a RealMedia file")),
    (0, b"YUV4MPEG2 ", Signature("video", "yuv4mpegpipe", "a YUV4MPEG video")),
    (0, b"DKIF", Signature("video", "ivf", "an IVF video")),
    (4, b"RED1", Signature("video", "r3d", "a RED clip")),
    (4, b"RED2", Signature("video", "r3d", "a RED clip")),
    (0, b"fLaC", Signature("audio", "flac", "a FLAC sound")),
    (0, b"ID3", Signature("audio", "mp3", "an MP3 sound")),
    (0, b"caff", Signature("audio", "caf", "a Core Audio file")),
    (0, b".snd", Signature("audio", "au", "a Sun sound file")),
    (0, b"#!AMR", Signature("audio", "amr", "an AMR sound")),
    (0, b"MAC ", Signature("audio", "ape", "a Monkey's Audio sound")),
    (0, b"wvpk", Signature("audio", "wv", "a WavPack sound")),
    (0, b"DSD ", Signature("audio", "dsf", "a DSD sound")),
    (0, b"TTA1", Signature("audio", "tta", "a True Audio sound")),
    (0, b"\x0b\x77", Signature("audio", "ac3", "an AC-3 sound")),
    (0, b"riff.\x91\xcf\x11", Signature("audio", "w64", "a Wave64 sound")),
    (0, b"PK\x03\x04", Signature("archive", "zip", "a zip archive")),
    (0, b"PK\x05\x06", Signature("archive", "zip", "a zip archive")),
    (0, b"Rar!", Signature("archive", "rar", "a rar archive")),
    (0, b"7z\xbc\xaf\x27\x1c", Signature("archive", "7z", "a 7-Zip archive")),
    (0, b"\x1f\x8b", Signature("archive", "gzip", "a gzip archive")),
    (0, b"BZh", Signature("archive", "bzip2", "a bzip2 archive")),
    (0, b"\xfd7zXZ\0", Signature("archive", "xz", "an xz archive")),
    (0, b"(\xb5/\xfd", Signature("archive", "zstd", "a zstd archive")),
    (257, b"ustar", Signature("archive", "tar", "a tar archive")),
    (0, b"%PDF", Signature("document", "pdf", "a PDF document")),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Signature("document", "ole", "an Office document")),
    (0, b"{\\rtf", Signature("document", "rtf", "an RTF document")),
    (0, b"SQLite format 3\0", Signature("document", "sqlite", "a database")),
    (0, b"\x7fELF", Signature("program", "elf", "a program")),
    (0, b"v/1\x01", Signature("document", "exr", "an OpenEXR picture, which is not supported")),
    (0, b"SDPX", Signature("document", "dpx", "a DPX picture, which is not supported")),
    (0, b"XPDS", Signature("document", "dpx", "a DPX picture, which is not supported")),
)

_MOV_ATOMS = frozenset(
    {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"moof", b"styp", b"uuid", b"pict"}
)
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"mif2"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_SOUND_BRANDS = frozenset({b"M4A ", b"M4B ", b"M4P "})
_MXF_KEY = b"\x06\x0e+4\x02\x05\x01\x01\r\x01\x02\x01\x01"

_PLAYLIST = re.compile(
    rb"\A\s*(#EXTM3U|#EXT-X|ffconcat\s|file\s+['\"\\/\w]|\[playlist\]|\[reference\]|rtsptext|<asx\b|<smil\b|<wpl\b"
    rb"|(<\?xml[^>]*>)?\s*(<!--.*?-->\s*)*<(MPD|SmoothStreamingMedia|playlist|manifest|smil|asx)\b"
    rb"|v=0\r?\no=|(https?|rtsp|rtmp|file|ftp|concat|subfile|data):)",
    re.IGNORECASE | re.DOTALL,
)
_SUBTITLES = re.compile(
    rb"\A\s*(WEBVTT|\[Script Info\]|\{\d+\}\{\d*\}|\d+\s*\r?\n\d\d:\d\d:\d\d[,.]\d+\s*-->|<SAMI"
    rb"|\d\d:\d\d:\d\d[:.,]\d\d)",
    re.IGNORECASE,
)


def signature_of(head: bytes) -> Signature | None:
    """What the first ``HEAD_BYTES`` of a file are, or None when they say nothing known."""
    for offset, magic, signature in _MAGIC:
        if head.startswith(magic, offset):
            return signature
    return _container_signature(head) or _stream_signature(head) or _text_signature(head)


def extension_of(name: str) -> str:
    """Extension in lower case without its dot; '' when the name has none (``.hidden`` has none)."""
    base, dot, extension = name.rpartition(".")
    return extension.lower() if dot and base.strip(".") else ""


def kind_of(name: str, head: bytes) -> Kind:
    """Kind of a file: by its first bytes where they are clear, else by its extension.

    A sidecar's extension wins over its bytes (a ``.thm`` is a JPEG). A media extension over bytes that are no media
    keeps its kind: the probe refuses the file with the reason. A document of an extension not known here is a sidecar.

    Args:
        name: File name, as text.
        head: The first ``HEAD_BYTES`` of the content, or all of it if it is shorter.
    """
    extension = extension_of(name)
    if extension in SIDECAR_EXTENSIONS and extension not in _SIGNATURE_DECIDES:
        return "sidecar"
    by_extension = kind_of_extension(extension)
    signature = signature_of(head)
    if signature is None:
        return by_extension
    if signature.kind in ("video", "audio"):
        return by_extension if by_extension in ("video", "audio") else signature.kind
    if signature.kind == "image":
        return "image"
    return "sidecar" if by_extension == "unknown" and extension and signature.kind == "text" else by_extension


def kind_of_extension(extension: str) -> Kind:
    """Kind of a file by its extension alone, as ``extension_of`` gives it."""
    if extension in VIDEO_EXTENSIONS:
        return "video"
    if extension in AUDIO_EXTENSIONS:
        return "audio"
    if extension in IMAGE_EXTENSIONS:
        return "image"
    return "sidecar" if extension in SIDECAR_EXTENSIONS else "unknown"


def _container_signature(head: bytes) -> Signature | None:
    form = head[8:12]
    if head[:4] in (b"RIFF", b"RF64", b"BW64"):
        if form == b"AVI ":
            return Signature("video", "avi", "an AVI file")
        if form == b"WAVE":
            return Signature("audio", "wav", "a WAV sound")
        if form == b"WEBP":
            return Signature("image", "webp", "a WebP picture")
    if head[:4] == b"FORM" and form in (b"AIFF", b"AIFC"):
        return Signature("audio", "aiff", "an AIFF sound")
    if head[:4] == b"OggS":
        moving = b"\x80theora" in head or b"\x01video" in head
        return Signature("video", "ogg", "an Ogg video") if moving else Signature("audio", "ogg", "an Ogg sound")
    if head[4:8] in _MOV_ATOMS:
        return _mov_signature(head)
    if _MXF_KEY in head:
        return Signature("video", "mxf", "an MXF file")
    if (
        head[:2] == b"BM"
        and head[6:10] == b"\0\0\0\0"
        and head[14:18] in (b"\x0c\0\0\0", b"(\0\0\0", b"l\0\0\0", b"|\0\0\0")
    ):
        return Signature("image", "bmp", "a BMP picture")
    return None


def _mov_signature(head: bytes) -> Signature:
    brand = head[8:12] if head[4:8] == b"ftyp" else b""
    compatible = {head[at : at + 4] for at in range(16, min(int.from_bytes(head[:4], "big"), len(head), 256), 4)}
    if brand == b"crx ":
        return Signature("image", "cr3", "a Canon raw still")
    if brand in _AVIF_BRANDS or (brand == b"mif1" and compatible & _AVIF_BRANDS):
        return Signature("image", "avif", "an AVIF picture")
    if brand in _HEIF_BRANDS:
        return Signature("image", "heic", "a HEIF picture")
    if brand in _SOUND_BRANDS:
        return Signature("audio", "mov", "an MPEG-4 sound")
    return Signature("video", "mov", "a QuickTime or MP4 file")


def _stream_signature(head: bytes) -> Signature | None:
    for packet, offset in ((188, 0), (192, 4), (204, 0)):
        if len(head) > offset + 4 * packet and all(head[offset + n * packet] == 0x47 for n in range(5)):
            return Signature("video", "mpegts", "an MPEG transport stream")
    if re.match(rb"\0?\0\0\x01[\x67\x27\x09\x40\x42\x46]", head):
        return Signature("video", "h26x", "a raw video stream")
    if re.match(rb"\xff[\xf0\xf1\xf8\xf9][\x40-\x80]", head):
        return Signature("audio", "aac", "an AAC sound")
    if re.match(rb"\xff[\xfa\xfb\xf2\xf3\xe2\xe3][\x10-\xeb]", head):
        return Signature("audio", "mp3", "an MP3 sound")
    return None


def _text_signature(head: bytes) -> Signature | None:
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        head = head.decode("utf-16", "ignore").encode()
    head = head.removeprefix(b"\xef\xbb\xbf")
    if not head or re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]", head):
        return None
    try:
        head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return None
    if _PLAYLIST.match(head):
        return Signature("playlist", "playlist", "a playlist")
    if _SUBTITLES.match(head):
        return Signature("text", "subtitles", "a subtitle file")
    if head.lstrip()[:1] == b"<":
        return Signature("text", "xml", "an XML or HTML text")
    return Signature("text", "text", "a text")
