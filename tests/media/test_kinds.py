"""Kinds by signature and extension."""

import pytest

from thatdam_pipelines.media.kinds import extension_of, kind_of, signature_of

JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0"
MP4 = b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41"
MKV = b"\x1aE\xdf\xa3\x01\0\0\0\0\0\0#B\x86"


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("a.MP4", MP4, "video"),
        ("a.m4a", b"\0\0\0\x20ftypM4A \0\0\2\0isom", "audio"),
        ("a.jpg", JPEG, "image"),
        ("a.CR3", b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "image"),
        ("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "image"),
        ("a.mxf", b"\x06\x0e+4\x02\x05\x01\x01\r\x01\x02\x01\x01\x02\x04\0", "video"),
        ("a.mts", (b"\0\0\0\0\x47" + bytes(187)) * 6, "video"),
        ("a.insv", MP4, "video"),
        ("a.wav", b"RIFF\0\0\0\0WAVEfmt ", "audio"),
        ("a.gif", b"GIF89a", "image"),
        ("C0001M01.XML", b"<?xml version='1.0'?>", "sidecar"),
        ("GX010001.THM", JPEG, "sidecar"),
        ("photo.xmp", b"<x:xmpmeta", "sidecar"),
        ("card.mhl", b"<?xml", "sidecar"),
    ],
)
def test_usual_files(name: str, head: bytes, kind: str) -> None:
    assert kind_of(name, head) == kind


@pytest.mark.parametrize(("head", "kind"), [(MP4, "video"), (MKV, "video"), (JPEG, "image"), (b"fLaC\0", "audio")])
@pytest.mark.parametrize("name", ["noextension", "odd.xyz", ".hidden", "trailing."])
def test_media_without_a_known_extension_is_found_by_its_bytes(name: str, head: bytes, kind: str) -> None:
    assert kind_of(name, head) == kind


def test_a_picture_named_as_a_video_is_a_picture() -> None:
    assert kind_of("a.mp4", JPEG) == "image"
    assert kind_of("a.jpg", MP4) == "video"


@pytest.mark.parametrize("head", [b"", b"just some text\n", b"#EXTM3U\nfile.ts\n", b"PK\x03\x04"])
def test_a_media_extension_keeps_its_kind_so_that_the_probe_can_refuse_it(head: bytes) -> None:
    assert kind_of("a.mp4", head) == "video"


def test_what_says_nothing_is_unknown() -> None:
    assert kind_of("mystery", b"\x00\x01\x02\x03") == "unknown"
    assert kind_of("mystery.zzz", b"\x00\x01\x02\x03") == "unknown"


def test_a_text_of_an_unknown_extension_travels_as_a_sidecar() -> None:
    assert kind_of("README.first", b"hello\n") == "sidecar"


def test_a_playlist_travels_as_a_sidecar() -> None:
    assert kind_of("stream.m3u8", b"#EXTM3U\n") == "sidecar"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"#EXTM3U\n#EXT-X-VERSION:3\n", "playlist"),
        (b"\xef\xbb\xbf#EXTM3U\n", "playlist"),
        ("#EXTM3U\n".encode("utf-16"), "playlist"),
        (b"ffconcat version 1.0\nfile 'x'\n", "playlist"),
        (b"file '/etc/passwd'\n", "playlist"),
        (b"<?xml version='1.0'?>\n<MPD xmlns='urn'>", "playlist"),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n", "playlist"),
        (b"http://127.0.0.1/x.mp4\n", "playlist"),
        (b"WEBVTT\n\n", "text"),
        (b"1\n00:00:01,000 --> 00:00:02,000\nhello\n", "text"),
        (b"<svg xmlns=''>", "text"),
        (b"PK\x03\x04", "archive"),
        (b"%PDF-1.7", "document"),
    ],
)
def test_what_is_not_media_is_named(head: bytes, kind: str) -> None:
    found = signature_of(head)
    assert found is not None
    assert found.kind == kind


def test_extension_is_the_last_one_in_lower_case() -> None:
    assert extension_of("A.B.MOV") == "mov"
    assert extension_of(".bashrc") == ""
    assert extension_of("..mp4") == ""
    assert extension_of("name") == ""
