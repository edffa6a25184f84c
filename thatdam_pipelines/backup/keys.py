"""Keys of encrypted targets: age identities in files, which also hide the names of what is kept there.

Contents are in the age format (age-encryption.org/v1, X25519), so that the ``age`` tool alone can read them. Names are
encrypted with AES-SIV (RFC 5297): the same name always becomes the same text, and only the key turns it back.
"""

import base64
import os
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from queue import Full, Queue
from typing import Any

from blake3 import blake3

from thatdam_pipelines.errors import DamagedError, SettingsError

HEADER_BYTES = range(150, 2048)
"""Size of what the age format puts before the encrypted content; part of it is random."""
_CHUNK_BYTES = 64 * 2**10
_TAG_BYTES = 16
_BLOCK_BYTES = 2**20
_PURPOSE = "thatdam 2026-11-21 names in encrypted backup targets"


class Key:
    """An age identity. Safe to use from several threads.

    Args:
        secret: ``AGE-SECRET-KEY-1...``

    Raises:
        ValueError: It is no such key, or was mistyped.
    """

    def __init__(self, secret: str) -> None:
        from pyrage import IdentityError, x25519

        try:
            self._identity = x25519.Identity.from_str(secret)
        except IdentityError as error:
            raise ValueError(str(error)) from error
        self._recipient = self._identity.to_public()
        self._names = blake3(str(self._identity).encode(), derive_key_context=_PURPOSE).digest(length=64)

    @property
    def public(self) -> str:
        """``age1...``: tells keys apart, and gives nothing away."""
        return str(self._recipient)

    def hide(self, name: str) -> str:
        """A name that says nothing without the key: lower-case letters and digits."""
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV

        hidden = AESSIV(self._names).encrypt(name.encode(), None)
        return base64.b32encode(hidden).decode().rstrip("=").lower()

    def shown(self, hidden: str) -> str | None:
        """The name that was hidden; None when this key did not hide it."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV

        try:
            text = base64.b32decode(hidden.upper() + "=" * (-len(hidden) % 8))
            return AESSIV(self._names).decrypt(text, None).decode()
        except (ValueError, InvalidTag):
            return None

    def encrypt(self, blocks: Iterable[bytes], target: Any) -> None:
        """Write the blocks encrypted to an open file."""
        import pyrage

        source = _Stream(blocks)
        try:
            pyrage.encrypt_io(source, target, [self._recipient])
        except OSError:
            if source.error is not None:
                raise source.error from None
            raise

    def decrypt(self, blocks: Iterable[bytes], subject: str) -> Iterator[bytes]:
        """The content of an encrypted stream, in blocks, each of which was proven to be untouched.

        Args:
            subject: What it is, for errors.

        Raises:
            DamagedError: It was changed, or ends too early, or was encrypted with another key.
        """
        done: Queue[bytes | BaseException | None] = Queue(2)
        stopped = threading.Event()
        given = (_Stream(blocks), _Blocks(done, stopped), subject)
        working = threading.Thread(target=self._decrypt, args=given, daemon=True)
        working.start()
        try:
            while (block := done.get()) is not None:
                if isinstance(block, BaseException):
                    raise block
                yield block
        finally:
            stopped.set()
            working.join()

    def _decrypt(self, source: "_Stream", target: "_Blocks", subject: str) -> None:
        import pyrage

        try:
            pyrage.decrypt_io(source, target, [self._identity])
            target.flush()
            target.hand_over(None)
        except (OSError, pyrage.DecryptError) as error:
            cause = f"it is damaged: it cannot be decrypted ({error})"
            target.hand_over(source.error or DamagedError(subject, cause, "Take another copy."))
        except BaseException as error:
            target.hand_over(error)


def encrypted_bytes(size_bytes: int) -> range:
    """The sizes that a content of ``size_bytes`` can have once it is encrypted."""
    chunks = max(1, -(-size_bytes // _CHUNK_BYTES))
    least = size_bytes + (chunks + 1) * _TAG_BYTES
    return range(least + HEADER_BYTES.start, least + HEADER_BYTES.stop)


def new_key(path: Path) -> Key:
    """Make a key and write it to the new file ``path``, which only its owner may read.

    Raises:
        SettingsError: The file is there already, or cannot be written.
    """
    from pyrage import x25519

    secret = str(x25519.Identity.generate())
    key = Key(secret)
    text = f"# created: {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}\n# public key: {key.public}\n{secret}\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise SettingsError(path, f"the key cannot be written there ({error.strerror})", "Name a new file.") from error
    return key


def read_key(path: Path) -> Key:
    """The key in a file of the age format: lines with ``#`` are remarks, one is the secret.

    Raises:
        SettingsError: There is no such file, or no key in it.
    """
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        cause = f"the key file of an encrypted backup target cannot be read ({error})"
        raise SettingsError(path, cause, "Put it back, from its paper copy if need be; see docs/backup.md.") from error
    secrets = [line for line in lines if line and not line.startswith("#")]
    try:
        (secret,) = secrets
        return Key(secret)
    except ValueError as error:
        cause = f"it is no file with one age key ({error})"
        raise SettingsError(path, cause, "Compare it with its paper copy; see docs/backup.md.") from error


class _Stream:
    """Blocks as a file to read from; what goes wrong with them is kept for whoever asked for them."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._rest = memoryview(b"")
        self.error: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            while not self._rest:
                self._rest = memoryview(next(self._blocks))
        except StopIteration:
            return b""
        except BaseException as error:
            self.error = error
            raise OSError(str(error)) from error
        taken = bytes(self._rest if size < 0 else self._rest[:size])
        self._rest = self._rest[len(taken) :]
        return taken


class _Blocks:
    """A file to write to, out of which blocks come in another thread."""

    def __init__(self, done: Queue[bytes | BaseException | None], stopped: threading.Event) -> None:
        self._done = done
        self._stopped = stopped
        self._waiting = bytearray()

    def write(self, content: bytes) -> int:
        self._waiting += content
        if len(self._waiting) >= _BLOCK_BYTES:
            self.flush()
        return len(content)

    def flush(self) -> None:
        if self._waiting:
            self.hand_over(bytes(self._waiting))
            self._waiting.clear()
        if self._stopped.is_set():
            raise OSError("nobody reads on")

    def hand_over(self, last: bytes | BaseException | None) -> None:
        """Give the next block, the error or None for the end, unless nobody reads on."""
        while not self._stopped.is_set():
            try:
                self._done.put(last, timeout=0.1)
                return
            except Full:
                continue
