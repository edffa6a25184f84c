"""People who may use this library's servers: accounts with a role, and the sessions and tokens they were given."""

import hashlib
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Literal, get_args

import sqlalchemy as sa

from thatdam_pipelines.errors import SettingsError
from thatdam_pipelines.library.ledger_metadata import METADATA, UtcTime

Role = Literal["viewer", "editor", "admin"]
"""viewer looks, editor changes and starts work, admin also runs the house; each may do what those before it may."""
ROLES: tuple[Role, ...] = get_args(Role)
PASSWORD_CHARACTERS = (12, 1000)

USERS = sa.Table(
    "users",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("password_hash", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("created_utc", UtcTime, nullable=False),
)
SESSIONS = sa.Table(
    "sessions",
    METADATA,
    sa.Column("secret_hash", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, index=True),
    sa.Column("csrf_token", sa.Text),
    sa.Column("expires_utc", UtcTime),
)


@dataclass(frozen=True)
class User:
    """An account."""

    name: str
    role: Role
    created_utc: datetime


@dataclass(frozen=True)
class Session:
    """Somebody who logged in, or a program with a token.

    Args:
        csrf_token: What a page shows with every change it asks for; None for a token, which no page has.
    """

    name: str
    role: Role
    csrf_token: str | None


class Accounts:
    """Users and sessions in an open ledger. Passwords are kept as Argon2id hashes, secrets as SHA-256."""

    def __init__(self, engine: sa.Engine, writer: sa.Engine, insert: Callable[[sa.Table], Any]) -> None:
        self._engine = engine
        self._writer = writer
        self._insert = insert
        # A check takes 64 MiB: many logins at once must not take the memory of the machine.
        self._one_check = threading.Lock()

    def users(self) -> list[User]:
        """Every account, by name."""
        columns = (USERS.c.name, USERS.c.role, USERS.c.created_utc)
        with self._engine.connect() as connection:
            return [User(**row) for row in connection.execute(sa.select(*columns).order_by(USERS.c.name)).mappings()]

    def add(self, name: str, password: str, role: Role) -> None:
        """Make an account.

        Raises:
            SettingsError: The name is taken or no name, or the password too short.
        """
        if not (name.isascii() and name.isprintable() and 0 < len(name) <= 64) or name.strip() != name:
            raise SettingsError(name, "this is no name of an account", "Give up to 64 letters, digits or signs.")
        row = {"name": name, "password_hash": _hashed(name, password), "role": role, "created_utc": datetime.now(UTC)}
        with self._writer.begin() as connection:
            added = connection.execute(self._insert(USERS).values(**row).on_conflict_do_nothing())
        if not added.rowcount:
            raise SettingsError(name, "there is such an account already", "See `thatdam users list`.")

    def remove(self, name: str) -> None:
        """Remove an account; whoever is logged in with it is logged out.

        Raises:
            SettingsError: There is no such account.
        """
        with self._writer.begin() as connection:
            connection.execute(sa.delete(SESSIONS).where(SESSIONS.c.name == name))
            removed = connection.execute(sa.delete(USERS).where(USERS.c.name == name))
        if not removed.rowcount:
            raise _no_account(name)

    def set_password(self, name: str, password: str) -> None:
        """Give an account another password; whoever is logged in with it is logged out, and its tokens end.

        Raises:
            SettingsError: There is no such account, or the password is too short.
        """
        change = sa.update(USERS).where(USERS.c.name == name).values(password_hash=_hashed(name, password))
        with self._writer.begin() as connection:
            changed = connection.execute(change)
            connection.execute(sa.delete(SESSIONS).where(SESSIONS.c.name == name))
        if not changed.rowcount:
            raise _no_account(name)

    def log_in(self, name: str, password: str, lasts: timedelta) -> str | None:
        """The secret of a new session; None when name and password do not fit. Takes as long for unknown names."""
        from argon2 import PasswordHasher
        from argon2.exceptions import VerificationError

        with self._engine.connect() as connection:
            known = connection.scalar(sa.select(USERS.c.password_hash).where(USERS.c.name == name))
        with self._one_check:
            try:
                PasswordHasher().verify(known or self._nobody, password[: PASSWORD_CHARACTERS[1]])
            except VerificationError:
                return None
        if known is None:
            return None
        return self._begin(name, secrets.token_urlsafe(32), datetime.now(UTC) + lasts)

    def make_token(self, name: str) -> str:
        """A secret with which programs may do what the account may, until it is removed or gets another password.

        Raises:
            SettingsError: There is no such account.
        """
        if name not in {user.name for user in self.users()}:
            raise _no_account(name)
        return self._begin(name, None, None)

    def session(self, secret: str) -> Session | None:
        """Whose secret it is; None when it is nobody's, or has expired."""
        query = (
            sa.select(USERS.c.name, USERS.c.role, SESSIONS.c.csrf_token, SESSIONS.c.expires_utc)
            .join(USERS, USERS.c.name == SESSIONS.c.name)
            .where(SESSIONS.c.secret_hash == _digest(secret))
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None or (row.expires_utc is not None and row.expires_utc <= datetime.now(UTC)):
            return None
        return Session(row.name, row.role, row.csrf_token)

    def log_out(self, secret: str) -> None:
        """End a session."""
        with self._writer.begin() as connection:
            connection.execute(sa.delete(SESSIONS).where(SESSIONS.c.secret_hash == _digest(secret)))

    @cached_property
    def _nobody(self) -> str:
        """A hash that no password fits, for as much work as one of a real account."""
        return _hashed("nobody", secrets.token_urlsafe(32))

    def _begin(self, name: str, csrf_token: str | None, expires_utc: datetime | None) -> str:
        secret = secrets.token_urlsafe(32)
        row = {"secret_hash": _digest(secret), "name": name, "csrf_token": csrf_token, "expires_utc": expires_utc}
        with self._writer.begin() as connection:
            connection.execute(sa.delete(SESSIONS).where(SESSIONS.c.expires_utc < datetime.now(UTC)))
            connection.execute(sa.insert(SESSIONS).values(**row))
        return secret


def _hashed(name: str, password: str) -> str:
    from argon2 import PasswordHasher

    least, most = PASSWORD_CHARACTERS
    if not least <= len(password) <= most:
        raise SettingsError(name, f"a password has {least} to {most} characters", "Choose a sentence.")
    return PasswordHasher().hash(password)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _no_account(name: str) -> SettingsError:
    return SettingsError(name, "there is no such account", "See `thatdam users list`.")
