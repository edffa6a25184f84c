"""`thatdam rate`, `state`, `describe`: what people say of media, on the command line."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thatdam_pipelines.library.curation import State
from thatdam_pipelines.settings import get_settings
from thatdam_pipelines.terminal import AsJson, out, print_json, shown

if TYPE_CHECKING:
    from thatdam_pipelines.library.curation import Curation, Past
    from thatdam_pipelines.library.home import Library

Media = Annotated[
    list[str] | None, typer.Argument(metavar="[MEDIA]...", help="Paths as they came, names, or media ids.")
]
Where = Annotated[str | None, typer.Option(help="SQL condition over the view curation: all media it holds of.")]
By = Annotated[str | None, typer.Option(metavar="NAME", help="Who says so. Default: the name you are logged in by.")]


class Rating(StrEnum):
    ONE, TWO, THREE, FOUR, FIVE, ZERO = "1", "2", "3", "4", "5", "0"
    NONE = "none"
    PICK = "pick"
    REJECT = "reject"
    UNFLAG = "unflag"


def rate(
    rating: Annotated[Rating, typer.Argument(help="Stars, none for unrated; or a flag: pick, reject, unflag.")],
    media: Media = None,
    where: Where = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Give media stars, or flag them as picks or rejects.

    Example: `thatdam rate 4 GX010042.MP4`
    """
    flags = {Rating.PICK: "pick", Rating.REJECT: "reject", Rating.UNFLAG: None}
    if rating in flags:
        change_selected(media, where, by, as_json, pick=flags[rating])
    else:
        change_selected(media, where, by, as_json, rating=None if rating is Rating.NONE else int(rating))


def state(
    state: Annotated[State, typer.Argument(help="The state they get.")],
    media: Media = None,
    where: Where = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Move media along: new, in review, approved or rejected, archived. A decision is taken back by a review.

    Example: `thatdam state approved --where "rating >= 4 AND state = 'in_review'"`
    """
    change_selected(media, where, by, as_json, state=state)


def describe(
    media: Media = None,
    where: Where = None,
    title: Annotated[str | None, typer.Option(help="Title; '' removes it.")] = None,
    description: Annotated[str | None, typer.Option(help="What it shows, in sentences; '' removes it.")] = None,
    person: Annotated[list[str] | None, typer.Option(help="Somebody in it; may be given again.")] = None,
    no_person: Annotated[list[str] | None, typer.Option(help="Somebody who is not in it.")] = None,
    label: Annotated[str | None, typer.Option(help="Colour label: Red, Yellow, ...; '' removes it.")] = None,
    licence: Annotated[str | None, typer.Option(help="Licence or terms of use; '' removes it.")] = None,
    owner: Annotated[str | None, typer.Option(help="Who owns the rights; '' removes it.")] = None,
    release: Annotated[list[str] | None, typer.Option(help="Releases there are: replaces the list.")] = None,
    expires: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Last day of the rights; '': none.")] = None,
    history: Annotated[bool, typer.Option("--history", help="Show who changed what, and when.")] = False,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Say what media show, who is in them and what may be done with them; without options, show what is said.

    Example: `thatdam describe GX010042.MP4 --title "First kiss" --person Ada --owner "Studio Ada" --expires 2030-01-31`
    """
    texts = {"title": title, "description": description, "label": label, "licence": licence, "owner": owner}
    given: dict[str, Any] = {name: text for name, text in texts.items() if text is not None}
    lists = {"add_people": person, "remove_people": no_person, "releases": release}
    given |= {name: names for name, names in lists.items() if names}
    if expires is not None:
        given["rights_expire"] = expires or None
    if given:
        change_selected(media, where, by, as_json, **given)
    else:
        show_selected(media, where, as_json, history=history)


def change_selected(media: list[str] | None, where: str | None, by: str | None, as_json: bool, **fields: Any) -> None:
    """Change the media that are named or selected, and tell what changed."""
    from thatdam_pipelines.curation.changing import change_media
    from thatdam_pipelines.library.curation import change_of

    change = change_of(**fields)
    with selected(media, where) as (library, media_ids):
        changed = change_media(library, media_ids, change, by or author())
    if as_json:
        print_json([one.as_dict() for one in changed])
    else:
        out.print(f"{len(changed)} of {len(media_ids)} media changed")


def show_selected(media: list[str] | None, where: str | None, as_json: bool, *, history: bool = False) -> None:
    """Show what is said of the media that are named or selected."""
    with selected(media, where) as (library, media_ids):
        said = library.ledger.curation.get_many(media_ids)
        past = {media_id: library.ledger.curation.history(media_id) for media_id in media_ids} if history else {}
    if as_json:
        rows = [one.as_dict() for one in said.values()]
        print_json(
            [row | {"history": [vars(entry) for entry in past[row["media_id"]]]} if history else row for row in rows]
        )
        return
    for one in said.values():
        typer.echo(one.media_id)
        for line in [*_lines(one), *map(_line, past.get(one.media_id, ()))]:
            typer.echo(f"  {shown(line)}")


@contextmanager
def selected(media: list[str] | None, where: str | None) -> Iterator[tuple["Library", list[str]]]:
    """The library, opened, and the ids of the media that are named or selected."""
    from thatdam_pipelines.curation.selecting import select_media
    from thatdam_pipelines.library.home import Library

    with Library(get_settings()) as library:
        yield library, select_media(library, media or [], where)


def author() -> str:
    """Who gives the command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # No name belongs to the user's number, as in a container.
        return "command line"


def _lines(said: "Curation") -> Iterator[str]:
    for name, value in said.as_dict().items():
        if name in ("media_id", "sources", "version", "changed_utc", "changed_by") or value in (None, (), []):
            continue
        text = ", ".join(value) if isinstance(value, (tuple, list)) else str(value)
        source = said.sources.get(name, "person")
        yield f"{name:<14} {text}" + (f"  ({source})" if source != "person" else "")
    if said.changed_utc:
        yield f"{'changed':<14} {said.changed_utc:%Y-%m-%d %H:%M:%S} UTC by {said.changed_by}"


def _line(past: "Past") -> str:
    return f"{past.changed_utc:%Y-%m-%d %H:%M:%S} UTC  {past.changed_by}  {past.field}: {past.old} -> {past.new}"
