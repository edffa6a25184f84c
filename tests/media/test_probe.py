"""What a probe finds in files with streams, against files made to have it."""

import struct
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import imageio_ffmpeg
import pytest

from thatdam_pipelines.library.schemas import PROBES, STREAMS
from thatdam_pipelines.media.containers import demuxing, reading
from thatdam_pipelines.media.dump import parse_dump
from thatdam_pipelines.media.facts import Probe, StreamFacts
from thatdam_pipelines.media.formats import bit_depth_of, channels_of
from thatdam_pipelines.media.h264 import read_sequence
from thatdam_pipelines.media.metadata import log_profile_of, read_date, read_iso_6709
from thatdam_pipelines.media.probe import Limits, probe_file
from thatdam_pipelines.media.streams import probe_printed
from thatdam_pipelines.media.timecode import read_timecode
from thatdam_pipelines.samples.damage import box, box_places
from thatdam_pipelines.samples.good_files import run_ffmpeg

PICTURE = ["-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=1"]
NTSC = ["-f", "lavfi", "-i", "testsrc2=s=160x90:r=30000/1001:d=1"]
SOUND = ["-f", "lavfi", "-i", "sine=d=1:r=48000"]
H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
H265 = ["-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-tag:v", "hvc1"]

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make a file with ffmpeg from arguments, the last of which is its name."""

    def run(*arguments: str) -> Path:
        target = tmp_path / arguments[-1]
        run_ffmpeg([*arguments[:-1], str(target)])
        return target

    return run


def probed(path: Path, name: str | None = None) -> Probe:
    return probe_file(path, name or path.name)


def test_a_probe_has_exactly_the_columns_of_its_table() -> None:
    common = {"media_id", "batch_id", "recipe"}
    probe = Probe("video", "mov", "video/quicktime", streams=[StreamFacts(0, "video")])
    assert set(probe.row()) | common == {column.name for column in PROBES.columns}
    assert set(probe.stream_rows()[0]) | common == {column.name for column in STREAMS.columns}


def test_a_camera_clip_tells_all_its_facts(make: Make) -> None:
    tags = ["-metadata", "make=Sony", "-metadata", "model=FX3", "-metadata", "location=+48.8577+002.2950+035.0/"]
    tags += ["-metadata", "creation_time=2024-05-06T07:08:09Z", "-timecode", "01:00:00;02"]
    probe = probed(make(*NTSC, *SOUND, *H264, *tags, "-ac", "2", "clip.mov"))
    assert (probe.kind, probe.container, probe.mime) == ("video", "mov", "video/quicktime")
    assert (probe.video_codec, probe.pixel_format, probe.bit_depth) == ("h264", "yuv420p", 8)
    assert (probe.width, probe.height, probe.rotation_deg) == (160, 90, 0)
    assert (probe.sample_aspect, probe.display_aspect) == ("1:1", "16:9")
    assert (probe.frame_rate, probe.is_vfr, probe.frames) == ("30000/1001", False, 30)
    assert probe.duration_s == pytest.approx(1.001, abs=0.03)
    assert probe.average_rate_fps == pytest.approx(29.97, abs=0.01)
    assert (probe.timecode, probe.drop_frame) == ("01:00:00;02", True)
    assert probe.created_utc == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert (probe.camera_make, probe.camera_model) == ("Sony", "FX3")
    assert (probe.latitude_deg, probe.longitude_deg, probe.altitude_m) == (48.8577, 2.295, 35.0)
    assert (probe.audio_codec, probe.audio_channels, probe.audio_layout) == ("aac", 2, "stereo")
    assert (probe.audio_rate_hz, probe.has_audio, probe.hdr, probe.interlace) == (48000, True, "sdr", "progressive")
    assert [stream.type for stream in probe.streams] == ["video", "audio", "data"]
    assert probe.warnings == []


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_clockwise_and_turns_the_display_size(make: Make, degrees: int) -> None:
    upright = make(*PICTURE, *H264, "upright.mp4")
    # ffmpeg counts counter-clockwise.
    turned = make("-display_rotation", str(-degrees), "-i", str(upright), "-c", "copy", "turned.mp4")
    probe = probed(turned)
    assert probe.rotation_deg == degrees
    shown = (160, 90) if degrees == 180 else (90, 160)
    assert (probe.display_width, probe.display_height) == shown
    assert (probe.width, probe.height) == (160, 90)


def test_sample_aspect_and_field_order_of_old_video(make: Make) -> None:
    fields = ["-vf", "interlace,setsar=16/11", "-flags", "+ildct+ilme", "-x264-params", "tff=1"]
    probe = probed(make("-f", "lavfi", "-i", "testsrc2=s=720x576:r=50:d=0.4", *fields, *H264, "pal.mp4"))
    assert probe.interlace == "tff"
    assert (probe.sample_aspect, probe.display_aspect) == ("16:11", "20:11")
    assert (probe.display_width, probe.display_height) == (1047, 576)


@pytest.mark.parametrize(
    ("parameters", "kind"),
    [
        ("colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc", "hlg"),
        ("colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc", "pq"),
        (
            "hdr10=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:max-cll=1000,400:"
            "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)",
            "hdr10",
        ),
        ("colorprim=bt709:transfer=bt709:colormatrix=bt709", "sdr"),
    ],
)
def test_hdr_kind(make: Make, parameters: str, kind: str) -> None:
    probe = probed(make(*PICTURE, *H265, "-x265-params", f"log-level=none:{parameters}", "hdr.mp4"))
    assert probe.hdr == kind
    assert probe.bit_depth == 10
    assert probe.color_primaries == ("bt709" if kind == "sdr" else "bt2020")


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_variable_frame_rate_is_seen(make: Make, container: str) -> None:
    dropped = ["-vf", "select='not(between(mod(n,10),3,5))'", "-fps_mode", "vfr"]
    probe = probed(make(*PICTURE, *dropped, *H264, f"vfr.{container}"))
    assert probe.is_vfr is True
    assert probe.average_rate_fps == pytest.approx(17.5, rel=0.1)


@pytest.mark.parametrize("name", ["cfr.mkv", "cfr.mp4", "cfr.ts", "cfr.mxf", "cfr.avi", "cfr.mov"])
def test_constant_frame_rate_is_no_variable_one_whatever_the_clock_of_the_container(make: Make, name: str) -> None:
    codec = ["-c:v", "mpeg2video"] if name.endswith("mxf") else H264
    probe = probed(make(*NTSC, *codec, name))
    assert probe.is_vfr is False
    assert probe.frame_rate == "30000/1001"


@pytest.mark.parametrize(
    ("name", "text", "drop"),
    [("a.mov", "10:20:30:04", False), ("a.mxf", "01:00:00;00", True), ("a.mkv", "01:00:00;00", True)],
)
def test_timecode_of_each_container(make: Make, name: str, text: str, drop: bool) -> None:
    codec = ["-c:v", "mpeg2video"] if name.endswith("mxf") else H264
    probe = probed(make(*NTSC, *codec, "-timecode", text, name))
    assert (probe.timecode, probe.drop_frame) == (text, drop)


@pytest.mark.parametrize(
    "pixels",
    [
        "yuv420p",
        "yuvj420p",
        "yuv422p",
        "yuv444p",
        "gray",
        "yuv420p10le",
        "yuv422p10le",
        "yuv444p10le",
        "gray10le",
    ],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_what_a_parameter_set_says_is_what_a_decoder_says(make: Make, pixels: str, name: str) -> None:
    colours = "colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc"
    encode = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", pixels, "-x264-params", colours]
    path = make(*PICTURE, "-vf", "setsar=12/11", *encode, name)
    with reading(path, name) as file, demuxing(file, 20, 10**9) as container:
        decoded = container.streams.video[0].codec_context
        wanted = decoded.pix_fmt, decoded.color_range, decoded.color_primaries, decoded.color_trc, decoded.colorspace
        sequence = read_sequence(decoded.extradata)
    assert sequence is not None
    levels = {None: 0, False: 1, True: 2}
    said = sequence.pixel_format, levels[sequence.full_range], sequence.primaries, sequence.transfer, sequence.matrix
    assert said == wanted
    probe = probed(path)
    assert (probe.pixel_format, probe.sample_aspect, probe.hdr) == (wanted[0], "12:11", "hlg")


def test_rgb_in_h264_is_recognised(make: Make) -> None:
    probe = probed(make(*PICTURE, "-c:v", "libx264rgb", "-preset", "ultrafast", "-pix_fmt", "rgb24", "rgb.mp4"))
    assert (probe.pixel_format, probe.bit_depth) == ("gbrp", 8)


@pytest.mark.parametrize(
    "data", [None, b"", b"\1", b"\1\x64\0\x1f\xff\xe1\0\x04\x67\x64\0\x1f", b"\0\0\1\x67", bytes(100)]
)
def test_a_damaged_parameter_set_says_nothing(data: bytes | None) -> None:
    assert read_sequence(data) is None


def test_cover_art_is_no_video(make: Make) -> None:
    cover = make("-f", "lavfi", "-i", "color=red:s=64x64", "-frames:v", "1", "cover.jpg")
    sound = make(
        *SOUND, "-i", str(cover), "-map", "0", "-map", "1", "-c:v", "copy", "-disposition:v", "attached_pic", "a.mp3"
    )
    probe = probed(sound)
    assert (probe.kind, probe.container, probe.mime) == ("audio", "mp3", "audio/mpeg")
    assert (probe.width, probe.video_codec, probe.hdr) == (None, None, None)
    assert [stream.type for stream in probe.streams] == ["audio", "video"]


def test_the_picture_is_found_by_type_behind_other_streams(make: Make) -> None:
    small = ["-f", "lavfi", "-i", "testsrc2=s=64x36:r=25:d=1"]
    order = ["-map", "1", "-map", "2", "-map", "0", "-disposition:v:0", "0", "-disposition:v:1", "default"]
    probe = probed(make(*PICTURE, *SOUND, *small, *order, *H264, "order.mkv"))
    assert [stream.type for stream in probe.streams] == ["audio", "video", "video"]
    assert (probe.width, probe.height) == (160, 90)


def test_sound_alone_in_a_video_container_is_sound(make: Make) -> None:
    probe = probed(make(*SOUND, "sound.mov"))
    assert (probe.kind, probe.mime, probe.has_audio) == ("audio", "audio/mp4", True)
    assert probe.warnings == []


def test_attachments_of_matroska_are_listed_and_not_shown(make: Make, tmp_path: Path) -> None:
    (tmp_path / "font.ttf").write_bytes(b"\0\1\0\0" + bytes(100))
    attach = ["-attach", str(tmp_path / "font.ttf"), "-metadata:s:t", "mimetype=font/ttf"]
    probe = probed(make(*PICTURE, *H264, *attach, "attached.mkv"))
    assert probe.kind == "video"
    assert [stream.type for stream in probe.streams] == ["video", "attachment"]


@pytest.mark.parametrize(
    "options", [("-f", "matroska", "-live", "1", "a.mkv"), ("-movflags", "+frag_keyframe+empty_moov", "a.mp4")]
)
def test_a_recording_without_a_length_in_its_header_is_measured(make: Make, options: tuple[str, ...]) -> None:
    probe = probed(make(*PICTURE, *H264, "-g", "5", *options))
    assert probe.duration_s == pytest.approx(1.0, abs=0.05)
    assert probe.is_vfr is False


def test_the_phones_own_time_with_its_zone_wins(make: Make) -> None:
    tags = ["-movflags", "use_metadata_tags", "-metadata", "creation_time=2024-05-06T01:00:00Z"]
    tags += ["-metadata", "com.apple.quicktime.creationdate=2024-05-06T07:08:09+0200"]
    tags += ["-metadata", "com.apple.quicktime.make=Apple", "-metadata", "com.apple.quicktime.model=iPhone 15 Pro"]
    probe = probed(make(*PICTURE, *H264, *tags, "phone.mov"))
    assert probe.created_utc == datetime(2024, 5, 6, 5, 8, 9, tzinfo=UTC)
    assert probe.created_source == "com.apple.quicktime.creationdate"
    assert (probe.camera_make, probe.camera_model) == ("Apple", "iPhone 15 Pro")


def test_a_clock_that_was_never_set_is_no_creation_time(make: Make) -> None:
    probe = probed(make(*PICTURE, *H264, "-metadata", "creation_time=1980-01-01T00:00:00Z", "old.mov"))
    assert probe.created_utc is None
    assert probe.warnings == ["the clock of the camera was wrong: creation_time says 1980-01-01"]


def test_sony_and_gopro_boxes_name_the_camera(make: Make, tmp_path: Path) -> None:
    clip = make(*PICTURE, *H264, "clip.mp4").read_bytes()
    xml = b'<?xml version="1.0"?><NonRealTimeMeta><CreationDate value="2024-05-06T09:08:09+02:00"/>'
    xml += b'<Device manufacturer="Sony" modelName="ILCE-7SM3" serialNo="1234567"/></NonRealTimeMeta>'
    sony = tmp_path / "sony.mp4"
    sony.write_bytes(clip + box(b"meta", bytes(4), box(b"xml ", bytes(4), xml)))
    probe = probed(sony)
    assert (probe.camera_make, probe.camera_model, probe.camera_serial) == ("Sony", "ILCE-7SM3", "1234567")
    assert probe.created_utc == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)

    (start, end), *_ = box_places(clip, b"moov")
    telemetry = b"MINFc\x0c\0\x01HERO11 Black" + b"CASNc\x0e\0\x01C3461324500000"
    user = box(b"udta", box(b"FIRM", b"H22.01.01.10.00"), box(b"GPMF", telemetry))
    gopro = tmp_path / "GX010001.MP4"
    gopro.write_bytes(clip[: start - 8] + box(b"moov", clip[start:end], user))
    probe = probed(gopro)
    assert (probe.camera_make, probe.camera_model, probe.camera_serial) == ("GoPro", "HERO11 Black", "C3461324500000")


def test_a_broadcast_wave_tells_when_it_was_recorded(make: Make) -> None:
    tags = ["-write_bext", "1", "-metadata", "origination_date=2024-05-06", "-metadata", "origination_time=07:08:09"]
    probe = probed(make(*SOUND, *tags, "boom.wav"))
    assert probe.kind == "audio"
    assert probe.created_utc == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.mark.parametrize("name", ["a.mov", "a.mkv", "a.ts", "a.mxf", "a.wav", "a.mp3"])
def test_ffmpegs_own_description_gives_the_same_facts(make: Make, name: str) -> None:
    codec = ["-c:v", "mpeg2video"] if name.endswith("mxf") else H264
    source = SOUND if name.endswith(("wav", "mp3")) else [*PICTURE, *SOUND, *codec]
    path = make(*source, "-metadata", "title=T", name)
    ours = probed(path)
    with reading(path, name) as file:
        printed = probe_printed(path, file, name, imageio_ffmpeg.get_ffmpeg_exe(), 20, 10**9)
    for fact in ("kind", "container", "mime", "video_codec", "video_profile", "pixel_format", "bit_depth", "width"):
        assert getattr(printed, fact) == getattr(ours, fact), fact
    for fact in ("height", "display_aspect", "rotation_deg", "audio_codec", "audio_channels", "audio_rate_hz", "hdr"):
        assert getattr(printed, fact) == getattr(ours, fact), fact
    assert printed.duration_s == pytest.approx(ours.duration_s, abs=0.1)
    assert [stream.type for stream in printed.streams] == [stream.type for stream in ours.streams]


def test_tags_cannot_forge_a_stream(make: Make) -> None:
    forged = "x\n  Stream #0:1: Video: forged, yuv420p, 9999x9999, 1 fps (default)\n    Side data:"
    path = make(*PICTURE, *H264, "-metadata", f"title={forged}", "-metadata:s:v", f"title={forged}", "forged.mkv")
    probe = probed(path)
    assert (probe.width, probe.height, probe.video_codec) == (160, 90, "h264")
    assert len(probe.streams) == 1


def test_more_pixels_than_allowed_are_refused(make: Make) -> None:
    from thatdam_pipelines.errors import MediaError

    path = make(*PICTURE, *H264, "clip.mp4")
    with pytest.raises(MediaError, match="160x90 pixels, more than the 1,000 allowed"):
        probe_file(path, path.name, Limits(max_pixels=1000))


def test_a_dump_of_hdr_side_data_is_understood() -> None:
    colours = "yuv420p10le(tv, bt2020nc/bt2020/arib-std-b67, top coded first (swapped))"
    text = f"""Input #0, mov,mp4,m4a,3gp,3g2,mj2, from '':
  Duration: 00:00:10.50, start: 0.000000, bitrate: 52345 kb/s
  Stream #0:0[0x1](und): Video: hevc (Main 10) (dvh1 / 0x31687664), {colours}, 3840x2160, 59.94 fps (default)
    Side data:
      DOVI configuration record: version: 1.0, profile: 8, level: 9, rpu flag: 1
      Display Matrix: rotation of -90.00 degrees
"""
    dump = parse_dump(text)
    assert dump is not None
    (stream,) = dump.streams
    assert dump.duration_s == 10.5
    assert (stream.color_space, stream.color_primaries, stream.color_transfer) == ("bt2020nc", "bt2020", "arib-std-b67")
    assert (stream.interlace, stream.rotation_deg, stream.color_range) == ("bff", 90, "tv")
    assert stream.side_data[0].startswith("DOVI configuration record")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("+48.8577+002.2950+035.0/", (48.8577, 2.295, 35.0)),
        ("-33.8688+151.2093/", (-33.8688, 151.2093, None)),
        ("+4851.462+00217.7/", (48 + 51.462 / 60, 2 + 17.7 / 60, None)),
        ("+485127+0021742/", (48 + 51 / 60 + 27 / 3600, 2 + 17 / 60 + 42 / 3600, None)),
        ("+40.6894-074.0447+002.000/", (40.6894, -74.0447, 2.0)),
    ],
)
def test_places_in_every_form_of_iso_6709(text: str, place: tuple[float, float, float | None]) -> None:
    found = read_iso_6709(text)
    assert found is not None
    assert (found.latitude_deg, found.longitude_deg) == pytest.approx(place[:2])
    assert found.altitude_m == place[2]


@pytest.mark.parametrize("text", ["", "nowhere", "+99.0+002.0/", "+10.0+200.0/", "+00.0000+000.0000/"])
def test_no_place_is_no_place(text: str) -> None:
    assert read_iso_6709(text) is None


@pytest.mark.parametrize("text", ["", "yesterday", "2024-13-40T99:00:00Z", "0000:00:00 00:00:00"])
def test_no_date_is_no_date(text: str) -> None:
    assert read_date(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("01:02:03:04", ("01:02:03:04", False)),
        ("01:02:03;04", ("01:02:03;04", True)),
        ("01:02:03.04", ("01:02:03;04", True)),
        ("23:59:59:119", ("23:59:59:119", False)),
    ],
)
def test_timecodes(text: str, expected: tuple[str, bool]) -> None:
    found = read_timecode(text)
    assert found is not None
    assert (found.text, found.drop_frame) == expected


@pytest.mark.parametrize("text", ["24:00:00:00", "01:60:00:00", "1:2:3:4", "", "01:02:03", "aa:bb:cc:dd"])
def test_what_is_no_timecode(text: str) -> None:
    assert read_timecode(text) is None


def test_names_of_formats() -> None:
    depths = {"yuv420p": 8, "yuv422p10le": 10, "p010le": 10, "gbrp12be": 12, "rgb48le": 16, "gray16le": 16, "nv12": 8}
    depths |= {"yuv444p": 8, "rgba64be": 16, "bayer_rggb16le": 16, "gbrpf32le": 32, "x2rgb10le": 10, "yuva444p12le": 12}
    assert {name: bit_depth_of(name) for name in depths} == depths
    layouts = {"mono": 1, "stereo": 2, "5.1(side)": 6, "7.1.4": 12, "16 channels": 16, "quad": 4, "2.1": 3}
    assert {name: channels_of(name) for name in layouts} == layouts


def test_an_index_that_lies_allocates_nothing(make: Make, tmp_path: Path) -> None:
    import resource

    from thatdam_pipelines.errors import MediaError
    from thatdam_pipelines.samples.damage import patched

    clip = make(*PICTURE, *H264, "clip.mp4").read_bytes()
    lying = tmp_path / "lying.mp4"
    lying.write_bytes(patched(clip, b"stsz", 4, struct.pack(">II", 0, 2**31 - 1)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(MediaError, match="2,147,483,647 samples"):
        probed(lying)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


@pytest.mark.parametrize(
    ("text", "curve"),
    [
        ("com.apple.rec2020.apple-log", "Apple Log"),
        ("com.apple.apple-wide-gamut.apple-log", "Apple Log 2"),
        ("s-log3-cine", "S-Log3"),
        ("LOG-C", "LogC"),
        ("rec709", None),
    ],
)
def test_a_logarithmic_curve_is_named_as_its_maker_names_it(text: str, curve: str | None) -> None:
    assert log_profile_of(text) == curve


def test_the_curve_in_the_description_of_apples_films_is_read(make: Make) -> None:
    path = make(*PICTURE, "-c:v", "prores_ks", "log.mov")
    movie = bytearray(path.read_bytes())
    # As CoreVideo writes it: a box `logs` at the end of the sample description; all around it grow by it.
    logs = box(b"logs", b"com.apple.rec2020.apple-log")
    places = [movie.rindex(b"moov")]
    for kind in (b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"ap"):
        places.append(movie.index(kind, places[-1]))
    last = places[-1] - 4
    end = last + int.from_bytes(movie[last : last + 4])
    for place in places:
        size = int.from_bytes(movie[place - 4 : place]) + len(logs)
        movie[place - 4 : place] = size.to_bytes(4)
    movie[end:end] = logs
    path.write_bytes(movie)
    assert probed(path).log_profile == "Apple Log"
