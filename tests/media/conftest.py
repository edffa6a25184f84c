"""Small footage for the tests of media, made by ffmpeg when first asked for, and what the pass makes of it."""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.media.original import Original
from thatdam_pipelines.media.probe import probe_file
from thatdam_pipelines.media.proxy import Made, Pass, make_proxy
from thatdam_pipelines.samples.drops import write_card
from thatdam_pipelines.settings import Settings

SOUND = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=2"]
HIGH_SOUND = ["-f", "lavfi", "-i", "sine=frequency=880:sample_rate=48000:duration=2"]
FAST = ["-c:v", "libx264", "-preset", "ultrafast"]


def picture(size: str = "320x180", rate: int = 30, seconds: float = 2) -> list[str]:
    return ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}"]


def plain(color: str, seconds: float = 1) -> list[str]:
    return ["-f", "lavfi", "-i", f"color=c={color}:size=320x180:rate=30:duration={seconds}"]


def hdr(transfer: str, color: str) -> list[str]:
    tags = f"log-level=error:colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc"
    to_bt2020 = "scale=out_color_matrix=bt2020:out_range=tv,format=yuv420p10le"
    return [*plain(color, 0.5), "-vf", to_bt2020, "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", tags]


def concat(*inputs: list[str], filters: str = "") -> list[str]:
    given = [option for one in inputs for option in one]
    graph = "".join(f"[{index}]" for index in range(len(inputs))) + f"concat=n={len(inputs)}{filters}[v]"
    return [*given, "-filter_complex", graph, "-map", "[v]"]


RECIPES: dict[str, list[str]] = {
    "plain.mp4": [*picture(), *FAST],
    "sound.mp4": [*picture(), *SOUND, *FAST, "-g", "15", "-c:a", "aac"],
    "hd.mp4": [*picture("1920x1080", seconds=1.5), *FAST],
    "upright.mp4": [*picture("1080x1920", seconds=0.2), *FAST],
    "white-pq.mp4": hdr("smpte2084", "0x949494"),
    "white-hlg.mp4": hdr("arib-std-b67", "0xbfbfbf"),
    "wide-gamut.mp4": [
        *[
            *plain("0x808080", 0.5),
            "-vf",
            "scale=out_color_matrix=bt2020:out_range=tv,setparams=color_primaries=bt2020",
        ],
        *[*FAST, "-pix_fmt", "yuv420p10le"],
    ],
    "vfr.mkv": [
        *concat(picture(rate=24, seconds=1), picture(rate=50, seconds=1), filters=",settb=1/1000"),
        *["-fps_mode", "passthrough", *FAST],
    ],
    "slides.mkv": [*picture(rate=30, seconds=3), "-vf", "select='eq(n,0)+eq(n,3)+eq(n,40)'", "-fps_mode", "vfr", *FAST],
    "interlaced.mp4": [
        *[*picture(rate=50, seconds=1), "-vf", "interlace=scan=tff:lowpass=off", *FAST],
        *["-flags", "+ildct+ilme", "-x264-params", "tff=1"],
    ],
    "anamorphic.mp4": [*picture("240x180", seconds=0.5), "-vf", "setsar=4/3", *FAST],
    "odd.mp4": [*picture("321x241", seconds=0.5), *FAST, "-pix_fmt", "yuv444p"],
    "ten-bit.mov": [*picture(seconds=0.5), *FAST, "-pix_fmt", "yuv422p10le"],
    "alpha.mov": [*picture(seconds=0.5), "-vf", "format=yuva444p10le", "-c:v", "prores_ks", "-profile:v", "4444"],
    "prores.mov": [*picture(seconds=0.5), "-c:v", "prores_ks", "-profile:v", "3"],
    "screen.mkv": [*picture(seconds=0.5), "-c:v", "libx264rgb", "-preset", "ultrafast", "-pix_fmt", "rgb24"],
    "one-frame.mp4": [*picture(), "-frames:v", "1", *FAST],
    "two-frames.mp4": [*picture(), "-frames:v", "2", *FAST],
    "long-sound.mp4": [*picture(seconds=1), *SOUND, *FAST, "-c:a", "aac"],
    "late-sound.mp4": [
        *["-itsoffset", "0.5", *SOUND, *picture(), "-map", "1", "-map", "0", *FAST, "-c:a", "aac"],
    ],
    "two-sounds.mov": [
        *[*picture(seconds=1), *SOUND, *HIGH_SOUND, "-map", "0", "-map", "1", "-map", "2", *FAST, "-c:a", "pcm_s16le"],
    ],
    "sound.mp3": [*SOUND, "-c:a", "libmp3lame", "-b:a", "64k"],
    "sound-only.mov": [*SOUND, "-c:a", "pcm_s24le"],
    "stream.ts": [*picture(), *SOUND, *FAST, "-g", "15", "-c:a", "aac"],
    "program.mpg": [*picture(), *SOUND, "-c:v", "mpeg2video", "-c:a", "mp2"],
    "small.ts": [*picture(seconds=1), *FAST],
    "large.ts": [*picture("640x480", seconds=1), *FAST, "-output_ts_offset", "1"],
    "lit-late.mp4": [*concat(plain("black", 1.5), picture(seconds=1), plain("black", 1.5)), *FAST],
    "cut.mp4": [
        *concat(["-f", "lavfi", "-t", "1.5", "-i", "mandelbrot=size=320x180:rate=30"], picture(seconds=1)),
        *FAST,
    ],
    "colors.mp4": [*concat(plain("red"), plain("lime"), plain("blue")), *FAST, "-g", "30"],
    "long.mp4": [*picture("64x36", rate=2, seconds=150), *FAST, "-g", "2"],
    "cover.jpg": [*picture(), "-frames:v", "1", "-update", "1"],
}


def _run(*arguments: str | Path) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def library(settings: Settings) -> Iterator[Library]:
    with Library(settings) as library:
        yield library


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """Six files in the folders of two cameras."""
    return write_card(tmp_path / "drop" / "card")


@pytest.fixture(scope="session")
def ffmpeg() -> Callable[..., None]:
    """Runs the bundled ffmpeg with these arguments."""
    return _run


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives a piece of footage by its name, made once."""
    folder = tmp_path_factory.mktemp("footage")

    def make(name: str) -> Path:
        path = folder / name
        if path.exists():
            return path
        if name == "rotated.mp4":
            _run("-display_rotation", "90", "-i", make("plain.mp4"), "-c", "copy", path)
        elif name == "cover.mp3":
            cover = [*SOUND, "-i", make("cover.jpg"), "-map", "0", "-map", "1", "-c:a", "libmp3lame", "-c:v", "copy"]
            _run(*cover, "-disposition:v", "attached_pic", path)
        elif name == "resized.ts":
            path.write_bytes(make("small.ts").read_bytes() + make("large.ts").read_bytes())
        elif name == "cut.ts":
            path.write_bytes(make("stream.ts").read_bytes()[:100_000])
        elif name == "strange-sound.mov":
            path.write_bytes(make("two-sounds.mov").read_bytes().replace(b"sowt", b"zzzz"))
        else:
            _run(*RECIPES[name], path)
        return path

    return make


@dataclass(frozen=True)
class Result:
    """What the pass made of an original, and where."""

    made: Made
    folder: Path

    @property
    def proxy(self) -> Path:
        return self.folder / self.made.proxy_path


MakeProxy = Callable[..., Result]


@pytest.fixture(scope="session")
def proxied(tmp_path_factory: pytest.TempPathFactory, clip: Callable[[str], Path]) -> MakeProxy:
    """Makes the proxy of a clip (by name) or a file (by path), as probed but for what is given otherwise."""
    done: dict[str, Result] = {}

    def make(source: str | Path, **facts: Any) -> Result:
        path = clip(source) if isinstance(source, str) else source
        key = f"{path}{facts}"
        if key not in done:
            probe = probe_file(path, path.name)
            original = replace(Original.of(probe.row(), path.name, path.stat().st_size), **facts)
            folder = tmp_path_factory.mktemp("proxy")
            run = Pass(Settings(home=folder / "home"), folder, threads=2, timeout_s=60)
            done[key] = Result(make_proxy(path, original, run), folder)
        return done[key]

    return make
