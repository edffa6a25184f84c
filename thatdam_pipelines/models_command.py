"""`thatdam models ...`: the vector spaces of a library, what a change costs, which one answers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from thatdam_pipelines.settings import get_settings
from thatdam_pipelines.terminal import AsJson, err, out, print_json

if TYPE_CHECKING:
    from thatdam_pipelines.search.golden import Recall

models_app = typer.Typer(
    help="Vector spaces: which exist, what another costs, which one answers.", no_args_is_help=True
)
GoldenFile = Annotated[
    Path | None, typer.Option("--golden", help="Golden queries, JSON or CSV; else home/golden.json.")
]


@models_app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """Say which vector spaces there are, how much of the library each covers, and which one answers searches.

    Example: `thatdam models list`
    """
    from thatdam_pipelines.vector_spaces import list_spaces

    found = list_spaces(get_settings())
    if as_json:
        print_json(found.as_dict())
        return
    table = Table("space", "files", "frames", "scenes", "covers", "", box=None)
    for space in found.spaces:
        roles = {"answers searches": space.serves, "the settings compute it": space.computed}
        role = ", ".join(role for role, held in roles.items() if held)
        table.add_row(Text(space.space), *map(str, space.vectors.values()), f"{space.share:.1%}", role)
    out.print(table)
    for note in found.notes:
        out.print(note, markup=False, highlight=False, style="yellow", soft_wrap=True)


@models_app.command("fill")
def fill(as_json: AsJson = False) -> None:
    """Make the vectors that the settings' embedder lacks, for every batch; proxies, frames and scenes stay.

    Example: `thatdam models fill`
    """
    from thatdam_pipelines.ingest_command import run_every_batch

    result = run_every_batch(get_settings(), console=err)
    if as_json:
        print_json(result.as_dict())
    else:
        out.print(f"{len(result.batches)} batches filled, {len(result.failed)} files failed: see `thatdam models list`")
    if not result.finished:
        raise typer.Exit(1)


@models_app.command("promote")
def promote_space(
    space: Annotated[str | None, typer.Argument(help="The space meant; must be that of the settings.")] = None,
    golden: GoldenFile = None,
    force: Annotated[bool, typer.Option("--force", help="Promote although a check fails.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let the settings' embedder answer searches, if it covers as much and finds no less of the golden queries.

    Example: `thatdam models promote --golden queries.csv`
    """
    from thatdam_pipelines.vector_spaces import promote

    result = promote(get_settings(), space, golden, force=force)
    if as_json:
        print_json(result.as_dict())
    else:
        _print_recall(result.served, result.serving)
        _print_recall(result.space, result.candidate)
        for problem in result.problems:
            out.print(problem, highlight=False, style="yellow", soft_wrap=True)
        said = "answers searches" if result.promoted else "was not promoted"
        out.print(f"{result.space} {said}", highlight=False, soft_wrap=True)
    if not result.promoted:
        raise typer.Exit(1)


@models_app.command("plan")
def plan_space(
    new: Annotated[str | None, typer.Argument(help="An embedder as THATDAM_EMBEDDER names it; else that.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what `thatdam models fill` with an embedder would compute, how long it takes and how large it gets.

    Example: `thatdam models plan open_clip:ViT-B-16-SigLIP2@webli`
    """
    from thatdam_pipelines.fill_plan import plan_fill

    settings = get_settings()
    with err.status("Trying the model on frames of the library ..."):
        plan = plan_fill(settings if new is None else settings.model_copy(update={"embedder": new}))
    if as_json:
        print_json(plan.as_dict())
        return
    out.print(plan.told(), markup=False, highlight=False, soft_wrap=True)


@models_app.command("compare")
def compare_spaces(golden: GoldenFile = None, as_json: AsJson = False) -> None:
    """Ask the golden queries of what answers and of the settings' embedder, and change nothing.

    Example: `thatdam models compare --golden queries.csv`
    """
    from thatdam_pipelines.vector_spaces import compare

    found = compare(get_settings(), golden)
    if as_json:
        print_json(found.as_dict())
        return
    _print_recall(found.served, found.serving)
    _print_recall(found.space, found.candidate)
    table = Table("query", "now", "then", box=None)
    for answer in found.answers:
        if answer.serving != answer.candidate:
            places = (str(place or "not found") for place in (answer.serving, answer.candidate))
            table.add_row(Text(answer.query), *places)
    if table.row_count:
        out.print(table)
    else:
        out.print("Every query has its answer at the same place.")


@models_app.command("rollback")
def roll_back(as_json: AsJson = False) -> None:
    """Let the embedder that answered before the last promotion answer again, at once.

    Example: `thatdam models rollback`
    """
    from thatdam_pipelines.vector_spaces import rollback

    result = rollback(get_settings())
    if as_json:
        print_json(result.as_dict())
        return
    out.print(f"{result.space} answers searches", markup=False, highlight=False, soft_wrap=True)
    if result.lacking:
        said = (
            f"{result.lacking} files came since and have no vectors of it: set {result.embedder} and run "
            "`thatdam models fill`, then what is in them is found too."
        )
        out.print(said, markup=False, highlight=False, style="yellow", soft_wrap=True)


def _print_recall(space: str | None, found: "Recall | None") -> None:
    if found is not None:
        out.print(f"{space}: recall@1 {found.at_1:.2f}, recall@5 {found.at_5:.2f}", highlight=False)
