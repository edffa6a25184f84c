"""Who may ask for what: this machine alone, or people with an account and programs with a token."""

import hmac
import ipaddress
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.requests import Request

from thatdam_pipelines.errors import SettingsError
from thatdam_pipelines.library.accounts import ROLES, Accounts, Role
from thatdam_pipelines.settings import LOOPBACK, Settings
from thatdam_pipelines.web.problems import Refusal

COOKIE = "thatdam_session"
CSRF_HEADER = "x-csrf-token"
READS = frozenset({"GET", "HEAD", "OPTIONS"})

PUBLIC = re.compile(r"/health|/api/v1/health|/login|/static/.*")
"""What is answered to anybody: nothing of the library is in it."""
_ASKS = re.compile(r"(/api/v1)?/search|/api/v1/sql|/dam/search|/logout")
"""What only reads, though it is posted."""
_ADMIN = re.compile(r"(/api/v1)?/(backup|paths|clean)(/.*)?")
"""What only admins may change."""


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Args:
        name: Name of the account; ``local`` where nobody logs in; ``token`` for whoever has the token of the settings.
        csrf_token: What a page must send with each change; None where the browser's own rules are enough.
    """

    name: str
    role: Role
    csrf_token: str | None = None

    def may(self, role: Role) -> bool:
        return ROLES.index(self.role) >= ROLES.index(role)


NOBODY = Caller("nobody", "viewer")
LOCAL = Caller("local", "admin")


def role_needed(method: str, path: str) -> Role:
    """The least role that a request needs."""
    if method in READS or _ASKS.fullmatch(path):
        return "viewer"
    return "admin" if _ADMIN.fullmatch(path) else "editor"


class Access:
    """The rules, apart from any server.

    Args:
        accounts: Called when accounts are needed: without a login, no database is opened for them.

    Raises:
        SettingsError: Others could reach the server, and neither a token nor an account is there to tell them apart.
    """

    def __init__(self, settings: Settings, accounts: Callable[[], Accounts]) -> None:
        self._settings = settings
        self._accounts = accounts
        self._token = settings.web_token.get_secret_value() if settings.web_token else None
        self._hosts = LOOPBACK | {name.lower() for name in (settings.web_address, *settings.web_names)}
        self._any_number = settings.web_address not in LOOPBACK
        if self._any_number:
            self._hosts |= {socket.gethostname().lower()}
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._requests = RateLimitItemPerMinute(settings.requests_per_minute)
        self._logins = RateLimitItemPerMinute(settings.logins_per_minute)
        if settings.asks_login and self._token is None and not accounts().users():
            cause = f"at {settings.web_address} others can reach the web application, and nobody could log in"
            raise SettingsError("THATDAM_WEB_HOST", cause, "Run `thatdam users add NAME`, or set THATDAM_WEB_TOKEN.")

    def check(self, request: Request) -> Caller:
        """Who asks, when they may.

        Raises:
            Refusal: They may not.
        """
        self._check_host(request)
        if request.method not in READS:
            self.check_origin(request)
        if not self._settings.asks_login:
            return LOCAL
        public = PUBLIC.fullmatch(request.url.path) is not None
        self._count(self._requests, "requests", _address(request))
        caller = self._caller(request)
        if caller is None:
            if public:
                return NOBODY
            raise _log_in(request)
        needed = role_needed(request.method, request.url.path)
        if not public and not caller.may(needed):
            detail = f"{caller.name} is {caller.role}, and this needs {needed}"
            raise Refusal(403, "role", detail, "Ask an admin: `thatdam users` changes roles.")
        return caller

    def count_login(self, request: Request, name: str) -> None:
        """Count an attempt to log in.

        Raises:
            Refusal: There were too many, from this address or to this name.
        """
        self._count(self._logins, "logins", _address(request))
        self._count(self._logins, "names", name[:64])

    def _check_host(self, request: Request) -> None:
        hosts = request.headers.getlist("host")
        name = _host_name(hosts[0]) if len(hosts) == 1 else ""
        # A page elsewhere that gives its own name our address would otherwise be let in; it cannot name us by number.
        if name not in self._hosts and not (self._any_number and _is_number(name)):
            raise Refusal(400, "host", "the request names another host", "Use its address, or set THATDAM_WEB_NAMES.")

    def check_origin(self, request: Request) -> None:
        """Raises Refusal when a page of another site asks."""
        origins = request.headers.getlist("origin")
        foreign = request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        if foreign or any(urlsplit(origin).netloc.lower() != request.headers["host"].lower() for origin in origins):
            raise Refusal(403, "origin", "the request comes from another site's page", "Use the Explorer.")

    def _caller(self, request: Request) -> Caller | None:
        kind, _, secret = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self._of_token(secret.strip())
        secret = request.cookies.get(COOKIE, "")
        session = self._accounts().session(secret) if secret else None
        if session is None or session.csrf_token is None:
            return None
        given = request.headers.get(CSRF_HEADER, "")
        changes = request.method not in READS and request.url.path != "/login"
        if changes and not hmac.compare_digest(given.encode(), session.csrf_token.encode()):
            detail = "the change came without the token of the page"
            raise Refusal(403, "csrf", detail, f"Send {CSRF_HEADER} as GET /api/v1/session tells it.")
        return Caller(session.name, session.role, session.csrf_token)

    def _of_token(self, secret: str) -> Caller | None:
        if self._token is not None and hmac.compare_digest(secret.encode(), self._token.encode()):
            return Caller("token", "admin")
        session = self._accounts().session(secret)
        return Caller(session.name, session.role) if session and session.csrf_token is None else None

    def _count(self, limit: RateLimitItemPerMinute, what: str, who: str) -> None:
        if not self._limiter.hit(limit, what, who):
            detail = f"more than {limit.amount} {what} a minute"
            raise Refusal(429, "too-many", detail, "Wait a minute.", {"Retry-After": "60"})


def _log_in(request: Request) -> Refusal:
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        path = f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
        headers = {"Location": f"/login?to={quote(path, safe='')}"}
        return Refusal(303, "login", "only who is logged in may see this", "Log in.", headers)
    headers = {"WWW-Authenticate": 'Bearer realm="thatdam"'}
    return Refusal(401, "login", "only who is logged in may do this", "Log in, or send a bearer token.", headers)


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _host_name(host: str) -> str:
    """The name in a Host header: lower case, without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().removesuffix(".")


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
