"""A clip without its idle stretches, where its picture is frozen and no sound track is heard: cut to the frame."""

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thatdam_pipelines.errors import MediaError, SettingsError, StoreError
from thatdam_pipelines.library.files import give_name
from thatdam_pipelines.media.containers import reading
from thatdam_pipelines.media.ffmpeg import Limits, descriptor_url, ffmpeg_exe, input_options, run_ffmpeg
from thatdam_pipelines.media.given_video import longest_s, probe_video
from thatdam_pipelines.media.original import Original
from thatdam_pipelines.settings import Settings

SILENCE_DBFS = -50.0
"""Level below which nothing is heard."""

CRF = 18

_TRIMMED = "trimmed.mp4"
_FROZEN_FROM, _FROZEN_TO, _SILENT_FROM, _SILENT_TO = "frozen.from", "frozen.to", "silent{}.from", "silent{}.to"
_LEAST_S = 1e-3
_MOST_STRETCHES = 200
"""As long as ffmpeg's expression that leaves them out may get."""
_MOST_BYTES_A_SECOND = 50_000_000

Span = tuple[float, float]


@dataclass(frozen=True)
class Trimmed:
    """What was left out, in seconds of the original, and how long what is left lasts; no ``path``: nothing is idle.

    Args:
        left_in: Later idle stretches that are still in it, as more than 200 cannot be left out at once.
    """

    path: Path | None
    idle: list[Span]
    kept_s: float
    left_in: int = 0


def trim_idle(path: Path, name: str, target: Path, settings: Settings, *, noise_db: float, idle_s: float) -> Trimmed:
    """Write a clip without its idle stretches to ``target``, as H.264 and AAC in MP4, with all its sound tracks.

    Args:
        path: The original; only read.
        name: The file as people know it.
        noise_db: Change of the picture from frame to frame below which it is frozen, in dB of full scale.
        idle_s: Shortest stretch that is left out.

    Raises:
        MediaError: It cannot be decoded, has no moving picture, or there is nothing in it but idle stretches.
        SettingsError: The folder of ``target`` cannot be made.
        StoreError: There is a file at ``target``, from the beginning or meanwhile.
    """
    if os.path.lexists(target):
        raise _occupied(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(target.parent, f"it cannot be made ({error.strerror})", "Give another folder.") from error
    original, sounds = probe_video(path, name, settings)
    if not (duration_s := original.duration_s):
        raise MediaError(name, "it does not say how long it lasts", "Put it into another container first.")
    deadline = time.monotonic() + longest_s(original, settings)
    with (
        tempfile.TemporaryDirectory(dir=target.parent, prefix=".trim-") as work,
        reading(path, original.name) as file,
    ):
        run = _Run(settings, original, sounds, file.fileno(), Path(work), deadline)
        found = _idle(run, duration_s, noise_db, idle_s)
        idle = found[:_MOST_STRETCHES]
        kept_s = duration_s - sum(end_s - start_s for start_s, end_s in idle)
        if not idle:
            return Trimmed(None, [], duration_s)
        if kept_s < _LEAST_S:
            raise MediaError(original.name, "all of it is idle", "Give a lower --noise, or a longer --dur.")
        run.ffmpeg(_without(run.source(), idle, sounds))
        if not give_name(run.folder / _TRIMMED, target):
            raise _occupied(target)
    return Trimmed(target, idle, kept_s, len(found) - len(idle))


def _occupied(target: Path) -> StoreError:
    return StoreError(target, "there is a file of that name", "Give another name; nothing is overwritten.")


@dataclass(frozen=True)
class _Run:
    """ffmpeg on one open original, in a folder of its own, until a deadline."""

    settings: Settings
    original: Original
    sounds: int
    descriptor: int
    folder: Path
    deadline: float

    def source(self) -> Any:
        import ffmpeg

        return ffmpeg.input(descriptor_url(self.descriptor), **input_options(self.original.container))

    def ffmpeg(self, output: Any) -> None:
        import ffmpeg

        left_s = max(1.0, self.deadline - time.monotonic())
        most_bytes = max(self.settings.proxy_max_bytes, int(self.original.plausible_s * _MOST_BYTES_A_SECOND))
        run_ffmpeg(
            ffmpeg.get_args(output),
            exe=ffmpeg_exe(self.settings),
            name=self.original.name,
            limits=Limits(left_s, self.settings.worker_memory_bytes, most_bytes),
            folder=self.folder,
            inherited=(self.descriptor,),
            making="its trimmed rendition",
        )


def _idle(run: _Run, duration_s: float, noise_db: float, idle_s: float) -> list[Span]:
    """Where the picture is frozen and nothing is heard on any sound track."""
    import ffmpeg

    source = run.source()
    picture = source["V:0"].filter("freezedetect", noise=f"{noise_db}dB", duration=idle_s)
    for key, name in (("freeze_start", _FROZEN_FROM), ("freeze_end", _FROZEN_TO)):
        picture = picture.filter("metadata", mode="print", key=f"lavfi.freezedetect.{key}", file=name)
    streams = [picture]
    for track in range(run.sounds):
        sound = source[f"a:{track}"].filter("silencedetect", noise=f"{SILENCE_DBFS}dB", duration=idle_s)
        for key, name in (("silence_start", _SILENT_FROM), ("silence_end", _SILENT_TO)):
            sound = sound.filter("ametadata", mode="print", key=f"lavfi.{key}", file=name.format(track))
        streams.append(sound)
    run.ffmpeg(ffmpeg.output(*streams, "-", format="null"))
    idle = _spans(run.folder, _FROZEN_FROM, _FROZEN_TO, duration_s)
    for track in range(run.sounds):
        silent = _spans(run.folder, _SILENT_FROM.format(track), _SILENT_TO.format(track), duration_s)
        idle = [(max(a, c), min(b, d)) for a, b in idle for c, d in silent if min(b, d) > max(a, c)]
    return [(start_s, end_s) for start_s, end_s in idle if end_s - start_s >= idle_s - _LEAST_S]


def _spans(folder: Path, begins: str, ends: str, duration_s: float) -> list[Span]:
    """Stretches that ffmpeg wrote down; the last lasts to the end where it saw no other."""
    starts_s, ends_s = _values(folder / begins), _values(folder / ends)
    return list(zip(starts_s, [*ends_s, duration_s][: len(starts_s)], strict=True))


def _values(path: Path) -> list[float]:
    lines = path.read_text().splitlines() if path.exists() else []
    return [max(0.0, float(line.partition("=")[2])) for line in lines if line.startswith("lavfi.")]


def _without(source: Any, idle: Sequence[Span], sounds: int) -> Any:
    """The output that leaves ``idle`` out: what comes after is moved to where it begins."""
    import ffmpeg

    chosen = "+".join(f"gte(t,{start_s:.6f})*lt(t,{end_s:.6f})" for start_s, end_s in idle)
    moved = "+".join(f"gte(T,{end_s:.6f})*{end_s - start_s:.6f}" for start_s, end_s in idle)
    picture = source["V:0"].filter("select", f"not({chosen})").filter("setpts", f"PTS-({moved})/TB")
    streams = [picture.filter("format", "yuv420p")]
    for track in range(sounds):
        # Sound is left out by its frames: small ones, so that it stays with the picture.
        sound = source[f"a:{track}"].filter("asetnsamples", n=64).filter("aselect", f"not({chosen})")
        sound = sound.filter("asetpts", f"PTS-({moved})/TB").filter("aresample", **{"async": 1})
        streams.append(sound)
    coding = {"c:v": "libx264", "crf": CRF, "fps_mode:v": "vfr", "movflags": "+faststart"}
    return ffmpeg.output(*streams, f"file:{_TRIMMED}", **coding, **({"c:a": "aac"} if sounds else {}))
