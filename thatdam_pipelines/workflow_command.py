"""`thatdam workflow ...`: JSON workflows, checked, rehearsed and run."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from thatdam_pipelines.curation_command import By, author
from thatdam_pipelines.settings import get_settings
from thatdam_pipelines.terminal import AsJson, err, out, print_json, shown

if TYPE_CHECKING:
    from thatdam_pipelines.workflows.document import Workflow

workflow_app = typer.Typer(
    help="JSON workflows: several steps in one file, each with its result.", no_args_is_help=True
)

File = Annotated[str, typer.Argument(metavar="FILE|-", help="The workflow, or - for standard input.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Value of a variable; may be given again.")
]


@workflow_app.command("run")
def run(
    file: File,
    given: Set = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what each step would do; do nothing.")] = False,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Run a workflow and tell the result of each step. Relative paths in it are of its folder.

    Exit code 0 when every step is done, 1 when one failed, 2 when the workflow is wrong.

    Example: `thatdam workflow run nightly.json --set album=Wedding`
    """
    from thatdam_pipelines.library.home import Library
    from thatdam_pipelines.workflow_runs import run_workflow
    from thatdam_pipelines.workflows.running import ask_for, rehearse, results

    workflow, name, base = _read(file, given)
    settings = get_settings()
    with Library(settings) as library:
        if dry_run:
            told = rehearse(library, workflow, by=by or author(), base=base)
        else:
            workflow_id = ask_for(library, workflow, name=name, source="command", by=by or author(), base=base)
    if not dry_run:
        with err.status(f"Running {len(workflow.steps)} steps ..."):
            told = results(run_workflow(settings, workflow_id))
    _print_steps(told, as_json)
    if not all(step["state"] in ("done", "planned") for step in told):
        raise typer.Exit(1)


@workflow_app.command("check")
def check(file: File, given: Set = None, as_json: AsJson = False) -> None:
    """Say whether a workflow can be run as it is written; all that is wrong, with line and column.

    Exit code 0 when it can, 2 when it cannot.

    Example: `thatdam workflow check nightly.json`
    """
    from thatdam_pipelines.errors import WorkflowError

    try:
        workflow, name, _ = _read(file, given)
    except WorkflowError as error:
        if not as_json:
            raise
        print_json([vars(problem) for problem in error.problems])
        raise typer.Exit(2) from error
    if as_json:
        print_json([])
    else:
        out.print(f"{name}: {len(workflow.steps)} steps, nothing wrong", markup=False, highlight=False)


@workflow_app.command("schema")
def schema() -> None:
    """Print the JSON Schema of workflows, for editors.

    Example: `thatdam workflow schema > workflow.schema.json`
    """
    from thatdam_pipelines.workflows.schema import workflow_schema

    print_json(workflow_schema())


@workflow_app.command("list")
def list_command(
    workflow: Annotated[str | None, typer.Argument(help="Show the results of this one.")] = None,
    limit: Annotated[int, typer.Option("-n", min=1, max=1000, help="Most workflows listed.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the workflows that were asked for, newest first, or the results of one.

    Example: `thatdam workflow list`
    """
    from thatdam_pipelines.library.home import Library
    from thatdam_pipelines.workflows.running import results, workflow_of

    with Library(get_settings()) as library:
        if workflow is not None:
            _print_steps(results(library.ledger.workflows.steps(workflow_of(library, workflow).workflow_id)), as_json)
            return
        rows = library.ledger.workflows.latest(limit)
        states = {row.workflow_id: library.ledger.workflows.state(row.workflow_id) for row in rows}
    if as_json:
        print_json([vars(row) | {"state": states[row.workflow_id]} for row in rows])
        return
    table = Table("workflow", "name", "state", "asked for", "by", "in", box=None)
    for row in rows:
        when = f"{row.requested_utc:%Y-%m-%d %H:%M:%S} UTC"
        said = (row.workflow_id, row.name, states[row.workflow_id], when, row.requested_by, row.source)
        table.add_row(*(Text(shown(text)) for text in said))
    out.print(table)


def _read(file: str, given: list[str] | None) -> "tuple[Workflow, str, Path]":
    """The workflow, what it is called, and the folder that its relative paths are of."""
    from thatdam_pipelines.workflows.document import read_workflow, text_of

    values = dict(_pair(one) for one in given or [])
    if file == "-":
        return read_workflow(sys.stdin.read(), "standard input", values), "standard input", Path.cwd()
    path = Path(file).absolute()
    return read_workflow(text_of(path), file, values), path.name, path.parent


def _pair(given: str) -> tuple[str, str]:
    name, separator, value = given.partition("=")
    if not separator or not name:
        raise typer.BadParameter(f"{given!r} sets nothing; write --set NAME=VALUE.")
    return name, value


def _print_steps(told: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    for step in told:
        typer.echo(f"{step['step']:>3} {step['action']:<10} {step['state']:<8} {shown(_said(step))}")


def _said(step: dict[str, Any]) -> str:
    result = step.get("result")
    numbers = result.items() if isinstance(result, dict) else [("rows", len(result or []))]
    said = [f"{len(value)} {name}" if isinstance(value, list) else f"{name} {value}" for name, value in numbers]
    told = [step["error"], step.get("would"), ", ".join(said) if result is not None else None]
    return "; ".join(text for text in told if text)
