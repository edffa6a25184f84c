"""Who owns the folder of vectors: one process under a lock, or the server that everybody talks to."""

import contextlib
import fcntl
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from thatdam_pipelines.errors import OfflineError
from thatdam_pipelines.settings import Settings

SERVER_NOTE = "server.json"
OWNER_LOCK = "owner.lock"
WRITER_LOCK = "writer.lock"

ANSWER_LIMIT_S = 60.0
"""Longest time the server may take for one answer."""
_POLL_S = 0.1


@dataclass(frozen=True)
class VectorServer:
    """A Chroma server that serves this home's folder.

    Args:
        pid: Its process, where the note says so.
    """

    host: str
    port: int
    pid: int | None = None

    def is_alive(self) -> bool:
        """Whether it answers; a note left behind by a dead process does not count when it names its ``pid``."""
        if self.pid is not None and not _process_exists(self.pid):
            return False
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(f"http://{self.host}:{self.port}/api/v2/heartbeat", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError, ValueError):
            return False


def noted_server(folder: Path) -> VectorServer | None:
    """The server that ``thatdam up`` noted in the folder of vectors, alive or not."""
    try:
        note = json.loads((folder / SERVER_NOTE).read_text("utf-8"))
        return VectorServer(str(note["host"]), int(note["port"]), note.get("pid"))
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextlib.contextmanager
def owning(folder: Path, *, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the folder of vectors alone: whoever opens it, or runs a server on it, does so inside this.

    Raises:
        OfflineError: Another process still holds it after ``wait_s``; the error names it.
    """
    lock = _owner_lock(folder, time.monotonic() + wait_s)
    try:
        yield
    finally:
        _release(lock)


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Be the only writer, also among those who share a server. Waits as long as another one writes."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / WRITER_LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Connection:
    """An open Chroma client: to the server of this home if it runs, else to the folder itself under its lock.

    Args:
        wait_s: Longest wait, in seconds, for another process to let the folder go or for its server to answer.

    Raises:
        OfflineError: Another process holds the folder and runs no server.
    """

    def __init__(self, settings: Settings, wait_s: float) -> None:
        import chromadb
        from chromadb.config import Settings as ChromaSettings

        folder = settings.vectors_dir
        # Chroma would read the .env of whatever folder we happen to be in.
        quiet = ChromaSettings(_env_file=None, anonymized_telemetry=False)
        server, self._lock = _server_or_lock(folder, time.monotonic() + wait_s)
        self.is_server = server is not None
        self.client: Any
        try:
            # A client that cannot be made says so with a ValueError.
            with answering(folder, ValueError):
                if server is not None:
                    with _without_proxy(server.host):
                        self.client = chromadb.HttpClient(server.host, server.port, settings=quiet)
                    # It would wait for ever, and has no setting that says otherwise.
                    self.client._server._session.timeout = ANSWER_LIMIT_S
                else:
                    self.client = chromadb.PersistentClient(folder, settings=quiet)
        except BaseException:
            self._unlock()
            raise

    def close(self) -> None:
        """Close the client, then let the folder go."""
        self.client.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            _release(self._lock)
            self._lock = None


@contextlib.contextmanager
def answering(folder: Path, *failures: type[Exception]) -> Iterator[None]:
    """Say plainly when Chroma, or the server that has the folder, does not answer.

    Args:
        failures: What else means that it does not.

    Raises:
        OfflineError: It ended, hangs, or cannot read its files.
    """
    import httpx
    from chromadb.errors import InternalError

    kinds: tuple[type[Exception], ...] = (httpx.HTTPError, InternalError, *failures)
    try:
        yield
    except kinds as error:
        raise OfflineError(
            folder, f"the vectors cannot be reached ({error})", "Start `thatdam up` again, or see its logs/vectors.log."
        ) from error


@contextlib.contextmanager
def _without_proxy(host: str) -> Iterator[None]:
    """Clients made inside reach ``host`` directly: theirs take the proxy from the environment, loopback included."""
    before = os.environ.get("no_proxy")
    os.environ["no_proxy"] = ",".join(filter(None, [before or os.environ.get("NO_PROXY"), host]))
    try:
        yield
    finally:
        if before is None:
            del os.environ["no_proxy"]
        else:
            os.environ["no_proxy"] = before


def _server_or_lock(folder: Path, deadline: float) -> tuple[VectorServer | None, IO[str] | None]:
    while True:
        server = noted_server(folder)
        if server is not None and server.is_alive():
            return server, None
        lock = _try_lock(folder)
        if lock is not None:
            return None, lock
        if time.monotonic() >= deadline:
            raise _held(folder)
        time.sleep(_POLL_S)


def _owner_lock(folder: Path, deadline: float) -> IO[str]:
    while (lock := _try_lock(folder)) is None:
        if time.monotonic() >= deadline:
            raise _held(folder)
        time.sleep(_POLL_S)
    return lock


def _try_lock(folder: Path) -> IO[str] | None:
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / OWNER_LOCK).open("a+", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    since = datetime.now(UTC).isoformat(timespec="seconds")
    lock.truncate(0)
    lock.write(json.dumps({"pid": os.getpid(), "command": " ".join(sys.argv)[:200], "since_utc": since}))
    lock.flush()
    return lock


def _release(lock: IO[str]) -> None:
    lock.truncate(0)
    lock.close()


def _held(folder: Path) -> OfflineError:
    try:
        owner = json.loads((folder / OWNER_LOCK).read_text("utf-8"))
        who = f"process {owner['pid']} ({owner['command']}) has held it since {owner['since_utc']}"
    except (OSError, ValueError, KeyError, TypeError):
        who = "another process holds it"
    return OfflineError(
        folder, f"only one process may open the vectors, and {who}", "Wait for it to end, or keep `thatdam up` running."
    )


def _process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
