"""Bad files that point at other files and at addresses: playlists, scripts, references."""

import struct
from collections.abc import Iterator
from pathlib import Path

from thatdam_pipelines.samples import damage
from thatdam_pipelines.samples.good_files import GoodFiles, Spec


def pointing_elsewhere(good: GoodFiles, canary: Path, url: str) -> Iterator[Spec]:
    playlist = "is a playlist: playlists are not ingested as media"
    place = str(canary)
    hls = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{}\n#EXT-X-ENDLIST\n"
    scripts = {
        "hls-file.mp4": hls.format(place),
        "hls-http.mp4": hls.format(url + "a.ts"),
        "hls-concat.ts": hls.format(f"concat:{url}?|file://{place}"),
        "hls-key.mp4": '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="' + url + 'key"\n#EXTINF:1,\n' + place + "\n",
        "hls-bom.mp4": "\ufeff" + hls.format(place),
        "hls-spaces.mov": "\n\n   " + hls.format(place),
        "ffconcat.mp4": f"ffconcat version 1.0\nfile '{place}'\nfile '{url}a.mp4'\n",
        "concat.mov": f"file '{place}'\n",
        "manifest.mp4": f"<?xml version='1.0'?>\n<MPD xmlns='urn:mpeg:dash'><BaseURL>{url}</BaseURL></MPD>",
        "smooth.mp4": f"<SmoothStreamingMedia><c n='{url}'/></SmoothStreamingMedia>",
        "session.mp4": "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nm=video 5004 RTP/AVP 96\r\n",
        "redirect.wmv": f"<ASX version='3'><Entry><Ref href='{url}a.wmv'/></Entry></ASX>",
        "reference.asf": f"[Reference]\nRef1={url}a.asf\n",
        "smil.mov": f"<smil><body><video src='{place}'/></body></smil>",
        "rtsp.mov": f"RTSPtextRTSP://{url.split('//')[1]}a",
        "address.mp4": f"{url}a.mp4\n",
        "subfile.mp4": f"subfile,,start,0,end,0,,:{place}\n",
        "entries.mkv": f"[playlist]\nFile1={place}\n",
    }
    for name, script in scripts.items():
        says = "" if name == "subfile.mp4" else playlist
        yield name, script.encode(), "quarantined", "a script that points at another file", says, None
    texts = {
        "subtitles.mp4": "1\n00:00:01,000 --> 00:00:02,000\nhello\n",
        "script.mkv": f"[Script Info]\nTitle: x\nAudio File: {place}\n[Events]\n",
        "microdvd.avi": "{1}{25}hello\n{26}{50}" + place + "\n",
        "metadata.mp4": ";FFMETADATA1\ntitle=" + place + "\n",
    }
    for name, text in texts.items():
        yield name, text.encode(), "quarantined", "a subtitle or metadata text", "not video", None
    yield "list.m3u8", hls.format(place).encode(), "sidecar", "a playlist by its right name", "", None
    hidden = damage.id3(0) + hls.format(place).encode()
    yield "hls-after-tag.mp3", hidden, "quarantined", "a playlist behind an ID3 tag", "", None
    ftyp = damage.box(b"ftyp", b"qt  \0\0\0\0qt  ")
    address = damage.box(b"rdrf", bytes(4), b"url ", struct.pack(">I", len(url) + 1), url.encode() + b"\0")
    redirect = ftyp + damage.box(b"moov", damage.box(b"rmra", damage.box(b"rmda", address)))
    yield "reference-movie.mov", redirect, "quarantined", "a QuickTime file that refers to an address", "", None
    says = "its frames are in another file"
    for name, elsewhere in (("external.mov", place), ("external-http.mov", url + "a.mov")):
        entry = damage.box(b"url ", bytes(4), elsewhere.encode() + b"\0")
        yield name, _with_reference(good.mov, entry), "quarantined", "frames in another file", says, None
    alias = damage.box(b"alis", bytes(4), bytes(150) + place.encode() + bytes(8))
    yield "alias.mov", _with_reference(good.mov, alias), "quarantined", "frames behind an alias", says, None
    at = good.mkv.index(b"\x7b\xa9\xbc" + b"T" * 60)
    target = place.encode()[-59:].rjust(59, b"/")
    linked = good.mkv[:at] + b"\x3e\x83\xbb\xbb" + target + good.mkv[at + 63 :]
    yield "linked.mkv", linked, "ingested", "its segment names a next file", "", "video"


def _with_reference(movie: bytes, entry: bytes) -> bytes:
    """A MOV, index last, whose tracks all say that their samples are elsewhere."""
    reference = damage.box(b"dref", bytes(4), struct.pack(">I", 1), entry)
    (start, _), *_ = damage.box_places(movie, b"moov")
    return movie[: start - 8] + _replaced(movie[start - 8 :], b"dref", reference)


def _replaced(data: bytes, kind: bytes, new: bytes) -> bytes:
    """Boxes with every box of a type replaced, and the sizes of the boxes around it made right."""
    made = b""
    start = 0
    while start + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, start)
        body = data[start + 8 : start + size]
        if name == kind:
            made += new
        elif name in damage.CONTAINER_BOXES:
            made += damage.box(name, _replaced(body, kind, new))
        else:
            made += data[start : start + size]
        start += size
    return made
