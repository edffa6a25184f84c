"""Frames for embedders and sprites: few, upright, square pixels, SDR, and scaled in the decoder."""

import contextlib
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.media.containers import Seekable, demuxing, reading

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

Rgb = npt.NDArray[np.uint8]
"""A picture: uint8 [height, width, 3], red, green, blue."""

Float64 = npt.NDArray[np.float64]

_PROXY_PIXELS = 4096 * 4096
_PROXY_READ_S = 60.0
_EARLY_S = 0.005
"""A frame of the proxy may be early by a tick of its time base."""

_JITTER_S = 0.05
_PACKETS_TO_A_KEYFRAME = 2000
_PACKETS_TO_A_FRAME = 400
_BEFORE_THE_START_S = -1.0
"""MPEG-TS is searched by time stamps, and one searched for its very first misses it."""

_PQ, _HLG = 16, 18
_BT2020 = 9
_UNSPECIFIED = 2


def keyframes(
    path: Path, *, short_edge: int, every_s: float = 1.0, start_s: float = 0.0, end_s: float = math.inf
) -> Iterator[tuple[float, Rgb]]:
    """The keyframes of a proxy in order: the first, then each at least ``every_s`` after the one before.

    Only keyframes are decoded. Proxies have one a second, and more at cuts: ``every_s=0`` gives all.

    Args:
        short_edge: Pixels of the shorter edge of what is given; the aspect is kept.
        start_s: Give those from here on; what lies before is not read.
        end_s: Give those before this.

    Yields:
        Time in the clip in seconds, and the frame.

    Raises:
        MediaError: The file cannot be read, or has no keyframe that decodes in all its length.
    """
    with _video_of(path, path.name) as (container, stream):
        stream.codec_context.skip_frame = "NONKEY"
        if start_s > 0:
            _seek(container, start_s)
        last_s: float | None = None
        for frame in _decoded(container, stream):
            time_s = _time_s(container, stream, frame)
            if time_s >= end_s:
                return
            # Forced keyframes come on the first frame of a second, which need not be the same time in each.
            if time_s >= start_s and (last_s is None or time_s >= last_s + every_s - _JITTER_S):
                last_s = time_s
                yield time_s, _picture(frame, stream, short_edge)
        if last_s is None and start_s == 0 and end_s == math.inf:
            raise _no_picture(path.name)


def frame_at(path: Path, time_s: float, *, short_edge: int) -> tuple[float, Rgb]:
    """The last keyframe at or before ``time_s``, with its time.

    Raises:
        MediaError: The file cannot be read, or there is no keyframe that decodes.
    """
    with _video_of(path, path.name) as opened:
        return _keyframe_before(*opened, path.name, time_s, short_edge)


def frame_in(file: Seekable, name: str, time_s: float, *, short_edge: int) -> tuple[float, Rgb]:
    """As ``frame_at``, of a proxy that is open: no more of it is read than its index and what lies around that time.

    Args:
        name: The proxy as messages name it.
    """
    with _video_in(file, name) as opened:
        return _keyframe_before(*opened, name, time_s, short_edge)


def evenly_spread(
    path: Path,
    *,
    duration_s: float | None,
    count: int,
    short_edge: int,
    name: str | None = None,
    timeout_s: float = 120.0,
    max_pixels: int = 300_000_000,
) -> list[tuple[float, Rgb]]:
    """Up to ``count`` frames of an original, each the keyframe before the middle of one of ``count`` equal parts.

    One keyframe is decoded for each, so that it costs milliseconds; parts that share a keyframe give one frame.

    Args:
        duration_s: As probed; where it is unknown or wrong, fewer frames are found.
        name: The file as people know it, for messages.
        timeout_s: Longest time opening it, or one read, may take.
        max_pixels: Pictures of more pixels are refused.

    Returns:
        At least one frame, each with its time in the clip in seconds, in order.

    Raises:
        MediaError: The file cannot be read, or nothing of its picture decodes.
    """
    found: dict[float, VideoFrame] = {}
    with _video_of(path, name or path.name, timeout_s, max_pixels) as (container, stream):
        context = stream.codec_context
        context.options = context.options | {"skip_loop_filter": "all"}
        context.skip_frame = "NONKEY"
        middles = [(part + 0.5) * duration_s / count for part in range(count)] if duration_s else []
        tried: set[int | None] = set()
        for time_s in (*middles, _BEFORE_THE_START_S):
            if time_s >= 0 or not found:
                _seek(container, time_s)
                if (frame := _next_keyframe(container, stream, tried)) is not None:
                    found[_time_s(container, stream, frame)] = frame
        if not found:
            context.skip_frame = "DEFAULT"
            if (frame := _first_frame(container, stream)) is None:
                raise _no_picture(name or path.name)
            found[_time_s(container, stream, frame)] = frame
        return [(time_s, _picture(frame, stream, short_edge)) for time_s, frame in sorted(found.items())]


def spaced_frames(
    path: Path, *, every_s: float, short_edge: int, timeout_s: float = 120.0, max_pixels: int = 300_000_000
) -> Iterator[tuple[float, Rgb]]:
    """All the frames of an original that are at least ``every_s`` after the one before, each with its time in seconds.

    Raises:
        MediaError: The file cannot be read, or has no moving picture.
    """
    with _video_of(path, path.name, timeout_s, max_pixels) as (container, stream):
        next_s = 0.0
        for frame in _decoded(container, stream):
            time_s = _time_s(container, stream, frame)
            if time_s >= next_s - _EARLY_S:
                next_s = time_s + every_s
                yield time_s, _picture(frame, stream, short_edge)


def still_frame(path: Path, *, short_edge: int, name: str | None = None, max_pixels: int = 300_000_000) -> Rgb:
    """A still, upright, its shorter edge scaled to ``short_edge`` pixels.

    Raises:
        MediaError: It cannot be read, or has more than ``max_pixels``.
    """
    from PIL import Image

    from thatdam_pipelines.media.stills import open_still

    # Reduced while it is decoded; up to 4:1 the short edge is still large enough then.
    picture = open_still(path, max_pixels, name=name, at_least=4 * short_edge)
    size = _scaled(picture.width, picture.height, short_edge)
    return np.asarray(picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0))


@contextlib.contextmanager
def _video_of(
    path: Path, name: str, timeout_s: float = _PROXY_READ_S, max_pixels: int = _PROXY_PIXELS
) -> Iterator[tuple["InputContainer", "VideoStream"]]:
    """The main picture stream of a file that is opened so that it cannot lead anywhere else."""
    with reading(path, name) as file:
        file.left += 2 * file.size
        with _video_in(file, name, timeout_s, max_pixels) as opened:
            yield opened


@contextlib.contextmanager
def _video_in(
    file: Seekable, name: str, timeout_s: float = _PROXY_READ_S, max_pixels: int = _PROXY_PIXELS
) -> Iterator[tuple["InputContainer", "VideoStream"]]:
    from av.error import FFmpegError

    try:
        with demuxing(file, timeout_s, max_pixels) as container:
            streams = [stream for stream in container.streams.video if _is_moving(stream)]
            if not streams:
                raise _no_picture(name)
            streams[0].codec_context.thread_count = 1
            yield container, streams[0]
    except (FFmpegError, ValueError) as error:
        cause = f"it cannot be decoded ({getattr(error, 'strerror', None) or error})"
        raise MediaError(name, cause, "Play the original; if it is damaged, copy it again.") from error


def _is_moving(stream: "VideoStream") -> bool:
    """Neither a cover nor in a codec that nothing here decodes."""
    from av.stream import Disposition

    return stream.codec_context is not None and not stream.disposition & Disposition.attached_pic


def _decoded(container: "InputContainer", stream: "VideoStream") -> Iterator["VideoFrame"]:
    """Frames of a stream; what does not decode is left out."""
    from av.error import FFmpegError

    for packet in container.demux(stream):
        with contextlib.suppress(FFmpegError):
            yield from packet.decode()


def _seek(container: "InputContainer", time_s: float) -> None:
    from av.error import FFmpegError

    origin = container.start_time or 0
    for target in (origin + int(time_s * 1_000_000), origin):
        with contextlib.suppress(FFmpegError):
            container.seek(target, backward=True)
            return


def _next_keyframe(container: "InputContainer", stream: "VideoStream", tried: set[int | None]) -> "VideoFrame | None":
    """The next keyframe that decodes; None once it comes to one that was tried, or to the end."""
    from av.error import FFmpegError

    for packet in itertools.islice(container.demux(stream), _PACKETS_TO_A_KEYFRAME):
        if not packet.is_keyframe or packet.size == 0:
            continue
        if packet.pts in tried:
            return None
        tried.add(packet.pts)
        # Decoders hold frames back to put them in order; the end of the stream makes them give this one.
        for piece in (packet, None):
            with contextlib.suppress(FFmpegError):
                if frames := stream.codec_context.decode(piece):
                    return frames[0]
        stream.codec_context.flush_buffers()
    return None


def _keyframe_before(
    container: "InputContainer", stream: "VideoStream", name: str, time_s: float, short_edge: int
) -> tuple[float, Rgb]:
    stream.codec_context.skip_frame = "NONKEY"
    _seek(container, time_s)
    if (frame := _next_keyframe(container, stream, set())) is None:
        raise _no_picture(name)
    return _time_s(container, stream, frame), _picture(frame, stream, short_edge)


def _first_frame(container: "InputContainer", stream: "VideoStream") -> "VideoFrame | None":
    """The first frame of a stream without a keyframe that decodes."""
    from av.error import FFmpegError

    _seek(container, _BEFORE_THE_START_S)
    for packet in itertools.islice(container.demux(stream), _PACKETS_TO_A_FRAME):
        with contextlib.suppress(FFmpegError):
            if frames := packet.decode():
                return frames[0]
    return None


def _time_s(container: "InputContainer", stream: "VideoStream", frame: "VideoFrame") -> float:
    if frame.pts is None or stream.time_base is None:
        return 0.0
    return max(0.0, float(frame.pts * stream.time_base) - (container.start_time or 0) / 1_000_000)


def _scaled(width: int, height: int, short_edge: int) -> tuple[int, int]:
    scale = short_edge / min(width, height)
    return max(short_edge, round(width * scale)), max(short_edge, round(height * scale))


def _picture(frame: "VideoFrame", stream: "VideoStream", short_edge: int) -> Rgb:
    """A frame as RGB: scaled with square pixels, then turned upright; HDR mapped to SDR."""
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or 1
    shown = round(frame.width * aspect) if aspect > 0 else frame.width
    width, height = _scaled(max(shown, 1), frame.height, short_edge)
    colours: dict[str, Any] = {}
    if frame.colorspace == _UNSPECIFIED and not frame.format.is_rgb:
        colours["src_colorspace"] = "ITU709" if frame.height >= 720 else "ITU601"
    scaled = frame.reformat(width, height, "rgb24", interpolation="AREA", **colours)
    rgb: Rgb = scaled.to_ndarray().astype(np.uint8, copy=False)
    if frame.color_trc in (_PQ, _HLG):
        rgb = _tone_mapped(rgb, int(frame.color_trc), wide=frame.color_primaries == _BT2020)
    if turns := round(frame.rotation / 90) % 4:
        rgb = np.ascontiguousarray(np.rot90(rgb, turns))
    return rgb


def _tone_mapped(rgb: Rgb, transfer: int, wide: bool) -> Rgb:
    """HDR code values as SDR by a table for each channel: as good as an embedder needs, not for people to look at."""
    codes = np.arange(256) / 255
    linear = _pq_light(codes) if transfer == _PQ else _hlg_light(codes)
    light = linear.astype(np.float32)[rgb]
    if wide:
        to_bt709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
        light = np.maximum(light @ to_bt709.T.astype(np.float32), 0)
    mapped = light * (1 + light / 25) / (1 + light)
    return np.clip(np.rint(255 * np.power(mapped, np.float32(1 / 2.2))), 0, 255).astype(np.uint8)


def _pq_light(codes: Float64) -> Float64:
    """Light of SMPTE ST 2084 codes, 1 being the 203 nits of diffuse white (ITU-R BT.2408)."""
    power = codes ** (1 / 78.84375)
    return (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125) * (10000 / 203)


def _hlg_light(codes: Float64) -> Float64:
    """Light of HLG codes (ITU-R BT.2100) on a display of 1,000 nits, 1 being 203 nits."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(codes <= 0.5, codes**2 / 3, (np.exp((codes - c) / a) + b) / 12)
    light: Float64 = scene**1.2 * (1000 / 203)
    return light


def _no_picture(name: str) -> MediaError:
    return MediaError(name, "no frame of it can be decoded", "Play the original; if it is damaged, copy it again.")
