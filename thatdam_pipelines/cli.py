"""The `thatdam` command. Exit codes: 0 done, 1 it failed, 2 wrong arguments or settings."""

import atexit
import gc
import sys
from collections.abc import Callable
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError as UnreadableSettingError
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from sqlalchemy.exc import DBAPIError

from thatdam_pipelines.album_command import album_app
from thatdam_pipelines.backup_command import backup_app, verify
from thatdam_pipelines.curation_command import describe, rate, state
from thatdam_pipelines.errors import CurationError, QueryError, SettingsError, ThatdamError, WorkflowError
from thatdam_pipelines.models_command import models_app
from thatdam_pipelines.motion_command import motion_extract, trim_idle
from thatdam_pipelines.related_command import related
from thatdam_pipelines.search_command import explain, search, sql
from thatdam_pipelines.settings import IngestMode, get_settings
from thatdam_pipelines.tag_command import tag_app
from thatdam_pipelines.terminal import AsJson, clock, err, out, print_json, shown
from thatdam_pipelines.toolbox_command import add_toolbox
from thatdam_pipelines.transcript_command import transcript
from thatdam_pipelines.users_command import users_app
from thatdam_pipelines.workflow_command import workflow_app
from thatdam_pipelines.xmp_command import xmp_app

app = typer.Typer(
    name="thatdam",
    help="Verified ingest, moment search and lineage for people who shoot video.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
index_app = typer.Typer(help="Indexes are projections of the tables: rebuild them at will.", no_args_is_help=True)
app.add_typer(index_app, name="index")
app.add_typer(models_app, name="models")
app.add_typer(backup_app, name="backup")
app.add_typer(users_app, name="users")
app.add_typer(tag_app, name="tag")
app.add_typer(album_app, name="album")
app.add_typer(xmp_app, name="xmp")
add_toolbox(app)
app.add_typer(workflow_app, name="workflow")
for command in (search, related, transcript, sql, explain, rate, state, describe, verify):
    app.command()(command)
app.command("trim_idle")(trim_idle)
app.command("motion_extract")(motion_extract)


class Container(StrEnum):
    MP4 = "mp4"
    MOV = "mov"
    MKV = "mkv"


class Index(StrEnum):
    VECTOR = "vector"
    TEXT = "text"
    CATALOG = "catalog"
    ALL = "all"


def main() -> None:
    """Run the command line; errors people can act on end as one line and an exit code."""
    atexit.register(_end_sooner)
    try:
        app()
    except (SettingsError, QueryError, CurationError, WorkflowError) as error:
        err.print(f"[red]error[/red] {escape(str(error))}", highlight=False)
        sys.exit(2)
    except ValidationError as error:
        for problem in error.errors():
            name = "THATDAM_" + "__".join(str(part) for part in problem["loc"]).upper()
            err.print(f"[red]error[/red] {name}: {problem['msg']}. See docs/settings.md.", highlight=False)
        sys.exit(2)
    except UnreadableSettingError as error:
        cause = f" ({error.__cause__})" if error.__cause__ else ""
        err.print(f"[red]error[/red] {escape(f'{error}{cause}')}. See docs/settings.md.", highlight=False)
        sys.exit(2)
    except ThatdamError as error:
        err.print(f"[red]error[/red] {escape(str(error))}", highlight=False)
        sys.exit(1)
    except DBAPIError as error:
        from thatdam_pipelines.library.ledger_problem import in_words

        said = in_words(error, get_settings().database_url)
        err.print(f"[red]error[/red] {escape(str(said))}", highlight=False)
        sys.exit(1)
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("thatdam"):
            raise
        # As on a machine with the extra `capture` alone.
        next_step = escape("Next: pip install 'thatdam[pipelines]'")
        err.print(f"[red]error[/red] {missing.name} is not installed. {next_step}", highlight=False)
        sys.exit(1)


def _end_sooner() -> None:
    # Else the interpreter looks through every object once more as it ends, which takes 0.2 s. DuckDB wants it so.
    if "duckdb" not in sys.modules:
        gc.freeze()


@app.command()
def up(
    sample_footage: Annotated[
        bool, typer.Option(help="On the very first start, make sample footage and drop it into incoming/.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Start the platform: Dagster with sensors, the Explorer, the vector server, the recorder. Ctrl-C ends all of it.

    With --json it prints one line once everything answers: addresses, process ids and folders.

    Example: `thatdam up`
    """
    from thatdam_pipelines.up import run_platform

    run_platform(get_settings(), err if as_json else out, sample_footage=sample_footage, as_json=as_json)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address; other than loopback it needs accounts or a token.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port.")] = None,
) -> None:
    """Start the web application alone, as beside a platform that runs elsewhere. Ctrl-C ends it.

    Example: `thatdam serve --port 8080`
    """
    from thatdam_pipelines.web.__main__ import serve as serve_web

    given = {"web_host": host, "web_port": port}
    serve_web(get_settings().model_copy(update={name: value for name, value in given.items() if value is not None}))


@app.command()
def demo(as_json: AsJson = False) -> None:
    """Do the main job on sample footage in a throwaway home: drop, ingest, search, SQL.

    Example: `thatdam demo`
    """
    from thatdam_pipelines.demo import run_demo

    run_demo(Console(stderr=True) if as_json else out, as_json=as_json)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Say what is installed, which embedder serves, how much disk is free, and what is broken.

    Example: `thatdam doctor`
    """
    from thatdam_pipelines.doctor import examine

    findings = examine(get_settings())
    if as_json:
        print_json([finding.as_dict() for finding in findings])
    else:
        table = Table("", "what", "found", "next step", box=None)
        for finding in findings:
            table.add_row(
                "[green]ok[/]" if finding.ok else "[red]broken[/]",
                *map(Text, (finding.subject, finding.found, finding.next_step)),
            )
        out.print(table)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


@app.command()
def ingest(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files and folders to take.")],
    mode: Annotated[IngestMode, typer.Option(help="What happens to the source.")] = "copy",
    wait: Annotated[bool, typer.Option("--wait", help="Run the whole chain until moments can be searched.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ingest files and folders: verified, probed and findable; with --wait down to scenes.

    Example: `thatdam ingest /media/card/DCIM --wait`
    """
    from thatdam_pipelines.ingest_command import ingest_paths

    if "" in paths:
        raise typer.BadParameter("A path is empty. Name the folder; `.` is this one.")
    result = ingest_paths(get_settings(), [Path(path) for path in paths], mode, wait=wait, console=err)
    if as_json:
        print_json(result.as_dict())
    else:
        for row in result.media:
            typer.echo(f"{row['status']:<10} {row['media_id']}  {shown(row['path'])}")
        for row in result.failed:
            typer.echo(f"failed     {shown(row['path'])}: {row['reason']}")
        for row in result.not_as_listed:
            typer.echo(f"not as the card's hash list says  {shown(row['path'])}: {row['reason']}")
        wrong = f", {count} not as the card's hash lists say" if (count := len(result.not_as_listed)) else ""
        out.print(f"{len(result.media)} files in {len(result.batches)} batches, {len(result.failed)} failed{wrong}")
    if not result.finished:
        raise typer.Exit(1)


@app.command()
def offload(
    card: Annotated[str, typer.Argument(metavar="CARD", help="Folder where the card is mounted.")],
    to: Annotated[
        list[str], typer.Option("--to", metavar="DEST", help="Folder on a disk that is there; give it again for more.")
    ],
    reverify: Annotated[
        bool, typer.Option("--reverify", help="Read again at both ends what an earlier run verified.")
    ] = False,
    ingest: Annotated[bool, typer.Option("--ingest", help="Then ingest from the first destination.")] = False,
    mode: Annotated[IngestMode, typer.Option(help="With --ingest: what happens to the copy there.")] = "copy",
    as_json: AsJson = False,
) -> None:
    """Copy a card to one or more destinations, verify every copy, and say whether it is safe to format.

    Exit code 0 when it is, 1 when it is not. Interrupted and run again, it goes on where it stopped.

    Example: `thatdam offload /media/card --to /mnt/ssd --to /mnt/nas`
    """
    from thatdam_pipelines.offload_command import run_offload

    if "" in (card, *to):
        raise typer.BadParameter("A path is empty. Name the folder; `.` is this one.")
    if mode == "move":
        raise typer.BadParameter("--mode is copy or reference: an offload's copies stay where they are.")
    outcome = run_offload(
        get_settings(), Path(card), [Path(path) for path in to], err, reverify=reverify, ingest=ingest, mode=mode
    )
    if as_json:
        print_json(outcome.as_dict())
    else:
        for line in outcome.lines():
            typer.echo(shown(line))
    if not outcome.is_done:
        raise typer.Exit(1)


@index_app.command("rebuild")
def index_rebuild(which: Annotated[Index, typer.Argument(help="Which index.")], as_json: AsJson = False) -> None:
    """Rebuild an index from the Parquet tables alone.

    Example: `thatdam index rebuild all`
    """
    from thatdam_pipelines.library.catalog import publish
    from thatdam_pipelines.library.home import Library
    from thatdam_pipelines.library.text import TextIndex
    from thatdam_pipelines.library.vectors import VectorIndex

    settings = get_settings()
    with Library(settings) as library:
        rebuilders: dict[Index, Callable[[], Any]] = {
            Index.VECTOR: lambda: VectorIndex(settings).rebuild(library),
            Index.TEXT: lambda: TextIndex(settings.text_path).rebuild(library),
            Index.CATALOG: lambda: publish(library),
        }
        chosen = [which] if which is not Index.ALL else list(rebuilders)
        done = {}
        for index in chosen:
            with err.status(f"Rebuilding the {index.value} index ..."):
                done[index.value] = asdict(rebuilders[index]())
            if not as_json:
                said = ", ".join(f"{name} {value}" for name, value in done[index.value].items())
                out.print(f"{index.value}: {said}", markup=False, highlight=False, soft_wrap=True)
    if as_json:
        print_json(done)


@app.command()
def retry(batch: Annotated[str | None, typer.Option(help="Only this batch.")] = None, as_json: AsJson = False) -> None:
    """Try the files again that failed, whatever the reason.

    Example: `thatdam retry --batch 20261120T101500-1f2e3d4c`
    """
    from thatdam_pipelines.ingest_command import retry_failed

    result = retry_failed(get_settings(), batch, console=err)
    if as_json:
        print_json(result.as_dict())
    else:
        for row in result.failed:
            typer.echo(f"failed     {shown(row['path'])}: {row['reason']}")
        out.print(f"{len(result.batches)} batches tried again, {len(result.failed)} files still failed")
    if not result.finished:
        raise typer.Exit(1)


@app.command()
def rewrap(
    subject: Annotated[
        str, typer.Argument(metavar="TAKE|MEDIA", help="A take, session or group, a path or a media id.")
    ],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder the file is written into.")],
    container: Annotated[Container, typer.Option(help="What it is wrapped in.")] = Container.MP4,
    as_json: AsJson = False,
) -> None:
    """Write a recording as one file for editors: all its segments joined, nothing encoded again.

    Example: `thatdam rewrap take-12 --to edit/`
    """
    from thatdam_pipelines.rewrap_command import rewrap_to

    with err.status("Rewrapping ..."):
        written = rewrap_to(get_settings(), subject, to, container.value)
    if as_json:
        print_json([one.as_dict() for one in written])
    else:
        for one in written:
            said = f"{one.chapters} files, {clock(one.duration_s)}, {one.size_bytes / 1e6:.1f} MB"
            out.print(f"{shown(one.path)}: {said}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def sync(
    media: Annotated[
        list[str], typer.Argument(metavar="MEDIA...", help="Media ids, paths or names; or a group of the recorder.")
    ],
    as_json: AsJson = False,
) -> None:
    """Say where recordings of one event lie on one time line, to the sample where sound tells; refuse what is not sure.

    Exit code 0 when all are placed, 1 when one is refused.

    Example: `thatdam sync A001.MOV B001.MOV zoom.wav`
    """
    from thatdam_pipelines.sync_command import sync_named

    with err.status("Aligning ..."):
        placed = sync_named(get_settings(), media)
    if as_json:
        print_json([one.as_dict() for one in placed])
    else:
        table = Table("", "begins at s", "drift ppm", "confidence", "by", "", box=None)
        for one in placed:
            found = one.aligned
            begins = "refused" if found.offset_s is None else f"{found.offset_s:.6f}"
            drift = "" if found.drift_ppm is None else f"{found.drift_ppm:.1f}"
            row = (one.name, begins, drift, f"{found.confidence:.3f}", found.method, found.reason)
            table.add_row(*(Text(shown(text)) for text in row))
        out.print(table)
    if not all(one.aligned.sure for one in placed):
        raise typer.Exit(1)
