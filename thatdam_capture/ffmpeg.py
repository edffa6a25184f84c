"""Which ffmpeg is used."""

import os
import re
import shutil
import subprocess

from thatdam_capture.errors import SettingsError
from thatdam_capture.settings import Settings

OLDEST = 7


def ffmpeg_exe(settings: Settings) -> str:
    """Path of the ffmpeg of the settings, or of the bundled one.

    Raises:
        SettingsError: there is none.
    """
    if settings.ffmpeg is None:
        import imageio_ffmpeg

        try:
            return imageio_ffmpeg.get_ffmpeg_exe()
        except RuntimeError as error:
            raise SettingsError(f"no ffmpeg: {error}", "Install one and set `ffmpeg`") from None
    found = shutil.which(settings.ffmpeg)
    if found is None:
        raise SettingsError(f"ffmpeg {settings.ffmpeg!r} cannot be run", "Correct `ffmpeg` in the settings")
    return os.path.abspath(found)  # noqa: PTH100 - keeps links, which a program may go by


def ffmpeg_version(exe: str) -> str:
    """What it calls its version.

    Raises:
        SettingsError: it does not run, or is too old to tell the times of frames.
    """
    try:
        answer = subprocess.run([exe, "-version"], capture_output=True, timeout=30, check=True).stdout.decode()
    except (OSError, subprocess.SubprocessError) as error:
        raise SettingsError(f"ffmpeg {exe} does not run ({error})", "Correct `ffmpeg` in the settings") from None
    match = re.match(r"ffmpeg version (\S+)", answer)
    name = match[1] if match else "unknown"
    number = re.match(r"n?(\d+)\.", name)
    if number and int(number[1]) < OLDEST:
        raise SettingsError(f"ffmpeg {name} is too old", f"Use version {OLDEST} or newer, or the bundled one")
    return name
