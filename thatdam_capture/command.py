"""Argument lists of ffmpeg: a camera is read once, recorded, and shown beside that without disturbing it."""

from dataclasses import dataclass
from pathlib import Path

from thatdam_capture.settings import Preview, ProfileSettings
from thatdam_capture.sources import Source

# `q` on standard input is how ffmpeg is asked to end; it looks there, and at signals, once a statistics period.
COMMON = ("-hide_banner", "-loglevel", "level+warning", "-nostats", "-stats_period", "0.1", "-n")
SEGMENT_LIST = "segments.csv"
SEGMENT_PATTERN = "%05d.mkv"
# Clusters this short, flushed, bound what a kill takes.
MATROSKA = "flush_packets=1:cluster_time_limit=200"
KEYFRAME_S = 2
# A screen may be any size; where colour is halved, sizes are even.
EVEN = ("-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2")


@dataclass(frozen=True)
class Command:
    """An argument list.

    Attributes:
        argv: What is run; may hold credentials.
        public: The arguments after the program without credentials, for manifests.
    """

    argv: tuple[str, ...]
    public: tuple[str, ...]


def record_command(
    ffmpeg: str,
    source: Source,
    profile: ProfileSettings,
    folder: Path,
    segment_s: float,
    preview: Preview,
    frames_fd: int,
) -> Command:
    """Record into segments in ``folder``, with a preview on standard output.

    Args:
        frames_fd: Where a line is written for every frame as it comes, ``PTS NUM/DEN`` before it is encoded, one of
            framecrc where it is copied. Its arrival is what ties the source's clock to the wall clock.
    """
    copied = profile.video == "copy" and source.compressed
    pipe = f"pipe:{frames_fd}"
    record = [
        *("-map", "0:v:0", *_video(profile, copied, segment_s)),
        *_audio(source, profile),
        *(() if copied else ("-stats_enc_pre:v", pipe, "-stats_enc_pre_fmt:v", "{pts} {tb}")),
        *("-f", "segment", "-segment_format", "matroska", "-segment_format_options", MATROSKA),
        *("-segment_time", f"{segment_s:g}", "-reset_timestamps", "1"),
        *("-segment_list", f"file:{folder / SEGMENT_LIST}", "-segment_list_type", "csv"),
        f"file:{str(folder).replace('%', '%%')}/{SEGMENT_PATTERN}",
    ]
    if copied:
        record += ["-map", "0:v:0", "-c:v", "copy", "-f", "fifo", "-fifo_format", "framecrc"]
        record += ["-format_opts", "flush_packets=1", "-queue_size", "300", "-drop_pkts_on_overflow", "1", pipe]
    arguments = [*COMMON, *source.inputs, *record, *preview_output(preview)]
    public = [source.redact(one).replace(f"{folder}/", "") for one in arguments]
    return Command((ffmpeg, *arguments), tuple(public))


def preview_command(ffmpeg: str, source: Source, preview: Preview) -> Command:
    """Only the preview, for a camera that is looked at and not recorded."""
    arguments = [*COMMON, *source.inputs, *preview_output(preview)]
    return Command((ffmpeg, *arguments), tuple(source.redact(one) for one in arguments))


def preview_output(preview: Preview) -> list[str]:
    """Small JPEGs on standard output. The fifo drops pictures when nobody reads, so that nothing ever waits."""
    size = f"scale=-2:{preview.height}:flags=fast_bilinear:out_range=full"
    picture = f"fps={preview.fps:g},{size},format=yuv420p"
    return [
        *("-map", "0:v:0", "-an", "-vf", picture),
        *("-c:v", "mjpeg", "-q:v", str(preview.quality), "-threads:v", "1"),
        *("-f", "fifo", "-fifo_format", "mpjpeg", "-queue_size", "30", "-drop_pkts_on_overflow", "1", "pipe:1"),
    ]


def _video(profile: ProfileSettings, copied: bool, segment_s: float) -> list[str]:
    if copied:
        return ["-c:v", "copy"]
    # Every frame the source gives, at the time it gives it.
    timing = ["-fps_mode", "passthrough", "-enc_time_base:v", "filter"]
    key_s = min(KEYFRAME_S, segment_s)
    keys = ["-force_key_frames", f"expr:if(isnan(prev_forced_t),1,gte(t,prev_forced_t+{key_s:g}))"]
    match profile.video:
        case "prores":
            codec = ["-c:v", "prores_ks", "-profile:v", "hq", "-pix_fmt", "yuv422p10le"]
            return [*timing, *EVEN, *codec]
        case "ffv1":
            codec = ["-c:v", "ffv1", "-level", "3", "-g", "1", "-slices", "4", "-slicecrc", "1"]
            return [*timing, *codec]
        case _:
            # zerolatency: no frames held back in the encoder, where a kill would take them.
            codec = ["-c:v", "libx264", "-preset", profile.preset, "-tune", "zerolatency", "-crf", str(profile.crf)]
            return [*timing, *EVEN, *codec, "-pix_fmt", "yuv420p", *keys]


def _audio(source: Source, profile: ProfileSettings) -> list[str]:
    if source.audio is None or profile.audio == "none":
        return ["-an"]
    codecs = {"copy": ["copy"], "aac": ["aac", "-b:a", "192k"], "pcm": ["pcm_s16le"], "flac": ["flac"]}
    return ["-map", source.audio, "-c:a", *codecs[profile.audio]]
