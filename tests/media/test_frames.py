"""Frames for embedders: which, how large, which way up."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.media.frames import evenly_spread, frame_at, keyframes, still_frame

Clip = Callable[[str], Path]
RED, LIME, BLUE = (254, 0, 0), (0, 255, 1), (0, 0, 254)


def color_of(frame: np.ndarray) -> np.ndarray:
    return frame.reshape(-1, 3).mean(axis=0)


def test_a_proxy_gives_a_frame_a_second(proxied) -> None:
    times = [time_s for time_s, _ in keyframes(proxied("colors.mp4").proxy, short_edge=64)]
    assert times == pytest.approx([0, 1, 2], abs=0.01)


def test_frames_are_rgb_with_the_short_edge_asked_for(proxied) -> None:
    frames = dict(keyframes(proxied("colors.mp4").proxy, short_edge=90))
    assert {(frame.shape, frame.dtype.name) for frame in frames.values()} == {((90, 160, 3), "uint8")}
    for frame, color in zip(frames.values(), (RED, LIME, BLUE), strict=True):
        assert color_of(frame) == pytest.approx(color, abs=6)


def test_wider_spacing_takes_fewer_and_none_takes_all(proxied) -> None:
    proxy = proxied("cut.mp4").proxy
    everything = [time_s for time_s, _ in keyframes(proxy, short_edge=32, every_s=0)]
    assert everything == pytest.approx([0, 1, 1.5, 2], abs=0.01)
    assert [time_s for time_s, _ in keyframes(proxy, short_edge=32, every_s=2)] == pytest.approx([0, 2], abs=0.01)


def test_a_window_gives_what_lies_in_it(proxied) -> None:
    proxy = proxied("long.mp4").proxy
    times = [time_s for time_s, _ in keyframes(proxy, short_edge=32, start_s=60.0, end_s=64.0)]
    assert times == pytest.approx([60, 61, 62, 63], abs=0.01)
    assert list(keyframes(proxy, short_edge=32, start_s=500.0, end_s=600.0)) == []


def test_frame_at_gives_the_keyframe_before(proxied) -> None:
    time_s, frame = frame_at(proxied("colors.mp4").proxy, 1.7, short_edge=32)
    assert time_s == pytest.approx(1, abs=0.01)
    assert color_of(frame) == pytest.approx(LIME, abs=6)


def test_an_original_is_sampled_in_the_middle_of_equal_parts(clip: Clip) -> None:
    frames = evenly_spread(clip("colors.mp4"), duration_s=3.0, count=3, short_edge=32)
    assert [time_s for time_s, _ in frames] == pytest.approx([0, 1, 2], abs=0.01)
    for (_, frame), color in zip(frames, (RED, LIME, BLUE), strict=True):
        assert color_of(frame) == pytest.approx(color, abs=6)


@pytest.mark.parametrize("duration_s", [None, 2.0, 36000.0, 0.01])
def test_a_clip_with_one_keyframe_gives_it_once_whatever_it_claims(clip: Clip, duration_s: float | None) -> None:
    frames = evenly_spread(clip("plain.mp4"), duration_s=duration_s, count=4, short_edge=32)
    assert [time_s for time_s, _ in frames] == [0]


@pytest.mark.parametrize(
    "name", ["stream.ts", "program.mpg", "large.ts", "prores.mov", "vfr.mkv", "one-frame.mp4", "cut.ts"]
)
def test_every_container_gives_frames_in_clip_time(clip: Clip, name: str) -> None:
    frames = evenly_spread(clip(name), duration_s=2.0, count=3, short_edge=36)
    assert 1 <= len(frames) <= 3
    assert all(0 <= time_s <= 2 and frame.shape[0] == 36 and frame.std() > 20 for time_s, frame in frames)


def test_a_rotated_clip_is_turned_as_its_proxy_is(clip: Clip, proxied) -> None:
    [(_, turned)] = evenly_spread(clip("rotated.mp4"), duration_s=2, count=1, short_edge=180)
    _, proxy = frame_at(proxied("rotated.mp4").proxy, 0, short_edge=180)
    assert turned.shape == proxy.shape == (320, 180, 3)
    assert np.abs(turned.astype(int) - proxy).mean() < 8


def test_anamorphic_pixels_become_square(clip: Clip) -> None:
    [(_, frame)] = evenly_spread(clip("anamorphic.mp4"), duration_s=0.5, count=1, short_edge=90)
    assert frame.shape == (90, 160, 3)


@pytest.mark.parametrize("name", ["white-pq.mp4", "white-hlg.mp4"])
def test_hdr_white_is_as_bright_as_white_nearly(clip: Clip, name: str) -> None:
    [(_, frame)] = evenly_spread(clip(name), duration_s=0.5, count=1, short_edge=32)
    assert 170 < frame.mean() < 250


@pytest.mark.parametrize("name", ["sound.mp3", "sound-only.mov", "cover.mp3"])
def test_sound_has_no_frames(clip: Clip, name: str) -> None:
    with pytest.raises(MediaError, match="no frame"):
        evenly_spread(clip(name), duration_s=2, count=3, short_edge=32)


def test_a_playlist_has_no_frames(clip: Clip, tmp_path: Path) -> None:
    path = tmp_path / "list.mp4"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{clip('stream.ts')}\n")
    with pytest.raises(MediaError):
        evenly_spread(path, duration_s=2, count=3, short_edge=32)


def test_a_file_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="is gone"):
        evenly_spread(tmp_path / "gone.mp4", duration_s=2, count=3, short_edge=32)


def test_a_still_is_scaled_to_its_short_edge(tmp_path: Path) -> None:
    Image.new("RGB", (900, 600), "teal").save(tmp_path / "still.png")
    frame = still_frame(tmp_path / "still.png", short_edge=224)
    assert (frame.shape, frame.dtype) == ((224, 336, 3), np.uint8)
    assert color_of(frame) == pytest.approx((0, 128, 128), abs=1)
