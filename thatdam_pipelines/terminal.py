"""How commands speak: to people on a terminal, to programs in JSON."""

import json
from typing import Annotated

import typer
from rich.console import Console

out = Console()
err = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def print_json(value: object) -> None:
    """Print a value as JSON."""
    typer.echo(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def shown(text: str) -> str:
    """A path on one line: control characters escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def clock(seconds: float) -> str:
    """A time in a clip: 0:01:23.4."""
    minutes, rest = divmod(max(seconds, 0.0), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours:d}:{minutes:02d}:{rest:04.1f}"
