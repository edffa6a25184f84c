"""`thatdam xmp ...`: what is said of media, for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from thatdam_pipelines.curation_command import Media, Where, selected
from thatdam_pipelines.terminal import AsJson, print_json, shown

xmp_app = typer.Typer(help="XMP sidecars, which Lightroom, Premiere, Bridge and digiKam read.", no_args_is_help=True)


@xmp_app.command("write")
def write(
    media: Media = None,
    where: Where = None,
    to: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder they are written into.")] = None,
    beside: Annotated[bool, typer.Option("--beside", help="Beside originals that were ingested by reference.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also over sidecars that other programs wrote.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write what is said of media as XMP sidecars: into a folder, or beside originals outside the library.

    Example: `thatdam xmp write --where "rating >= 4" --to sidecars/`
    """
    from thatdam_pipelines.curation.sidecar_export import write_sidecars

    if (to is None) != beside:
        raise typer.BadParameter("Say where: one of --to DIR and --beside.")
    with selected(media, where) as (library, media_ids):
        written = write_sidecars(library, media_ids, to.absolute() if to else None, force=force)
    if as_json:
        print_json([vars(one) for one in written])
    for one in written if not as_json else []:
        typer.echo(f"{one.state:<9}  {shown(one.path)}")
