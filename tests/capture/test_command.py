"""What ffmpeg is asked to do: nobody's reading or not reading touches the record, and no argument shows a secret."""

import os
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from thatdam_capture.command import preview_command, record_command
from thatdam_capture.devices import Device
from thatdam_capture.ffmpeg import ffmpeg_exe, ffmpeg_version
from thatdam_capture.progress import FrameLog
from thatdam_capture.settings import PROFILES, CameraSettings, Preview, Settings, Timing
from thatdam_capture.sources import Source, source_of, without_credentials


def source(**camera: Any) -> Source:
    one = CameraSettings.model_validate({"id": "cam1", "kind": "synthetic", "size": "320x180", "rate": "25"} | camera)
    return source_of(one, Device("cam1", "cam1", one.kind, path="/dev/video9"), Timing())


def record_for(folder: Path, seconds: float, preview: Preview) -> FrameLog:
    """Record with nobody reading the preview; what ffmpeg said of its frames."""
    folder.mkdir()
    read, write = os.pipe()
    exe = ffmpeg_exe(Settings())
    command = record_command(exe, source(), PROFILES["h264"], folder, 60, preview, write)
    process = subprocess.Popen(command.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[write])
    os.close(write)
    frames = FrameLog()
    enough = threading.Event()

    def listen() -> None:
        while data := os.read(read, 65536):
            frames.feed(data)
            if frames.last_s >= seconds:
                enough.set()

    listener = threading.Thread(target=listen)
    listener.start()
    assert enough.wait(60), "ffmpeg stood still"
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b"q")
    process.stdin.close()
    # The preview is read only now, so that ffmpeg can end.
    process.stdout.read()
    process.wait(20)
    listener.join()
    os.close(read)
    return frames


def test_a_preview_that_nobody_reads_costs_no_frame(bench: Any, tmp_path: Path) -> None:
    import av

    from thatdam_capture.synthetic import read_code

    folder = tmp_path / "part"
    frames = record_for(folder, 4.0, Preview(height=720, fps=25, quality=2))
    with av.open(str(folder / "00000.mkv")) as container:
        counters = [read_code(one.to_ndarray(format="gray")).counter for one in container.decode(video=0)]
    assert counters == list(range(frames.count))
    assert frames.count >= 4 * 25


def test_a_store_with_odd_characters_in_its_name_works(tmp_path: Path) -> None:
    folder = tmp_path / "100%d it's [Ünïcode], ok"
    frames = record_for(folder, 1.0, Preview(height=90, fps=5))
    assert (folder / "00000.mkv").stat().st_size > 10_000
    assert (folder / "segments.csv").read_text().count("00000.mkv") == 1
    assert frames.count >= 25


def test_copy_is_copy_only_where_the_camera_compresses() -> None:
    raw = record_command("ffmpeg", source(), PROFILES["copy"], Path("/p"), 60, Preview(), 7)
    assert "libx264" in raw.argv
    url = "rtsp://user:pass@cam.local/live"
    sent = record_command(
        "ffmpeg",
        source(kind="rtsp", url=url, size=None, rate=None),
        PROFILES["copy"],
        Path("/p"),
        60,
        Preview(),
        7,
    )
    assert "libx264" not in sent.argv and "copy" in sent.argv


def test_no_secret_is_in_what_is_shown() -> None:
    camera = source(kind="rtsp", url="rtsp://user:p%40ss@cam.local:554/live?token=abc", size=None, rate=None)
    for command in (
        record_command("ffmpeg", camera, PROFILES["copy"], Path("/p"), 60, Preview(), 7),
        preview_command("ffmpeg", camera, Preview()),
    ):
        assert any("p%40ss" in one for one in command.argv)
        shown = " ".join(command.public)
        assert "p%40ss" not in shown and "user" not in shown and "abc" not in shown
        assert "cam.local:554/live" in shown


def test_credentials_are_taken_out_of_any_text() -> None:
    said = "Error opening input file rtsp://bob:x@10.0.0.1/s?key=1:2 : 401 (http://a@b/c)"
    assert without_credentials(said) == "Error opening input file rtsp://10.0.0.1/s : 401 (http://b/c)"


def test_a_network_camera_may_not_make_ffmpeg_open_a_file() -> None:
    arguments = source(kind="http", url="http://cam.local/stream.m3u8", size=None, rate=None).inputs
    allowed = arguments[arguments.index("-protocol_whitelist") + 1].split(",")
    assert "file" not in allowed and "concat" not in allowed and "pipe" not in allowed


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_taps_every_frame(profile: str) -> None:
    argv = record_command("ffmpeg", source(), PROFILES[profile], Path("/p"), 60, Preview(), 7).argv
    assert "pipe:7" in argv and "passthrough" in argv


def test_the_bundled_ffmpeg_is_new_enough() -> None:
    assert ffmpeg_version(ffmpeg_exe(Settings()))
