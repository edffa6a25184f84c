"""``thatdam related``: what a file has to do with the rest of the library."""

from enum import StrEnum
from typing import Annotated

import typer

from thatdam_pipelines.settings import get_settings
from thatdam_pipelines.terminal import AsJson, print_json, shown


class Relation(StrEnum):
    NEAR_DUPLICATE = "near_duplicate"
    DERIVED_FROM = "derived_from"
    SAME_SCENE = "same_scene"
    SAME_PLACE = "same_place"
    SAME_TAKE = "same_take"
    SAME_SESSION = "same_session"


def related(
    media: Annotated[str, typer.Argument(metavar="MEDIA", help="A path as it came, a name, or a media id.")],
    kind: Annotated[Relation | None, typer.Option(help="Only relations of this kind.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a file has to do with others: copies and sources, takes, places, sessions.

    Example: `thatdam related GX010042.MP4 --kind derived_from`
    """
    from thatdam_pipelines.library.home import Library
    from thatdam_pipelines.search.related import related as relatives_of

    with Library(get_settings()) as library:
        found = relatives_of(library, media, kind.value if kind else None)
    if as_json:
        print_json([one.as_dict() for one in found])
        return
    for one in found:
        typer.echo(f"{one.line()}\n    {shown(one.path)}")
    if not found:
        typer.echo("Nothing is related to it.")
