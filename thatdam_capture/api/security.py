"""Who may ask: this machine, or whoever holds the token. Checked before any route is looked for."""

import hashlib
import hmac
import ipaddress
import re
import socket
from urllib.parse import urlsplit

from starlette.datastructures import Headers, QueryParams
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thatdam_capture.api.problems import Refused, response_to
from thatdam_capture.api.signing import SignedUrls
from thatdam_capture.settings import Settings

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
PUBLIC = frozenset({"/", "/favicon.ico", "/health", "/ready", "/v1/health", "/v1/ready"})
BODY_LIMIT = 64 * 1024

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    b"content-security-policy": PAGE_POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"x-frame-options": b"DENY",
    b"cache-control": b"no-store",
}


def is_public(path: str) -> bool:
    """Pages and probes that hold nothing secret."""
    return path in PUBLIC or path.startswith("/viewer/")


def is_own_permission(path: str) -> bool:
    """Addresses nobody can guess: players of HLS send no header."""
    return re.fullmatch(r"(/v1)?/hls/[0-9a-f]{32}/(index\.m3u8|\d+\.ts)", path) is not None


class Access:
    """The rules, apart from any server."""

    def __init__(self, settings: Settings, signed: SignedUrls) -> None:
        self._token = _digest(settings.token.get_secret_value()) if settings.token else None
        self._signed = signed
        names = LOOPBACK_NAMES | {name.lower() for name in settings.listen.names}
        if not settings.listen.is_loopback:
            host = socket.gethostname().lower()
            names |= {host, f"{host.partition('.')[0]}.local", settings.listen.host.lower()}
        self._names = names
        # A page that re-binds its own name to this machine cannot name it by number.
        self._numbers = not settings.listen.is_loopback

    def check(self, method: str, path: str, headers: Headers, query: QueryParams, client: str | None) -> None:
        """Raises Refused with what is wrong; a request that may be answered passes."""
        self._check_host(headers.getlist("host"))
        self._check_origin(headers, public=is_public(path) and method in ("GET", "HEAD"))
        self._check_caller(method, path, headers, query, client)

    def _check_host(self, hosts: list[str]) -> None:
        if len(hosts) != 1:
            raise Refused(400, "host-missing", "The request names no host, or several", "Send one Host header.")
        name = host_name(hosts[0])
        if name in self._names or (self._numbers and _is_number(name)):
            return
        raise Refused(
            403,
            "host-unknown",
            "The request is for another host",
            "Use this machine's name, or add it to listen.names.",
        )

    def _check_origin(self, headers: Headers, *, public: bool) -> None:
        origins = headers.getlist("origin")
        if origins:
            parts = urlsplit(origins[0]) if len(origins) == 1 else None
            same = (
                parts is not None
                and parts.scheme in ("http", "https")
                and parts.netloc.lower() == headers["host"].lower()
            )
            if not same:
                raise Refused(
                    403, "origin-foreign", "The request comes from another site's page", "Use the viewer page."
                )
        elif headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not public:
            # An <img> on another site's page sends no Origin.
            raise Refused(403, "origin-foreign", "The request comes from another site's page", "Use the viewer page.")

    def _check_caller(self, method: str, path: str, headers: Headers, query: QueryParams, client: str | None) -> None:
        if self._token is None:
            if client is not None and not _is_loopback(client):
                raise Refused(403, "not-this-machine", "Without a token only this machine is answered", "Set a token.")
            return
        if is_public(path) or (method == "GET" and is_own_permission(path)):
            return
        if method == "GET" and "signature" in query:
            if self._signed.allows(path, query):
                return
            raise Refused(
                403, "signature", "The signed address is wrong or has ended", "Ask POST /v1/sign for a new one."
            )
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and hmac.compare_digest(_digest(given.strip()), self._token):
            return
        raise Refused(
            401,
            "token",
            "The token is missing or wrong",
            "Send `Authorization: Bearer <token>`.",
            {"WWW-Authenticate": 'Bearer realm="thatdam-capture"'},
        )


class Guard:
    """Middleware: rules of ``Access``, a limit on bodies, and the headers that keep browsers careful."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            self._access.check(
                scope.get("method", "GET"),
                scope["path"],
                headers,
                QueryParams(scope["query_string"]),
                scope["client"][0] if scope.get("client") else None,
            )
            length = headers.get("content-length", "0")
            if not length.isdigit() or int(length) > BODY_LIMIT:
                raise too_large()
        except Refused as error:
            await _refuse(error, scope, receive, send)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
        else:
            await self._app(scope, _limited(receive), _with_headers(send))


def too_large() -> Refused:
    return Refused(413, "too-large", f"A body holds at most {BODY_LIMIT} bytes", "Send less.")


async def _refuse(error: Refused, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": error.kind})
        return
    response = response_to(error)
    await response(scope, receive, send if scope["type"] == "websocket" else _with_headers(send))


def _limited(receive: Receive) -> Receive:
    """A body sent in chunks states no length: it is counted as it comes."""
    seen = 0

    async def counting() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > BODY_LIMIT:
            raise too_large()
        return message

    return counting


def _with_headers(send: Send) -> Send:
    async def adding(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = {name.lower() for name, _ in message["headers"]}
            message["headers"] = [
                *message["headers"],
                *((name, value) for name, value in HEADERS.items() if name not in given),
            ]
        await send(message)

    return adding


def host_name(host: str) -> str:
    """Name part of a Host header, lower case, without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().removesuffix(".")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return ip.is_loopback or bool(getattr(ip, "ipv4_mapped", None) and ip.ipv4_mapped.is_loopback)  # type: ignore[union-attr]
