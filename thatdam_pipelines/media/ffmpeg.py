"""Running ffmpeg on hostile media: no network, no other file, limited in time and room, gone with its parent."""

import collections
import contextlib
import functools
import os
import re
import resource
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from thatdam_pipelines.errors import MediaError, SettingsError
from thatdam_pipelines.library.workers import die_with_parent
from thatdam_pipelines.media.containers import FORMATS
from thatdam_pipelines.settings import Settings

_ALIASES = {"mp4": "mov", "m4a": "mov", "m4v": "mov", "3gp": "mov", "3g2": "mov", "mj2": "mov", "webm": "matroska"}

GLOBAL_OPTIONS = ("-nostdin", "-hide_banner", "-nostats", "-loglevel", "level+info", "-y", "-max_error_rate", "1")
"""For every run: no terminal, lines tagged with their level, and as much decoded of a damaged file as can be."""

_TAIL_LINES = 400
_LINE_BYTES = 2000
_TAG = re.compile(r"^(?:\[[^\]]*@ 0x[0-9a-f]+\] )*\[(\w+)\] ?")
_MEANINGS = {"Cannot determine format of input": "nothing of it decodes", "matches no streams": "it has no such stream"}
_NO_MEMORY = ("Cannot allocate memory", "pthread_create() failed")
_EMPTY_PHRASES = (
    "Conversion failed",
    "Error opening input",
    "Error opening output file",
    "Error while filtering",
    "Nothing was written into output",
    "Task finished with error code",
    "Terminating thread with return code",
    "Last message repeated",
    "Error submitting packet to decoder",
    "Error processing packet in decoder",
    "Decode error rate",
    "Could not open encoder before EOF",
    "Error initializing filters",
    "Error reinitializing filters",
    "Error binding",
    "Error while opening decoder",
    "Error : ",
)


@functools.cache
def _bundled() -> str:
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def ffmpeg_exe(settings: Settings) -> str:
    """Path of the ffmpeg to run: the setting, else the one bundled with imageio-ffmpeg.

    Raises:
        SettingsError: The one that is set is not an executable file.
    """
    if settings.ffmpeg is None:
        return _bundled()
    if found := shutil.which(settings.ffmpeg):
        return found
    raise SettingsError("THATDAM_FFMPEG", f"there is no program {settings.ffmpeg}", "Correct it, or unset it.")


def demuxer_of(container: str) -> str:
    """The ffmpeg demuxer of a probed container, by its short name or a list of names as ffmpeg gives it.

    Raises:
        MediaError: It is none of ``FORMATS``: a playlist, a script, a sequence or something unknown.
    """
    for name in container.split(","):
        if (demuxer := _ALIASES.get(name, name)) in FORMATS.split(","):
            return demuxer
    raise MediaError(container, "this container is not one that is read", "Convert the file to MOV, MP4, MXF or MKV.")


def file_url(path: Path) -> str:
    """A local file as ffmpeg must be given it, whatever its name: never a protocol, an option or a pattern."""
    return f"file:{path.absolute()}"


def descriptor_url(descriptor: int) -> str:
    """An open file as ffmpeg is given it: it cannot be exchanged for another, and its name is nowhere."""
    return f"file:/dev/fd/{descriptor}"


def input_options(container: str) -> dict[str, str]:
    """Keyword arguments of ``ffmpeg.input`` that keep reading a file of ``container`` from opening anything else."""
    return {"format": demuxer_of(container), "protocol_whitelist": "file", "format_whitelist": FORMATS}


class UndecodableError(MediaError):
    """ffmpeg could not decode what it was asked to; something else of the file may still decode."""


@dataclass(frozen=True)
class Limits:
    """What one ffmpeg may use.

    Args:
        wall_s: Wall time.
        memory_bytes: Address space.
        file_bytes: Size of each file it writes.
    """

    wall_s: float
    memory_bytes: int
    file_bytes: int


@dataclass(frozen=True)
class Finished:
    """What an ffmpeg that succeeded said: its last lines, and how many errors it went over."""

    lines: list[str]
    error_count: int
    first_error: str | None


@dataclass
class _Log:
    """The last lines of ffmpeg's messages and a count of errors; memory does not grow with what it says."""

    lines: collections.deque[str] = field(default_factory=lambda: collections.deque(maxlen=_TAIL_LINES))
    error_count: int = 0
    errors: collections.deque[str] = field(default_factory=lambda: collections.deque(maxlen=20))
    first_error: str | None = None
    lacks_memory: bool = False

    def drain(self, stream: IO[bytes]) -> None:
        while raw := stream.readline(_LINE_BYTES):
            line = raw.decode("utf-8", "replace").rstrip()
            tag = _TAG.match(line)
            level, text = (tag[1], line[tag.end() :]) if tag else ("info", line)
            self.lines.append(text)
            if level in ("error", "fatal", "panic"):
                self.error_count += 1
                self.lacks_memory = self.lacks_memory or any(phrase in text for phrase in _NO_MEMORY)
                if text.strip() and not any(phrase in text for phrase in _EMPTY_PHRASES):
                    self.errors.append(text.strip())
                    self.first_error = self.first_error or text.strip()

    def cause(self) -> str:
        """The last line that says something."""
        said = [*self.errors] or [line.strip() for line in self.lines if line.strip()] or ["ffmpeg said nothing"]
        return next((meaning for phrase, meaning in _MEANINGS.items() if phrase in said[-1]), said[-1])


class Pipe:
    """A pipe that ffmpeg writes to: give it ``url`` as an output and read ``reader``."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self.url = f"pipe:{self.writer}"
        self._open = {self.reader, self.writer}

    def close(self, *ends: int) -> None:
        """Close these ends, once."""
        for end in self._open & set(ends):
            self._open.remove(end)
            os.close(end)


@contextlib.contextmanager
def open_pipe() -> Iterator[Pipe]:
    """A pipe whose ends are closed afterwards, unless they were before."""
    pipe = Pipe()
    try:
        yield pipe
    finally:
        pipe.close(pipe.reader, pipe.writer)


def run_ffmpeg(
    arguments: Sequence[str],
    *,
    exe: str,
    name: str,
    limits: Limits,
    folder: Path,
    inherited: Sequence[int] = (),
    pipe: Pipe | None = None,
    consume: Callable[[int], Any] | None = None,
    making: str = "its proxy",
) -> Finished:
    """Run ffmpeg with inputs and outputs as given, in its own process group.

    Args:
        arguments: Everything after ``GLOBAL_OPTIONS``, from the first input on.
        name: The media file as people know it, for messages.
        folder: Where it runs, and where relative names of outputs are.
        inherited: File descriptors it is given, see ``descriptor_url``.
        pipe: Passed on to ffmpeg; its writing end is closed here.
        consume: Called with the pipe's reading end while ffmpeg runs; reads until its end.
        making: What it makes, for messages.

    Raises:
        UndecodableError: It failed.
        MediaError: It ran out of time, memory or room.
    """
    before_exec = functools.partial(_prepare, limits, os.getpid())
    try:
        process = subprocess.Popen(
            [exe, *GLOBAL_OPTIONS, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=folder,
            pass_fds=(*inherited, pipe.writer) if pipe else tuple(inherited),
            process_group=0,
            preexec_fn=before_exec,
        )
    except OSError as error:
        raise SettingsError(exe, f"it cannot be started ({error.strerror})", "Check THATDAM_FFMPEG.") from error
    assert process.stderr is not None
    log = _Log()
    listener = threading.Thread(target=log.drain, args=(process.stderr,), daemon=True)
    timed_out = threading.Event()
    timer = threading.Timer(limits.wall_s, _time_out, (process, timed_out))
    listener.start()
    timer.start()
    try:
        if pipe is not None:
            pipe.close(pipe.writer)
        if consume is not None and pipe is not None:
            consume(pipe.reader)
        status = process.wait()
    finally:
        timer.cancel()
        _kill(process)
        process.wait()
        listener.join()
        process.stderr.close()
    if timed_out.is_set():
        raise MediaError(
            name,
            f"making {making} took longer than {limits.wall_s:.0f} s",
            "Check the file, or raise THATDAM_PROXY_TIMEOUT_FACTOR and run `thatdam retry`.",
        )
    if status == -signal.SIGXFSZ or (status and "File too large" in log.cause()):
        raise MediaError(
            name,
            f"{making} would be larger than {limits.file_bytes / 1e9:.1f} GB",
            "Check the file, or raise THATDAM_PROXY_MAX_BYTES and run `thatdam retry`.",
        )
    if status and log.lacks_memory:
        raise MediaError(
            name,
            "decoding it needs more memory than a worker may use",
            "Check the file, or raise THATDAM_WORKER_MEMORY_BYTES and run `thatdam retry`.",
        )
    if status < 0:
        raise MediaError(
            name,
            f"the decoder crashed (signal {-status})",
            "The file is probably damaged: copy it from the card again.",
        )
    if status:
        raise UndecodableError(
            name, f"it cannot be decoded ({log.cause()})", "Play the original; if it is damaged, copy it again."
        )
    return Finished(list(log.lines), log.error_count, log.first_error)


def _prepare(limits: Limits, parent: int) -> None:
    """Runs in the child before ffmpeg does."""
    die_with_parent(parent)
    for limit, value in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(limit)[1]
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (allowed, allowed))


def _time_out(process: subprocess.Popen[bytes], timed_out: threading.Event) -> None:
    timed_out.set()
    _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End ffmpeg and whatever it started, if it is still there."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
