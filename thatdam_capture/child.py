"""One ffmpeg as a child process: begun in its own group, ended step by step, gone when the recorder is gone."""

import asyncio
import contextlib
import fcntl
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from thatdam_capture import launch
from thatdam_capture.latest_frame import LatestFrame

PIPE_BYTES = 1 << 20
LARGEST_PICTURE = 32 * 2**20
F_SETPIPE_SZ = 1031


class Child:
    """A running ffmpeg.

    Its standard error is kept, redacted, as the last ``messages``. Must be started from the thread of the event loop,
    which has to live as long as the recorder: see ``launch``.
    """

    def __init__(self, process: asyncio.subprocess.Process, redact: Callable[[str], str]) -> None:
        self.process = process
        self.pid = process.pid
        self.messages: deque[str] = deque(maxlen=20)
        self._redact = redact
        self._ending: asyncio.Task[None] | None = None
        self._reading = asyncio.create_task(self._read_messages())

    @classmethod
    async def start(cls, argv: Sequence[str], redact: Callable[[str], str], pass_fds: Sequence[int] = ()) -> "Child":
        """Start an argument list.

        Raises:
            FileNotFoundError: the program is not there.
        """
        if not os.access(argv[0], os.X_OK):
            raise FileNotFoundError(f"{argv[0]} cannot be run")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(Path(launch.__file__)), str(os.getpid())),
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=tuple(pass_fds),
            start_new_session=True,
            limit=PIPE_BYTES,
        )
        return cls(process, redact)

    @property
    def complaint(self) -> str | None:
        """The last thing it called an error, else the last thing it said."""
        errors = [one for one in self.messages if "[error]" in one or "[fatal]" in one]
        said = errors or list(self.messages)
        return said[-1] if said else None

    async def wait(self) -> int:
        """Its exit status, once it has ended. 0 does not mean that it was asked to end."""
        status = await self.process.wait()
        await self._reading
        return status

    async def end(self, step_s: float, *, ask: bool = True) -> None:
        """End it: ``q``, after ``step_s`` SIGTERM, after another SIGKILL. Asked twice, it is still ended once.

        Args:
            ask: False goes to SIGTERM at once.
        """
        if self._ending is None:
            self._ending = asyncio.create_task(self._end(step_s, ask))
        await asyncio.shield(self._ending)

    def kill(self) -> None:
        """End it now, for one that nobody waits for any more. Nothing happens to one that has ended."""
        if self.process.returncode is None:
            self._signal(signal.SIGKILL)

    async def _end(self, step_s: float, ask: bool) -> None:
        if ask:
            with contextlib.suppress(OSError):
                assert self.process.stdin is not None
                self.process.stdin.write(b"q")
            if await self._ended_within(step_s):
                return
        self._signal(signal.SIGTERM)
        if await self._ended_within(step_s):
            return
        self._signal(signal.SIGKILL)
        await self.process.wait()

    async def _ended_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self.process.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    async def _read_messages(self) -> None:
        stream = self.process.stderr
        assert stream is not None
        while True:
            try:
                line = await stream.readline()
            except ValueError:
                continue
            if not line:
                return
            text = self._redact(line.decode(errors="replace").strip())
            if text:
                self.messages.append(text)


async def read_pictures(stream: asyncio.StreamReader, frame: LatestFrame) -> None:
    """Put every JPEG of an mpjpeg stream into the latest frame until the stream ends."""
    length = 0
    while line := await stream.readline():
        key, _, value = line.strip().partition(b":")
        if key.lower() == b"content-length" and value.strip().isdigit():
            length = int(value)
        elif not key and length:
            if length > LARGEST_PICTURE:
                return
            try:
                frame.put(await stream.readexactly(length))
            except asyncio.IncompleteReadError:
                return
            length = 0


class LinePipe(asyncio.Protocol):
    """Gives what arrives on a pipe to a function as soon as it arrives."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self.closed = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self._take(data)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


def wide_pipe() -> tuple[int, int]:
    """A pipe whose writer is not stopped by a reader that is busy for minutes."""
    read, write = os.pipe()
    with contextlib.suppress(OSError):
        fcntl.fcntl(write, F_SETPIPE_SZ, PIPE_BYTES)
    return read, write
