"""`thatdam album ...`: named sets of media."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from thatdam_pipelines.curation_command import By, Media, Where, author, change_selected
from thatdam_pipelines.settings import get_settings
from thatdam_pipelines.terminal import AsJson, out, print_json, shown

album_app = typer.Typer(help="Albums: named sets of media; a medium may be in many.", no_args_is_help=True)

Album = Annotated[str, typer.Argument(metavar="ALBUM", help="Name of the album.")]


@album_app.command("list")
def list_albums(as_json: AsJson = False) -> None:
    """List the albums.

    Example: `thatdam album list`
    """
    from thatdam_pipelines.library.home import Library

    with Library(get_settings()) as library:
        albums = library.ledger.albums.all()
    if as_json:
        print_json([vars(album) for album in albums])
        return
    table = Table("album", "media", "since", "made by", box=None)
    for album in albums:
        since = f"{album.created_utc:%Y-%m-%d}"
        table.add_row(Text(shown(album.album)), str(album.media), since, Text(shown(album.created_by)))
    out.print(table)


@album_app.command("show")
def show(album: Album, as_json: AsJson = False) -> None:
    """List the media in an album.

    Example: `thatdam album show Wedding`
    """
    from thatdam_pipelines.library.home import Library
    from thatdam_pipelines.library.locations import locations_by

    with Library(get_settings()) as library:
        media_ids = library.ledger.albums.media(album)
        places = locations_by(library.tables, "media_id", media_ids).sort("batch_id", "source_path", descending=True)
    paths = dict(places.select("media_id", "source_path").iter_rows())
    rows = [{"media_id": media_id, "path": paths.get(media_id)} for media_id in media_ids]
    if as_json:
        print_json(rows)
    for row in rows if not as_json else []:
        typer.echo(f"{row['media_id']}  {shown(row['path'] or '')}")


@album_app.command("create")
def create(album: Album, by: By = None) -> None:
    """Make an album. One is also made by adding media to it.

    Example: `thatdam album create "Best of 2026"`
    """
    from thatdam_pipelines.library.home import Library

    with Library(get_settings()) as library:
        library.ledger.albums.create(album, by or author())


@album_app.command("add")
def add(album: Album, media: Media = None, where: Where = None, by: By = None, as_json: AsJson = False) -> None:
    """Put media into an album, which is made when there is none of that name.

    Example: `thatdam album add "Best of 2026" --where "rating = 5"`
    """
    change_selected(media, where, by, as_json, add_albums=[album])


@album_app.command("remove")
def remove(album: Album, media: Media = None, where: Where = None, by: By = None, as_json: AsJson = False) -> None:
    """Take media out of an album; they stay in the library.

    Example: `thatdam album remove "Best of 2026" GX010042.MP4`
    """
    change_selected(media, where, by, as_json, remove_albums=[album])


@album_app.command("rename")
def rename(
    album: Album,
    new: Annotated[str, typer.Argument(metavar="NEW", help="Its new name; an album of that name takes it in.")],
    by: By = None,
) -> None:
    """Give an album another name.

    Example: `thatdam album rename "Best of 2026" Showreel`
    """
    from thatdam_pipelines.curation.changing import make_findable
    from thatdam_pipelines.library.home import Library

    with Library(get_settings()) as library:
        changed = library.ledger.albums.rename(album, new, by or author())
        make_findable(library)
    out.print(f"{len(changed)} media changed")


@album_app.command("delete")
def delete(album: Album, by: By = None) -> None:
    """Remove an album; its media stay in the library.

    Example: `thatdam album delete Showreel`
    """
    from thatdam_pipelines.curation.changing import make_findable
    from thatdam_pipelines.library.home import Library

    with Library(get_settings()) as library:
        changed = library.ledger.albums.remove(album, by or author())
        make_findable(library)
    out.print(f"{len(changed)} media changed")
