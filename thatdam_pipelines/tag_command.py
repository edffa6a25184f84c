"""`thatdam tag ...`: tags of media, and the vocabulary they come from."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from thatdam_pipelines.curation_command import By, Media, Where, author, change_selected, selected
from thatdam_pipelines.settings import get_settings
from thatdam_pipelines.terminal import AsJson, out, print_json, shown

tag_app = typer.Typer(help="Tags that people give to media. A machine's are in the view tags.", no_args_is_help=True)
vocabulary_app = typer.Typer(help="The tags there are: paths, with synonyms.", no_args_is_help=True)
tag_app.add_typer(vocabulary_app, name="vocabulary")

Tag = Annotated[str, typer.Argument(metavar="TAG", help="A path (place/city/paris), or its last level, or a synonym.")]
Also = Annotated[list[str] | None, typer.Option("--also", metavar="TAG", help="A further tag; may be given again.")]
Path = Annotated[str, typer.Argument(metavar="TAG", help="Path of the tag: place/city/paris.")]


@tag_app.command("add")
def add(
    tag: Tag, media: Media = None, also: Also = None, where: Where = None, by: By = None, as_json: AsJson = False
) -> None:
    """Give media a tag.

    Example: `thatdam tag add place/city/paris GX010042.MP4 --also sunset`
    """
    change_selected(media, where, by, as_json, add_tags=[tag, *(also or [])])


@tag_app.command("remove")
def remove(
    tag: Tag, media: Media = None, also: Also = None, where: Where = None, by: By = None, as_json: AsJson = False
) -> None:
    """Take a tag from media. No sidecar brings it back.

    Example: `thatdam tag remove sunset GX010042.MP4`
    """
    change_selected(media, where, by, as_json, remove_tags=[tag, *(also or [])])


@tag_app.command("list")
def list_tags(media: Media = None, where: Where = None, as_json: AsJson = False) -> None:
    """List the tags of media, each with where it comes from.

    Example: `thatdam tag list GX010042.MP4`
    """
    with selected(media, where) as (library, media_ids):
        said = library.ledger.curation.get_many(media_ids)
    if as_json:
        print_json([{"media_id": one.media_id, "tags": one.tags} for one in said.values()])
        return
    for one in said.values():
        for tag in one.tags:
            typer.echo(f"{one.media_id}  {shown(tag)}  ({one.sources[f'tags/{tag}']})")


@vocabulary_app.command("list")
def vocabulary_list(
    below: Annotated[str | None, typer.Argument(metavar="[TAG]", help="Only this tag and those below it.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the tags there are, their synonyms and how many media carry them.

    Example: `thatdam tag vocabulary list place`
    """
    from thatdam_pipelines.library.home import Library

    with Library(get_settings()) as library:
        terms = library.ledger.vocabulary.terms(below)
    if as_json:
        print_json([vars(term) for term in terms])
        return
    table = Table("tag", "media", "synonyms", "", box=None)
    for term in terms:
        free = "free" if term.is_free else ""
        table.add_row(Text(shown(term.tag)), str(term.media), Text(shown(", ".join(term.synonyms))), free)
    out.print(table)


@vocabulary_app.command("add")
def vocabulary_add(
    tag: Path,
    synonym: Annotated[list[str] | None, typer.Option(help="Another word for it; may be given again.")] = None,
    no_synonym: Annotated[list[str] | None, typer.Option(help="A word that is no synonym of it any more.")] = None,
    by: By = None,
) -> None:
    """Put a tag, those above it and synonyms into the vocabulary. Media that carry it are found by them at once.

    Example: `thatdam tag vocabulary add place/city/paris --synonym Lutetia`
    """
    from thatdam_pipelines.curation.changing import make_findable
    from thatdam_pipelines.library.home import Library

    with Library(get_settings()) as library:
        library.ledger.vocabulary.add(tag, by or author(), synonym or [])
        if no_synonym:
            library.ledger.vocabulary.remove_synonyms(tag, no_synonym)
        make_findable(library)


@vocabulary_app.command("rename")
def vocabulary_rename(
    tag: Path,
    new: Annotated[str, typer.Argument(metavar="NEW", help="Its new path; one that exists takes it in.")],
    by: By = None,
) -> None:
    """Give a tag, with all below it, another path: everywhere at once.

    Example: `thatdam tag vocabulary rename paris place/city/paris`
    """
    from thatdam_pipelines.curation.changing import make_findable
    from thatdam_pipelines.library.home import Library

    with Library(get_settings()) as library:
        changed = library.ledger.vocabulary.rename(tag, new, by or author())
        make_findable(library)
    out.print(f"{len(changed)} media changed")


@vocabulary_app.command("remove")
def vocabulary_remove(
    tag: Path,
    force: Annotated[bool, typer.Option("--force", help="Also from the media that carry it.")] = False,
    by: By = None,
) -> None:
    """Take a tag, with all below it, out of the vocabulary.

    Example: `thatdam tag vocabulary remove place/city/paris`
    """
    from thatdam_pipelines.curation.changing import make_findable
    from thatdam_pipelines.library.home import Library

    with Library(get_settings()) as library:
        changed = library.ledger.vocabulary.remove(tag, by or author(), force=force)
        make_findable(library)
    out.print(f"{len(changed)} media changed")
