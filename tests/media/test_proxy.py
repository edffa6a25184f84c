"""One pass over an original, and everything that comes of it."""

import wave
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import polars as pl
import pytest
from PIL import Image

from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.media.original import Original
from thatdam_pipelines.media.proxy import Pass, make_proxy
from thatdam_pipelines.settings import Settings

Clip = Callable[[str], Path]


def times_of(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return sorted(float(frame.pts * frame.time_base) for frame in container.decode(video=0))


def gray(path: Path, index: int = 0) -> np.ndarray:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return frames[index].to_ndarray(format="gray").astype(float)


def samples(path: Path) -> np.ndarray:
    with wave.open(str(path), "rb") as sound:
        assert (sound.getnchannels(), sound.getframerate(), sound.getsampwidth()) == (1, 16000, 2)
        return np.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(float)


def loudest_hz(sound: np.ndarray) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(sound))) * 16000 / len(sound))


def test_a_proxy_is_540p_h264_with_a_keyframe_every_second_and_its_index_first(proxied) -> None:
    result = proxied("hd.mp4")
    with av.open(str(result.proxy)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        keys = [
            round(float(packet.pts * packet.time_base), 3) for packet in container.demux(video=0) if packet.is_keyframe
        ]
    assert (result.made.width, result.made.height) == (960, 540)
    assert {0.0, 1.0} <= set(keys)
    data = result.proxy.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_the_short_edge_counts_so_that_upright_clips_are_as_sharp(proxied) -> None:
    made = proxied("upright.mp4").made
    assert (made.width, made.height) == (540, 960)


def test_small_footage_is_not_enlarged(proxied) -> None:
    made = proxied("plain.mp4").made
    assert (made.width, made.height) == (320, 180)


def test_sound_is_stereo_aac_and_speech_is_16_khz_mono(proxied) -> None:
    result = proxied("sound.mp4")
    with av.open(str(result.proxy)) as container:
        sound = container.streams.audio[0]
        assert (sound.codec_context.name, sound.layout.name) == ("aac", "stereo")
    assert len(samples(result.folder / "audio.wav")) == pytest.approx(32000, abs=800)


def test_every_frame_of_the_original_has_its_measures_at_its_time(proxied) -> None:
    result = proxied("sound.mp4")
    measures = pl.read_parquet(result.folder / "measures.parquet")
    assert result.made.frames == measures.height == 60
    assert measures["time_s"].to_list() == pytest.approx(times_of(result.proxy), abs=1e-4)


@pytest.mark.parametrize("name", ["vfr.mkv", "slides.mkv"])
def test_a_variable_frame_rate_keeps_its_times(proxied, clip: Clip, name: str) -> None:
    result = proxied(name)
    assert times_of(result.proxy) == pytest.approx(times_of(clip(name)), abs=0.001)
    assert pl.read_parquet(result.folder / "measures.parquet")["time_s"].to_list() == pytest.approx(
        times_of(clip(name)), abs=0.001
    )


@pytest.mark.parametrize("name", ["white-pq.mp4", "white-hlg.mp4"])
def test_hdr_white_becomes_sdr_white_tagged_bt709(proxied, name: str) -> None:
    result = proxied(name)
    assert result.made.tone_mapped
    luma = pl.read_parquet(result.folder / "measures.parquet")["luma_mean"].mean()
    assert 0.8 < luma < 0.98
    with av.open(str(result.proxy)) as container:
        context = next(container.decode(video=0))
        assert (context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1)


def test_sdr_in_wide_colours_is_brought_to_bt709_and_not_tone_mapped(proxied) -> None:
    result = proxied("wide-gamut.mp4")
    assert not result.made.tone_mapped
    assert gray(result.proxy).mean() == pytest.approx(128, abs=3)
    with av.open(str(result.proxy)) as container:
        assert next(container.decode(video=0)).colorspace == 1


def test_a_rotated_clip_stands_upright(proxied) -> None:
    upright, lying = proxied("rotated.mp4"), proxied("plain.mp4")
    assert (upright.made.width, upright.made.height) == (180, 320)
    # The flag says 90 degrees counter-clockwise, which is how numpy turns.
    assert np.abs(gray(upright.proxy) - np.rot90(gray(lying.proxy))).mean() < 4


def test_anamorphic_pixels_become_square(proxied) -> None:
    made = proxied("anamorphic.mp4").made
    assert (made.width, made.height) == (320, 180)


def combing(picture: np.ndarray) -> float:
    """How much each line differs from the two around it."""
    return float(np.abs(picture[1:-1] - (picture[:-2] + picture[2:]) / 2).mean())


def test_fields_become_frames(proxied) -> None:
    result = proxied("interlaced.mp4")
    left_alone = proxied("interlaced.mp4", interlace=None)
    assert result.made.deinterlaced and not left_alone.made.deinterlaced
    assert result.made.frames == 25
    assert combing(gray(result.proxy, 12)) < 0.9 * combing(gray(left_alone.proxy, 12))


@pytest.mark.parametrize("name", ["odd.mp4", "ten-bit.mov", "alpha.mov", "prores.mov", "screen.mkv"])
def test_any_pixel_format_and_size_becomes_even_420(proxied, name: str) -> None:
    result = proxied(name)
    with av.open(str(result.proxy)) as container:
        stream = container.streams.video[0]
        assert (stream.width % 2, stream.height % 2, stream.pix_fmt) == (0, 0, "yuv420p")
    assert result.made.frames == 15


@pytest.mark.parametrize(("name", "frames"), [("one-frame.mp4", 1), ("two-frames.mp4", 2)])
def test_a_clip_of_a_frame_or_two_has_everything(proxied, name: str, frames: int) -> None:
    result = proxied(name)
    assert result.made.frames == frames
    assert all(
        (result.folder / part).stat().st_size for part in ("proxy.mp4", "poster.jpg", "sprite.jpg", "sprite.vtt")
    )


def test_sound_longer_than_the_picture_is_kept_whole(proxied) -> None:
    made = proxied("long-sound.mp4").made
    assert made.frames == 30
    assert made.duration_s == pytest.approx(2, abs=0.05)


def test_sound_that_begins_late_stays_in_time(proxied) -> None:
    result = proxied("late-sound.mp4")
    sound = samples(result.folder / "audio.wav")
    assert np.abs(sound[:7200]).max() < 200 < np.abs(sound[9000:12000]).max()
    assert result.made.warnings == []


def test_the_first_of_several_sounds_is_the_one(proxied) -> None:
    assert loudest_hz(samples(proxied("two-sounds.mov").folder / "audio.wav")) == pytest.approx(440, abs=2)


def test_a_clip_without_sound_has_no_speech_and_no_loudness(proxied) -> None:
    result = proxied("plain.mp4")
    assert result.made.audio_path is None and result.made.levels.loudness_lufs is None
    assert not (result.folder / "audio.wav").exists()


def test_loudness_is_that_of_ebu_r128(proxied) -> None:
    # A mono tone of amplitude 1/8: -18.1 dBFS peak, 3.0 less as RMS, 0.7 less by BS.1770's offset and filter.
    assert proxied("sound.mp4").made.levels.loudness_lufs == pytest.approx(-21.8, abs=0.3)


def test_sound_alone_becomes_m4a_with_a_waveform(proxied) -> None:
    result = proxied("sound.mp3")
    assert (result.made.kind, result.made.proxy_path, result.made.frames) == ("audio", "proxy.m4a", None)
    assert result.made.duration_s == pytest.approx(2, abs=0.06)
    assert result.made.levels.loudness_lufs == pytest.approx(-22, abs=1)
    poster = np.asarray(Image.open(result.folder / "poster.jpg").convert("L")).astype(int)
    assert poster.shape == (240, 960)
    assert poster[120].mean() > poster[2].mean() + 40


def test_the_cover_of_a_song_is_not_a_video(proxied) -> None:
    assert proxied("cover.mp3").made.kind == "audio"


def test_a_stream_that_changes_size_keeps_its_first_size(proxied) -> None:
    made = proxied("resized.ts").made
    assert (made.width, made.height, made.frames) == (320, 180, 60)


def test_a_cut_off_file_gives_what_can_be_decoded_with_a_warning(proxied) -> None:
    made = proxied("cut.ts").made
    assert 10 < (made.frames or 0) < 60
    assert any("damaged" in warning for warning in made.warnings)


def test_a_header_that_claims_ten_hours_does_not_cost_the_picture(proxied) -> None:
    made = proxied("plain.mp4", duration_s=36000.0).made
    assert made.frames == 60 and made.duration_s == pytest.approx(2, abs=0.05)
    assert made.warnings == ["it says it lasts 36000.00 s, but 2.00 s of it can be decoded"]


def test_sound_that_cannot_be_decoded_does_not_cost_the_picture(proxied) -> None:
    result = proxied("strange-sound.mov", has_audio=True)
    assert result.made.frames == 30 and result.made.audio_path is None
    assert any("sound was left out" in warning for warning in result.made.warnings)


def test_what_cannot_be_decoded_at_all_is_refused_with_one_line(tmp_path: Path) -> None:
    garbage = tmp_path / "noise.mp4"
    garbage.write_bytes(np.random.default_rng(7).bytes(50_000))
    run = Pass(Settings(home=tmp_path), tmp_path, threads=1, timeout_s=30)
    with pytest.raises(MediaError) as caught:
        make_proxy(garbage, Original("noise.mp4", "video", "mov", 50_000), run)
    assert caught.value.subject == "noise.mp4"
    assert "\n" not in caught.value.cause and len(caught.value.cause) < 300


@pytest.mark.parametrize("name", ["-i.mp4", "new\nline.mp4", "%03d *?.mp4", "concat:a|b.mp4", b"\xff\xfe'\".mp4"])
def test_a_name_is_only_a_name(proxied, clip: Clip, tmp_path: Path, name: str | bytes) -> None:
    import os

    path = tmp_path / os.fsdecode(name)
    path.write_bytes(clip("one-frame.mp4").read_bytes())
    assert proxied(path).made.frames == 1


def read_vtt(path: Path) -> list[tuple[float, float, tuple[int, ...]]]:
    def seconds(clock: str) -> float:
        hours, minutes, rest = clock.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(rest)

    header, *cues = path.read_text().strip().split("\n\n")
    assert header == "WEBVTT"
    found = []
    for cue in cues:
        times, place = cue.split("\n")
        start, end = times.split(" --> ")
        sheet, _, xywh = place.partition("#xywh=")
        assert sheet == "sprite.jpg"
        found.append((seconds(start), seconds(end), tuple(map(int, xywh.split(",")))))
    return found


@pytest.mark.parametrize("name", ["hd.mp4", "long.mp4", "lit-late.mp4"])
def test_sprites_cover_the_clip_in_at_most_100_tiles(proxied, name: str) -> None:
    result = proxied(name)
    cues = read_vtt(result.folder / "sprite.vtt")
    assert 2 <= len(cues) <= 100
    assert cues[0][0] == 0 and cues[-1][1] == pytest.approx(result.made.duration_s, abs=0.1)
    assert [end for _, end, _ in cues[:-1]] == [start for start, _, _ in cues[1:]]
    assert all(end > start for start, end, _ in cues)
    sheet = Image.open(result.folder / "sprite.jpg")
    assert all(x + width <= sheet.width and y + height <= sheet.height for _, _, (x, y, width, height) in cues)


def test_the_poster_is_not_the_black_before_the_picture(proxied) -> None:
    assert np.asarray(Image.open(proxied("lit-late.mp4").folder / "poster.jpg")).mean() > 60


def test_a_still_is_upright_and_at_most_1920_wide(proxied, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.new("RGB", (2400, 1200), "navy")
    picture.paste("white", (0, 0, 2400, 200))
    picture.save(tmp_path / "still.jpg", exif=exif)
    result = proxied(tmp_path / "still.jpg")
    proxy, poster = Image.open(result.proxy), Image.open(result.folder / "poster.jpg")
    assert (result.made.kind, result.made.width, result.made.height) == ("image", 960, 1920)
    assert (proxy.size, poster.size) == ((960, 1920), (480, 960))
    # What was stored at the top stands on the right.
    assert np.asarray(proxy)[900, 940].min() > 200 > np.asarray(proxy)[900, 100].max()


def test_the_proxy_of_a_still_is_never_larger_than_it(proxied, tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), "olive").save(tmp_path / "small.png")
    made = proxied(tmp_path / "small.png").made
    assert (made.width, made.height) == (300, 200)


def test_a_picture_of_29_97_frames_keeps_its_rate(proxied, ffmpeg: Callable[..., None], tmp_path: Path) -> None:
    path = tmp_path / "ntsc.mov"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x36:rate=30000/1001:duration=1", "-c:v", "mjpeg", path)
    with av.open(str(proxied(path).proxy)) as container:
        assert container.streams.video[0].average_rate == Fraction(30000, 1001)
