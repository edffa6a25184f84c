"""What ffmpeg is told, in the folder it runs in: one decode and one scaling, and all that is made from them."""

from collections.abc import Iterator
from typing import Any

from thatdam_pipelines.media import loudness
from thatdam_pipelines.media.ffmpeg import input_options
from thatdam_pipelines.media.measures import SMALL_FILTER
from thatdam_pipelines.media.original import Original
from thatdam_pipelines.media.picture import TICKS_PER_S, proxy_picture

VIDEO_NAME, SOUND_NAME, WAV_NAME = "proxy.mp4", "proxy.m4a", "audio.wav"

CRF = 23
PRESET = "veryfast"
KEYFRAME_S = 1
LEAST_KEYFRAME_FRAMES = 1
"""A cut is a keyframe too, however near the last one."""

SOUND_BIT_RATE = "128k"
SOUND_RATE_HZ = 48000
SPEECH_RATE_HZ = 16000

_AAC = {"c:a": "aac", "b:a": SOUND_BIT_RATE}
_NEUTRAL = {"map_metadata": -1, "map_chapters": -1, "fflags": "+bitexact"}


def video_arguments(url: str, original: Original, *, threads: int, frames_url: str, has_sound: bool) -> list[str]:
    """Arguments that make the proxy and the speech WAV, and send small frames to ``frames_url`` as NUT.

    Args:
        url: The original.
        threads: Of the decoder, the filters and the encoder each.
        has_sound: Whether the first sound stream is used.
    """
    import ffmpeg

    # A graph that is not set up anew keeps its size when the stream changes size; turning and fields cannot do without.
    keeps_size = not original.rotation_deg and not original.is_interlaced
    source = _source(url, original, threads, {"reinit_filter": 0} if keeps_size else {})
    picture = proxy_picture(source["V:0"], original).filter_multi_output("split", 2)
    small = picture[1]
    for name, values, named in _chain(SMALL_FILTER):
        small = small.filter(name, *values, **named)
    sound, speech = _sound(source) if has_sound else (None, None)
    proxy = ffmpeg.output(
        *[stream for stream in (picture[0], sound) if stream is not None],
        f"file:{VIDEO_NAME}",
        **{
            "format": "mp4",
            "movflags": "+faststart",
            "c:v": "libx264",
            "preset": PRESET,
            "crf": CRF,
            "threads:v": threads,
            "keyint_min": LEAST_KEYFRAME_FRAMES,
            "force_key_frames": f"expr:gte(t,n_forced*{KEYFRAME_S})",
            "fps_mode:v": "vfr",
            "enc_time_base:v": f"1:{TICKS_PER_S}",
            "video_track_timescale": TICKS_PER_S,
            **(_AAC if has_sound else {}),
            **_NEUTRAL,
        },
    )
    frames = ffmpeg.output(
        small,
        frames_url,
        **{
            "format": "nut",
            "c:v": "rawvideo",
            "fps_mode:v": "passthrough",
            "enc_time_base:v": f"1:{TICKS_PER_S}",
            **_NEUTRAL,
        },
    )
    outputs = [proxy, frames] if speech is None else [proxy, frames, _speech_output(speech)]
    return ["-filter_complex_threads", str(threads), *ffmpeg.get_args(ffmpeg.merge_outputs(*outputs))]


def sound_arguments(url: str, original: Original) -> list[str]:
    """Arguments that make the sound proxy and the speech WAV of sound alone."""
    import ffmpeg

    sound, speech = _sound(_source(url, original, 1, {}))
    options = {"format": "ipod", "movflags": "+faststart", **_AAC, **_NEUTRAL}
    proxy = ffmpeg.output(sound, f"file:{SOUND_NAME}", **options)
    arguments: list[str] = ffmpeg.get_args(ffmpeg.merge_outputs(proxy, _speech_output(speech)))
    return arguments


def _source(url: str, original: Original, threads: int, options: dict[str, Any]) -> Any:
    import ffmpeg

    return ffmpeg.input(url, threads=threads, **input_options(original.container), **options)


def _sound(source: Any) -> tuple[Any, Any]:
    """The first sound stream in clip time, for the proxy and for speech; its levels are measured on the way."""
    sound = source["a:0"].filter("aresample", **{"async": 1, "first_pts": 0})
    for name, options in loudness.FILTERS:
        sound = sound.filter(name, **options)
    split = sound.filter_multi_output("asplit", 2)
    stereo = split[0].filter("aformat", sample_rates=SOUND_RATE_HZ, channel_layouts="stereo")
    return stereo, split[1].filter("aformat", sample_rates=SPEECH_RATE_HZ, channel_layouts="mono")


def _speech_output(speech: Any) -> Any:
    import ffmpeg

    return ffmpeg.output(speech, f"file:{WAV_NAME}", **{"format": "wav", "c:a": "pcm_s16le", **_NEUTRAL})


def _chain(filters: str) -> Iterator[tuple[str, list[str], dict[str, str]]]:
    """Filters written as text, ``a=1:b=2,c``, as names with their values and their named values."""
    for text in filters.split(","):
        name, _, values = text.partition("=")
        given = [value.partition("=") for value in values.split(":") if value]
        yield name, [key for key, sign, _ in given if not sign], {key: value for key, sign, value in given if sign}
