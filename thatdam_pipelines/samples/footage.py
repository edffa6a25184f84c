"""Real files of sample scenes: H.264 clips with sound and camera facts, and a whole drop of them to try things on."""

import os
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

from thatdam_pipelines.errors import ThatdamError
from thatdam_pipelines.samples.scenes import MOTIONS, PLACES, Scene, random_scene, scene_frames

_TO_BT709 = "scale=out_color_matrix=bt709:out_range=tv,setparams=color_primaries=bt709:color_trc=bt709"
BERLIN = (52.5163, 13.3777)


class Shown(NamedTuple):
    """What a clip shows from ``start_s`` to ``end_s``."""

    caption: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class ClipFacts:
    """What a camera writes into its files beside picture and sound.

    Args:
        place: Latitude and longitude in degrees.
        rotated: Stored on its side with a flag to show it upright, as phones do.
        timecode: Start timecode, ``;`` before the frames for drop-frame.
    """

    make: str | None = None
    model: str | None = None
    created: datetime | None = None
    place: tuple[float, float] | None = None
    rotated: bool = False
    timecode: str | None = None

    @property
    def arguments(self) -> list[str]:
        """ffmpeg output options; QuickTime's ``mdta`` keys for phones, user data for others."""
        options: list[str] = []
        where = "{:+08.4f}{:+09.4f}/".format(*self.place) if self.place else None
        if self.rotated:
            options += ["-movflags", "+use_metadata_tags+faststart"]
            keys = {"make": self.make, "model": self.model, "location.ISO6709": where}
            named = {f"com.apple.quicktime.{key}": value for key, value in keys.items()}
            if self.created:
                options += ["-metadata:s:v:0", f"creation_time={self.created.isoformat()}"]
                named["com.apple.quicktime.creationdate"] = self.created.strftime("%Y-%m-%dT%H:%M:%S%z")
        else:
            named = {"make": self.make, "model": self.model, "location": where, "timecode": self.timecode}
            named["creation_time"] = self.created.isoformat() if self.created else None
        for key, value in named.items():
            options += ["-metadata", f"{key}={value}"] if value else []
        return options


def write_clip(
    path: Path,
    scenes: Sequence[Scene],
    *,
    seconds: float = 4.0,
    fps: Fraction | int | str = 25,
    size: tuple[int, int] = (640, 360),
    audio: bool = True,
    facts: ClipFacts | None = None,
    ffmpeg: str | None = None,
) -> list[Shown]:
    """Write an H.264 clip of the scenes, one after the other with hard cuts.

    Args:
        path: ``.mp4`` or ``.mov``; camera make and model need ``.mov``.
        seconds: Length of each scene, to the nearest whole frame.
        fps: Frame rate, exact: 25, or ``30000/1001``.
        size: Width and height as shown, even numbers of pixels.
        audio: Whether it has a mono AAC tone.
        ffmpeg: Program to use; the bundled one when None.

    Returns:
        What is seen when.

    Raises:
        ThatdamError: ffmpeg failed.
    """
    facts = facts or ClipFacts()
    rate = Fraction(fps)
    stored = size[::-1] if facts.rotated else size
    frames = round(rate * Fraction(seconds))
    length = f"{float(frames * len(scenes) / rate):.6f}"
    tone = 220 + 55 * (scenes[0].seed % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    target = path.with_name(f".{path.stem}.turned{path.suffix}") if facts.rotated else path
    arguments = [
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        f"{stored[0]}x{stored[1]}",
        "-r",
        str(rate),
        "-i",
        "pipe:0",
    ]
    if audio:
        arguments += ["-f", "lavfi", "-t", length, "-i", f"sine=frequency={tone}:sample_rate=48000,tremolo=f=3"]
        arguments += ["-c:a", "aac", "-b:a", "96k"]
    # A keyframe a second, as cameras do; BT.709 tags, as HD footage has.
    arguments += ["-vf", _TO_BT709, "-c:v", "libx264", "-preset", "ultrafast"]
    arguments += ["-crf", "20", "-pix_fmt", "yuv420p", "-g", str(round(rate)), "-threads", "1"]
    arguments += [] if facts.rotated else facts.arguments
    process = subprocess.Popen(
        [ffmpeg or _bundled_ffmpeg(), "-loglevel", "error", "-y", *arguments, f"file:{target.absolute()}"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None and process.stderr is not None
    try:
        for scene in scenes:
            for frame in scene_frames(scene, float(rate), seconds, size):
                process.stdin.write(np.ascontiguousarray(np.rot90(frame) if facts.rotated else frame).data)
        process.stdin.close()
    except BrokenPipeError:
        pass
    said = process.stderr.read().decode("utf-8", "replace").strip()
    process.stderr.close()
    if process.wait():
        raise ThatdamError(path, f"ffmpeg could not write it ({said})", "Check the folder and THATDAM_FFMPEG.")
    if facts.rotated:
        _flag_rotation(target, path, facts, ffmpeg)
    starts = [float(index * frames / rate) for index in range(len(scenes) + 1)]
    return [Shown(scene.caption, starts[at], starts[at + 1]) for at, scene in enumerate(scenes)]


def _flag_rotation(stored: Path, path: Path, facts: ClipFacts, ffmpeg: str | None) -> None:
    """Copy the streams with a display matrix that turns them a quarter clockwise."""
    arguments = ["-display_rotation:v:0", "-90", "-i", f"file:{stored.absolute()}", "-c", "copy", *facts.arguments]
    _run(path, [*arguments, f"file:{path.absolute()}"], ffmpeg)
    stored.unlink()


def _run(path: Path, arguments: list[str], ffmpeg: str | None) -> None:
    command = [ffmpeg or _bundled_ffmpeg(), "-nostdin", "-loglevel", "error", "-y", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise ThatdamError(path, f"ffmpeg failed ({done.stderr.strip()})", "Check the folder and THATDAM_FFMPEG.")


def _bundled_ffmpeg() -> str:
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def write_still(path: Path, scene: Scene, *, size: tuple[int, int] = (1600, 1200), facts: ClipFacts) -> Shown:
    """Write a JPEG of a scene with the facts as EXIF."""
    from PIL import ExifTags, Image
    from PIL.TiffImagePlugin import IFDRational

    frame = next(scene_frames(replace(scene, motion="still"), 1, 1, size))
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = facts.make or "Sample"
    exif[ExifTags.Base.Model] = facts.model or "Still"
    if facts.created:
        taken = exif.get_ifd(ExifTags.IFD.Exif)
        taken[ExifTags.Base.DateTimeOriginal] = facts.created.strftime("%Y:%m:%d %H:%M:%S")
        taken[ExifTags.Base.OffsetTimeOriginal] = "+00:00"
    if facts.place:
        where = exif.get_ifd(ExifTags.IFD.GPSInfo)
        for degrees, tag, letters in zip(facts.place, (1, 3), ("NS", "EW"), strict=True):
            minutes, seconds = divmod(abs(degrees) * 3600, 60)
            whole = (
                IFDRational(int(minutes // 60)),
                IFDRational(int(minutes % 60)),
                IFDRational(round(seconds * 100), 100),
            )
            where[tag], where[tag + 1] = letters[degrees < 0], whole
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(frame).save(path, "JPEG", quality=90, exif=exif)
    return Shown(scene.caption, 0.0, 0.0)


def write_memo(path: Path, seconds: float, ffmpeg: str | None = None) -> None:
    """Write a spoken-memo-like AAC file: bursts of a low voice with pauses."""
    path.parent.mkdir(parents=True, exist_ok=True)
    voice = "0.3*sin(2*PI*140*t)*(0.5+0.5*sin(2*PI*4*t))*lt(mod(t\\,4)\\,3)+0.01*(random(0)-0.5)"
    source = f"aevalsrc={voice}:s=44100:d={seconds:.3f}"
    _run(path, ["-f", "lavfi", "-i", source, "-c:a", "aac", "-b:a", "64k", f"file:{path.absolute()}"], ffmpeg)


@dataclass(frozen=True)
class SampleFile:
    """A file of the sample drop and what it shows; ``broken`` ones cannot be read on purpose."""

    path: Path
    shown: list[Shown] = field(default_factory=list)
    broken: bool = False


def write_demo_footage(
    folder: Path,
    minutes: float = 3.0,
    *,
    ffmpeg: str | None = None,
    seed: int = 7,
    size: tuple[int, int] = (960, 540),
) -> list[SampleFile]:
    """Write a drop as people make them: a camera card, phone clips and a still, a drone clip, a memo, one broken file.

    Args:
        minutes: Length of all clips together, about.
        size: Width and height of the clips in pixels.

    Returns:
        Every file with what it shows.
    """
    rng = np.random.default_rng(seed)
    seconds = minutes * 60 / 36
    begun = datetime(2026, 5, 16, 8, 30, tzinfo=UTC)
    opening = [
        Scene("field", "ball", "red", seed=11),
        Scene("night", "star", "yellow", many=True, motion="rising", seed=12),
        Scene("sea", None, seed=13),
        Scene("city", "heart", "purple", motion="growing", seed=14),
        Scene("snow", "house", "orange", motion="still", seed=15),
        Scene("bricks", "arrow", "blue", seed=16),
    ]
    used = {scene.caption for scene in opening}
    card = ClipFacts("Sample", "Cine 4", timecode="10:00:00:00")
    phone = ClipFacts("Sample", "Phone 8", place=BERLIN, rotated=True)
    plans = [
        ("DCIM/100TEST/CLIP0001.MOV", opening, "25", size, card),
        ("DCIM/100TEST/CLIP0002.MOV", _chosen(rng, 6, used), "25", size, card),
        ("DCIM/100TEST/CLIP0003.MOV", _chosen(rng, 6, used), "50", size, card),
        ("DCIM/100TEST/CLIP0004.MOV", _chosen(rng, 2, used), "25", size, card),
        ("Phone/IMG_0001.MOV", _chosen(rng, 4, used), "30", size[::-1], phone),
        ("Phone/IMG_0002.MOV", _chosen(rng, 6, used), "30000/1001", size, replace(phone, rotated=False)),
        (
            "Drone/DRONE_0001.MOV",
            _chosen(rng, 6, used),
            "24000/1001",
            size,
            ClipFacts("Sample", "Drone 2", place=BERLIN),
        ),
    ]

    def write(plan: tuple[str, list[Scene], str, tuple[int, int], ClipFacts]) -> SampleFile:
        name, scenes, fps, shape, facts = plan
        created = begun + timedelta(minutes=11 * [entry[0] for entry in plans].index(name))
        shown = write_clip(
            folder / name,
            scenes,
            seconds=seconds,
            fps=fps,
            size=shape,
            facts=replace(facts, created=created),
            ffmpeg=ffmpeg,
        )
        return SampleFile(folder / name, shown)

    with ThreadPoolExecutor(max_workers=2) as pool:
        files = list(pool.map(write, plans))
    broken = folder / "DCIM/100TEST/CLIP0004.MOV"
    os.truncate(broken, broken.stat().st_size * 6 // 10)
    files = [SampleFile(broken, broken=True) if file.path == broken else file for file in files]

    still = _chosen(rng, 1, used)[0]
    at = folder / "Phone/IMG_0003.JPG"
    shown = write_still(at, still, facts=replace(phone, created=begun + timedelta(hours=2)))
    memo = folder / "Memos/Notes after the shoot.m4a"
    write_memo(memo, 3 * seconds, ffmpeg)
    return [*files, SampleFile(at, [shown]), SampleFile(memo)]


def _chosen(rng: np.random.Generator, count: int, used: set[str]) -> list[Scene]:
    """Scenes whose captions were not used yet, each before another place than the last."""
    scenes: list[Scene] = []
    places = [str(place) for place in rng.permutation(list(PLACES))]
    while len(scenes) < count:
        scene = replace(
            random_scene(rng, places[len(scenes) % len(places)]), motion=MOTIONS[len(scenes) % len(MOTIONS)]
        )
        if scene.caption not in used:
            used.add(scene.caption)
            scenes.append(scene)
    return scenes
