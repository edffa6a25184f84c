"""`thatdam backup key ...`: keys of encrypted targets, made and checked."""

from pathlib import Path
from typing import Annotated

import typer

from thatdam_pipelines.errors import ThatdamError
from thatdam_pipelines.settings import get_settings

key_app = typer.Typer(help="Keys of encrypted targets.", no_args_is_help=True)


@key_app.command("new")
def new(file: Annotated[Path, typer.Argument(metavar="FILE", help="New file for the key.")]) -> None:
    """Make a key for encrypted targets. Whoever loses it loses what is kept there: print the file, keep it elsewhere.

    Example: `thatdam backup key new ~/thatdam.key`
    """
    from thatdam_pipelines.backup.keys import new_key

    typer.echo(f"{file}: {new_key(file).public}")
    typer.echo("Without this file nothing at a target that is encrypted with it can be read. Print it, now.")


@key_app.command("check")
def check_key_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A key, as typed from paper.")],
) -> None:
    """Say which key a file has, and which of the encrypted targets of the settings it opens.

    Example: `thatdam backup key check ~/thatdam.key`
    """
    from thatdam_pipelines.backup.keys import read_key
    from thatdam_pipelines.backup.targets import open_target

    typer.echo(f"{file}: {read_key(file).public}")
    settings, opened = get_settings(), True
    for wanted in (target for target in settings.backup_targets if target.key_file is not None):
        try:
            open_target(settings, wanted.model_copy(update={"key_file": file}))
            typer.echo(f"opens      {wanted.name}")
        except ThatdamError as error:
            opened = False
            typer.echo(f"does not   {error}")
    if not opened:
        raise typer.Exit(1)
