"""The one pass over an original: one ffmpeg decodes it once and makes all that anything later needs of it."""

import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.media.command import SOUND_NAME, VIDEO_NAME, WAV_NAME, sound_arguments, video_arguments
from thatdam_pipelines.media.containers import reading
from thatdam_pipelines.media.ffmpeg import (
    Finished,
    Limits,
    UndecodableError,
    descriptor_url,
    ffmpeg_exe,
    open_pipe,
    run_ffmpeg,
)
from thatdam_pipelines.media.loudness import Levels, read_levels
from thatdam_pipelines.media.measures import FrameMeasures
from thatdam_pipelines.media.original import Original
from thatdam_pipelines.media.sprite import tiles_of, write_poster, write_sprite
from thatdam_pipelines.media.waveform import wav_duration_s, write_waveform
from thatdam_pipelines.settings import Settings

if TYPE_CHECKING:
    from PIL.Image import Image

STILL_NAME, POSTER_NAME, SPRITE_NAME, SPRITE_VTT_NAME = "proxy.jpg", "poster.jpg", "sprite.jpg", "sprite.vtt"
MEASURES_NAME = "measures.parquet"

STILL_EDGE = 1920
POSTER_EDGE = 960
JPEG_QUALITY = 88

_PLAY = "Play the original; if it is damaged, copy it from the card again."


@dataclass
class Made:
    """What a pass made; the columns of table ``proxies``, where they are described, with names in place of paths."""

    kind: str
    proxy_path: str
    poster_path: str = POSTER_NAME
    sprite_path: str | None = None
    sprite_vtt_path: str | None = None
    audio_path: str | None = None
    measures_path: str | None = None
    width: int | None = None
    height: int | None = None
    duration_s: float | None = None
    source_duration_s: float | None = None
    frames: int | None = None
    levels: Levels = field(default_factory=Levels)
    tone_mapped: bool = False
    deinterlaced: bool = False
    warnings: list[str] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        columns = {name: value for name, value in vars(self).items() if name != "levels"}
        return columns | self.levels.as_columns()


@dataclass(frozen=True)
class Pass:
    """How a pass runs.

    Args:
        folder: Empty folder that what is made is written to.
        threads: Threads of the decoder and of the encoder.
        timeout_s: Longest time all of it may take.
    """

    settings: Settings
    folder: Path
    threads: int
    timeout_s: float


def make_proxy(path: Path, original: Original, run: Pass) -> Made:
    """Make everything of one original in ``run.folder``.

    Args:
        path: The original on this machine: a regular file, only read.

    Raises:
        MediaError: Nothing of it decodes, a limit was reached, or the result does not equal the original.
    """
    if original.kind == "image":
        return _of_still(path, original, run)
    deadline = time.monotonic() + run.timeout_s
    with reading(path, original.name) as file:
        if original.kind == "audio":
            return _of_sound(file.fileno(), original, run, deadline)
        return _of_video(file.fileno(), original, run, deadline)


def _of_video(source: int, original: Original, run: Pass, deadline: float) -> Made:
    warnings: list[str] = []
    has_sound = original.has_audio
    try:
        measures, finished = _run_video(source, original, run, has_sound, deadline)
    except UndecodableError as error:
        if not has_sound:
            raise
        has_sound = False
        measures, finished = _run_video(source, original, run, has_sound, deadline)
        warnings.append(f"its sound was left out: {error.cause}")
    frame = measures.frame()
    if frame.is_empty():
        raise MediaError(original.name, "no frame of it can be decoded", _PLAY)
    frame.write_parquet(run.folder / MEASURES_NAME, compression="zstd")
    made = Made(
        kind="video",
        proxy_path=VIDEO_NAME,
        sprite_path=SPRITE_NAME,
        sprite_vtt_path=SPRITE_VTT_NAME,
        measures_path=MEASURES_NAME,
        source_duration_s=original.duration_s,
        frames=frame.height,
        tone_mapped=original.hdr_transfer is not None,
        deinterlaced=original.is_interlaced,
        warnings=warnings,
    )
    proxy = run.folder / VIDEO_NAME
    facts = _opened(proxy, original.name)
    made.width, made.height, made.duration_s = facts.width, facts.height, facts.duration_s
    times_s = frame["time_s"].to_numpy()
    frame_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0
    _require_end(original, "picture", facts.last_picture_s, float(times_s[-1]), max(0.1, 2 * frame_s))
    if has_sound:
        _add_sound(made, original, run, finished, facts.sound_end_s)
    _warn(made, original, finished)
    tiles = tiles_of(proxy, facts.picture_end_s, facts.width, facts.height)
    write_sprite(tiles, facts.picture_end_s, run.folder / SPRITE_NAME, run.folder / SPRITE_VTT_NAME)
    write_poster(proxy, tiles, min(facts.width, facts.height), run.folder / POSTER_NAME)
    return made


def _run_video(
    source: int, original: Original, run: Pass, has_sound: bool, deadline: float
) -> tuple[FrameMeasures, Finished]:
    measures = FrameMeasures()
    with open_pipe() as pipe:
        arguments = video_arguments(
            descriptor_url(source), original, threads=run.threads, frames_url=pipe.url, has_sound=has_sound
        )
        finished = run_ffmpeg(
            arguments,
            exe=ffmpeg_exe(run.settings),
            name=original.name,
            limits=_limits(run, deadline),
            folder=run.folder,
            inherited=(source,),
            pipe=pipe,
            consume=lambda reader: _read_small_frames(reader, measures),
        )
    return measures, finished


def _read_small_frames(reader: int, measures: FrameMeasures) -> None:
    """Measure the frames of a NUT stream: raw pictures, each with its exact time."""
    import av
    from av.error import FFmpegError

    # Nothing in the pipe means that ffmpeg failed; its own message says why.
    with contextlib.suppress(FFmpegError), av.open(f"pipe:{reader}", format="nut") as container:
        for frame in container.decode(video=0):
            measures.add(frame.time or 0.0, frame.to_ndarray().astype(np.uint8, copy=False))


def _limits(run: Pass, deadline: float) -> Limits:
    settings = run.settings
    return Limits(max(1.0, deadline - time.monotonic()), settings.worker_memory_bytes, settings.proxy_max_bytes)


def _of_sound(source: int, original: Original, run: Pass, deadline: float) -> Made:
    finished = run_ffmpeg(
        sound_arguments(descriptor_url(source), original),
        exe=ffmpeg_exe(run.settings),
        name=original.name,
        limits=_limits(run, deadline),
        folder=run.folder,
        inherited=(source,),
    )
    made = Made(kind="audio", proxy_path=SOUND_NAME, source_duration_s=original.duration_s)
    facts = _opened(run.folder / SOUND_NAME, original.name)
    made.duration_s = facts.duration_s
    _add_sound(made, original, run, finished, facts.sound_end_s)
    _warn(made, original, finished)
    write_waveform(run.folder / WAV_NAME, run.folder / POSTER_NAME)
    return made


def _of_still(path: Path, original: Original, run: Pass) -> Made:
    from thatdam_pipelines.media.stills import open_still

    picture = open_still(path, run.settings.image_max_pixels, name=original.name, at_least=STILL_EDGE)
    proxy = _write_still(picture, STILL_EDGE, run.folder / STILL_NAME)
    _write_still(proxy, POSTER_EDGE, run.folder / POSTER_NAME)
    return Made(kind="image", proxy_path=STILL_NAME, width=proxy.width, height=proxy.height)


def _write_still(picture: "Image", long_edge: int, path: Path) -> "Image":
    from PIL import Image

    scale = min(1.0, long_edge / max(picture.size))
    if scale < 1:
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    picture.save(path, "JPEG", quality=JPEG_QUALITY, progressive=True)
    return picture


@dataclass(frozen=True)
class _Facts:
    """A proxy that opens, as it is: times are from the start of the clip."""

    width: int
    height: int
    duration_s: float
    last_picture_s: float
    picture_end_s: float
    sound_end_s: float


def _opened(proxy: Path, name: str) -> _Facts:
    import av
    from av.error import FFmpegError

    try:
        with av.open(str(proxy), format="mov") as container:
            ends = {"video": 0.0, "audio": 0.0}
            for stream in container.streams:
                if stream.type in ends and stream.duration and stream.time_base:
                    ends[stream.type] = float((stream.duration + (stream.start_time or 0)) * stream.time_base)
            width, height, last_s = 0, 0, 0.0
            for picture in container.streams.video:
                width, height = picture.width, picture.height
                container.seek(container.duration or 0, backward=True)
                times = [packet.pts for packet in container.demux(picture) if packet.pts is not None]
                last_s = float(max(times, default=0) * picture.time_base) if picture.time_base else 0.0
            return _Facts(width, height, (container.duration or 0) / 1_000_000, last_s, ends["video"], ends["audio"])
    except (FFmpegError, OSError) as error:
        raise MediaError(name, f"nothing of it could be turned into a proxy ({error})", _PLAY) from error


def _require_end(original: Original, what: str, proxy_s: float, decoded_s: float, tolerance_s: float) -> None:
    if abs(proxy_s - decoded_s) > tolerance_s:
        raise MediaError(
            original.name,
            f"the {what} of its proxy ends at {proxy_s:.2f} s, that of the original at {decoded_s:.2f} s",
            "Run `thatdam retry`; if it stays, report it with the file.",
        )


def _add_sound(made: Made, original: Original, run: Pass, finished: Finished, sound_end_s: float) -> None:
    wav = run.folder / WAV_NAME
    decoded_s = wav_duration_s(wav)
    if decoded_s == 0:
        if made.kind == "audio":
            raise MediaError(original.name, "no sound of it can be decoded", _PLAY)
        made.warnings.append("no sound of it can be decoded")
        wav.unlink()
        return
    _require_end(original, "sound", sound_end_s, decoded_s, 0.1)
    made.audio_path = WAV_NAME
    made.levels = read_levels(finished.lines)


def _warn(made: Made, original: Original, finished: Finished) -> None:
    """Say what was damaged, and where the original is not as long as it claims."""
    if finished.first_error:
        made.warnings.append(f"parts of it are damaged ({finished.error_count} x, at first: {finished.first_error})")
    probed_s, made_s = original.duration_s, made.duration_s
    if probed_s is not None and made_s is not None and abs(probed_s - made_s) > max(0.5, 0.02 * probed_s):
        made.warnings.append(f"it says it lasts {probed_s:.2f} s, but {made_s:.2f} s of it can be decoded")
