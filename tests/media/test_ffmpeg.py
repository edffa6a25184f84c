"""ffmpeg on hostile media: what it may not do, and what it is stopped at."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import ffmpeg as graph
import pytest

from thatdam_pipelines.errors import MediaError, SettingsError
from thatdam_pipelines.media.containers import FORMATS
from thatdam_pipelines.media.ffmpeg import (
    Finished,
    Limits,
    UndecodableError,
    demuxer_of,
    ffmpeg_exe,
    file_url,
    input_options,
    open_pipe,
    run_ffmpeg,
)
from thatdam_pipelines.settings import Settings

EXE = ffmpeg_exe(Settings())
ENDLESS = ["-f", "lavfi", "-i", "testsrc2=size=64x36", "-f", "rawvideo", "file:out.raw"]
AMPLE = Limits(wall_s=60, memory_bytes=2**33, file_bytes=2**30)


def run(arguments: list[str], folder: Path, limits: Limits = AMPLE) -> Finished:
    return run_ffmpeg(arguments, exe=EXE, name="clip.mp4", limits=limits, folder=folder)


def decode(path: Path, container: str, folder: Path) -> Finished:
    source = graph.input(file_url(path), **input_options(container))
    return run(graph.get_args(graph.output(source, "-", format="null")), folder)


def test_every_format_that_is_allowed_exists() -> None:
    listed = subprocess.run([EXE, "-hide_banner", "-demuxers"], capture_output=True, text=True, check=True).stdout
    known = {name for line in listed.splitlines() if line[1:2] == "D" for name in line.split()[1].split(",")}
    assert set(FORMATS.split(",")) <= known


def test_playlists_scripts_devices_and_sequences_are_no_containers() -> None:
    for name in (
        "hls",
        "dash",
        "concat",
        "image2",
        "lavfi",
        "rtsp",
        "sdp",
        "imf",
        "v4l2",
        "avisynth",
        "ffmetadata",
        "",
    ):
        with pytest.raises(MediaError):
            demuxer_of(name)


def test_a_container_is_known_by_any_of_its_names() -> None:
    assert demuxer_of("mov,mp4,m4a,3gp,3g2,mj2") == demuxer_of("mp4") == "mov"
    assert demuxer_of("matroska,webm") == demuxer_of("webm") == "matroska"


@pytest.mark.parametrize("container", ["mov", "mpegts", "matroska", "mpeg", "avi", "mp3"])
def test_a_playlist_in_disguise_reaches_no_server_and_no_other_file(
    clip: Callable[[str], Path], tmp_path: Path, container: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/x.ts"
        for number, text in enumerate(
            (
                f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{address}\n#EXTINF:9,\nfile://{clip('stream.ts')}\n",
                f"ffconcat version 1.0\nfile '{clip('stream.ts')}'\nfile '{address}'\n",
                f"[reference]\nref1={address}\n",
            )
        ):
            path = tmp_path / f"{number}.mp4"
            path.write_text(text)
            with pytest.raises(MediaError):
                decode(path, container, tmp_path)
        with pytest.raises(TimeoutError):
            server.accept()


def test_whole_media_passes(clip: Callable[[str], Path], tmp_path: Path) -> None:
    assert decode(clip("sound.mp4"), "mov", tmp_path).error_count == 0


def test_what_runs_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="longer than"):
        run(["-re", *ENDLESS], tmp_path, Limits(wall_s=0.5, memory_bytes=2**33, file_bytes=2**30))


def test_what_writes_too_much_is_ended(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"larger than 0\.0 GB"):
        run(ENDLESS, tmp_path, Limits(wall_s=60, memory_bytes=2**33, file_bytes=2**20))
    assert (tmp_path / "out.raw").stat().st_size <= 2**20


def test_what_needs_too_much_memory_is_ended(tmp_path: Path) -> None:
    huge = ["-f", "lavfi", "-i", "color=size=16000x16000", "-vf", "tile=1x2", "-f", "null", "-"]
    with pytest.raises(MediaError, match="memory"):
        run(huge, tmp_path, Limits(wall_s=60, memory_bytes=2**29, file_bytes=2**30))


def test_the_reason_is_one_line_and_not_the_last_empty_phrase(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("not a movie at all" * 100)
    with pytest.raises(UndecodableError) as caught:
        decode(tmp_path / "text.mp4", "mov", tmp_path)
    assert caught.value.cause == "it cannot be decoded (moov atom not found)"


def test_what_a_pipe_is_given_is_read_while_it_runs(tmp_path: Path) -> None:
    taken: list[int] = []

    def count(reader: int) -> None:
        while data := os.read(reader, 65536):
            taken.append(len(data))

    with open_pipe() as pipe:
        source = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=1"]
        arguments = [*source, "-f", "rawvideo", "-pix_fmt", "gray", pipe.url]
        run_ffmpeg(arguments, exe=EXE, name="clip", limits=AMPLE, folder=tmp_path, pipe=pipe, consume=count)
    assert sum(taken) == 25 * 640 * 360


def test_a_reader_that_fails_ends_ffmpeg_too(tmp_path: Path) -> None:
    def fail(reader: int) -> None:
        raise ZeroDivisionError(reader)

    with open_pipe() as pipe, pytest.raises(ZeroDivisionError):
        arguments = ["-f", "lavfi", "-i", "testsrc2", "-f", "rawvideo", pipe.url]
        run_ffmpeg(arguments, exe=EXE, name="clip", limits=AMPLE, folder=tmp_path, pipe=pipe, consume=fail)


def children_of(process: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs the kernel of Linux")
def test_ffmpeg_is_gone_when_its_parent_is_killed(tmp_path: Path) -> None:
    program = textwrap.dedent(
        f"""
        from pathlib import Path
        from thatdam_pipelines.media.ffmpeg import Limits, run_ffmpeg
        arguments = ["-re", "-f", "lavfi", "-i", "testsrc2=size=64x36", "-f", "null", "-"]
        run_ffmpeg(arguments, exe={EXE!r}, name="x", limits=Limits(600, 2**33, 2**30), folder=Path({str(tmp_path)!r}))
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", program])
    try:
        while not (children := children_of(parent.pid)):
            assert parent.poll() is None
            time.sleep(0.02)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    for _ in range(500):
        if not any(map(is_running, children)):
            return
        time.sleep(0.02)
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    pytest.fail("ffmpeg outlived its parent")


def test_a_setting_that_names_no_program_is_said_to(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="THATDAM_FFMPEG"):
        ffmpeg_exe(Settings(ffmpeg=str(tmp_path / "missing")))
