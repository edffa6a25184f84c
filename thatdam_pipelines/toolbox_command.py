"""`thatdam scan|stats|recent|dump|paths|batches|clean`: the toolbox's commands."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Table
from rich.text import Text

from thatdam_pipelines.backup_command import backup_app
from thatdam_pipelines.curation_command import By, author
from thatdam_pipelines.settings import IngestMode, WatchedFolder, get_settings
from thatdam_pipelines.terminal import AsJson, clock, err, out, print_json, shown
from thatdam_pipelines.toolbox.dumping import Format

paths_app = typer.Typer(help="Watched folders: files that arrive there are taken.", no_args_is_help=True)
batches_app = typer.Typer(help="Batches: files that arrived together.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="PATH", help="The folder.")]


def scan(
    root: Annotated[
        Path | None, typer.Argument(help="Folder, or file. Default: every watched folder that is there.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=0, help="Decoding processes; 0: one a core.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make the files of a folder known and findable; they stay where they are, as with `ingest --mode reference`.

    What is unchanged since an earlier scan, by size and time, is not read again. A watched folder is taken in the mode
    that it is watched in.

    Example: `thatdam scan /mnt/archive --workers 4`
    """
    from thatdam_pipelines.toolbox.scanning import scan as scan_folder

    scanned = scan_folder(get_settings(), root, workers, err)
    if as_json:
        print_json(scanned.as_dict())
    else:
        said = scanned.as_dict()
        out.print(f"{said['processed']} of {said['total_files']} files are in the library, {said['errors']} failed")
    if not scanned.finished:
        raise typer.Exit(1)


def stats(as_json: AsJson = False) -> None:
    """Say how many files and bytes there are, by type and by batch.

    Example: `thatdam stats`
    """
    from thatdam_pipelines.search.figures import stats as figures

    found = figures(get_settings())
    if as_json:
        print_json(found)
        return
    out.print(f"{found['total_files']} files, {found['total_size_bytes'] / 1e9:.2f} GB")
    table = Table("type", "files", "GB", box=None)
    for row in found["by_mime"]:
        table.add_row(row["mime"], str(row["count"]), f"{row['size'] / 1e9:.2f}")
    out.print(table)
    out.print(f"in {len(found['by_batch'])} batches: `thatdam batches list`")


def recent(
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, max=10_000, help="How many.")] = 10,
    as_json: AsJson = False,
) -> None:
    """List what came last, newest first.

    Example: `thatdam recent -n 10`
    """
    from thatdam_pipelines.library.home import Library
    from thatdam_pipelines.search.browse import browse
    from thatdam_pipelines.search.filters import Filters

    with Library(get_settings()) as library:
        clips = browse(library, Filters(), "-added", limit).clips
    if as_json:
        print_json(clips)
        return
    table = Table("came", "file", "kind", "length", "status", "media id", box=None)
    for clip in clips:
        length = "" if clip["duration_s"] is None else clock(clip["duration_s"])
        name = f"{clip['folder']}/{clip['name']}".removeprefix("/")
        row = (f"{clip['first_seen_utc']:%Y-%m-%d %H:%M}", shown(name), clip["kind"], length, clip["status"])
        table.add_row(*map(Text, (*row, clip["media_id"])))
    out.print(table)


def dump(
    fmt: Annotated[Format, typer.Option("--format", help="json: a list of objects; csv: a table.")] = "json",
) -> None:
    """Write every file with all that is known and said of it to standard output, a file a line.

    Example: `thatdam dump --format csv > library.csv`
    """
    from thatdam_pipelines.toolbox.dumping import dump as dumped

    for piece in dumped(get_settings(), fmt):
        sys.stdout.write(piece)


def sync_album(
    root: Annotated[Path, typer.Option(help="Folder, NAS mount or phone export.")],
    album: Annotated[str | None, typer.Option(help="The album. Default: the folder's name.")] = None,
    category: Annotated[Literal["edit", "digital"], typer.Option(help="edit or digital.")] = "edit",
    copy: Annotated[bool, typer.Option("--copy/--reference", help="Copy the files, or leave them there.")] = True,
    as_json: AsJson = False,
) -> None:
    """Take what is new in a folder into an album, again and again without doubles. Also `sync_album`.

    Live Photos, edits and .AAE files of a phone are linked: `thatdam sql "FROM pairs"`.

    Example: `thatdam sync-album --root /mnt/phone/DCIM --album Wedding --category digital`
    """
    from thatdam_pipelines.toolbox.album_sync import sync_album as synced

    done = synced(get_settings(), root, album, category, copy=copy, console=err)
    if as_json:
        print_json(done.as_dict())
    else:
        failed = f", {done.errors} cannot be read" if done.errors else ""
        said = f"{done.album} ({done.category}): {done.synced} new, {done.skipped} known already{failed}"
        out.print(f"{shown(said)}; the files are in {shown(done.dest)}", markup=False, highlight=False, soft_wrap=True)
    if not done.finished:
        raise typer.Exit(1)


def clean(
    confirm: Annotated[bool, typer.Option("--confirm", help="Do it; else only say what would be done.")] = False,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Archive media left where they were whose file is gone and that no backup holds. Nothing is ever deleted.

    Example: `thatdam clean --confirm`
    """
    from thatdam_pipelines.library.home import Library
    from thatdam_pipelines.toolbox.cleaning import clean as cleaned

    with Library(get_settings()) as library:
        found = cleaned(library, by or author(), confirm=confirm)
    if as_json:
        print_json(found.as_dict())
        return
    for one in found.missing:
        place = "in a backup, see `thatdam backup restore`" if one.backed_up else "nowhere else"
        typer.echo(f"gone  {shown(one.path)}  ({place})")
    did = "archived" if confirm else "would be archived with --confirm"
    out.print(f"{len(found.missing)} media have no file any more, {found.archived} {did}")


def back_up(
    context: typer.Context,
    backup_root: Annotated[
        Path | None, typer.Option("--backup-root", "--backup_root", help="Take a snapshot to this folder.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With it: only say what would be copied.")] = False,
    as_json: AsJson = False,
) -> None:
    """Snapshots of the library: taken, proven, restored. With --backup-root: one to a folder that no setting names.

    Example: `thatdam backup --backup-root /mnt/nas/thatdam`
    """
    if context.invoked_subcommand is not None:
        return
    if backup_root is None:
        raise typer.BadParameter("Name a folder, or a command: `thatdam backup run`.", param_hint="--backup-root")
    from thatdam_pipelines.library.home import Library
    from thatdam_pipelines.toolbox.backing_up import back_up as backed_up

    with Library(get_settings()) as library:
        done = backed_up(library, backup_root, dry_run=dry_run)
    if as_json:
        print_json(done)
    else:
        did = "would be copied" if dry_run else "copied and read back"
        said = f"{done['copied']} contents {did}, {done['skipped']} are there: {shown(done['dest'])}"
        out.print(said, markup=False, highlight=False, soft_wrap=True)
        for row in done["missing"]:
            typer.echo(f"missing    {shown(row['path'])}: {row['reason']}")
    if done["missing"]:
        raise typer.Exit(1)


@paths_app.command("list")
def list_paths(as_json: AsJson = False) -> None:
    """List the watched folders and whether each can be reached.

    Example: `thatdam paths list`
    """
    from thatdam_pipelines.library.home import Library
    from thatdam_pipelines.toolbox.folders import list_folders

    with Library(get_settings()) as library:
        rows = list_folders(library)
    if as_json:
        print_json(rows)
        return
    table = Table("folder", "mode", "album", "set by", "", box=None)
    states = {None: "not looked at yet", True: "online", False: "offline"}
    for row in rows:
        state = f"{states[row['online']]} {row['message']}"
        table.add_row(*(Text(shown(str(row[name] or ""))) for name in ("path", "mode", "album", "set_by")), Text(state))
    out.print(table)


@paths_app.command("add")
def add_path(
    path: Folder,
    mode: Annotated[IngestMode, typer.Option(help="What happens to what arrives there.")] = "copy",
    album: Annotated[str | None, typer.Option(help="Album given to what arrives there.")] = None,
    category: Annotated[str | None, typer.Option(help="Category given to what arrives there.")] = None,
    settle_seconds: Annotated[float, typer.Option(min=0, help="Seconds a file must be unchanged.")] = 5.0,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Watch a folder from now on, without a restart. Given again, mode and album are changed.

    Example: `thatdam paths add /mnt/nas/dailies --mode reference --album dailies`
    """
    from thatdam_pipelines.library.home import Library
    from thatdam_pipelines.toolbox.folders import add_folder

    folder = WatchedFolder(path=path, mode=mode, album=album, category=category, settle_seconds=settle_seconds)
    with Library(get_settings()) as library:
        added = add_folder(library, folder, by or author())
    if as_json:
        print_json(added.model_dump(mode="json"))
    else:
        out.print(f"{shown(str(added.path))} is watched", markup=False, highlight=False, soft_wrap=True)


@paths_app.command("remove")
def remove_path(path: Folder) -> None:
    """Watch a folder no more. What came from it stays in the library.

    Example: `thatdam paths remove /mnt/nas/dailies`
    """
    from thatdam_pipelines.library.home import Library
    from thatdam_pipelines.toolbox.folders import remove_folder

    with Library(get_settings()) as library:
        remove_folder(library, path)


@batches_app.command("list")
def list_batches(
    limit: Annotated[int | None, typer.Option("-n", "--limit", min=1, help="Only the newest.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the batches, newest first.

    Example: `thatdam batches list -n 20`
    """
    from thatdam_pipelines.library.home import Library
    from thatdam_pipelines.toolbox.batches import list_batches as batches

    with Library(get_settings()) as library:
        rows = batches(library, limit)
    if as_json:
        print_json(rows)
        return
    table = Table("batch", "files", "GB", "state", "from", box=None)
    for row in rows:
        shape = (row["batch"], str(row["count"]), f"{row['bytes'] / 1e9:.2f}", row["state"], shown(row["root"]))
        table.add_row(*map(Text, shape))
    out.print(table)


@batches_app.command("show")
def show_batch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Id of a batch, or the folder that it came in.")],
    as_json: AsJson = False,
) -> None:
    """List the files of a batch, or of all that came in a folder, and what became of each.

    Example: `thatdam batches show DCIM/100GOPRO`
    """
    from thatdam_pipelines.library.home import Library
    from thatdam_pipelines.toolbox.batches import show_batch as files_of

    with Library(get_settings()) as library:
        rows: list[dict[str, Any]] = files_of(library, name)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        reason = f": {row['reason']}" if row["reason"] else ""
        typer.echo(f"{row['state']:<8} {row['size_bytes']:>15,}  {shown(row['path'])}{reason}")


def add_toolbox(app: typer.Typer) -> None:
    """Give the program these commands."""
    for command in (scan, stats, recent, dump, clean):
        app.command()(command)
    for name in ("sync-album", "sync_album"):
        app.command(name)(sync_album)
    backup_app.callback(invoke_without_command=True)(back_up)
    app.add_typer(paths_app, name="paths")
    app.add_typer(batches_app, name="batches")
