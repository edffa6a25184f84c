"""`thatdam search`, `thatdam sql` and `thatdam explain`: asking the library."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from thatdam_pipelines.library.curation import State
from thatdam_pipelines.settings import get_settings
from thatdam_pipelines.terminal import AsJson, clock, err, out, print_json, shown


class Level(StrEnum):
    L0 = "l0"
    L1 = "l1"
    L2 = "l2"
    ANY = "any"


def search(
    text: Annotated[str, typer.Argument(help="What to look for, in words.")] = "",
    image: Annotated[Path | None, typer.Option(help="Find moments that look like this picture.")] = None,
    like: Annotated[
        str | None, typer.Option(metavar="MEDIA[@TIME]", help="Find what looks like this file, or its frame at TIME s.")
    ] = None,
    level: Annotated[Level, typer.Option(help="Search files, frames, scenes, or all of them.")] = Level.ANY,
    where: Annotated[str | None, typer.Option(help="SQL condition over the view media.")] = None,
    mime: Annotated[str | None, typer.Option(help="Only this media type: video, video/* or video/mp4.")] = None,
    rating: Annotated[int | None, typer.Option(min=1, max=5, help="Only media with at least so many stars.")] = None,
    state: Annotated[State | None, typer.Option(help="Only media in this state.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only media that people tagged so, or below it.")] = None,
    album: Annotated[list[str] | None, typer.Option(help="Only media in this album.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    as_json: AsJson = False,
) -> None:
    """Find moments, to the second, with the reason each was found.

    Example: `thatdam search "red circle over a green field" --where "duration_s > 5"`
    """
    from thatdam_pipelines.library.curation_ledger import Filter
    from thatdam_pipelines.library.home import Library
    from thatdam_pipelines.search.filters import narrowed
    from thatdam_pipelines.search.related import instant_of
    from thatdam_pipelines.search.search import Query, Searcher

    curated = Filter(
        least_rating=rating, states=(state,) if state else (), tags=tuple(tag or ()), albums=tuple(album or ())
    )
    instant = None
    if like is not None:
        with Library(get_settings()) as library:
            instant = instant_of(library, like)
    where = narrowed(where, mime)
    query = Query(text=text, image=image, like=instant, level=level.value, where=where, curated=curated, limit=limit)
    with Searcher(get_settings()) as searcher:
        result = searcher.search(query)
    if as_json:
        print_json([moment.as_dict() for moment in result.moments])
        for note in result.notes:
            err.print(note, markup=False, highlight=False, soft_wrap=True)
        return
    for moment in result.moments:
        span = f"{clock(moment.start_s)} - {clock(moment.end_s)}"
        out.print(f"[bold]{span}[/bold]  {moment.score:.2f}  {moment.level}  ", end="")
        out.print(shown(moment.path), markup=False, highlight=False, soft_wrap=True)
        out.print(f"    {'; '.join(moment.reasons)}", markup=False, highlight=False, style="dim", soft_wrap=True)
    if not result.moments:
        out.print("Nothing found.")
    for note in result.notes:
        out.print(note, markup=False, highlight=False, style="yellow", soft_wrap=True)


def sql(
    query: Annotated[str | None, typer.Argument(help="A SELECT, or the name of a ready-made query.")] = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    list_all: Annotated[bool, typer.Option("--list", help="Show the views and the ready-made queries.")] = False,
) -> None:
    """Ask the published catalogue, read-only.

    Example: `thatdam sql "SELECT video_codec, count(*) FROM media GROUP BY ALL"`
    """
    from thatdam_pipelines.library import catalog

    if list_all:
        _print_sql_list(as_json)
        return
    if query is None:
        raise typer.BadParameter("Give a query, or --list.")
    ready = {entry.name: entry.sql for entry in catalog.list_queries()}
    frame = catalog.run_sql(get_settings(), ready.get(query, query))
    if as_json:
        print_json(catalog.as_rows(frame))
    elif as_csv:
        typer.echo(catalog.as_csv(frame), nl=False)
    else:
        _print_frame(frame)


def explain(
    subject: Annotated[str, typer.Argument(metavar="PATH|MEDIA_ID", help="A path as it came, a name, or a media id.")],
    as_json: AsJson = False,
) -> None:
    """Say every stage of a file: when, with which recipe, in which run, and what is missing and why.

    Example: `thatdam explain GX010042.MP4`
    """
    from thatdam_pipelines.library.home import Library
    from thatdam_pipelines.run_history import RunHistory
    from thatdam_pipelines.search.explain import explain as explain_subject

    settings = get_settings()
    with Library(settings) as library, RunHistory(settings) as runs:
        explanation = explain_subject(library, subject, runs.last_run)
    if as_json:
        print_json(explanation.as_dict())
        return
    for line in explanation.lines():
        typer.echo(line)


def _print_frame(frame: Any) -> None:
    table = Table(box=None)
    for name in frame.columns:
        table.add_column(name, overflow="fold")
    for row in frame.iter_rows():
        table.add_row(*(Text("" if value is None else shown(_short(value))) for value in row))
    # Into a file or a pipe the table is as wide as it is; on a terminal long values go over several lines.
    (out if out.is_terminal else Console(width=10_000)).print(table, markup=False)
    out.print(f"{frame.height} rows", style="dim")


def _short(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _print_sql_list(as_json: bool) -> None:
    from thatdam_pipelines.library import catalog

    views, queries = catalog.list_views(), catalog.list_queries()
    if as_json:
        print_json({"views": [vars(view) for view in views], "queries": [vars(query) for query in queries]})
        return
    out.print("[bold]Views[/bold]")
    for view in views:
        out.print(f"  {view.name:<12} {view.title}", highlight=False, soft_wrap=True)
    out.print("[bold]Ready-made queries[/bold]: thatdam sql NAME")
    for query in queries:
        out.print(f"  {query.name:<28} {query.title}", highlight=False, soft_wrap=True)
