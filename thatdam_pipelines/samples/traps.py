"""Traps for whoever follows what a media file says: a file that notices being opened, a port that counts calls."""

import ctypes
import os
import socket
import struct
import threading
from pathlib import Path

_IN_ACCESS, _IN_OPEN = 0x1, 0x20


class Watch:
    """Notices every opening and reading of a file, by whichever process (inotify)."""

    def __init__(self, path: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK)
        if self._libc.inotify_add_watch(self._descriptor, os.fsencode(path), _IN_ACCESS | _IN_OPEN) < 0:
            raise OSError(ctypes.get_errno(), "inotify")

    def events(self) -> int:
        """How often, since the last time this was asked."""
        try:
            return len(os.read(self._descriptor, 2**16)) // struct.calcsize("iIII")
        except BlockingIOError:
            return 0

    def close(self) -> None:
        os.close(self._descriptor)


class Listener:
    """Counts the connections anybody makes to a port on loopback."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}/"
        self.calls = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            connection, _ = self._server.accept()
            self.calls += 1
            connection.close()
