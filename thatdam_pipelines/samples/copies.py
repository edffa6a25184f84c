"""Clips and copies of them that are known: trims, crops, overlays, flips, and look-alikes that are none."""

import subprocess
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt

from thatdam_pipelines.samples import shots
from thatdam_pipelines.samples.scenes import MOTIONS, PLACES, SUBJECTS, Scene, scene_frames

TUNING_SEEDS = (11, 12)
HELD_OUT_SEEDS = (501, 502)
RATE = 25
_SOUND_HZ = 16_000

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Copy:
    """One file of a set.

    Args:
        name: File name without suffix.
        operation: What was done to the source; "source" or "other take" when nothing was.
        source: Name of the clip it was made of; None when of none.
        offset_s: Time in the source of its first frame.
        speed: Seconds of the source a second of it.
        scene: Number of the place it was shot at; other takes share it.
    """

    name: str
    operation: str
    source: str | None
    offset_s: float
    speed: float
    scene: int


@dataclass(frozen=True)
class Operation:
    """Something that is done to a clip: ffmpeg filters and options."""

    name: str
    filters: str = "null"
    sound: str = "anull"
    speed: float = 1.0
    trim: bool = False
    options: tuple[str, ...] = ("-crf", "23")
    keeps_sound: bool = True


def operations(rng: np.random.Generator) -> list[Operation]:
    """One of each kind, with numbers drawn from ``rng``."""
    share = float(rng.uniform(0.72, 0.92))
    left, top = float(rng.uniform(0, 1 - share)), float(rng.uniform(0, 1 - share))
    fast, slow = float(rng.choice([1.25, 1.5, 2.0])), float(rng.choice([0.5, 0.8, 0.9]))
    x, y = int(rng.integers(0, 2)), int(rng.integers(0, 2))
    crop = f"crop=iw*{share:.3f}:ih*{share:.3f}:iw*{left:.3f}:ih*{top:.3f},scale=320:180"
    return [
        Operation("transcode", options=("-crf", "36")),
        Operation("small", "scale=160:90", options=("-crf", "30")),
        Operation("graded", "eq=brightness=0.06:contrast=1.25:saturation=0.4"),
        Operation("trim", trim=True),
        Operation("trim, mute", trim=True, keeps_sound=False),
        Operation("crop", crop),
        Operation("crop, trim, mute", crop, trim=True, keeps_sound=False),
        Operation("square", "crop=ih:ih,scale=180:180"),
        Operation("overlay", f"drawbox=x=iw*{0.66 * x:.2f}:y=ih*{0.72 * y:.2f}:w=iw*0.33:h=ih*0.25:color=white:t=fill"),
        Operation("caption", "drawbox=x=0:y=ih*0.82:w=iw:h=ih*0.12:color=black@0.7:t=fill"),
        Operation("faster", f"setpts=PTS/{fast}", f"atempo={fast}", speed=fast, keeps_sound=False),
        Operation("slower", f"setpts=PTS/{slow}", f"atempo={slow}", speed=slow, keeps_sound=False),
        Operation("PAL speed", "setpts=PTS/1.0427", speed=1.0427, keeps_sound=False),
        Operation("mirror", "hflip"),
        Operation("mirror, crop, trim", f"hflip,{crop}", trim=True),
        Operation("noise", "noise=alls=20:allf=t", options=("-crf", "30")),
        Operation("letterbox", "scale=320:134,pad=320:180:0:23"),
    ]  # fmt: skip


def write_set(
    folder: Path, seed: int, *, scenes: int = 8, seconds: float = 12.0, kinds: int | None = None
) -> list[Copy]:
    """Write sources, other takes of each at the same place, and copies of each source; returns what each file is.

    Args:
        kinds: Copies of each source, drawn from all operations; None for all.
    """
    rng = np.random.default_rng(seed)
    made: list[Copy] = []
    for number in range(scenes):
        for take, name in enumerate((f"s{seed}-{number}", f"s{seed}-{number}-take2", f"s{seed}-{number}-take3")):
            _write_shot(folder / f"{name}.mp4", rng, seed * 1000 + number, take, seconds + 0.7 * take)
            made.append(Copy(name, "other take" if take else "source", None, 0.0, 1.0, number))
        chosen = operations(rng)
        if kinds is not None:
            chosen = [chosen[(number * kinds + at) % len(chosen)] for at in range(kinds)]
        source = f"s{seed}-{number}"
        for at, operation in enumerate(chosen):
            start_s = round(float(rng.uniform(1.5, seconds - 7)), 2) if operation.trim else 0.0
            length_s = round(float(rng.uniform(4, 6)), 2) if operation.trim else seconds
            made.append(Copy(f"{source}-copy{at:02d}", operation.name, source, start_s, operation.speed, number))
            _derive(folder / f"{source}.mp4", folder / f"{made[-1].name}.mp4", operation, start_s, length_s)
    return made


def _write_shot(path: Path, rng: np.random.Generator, scene: int, take: int, seconds: float) -> None:
    """A take of a scene: of the same place, by the same kind of camera, at another time."""
    setting = np.random.default_rng(scene)
    count = round(seconds * RATE)
    manner = scene % 5
    if manner == 4:
        pictures = _edit(setting, rng, seconds)
    else:
        place = shots.place(setting)
        other = np.random.default_rng(scene * 7 + take)
        framing = np.random.default_rng(scene + 5)
        camera = [
            shots.still(framing),
            shots.handheld(other, sway=1.5),
            shots.pan(other, (0.03, 0.1)),
            shots.handheld(other, zoom=1.2),
        ][manner]
        passers = tuple(shots.passer(other, (0.25, 0.6), (0.06, 0.3)) for _ in range(3))
        shot = shots.Shot(place, camera, passers)
        noise = rng.normal(0, 3, (4, shots.SIZE[1], shots.SIZE[0], 1)).astype(np.float32)
        pictures = (np.clip(shot.render(at / RATE) + noise[at % 4], 0, 255).astype(np.uint8) for at in range(count))
    wav = path.with_suffix(".wav")
    _write_sound(wav, np.random.default_rng(scene * 13 + take), seconds)
    _encode(path, pictures, wav)
    wav.unlink()


def _edit(setting: np.random.Generator, rng: np.random.Generator, seconds: float) -> Iterator[Picture]:
    """Generated scenes at the same places, cut at other times, with other things in them."""
    left = round(seconds * RATE)
    for place in setting.permutation(sorted(PLACES)):
        count = min(left, round(float(rng.uniform(1.5, 4)) * RATE))
        motion, subject = MOTIONS[int(rng.integers(len(MOTIONS)))], str(rng.choice(SUBJECTS))
        shown = Scene(str(place), subject, "red", motion=motion, seed=int(rng.integers(1 << 16)))
        yield from scene_frames(shown, RATE, count / RATE, shots.SIZE)
        left -= count
        if left <= 0:
            return


def _write_sound(path: Path, rng: np.random.Generator, seconds: float) -> None:
    """Notes and hiss: another tune each time."""
    count = round(seconds * _SOUND_HZ)
    sound = rng.normal(0, 0.01, count)
    at = 0.0
    while at < seconds:
        lasts = float(rng.uniform(0.08, 0.5))
        time = np.arange(round(lasts * _SOUND_HZ)) / _SOUND_HZ
        tone = sum(np.sin(2 * np.pi * float(rng.uniform(120, 3500)) * time) for _ in range(3))
        start = round(at * _SOUND_HZ)
        part = sound[start : start + len(time)]
        part += (0.1 * np.asarray(tone) * np.exp(-4 * time / lasts))[: len(part)]
        at += float(rng.uniform(0.05, 0.4))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_SOUND_HZ)
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())


_AS_A_PROXY = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-force_key_frames",
               "expr:gte(t,n_forced*1)", "-threads", "1")  # fmt: skip
_run = partial(subprocess.run, check=True, stdout=subprocess.DEVNULL)


def _encode(path: Path, pictures: Iterator[Picture], wav: Path) -> None:
    size = f"{shots.SIZE[0]}x{shots.SIZE[1]}"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size]
    command += ["-r", str(RATE), "-i", "pipe:0", "-i", f"file:{wav}", *_AS_A_PROXY, "-crf", "20", f"file:{path}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for picture in pictures:
            process.stdin.write(picture.tobytes())
        process.stdin.close()


def _derive(source: Path, path: Path, operation: Operation, start_s: float, length_s: float) -> None:
    cut = ["-ss", str(start_s), "-t", str(length_s)] if operation.trim else []
    sound = ["-af", operation.sound, "-c:a", "aac", "-b:a", "96k"] if operation.keeps_sound else ["-an"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *cut, "-i", f"file:{source}"]
    command += ["-vf", operation.filters, *_AS_A_PROXY, *operation.options, *sound, f"file:{path}"]
    _run(command)
