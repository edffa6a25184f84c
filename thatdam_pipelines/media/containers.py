"""Opening media that nobody vouches for: one regular file, a list of allowed formats, and no way to anything else."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Protocol

from thatdam_pipelines.errors import MediaError

if TYPE_CHECKING:
    from av.container import InputContainer

FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,av1,avi,caf,dsf,dts,dtshd,dv,eac3,flac,flv,gxf,h264,hevc,iff,ivf,m4v,matroska,mjpeg,mov,"
    "mp3,mpeg,mpegts,mpegvideo,mxf,nut,obu,ogg,r3d,tta,w64,wav,wtv,wv,yuv4mpegpipe"
)
"""Demuxers that may read a file. None of them follows a name or an address found in the file: no playlist, no concat
script, no image sequence, no device."""

READ_BUDGET_BYTES = 512 * 2**20


class Seekable(Protocol):
    """What a demuxer reads from."""

    def read(self, count: int = -1, /) -> bytes: ...
    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int: ...
    def tell(self) -> int: ...


class BoundedFile:
    """A file for a demuxer, which sees its end once a budget is read: a probe must not read all of 500 GB.

    Args:
        descriptor: Open file descriptor; ``close`` closes it.
        budget: Bytes that may be read in all.
    """

    def __init__(self, descriptor: int, budget: int = READ_BUDGET_BYTES) -> None:
        self._file = os.fdopen(descriptor, "rb", buffering=0)
        self.size = os.fstat(descriptor).st_size
        self.left = budget

    def read(self, count: int = -1) -> bytes:
        if count < 0 or count > self.left:
            count = self.left
        data = self._file.read(count) or b""
        self.left -= len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read_at(self, offset: int, count: int) -> bytes:
        """Up to ``count`` bytes at ``offset``, fewer at the end; where the demuxer reads on stays as it is."""
        data = os.pread(self._file.fileno(), max(0, min(count, self.left)), offset)
        self.left -= len(data)
        return data

    def fileno(self) -> int:
        return self._file.fileno()

    def close(self) -> None:
        self._file.close()


@contextlib.contextmanager
def reading(path: Path, name: str, budget: int = READ_BUDGET_BYTES) -> Iterator[BoundedFile]:
    """Open a regular file for a demuxer, without following a link and without waiting for a pipe's other end.

    Raises:
        MediaError: It is no regular file, or cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(name, error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise MediaError(name, "is not a regular file", "Ingest the files themselves, not pipes, devices or folders.")
    file = BoundedFile(descriptor, budget)
    try:
        yield file
    except OSError as error:
        raise _unreadable(name, error) from error
    finally:
        file.close()


@contextlib.contextmanager
def demuxing(
    file: Seekable, timeout_s: float, max_pixels: int, *, headers_only: bool = False, begins_within_us: int = 1
) -> Iterator["InputContainer"]:
    """The container of ``file``, opened by PyAV.

    PyAV is given the open file, never a name, and a function that refuses to open anything else.

    Args:
        timeout_s: Longest time opening, or one read, may take.
        max_pixels: Decoders refuse pictures of more pixels.
        headers_only: Decode nothing to find out about streams, which costs five times as much as the rest; their
            pixel formats and the like may be missing then.
        begins_within_us: With ``headers_only``, how far to read where a container has no header: each of its streams
            is expected to begin by then.

    Raises:
        av.FFmpegError: The file cannot be demuxed.
    """
    import av

    file.seek(0)
    codec_options = {"threads": "1", "max_pixels": str(max_pixels)}
    format_options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    if headers_only:
        codec_options["skip_frame"] = "all"
        format_options |= {"analyzeduration": str(begins_within_us), "max_probe_packets": "1"}
    container = av.open(
        file,
        "r",
        metadata_errors="replace",
        options=codec_options,
        container_options=format_options,
        timeout=timeout_s,
        io_open=_open_nothing,
    )
    try:
        yield container
    finally:
        container.close()


def _open_nothing(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise PermissionError(errno.EACCES, "a media file may not open another file")


@dataclass(frozen=True)
class _Cause:
    cause: str
    next_step: str


_UNREADABLE = {
    errno.ELOOP: _Cause("is a symbolic link", "Ingest the file it points to."),
    errno.ENOENT: _Cause("is gone", "Put it back, or look where it was moved; then run `thatdam retry`."),
    errno.EACCES: _Cause("cannot be read (permission denied)", "Give the user thatdam runs as the right to read it."),
    errno.ENXIO: _Cause("is not a regular file", "Ingest the files themselves, not pipes, devices or folders."),
    errno.EIO: _Cause("cannot be read (the disk reports an error)", "Copy it from the card again, or check the disk."),
}


def _unreadable(name: str, error: OSError) -> MediaError:
    known = _UNREADABLE.get(error.errno or 0)
    if known is None:
        return MediaError(name, f"cannot be read ({error.strerror or error})", "Check the file and the disk it is on.")
    return MediaError(name, known.cause, known.next_step)
