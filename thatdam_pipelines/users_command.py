"""`thatdam users ...`: who may log in to the web application where it is reached from elsewhere."""

import sys
from collections.abc import Callable
from typing import Annotated, TypeVar

import typer
from rich.table import Table

from thatdam_pipelines.library.accounts import Accounts, Role
from thatdam_pipelines.settings import get_settings
from thatdam_pipelines.terminal import AsJson, out, print_json

users_app = typer.Typer(help="Accounts of the web application, with their roles.", no_args_is_help=True)
T = TypeVar("T")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the account.")]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]


@users_app.command("add")
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="viewer looks, editor changes, admin runs the house.")] = "editor",
    password_stdin: FromStdin = False,
) -> None:
    """Make an account. The password is asked for, or read from standard input.

    Example: `thatdam users add maria --role admin`
    """
    password = _password(password_stdin)
    _with_accounts(lambda accounts: accounts.add(name, password, role))


@users_app.command("list")
def list_users(as_json: AsJson = False) -> None:
    """List the accounts.

    Example: `thatdam users list`
    """
    found = _with_accounts(lambda accounts: accounts.users())
    if as_json:
        print_json([{"name": user.name, "role": user.role, "created_utc": user.created_utc} for user in found])
        return
    table = Table("name", "role", "since", box=None)
    for user in found:
        table.add_row(user.name, user.role, f"{user.created_utc:%Y-%m-%d}")
    out.print(table)


@users_app.command("remove")
def remove(name: Name) -> None:
    """Remove an account; whoever is logged in with it is logged out.

    Example: `thatdam users remove maria`
    """
    _with_accounts(lambda accounts: accounts.remove(name))


@users_app.command("password")
def password_command(name: Name, password_stdin: FromStdin = False) -> None:
    """Give an account another password; its sessions and tokens end.

    Example: `thatdam users password maria`
    """
    password = _password(password_stdin)
    _with_accounts(lambda accounts: accounts.set_password(name, password))


@users_app.command("token")
def token(name: Name) -> None:
    """Print a new bearer token with which a program may do what the account may. It is shown this once.

    Example: `thatdam users token maria`
    """
    typer.echo(_with_accounts(lambda accounts: accounts.make_token(name)))


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))


def _with_accounts(work: Callable[[Accounts], T]) -> T:
    from thatdam_pipelines.library.home import Library

    with Library(get_settings()) as library:
        return work(library.ledger.accounts)
