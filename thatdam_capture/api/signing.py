"""URLs that work for a minute without a token, for `<img>` and WebSocket, which cannot send a header."""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Mapping
from urllib.parse import quote, urlencode

LIFETIME_S = 60
SIGNABLE = re.compile(r"(/v1)?(/devices/[^/]+/(stream|snapshot\.jpg|frames|hls\.m3u8)|/events)")


class SignedUrls:
    """Signs paths with a key that lives as long as the process.

    A signature covers the path and when it ends, nothing else: the query stays free (``?since=``). An answer that began
    in time may go on.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._key = secrets.token_bytes(32)
        self._clock = clock

    def sign(self, path: str) -> str:
        """The path as a URL that works for ``LIFETIME_S``.

        Raises:
            ValueError: this path is not one that is given out so.
        """
        if not SIGNABLE.fullmatch(path):
            raise ValueError(f"{path!r} is no live view")
        expires = int(self._clock()) + LIFETIME_S
        return f"{quote(path)}?{urlencode({'expires': expires, 'signature': self._signature(path, expires)})}"

    def allows(self, path: str, query: Mapping[str, str]) -> bool:
        expires, signature = query.get("expires", ""), query.get("signature", "")
        if not re.fullmatch(r"[0-9]{1,12}", expires) or not SIGNABLE.fullmatch(path):
            return False
        good = hmac.compare_digest(self._signature(path, int(expires)).encode(), signature.encode())
        return good and self._clock() < int(expires) <= self._clock() + LIFETIME_S

    def _signature(self, path: str, expires: int) -> str:
        return hmac.new(self._key, f"GET\n{path}\n{expires}".encode(), hashlib.sha256).hexdigest()
