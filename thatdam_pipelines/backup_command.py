"""`thatdam backup ...` and `thatdam verify`: snapshots, their proof, restore."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from thatdam_pipelines.backup_key_command import key_app
from thatdam_pipelines.errors import ThatdamError
from thatdam_pipelines.settings import BackupTarget, Settings, get_settings
from thatdam_pipelines.terminal import AsJson, err, out, print_json, shown

if TYPE_CHECKING:
    from thatdam_pipelines.backup.targets import Target
    from thatdam_pipelines.library.home import Library

Told = Callable[[int, int, str], None]
"""Is told of progress: (bytes done, bytes to do, what)."""
backup_app = typer.Typer(help="Snapshots of the library: taken, proven, restored.", no_args_is_help=True)
backup_app.add_typer(key_app, name="key")

Names = Annotated[list[str] | None, typer.Option("--target", help="Only this target; may be given again.")]
KeyFile = Annotated[Path | None, typer.Option("--key", metavar="FILE", help="Key of an encrypted --from URL.")]
From = Annotated[str | None, typer.Option("--from", metavar="NAME|URL", help="A target of the settings, or its URL.")]


@backup_app.command("run")
def run(target: Names = None, as_json: AsJson = False) -> None:
    """Take a snapshot at every target: what is new is copied and read back, what is there is not copied again.

    Example: `thatdam backup run`
    """
    from thatdam_pipelines.backup.snapshot import take_snapshot

    def work(library: "Library", wanted: BackupTarget, told: Told) -> Any:
        return take_snapshot(library, wanted, progress=told)

    _work_at_each(target, work, _said_snapshot, as_json)


@backup_app.command("list")
def list_command(
    snapshot: Annotated[str | None, typer.Argument(help="Show the files of this snapshot, or of `latest`.")] = None,
    source: From = None,
    key: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """List the snapshots at every target, or the files of one. Exit code 1: a target cannot be reached.

    Example: `thatdam backup list`
    """
    from thatdam_pipelines.backup.choosing import with_snapshot
    from thatdam_pipelines.backup.manifest import list_snapshots, open_manifest, read_lines

    if snapshot is None:
        rows: list[dict[str, Any]] = []
        opened = _open_targets(get_settings(), source, key)
        for one in opened:
            for name in list_snapshots(one):
                rows.append({"target": one.name, "snapshot": name.snapshot_id, "created_utc": name.created_utc})
        if as_json:
            print_json(rows)
        for row in rows if not as_json else []:
            typer.echo(f"{row['snapshot']}  {row['created_utc']:%Y-%m-%d %H:%M} UTC  {row['target']}")
        if source is None and len(opened) < len(get_settings().backup_targets):
            raise typer.Exit(1)
        return
    targets, found = with_snapshot(get_settings(), _open_targets(get_settings(), source, key), snapshot)
    with open_manifest(targets[0], found) as manifest:
        if as_json:
            print_json([line._asdict() for line in read_lines(manifest)])
            return
        for line in read_lines(manifest):
            typer.echo(f"{line.size_bytes:>15,}  {line.media_id or line.role:<32}  {shown(line.path)}")


@backup_app.command("verify")
def verify_targets(
    target: Names = None,
    share: Annotated[str | None, typer.Option(help="Share to re-read, as 5%. Default: what is due today.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Re-read all of it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Re-read copies at the targets and compare them; those that were not read for longest come first.

    Example: `thatdam backup verify --all`
    """
    from thatdam_pipelines.backup.audit import audit_target

    part = 1.0 if everything else (_share(share) if share else None)

    def work(library: "Library", wanted: BackupTarget, told: Told) -> Any:
        return audit_target(library, _open(library, wanted), share=part, progress=told)

    _work_at_each(target, work, _said_audit, as_json)


@backup_app.command("drill")
def drill_command(target: Names = None, as_json: AsJson = False) -> None:
    """Restore a random sample of the newest snapshot, and the library database, to a throwaway folder and compare.

    Example: `thatdam backup drill`
    """
    from thatdam_pipelines.backup.audit import drill

    def work(library: "Library", wanted: BackupTarget, told: Told) -> Any:
        return drill(library, _open(library, wanted), progress=told)

    _work_at_each(target, work, _said_audit, as_json)


@backup_app.command("prune")
def prune_command(
    target: Names = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed; remove nothing.")] = False,
    give_up: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SNAPSHOT", help="Go on without this one, whose manifest and spare are lost. With --target."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Remove the snapshots that a target's retention does not keep, and what no snapshot needs any more.

    Example: `thatdam backup prune --dry-run`
    """
    from thatdam_pipelines.backup.prune import prune

    if give_up and len(target or []) != 1:
        raise typer.BadParameter("Say with --target where a snapshot is to be given up.")

    def work(library: "Library", wanted: BackupTarget, _told: Told) -> Any:
        return prune(library, _open(library, wanted), dry_run=dry_run, give_up=give_up or ())

    _work_at_each(target, work, _said_prune, as_json)


@backup_app.command("restore")
def restore_command(
    snapshot: Annotated[str, typer.Argument(help="A snapshot, or `latest`.")],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder to restore to.")],
    path: Annotated[str | None, typer.Option(metavar="GLOB", help="Files whose path or its end is like this.")] = None,
    media: Annotated[str | None, typer.Option(metavar="ID", help="The original with this media id.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="A whole home, for an empty machine.")] = False,
    source: From = None,
    key: KeyFile = None,
    database: Annotated[
        str | None, typer.Option(metavar="URL", help="With --all: an empty Postgres database for the library's own.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would do and how long it would take; write nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Restore files, or a whole home, each proven against its hash. Nothing different is ever overwritten.

    Example: `thatdam backup restore latest --all --to /mnt/new/home --from /mnt/backup`
    """
    from thatdam_pipelines.backup.choosing import with_snapshot
    from thatdam_pipelines.backup.restore import Wanted, restore

    if sum((path is not None, media is not None, everything)) != 1:
        raise typer.BadParameter("Say what to restore: one of --path, --media and --all.")
    if "" in (path, media):
        raise typer.BadParameter("An empty --path or --media names nothing.")
    if database is not None and not everything:
        raise typer.BadParameter("A database is restored with --all only.")
    targets, name = with_snapshot(get_settings(), _open_targets(get_settings(), source, key), snapshot)
    what = Wanted(everything, path, media)
    with _bar() as told:
        report = restore(
            targets, name, what, to.absolute(), dry_run=dry_run, database=database, progress=told("restore")
        )
    if as_json:
        print_json(report.as_dict())
    else:
        for line in _said_restore(report.as_dict()):
            typer.echo(line)
        if everything and not dry_run and not report.problems:
            settings = f"THATDAM_HOME={to}" + (" THATDAM_DATABASE=(that database)" if database else "")
            typer.echo(f"Next: {settings} thatdam index rebuild all")
    if report.problems:
        raise typer.Exit(1)


def verify(
    sample: Annotated[str | None, typer.Option(help="Share of the originals to re-read, as 5%.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Re-read every original.")] = False,
    heal: Annotated[bool, typer.Option("--heal", help="Put back what is damaged or missing, from a backup.")] = False,
    as_json: AsJson = False,
) -> None:
    """Re-read originals and compare them with their hashes; name what changed and where a good copy is.

    Example: `thatdam verify --sample 5%`
    """
    from thatdam_pipelines.backup.verify import verify_originals
    from thatdam_pipelines.library.home import Library

    if everything == (sample is not None):
        raise typer.BadParameter("Say how much to read: one of --sample and --all.")
    settings = get_settings()
    share = 1.0 if everything else _share(str(sample))
    with Library(settings) as library, _bar() as told:
        targets = _open_targets(settings, None, None, library) if heal else []
        report = verify_originals(library, share=share, heal_from=targets, progress=told("verify"))
    if as_json:
        print_json(report.as_dict())
    else:
        for one in report.wrong:
            then = "healed" if one["healed"] else f"good copy: {one['good copy']}"
            typer.echo(f"wrong      {shown(one['path'])}: {one['reason']} ({then})")
        for path in report.away:
            typer.echo(f"away       {shown(path)}: its disk cannot be reached")
        for problem in report.unwritten:
            typer.echo(f"no ASC MHL {shown(problem)}")
        said = f"{report.files} originals ({_size(report.bytes)}) read, {len(report.wrong)} wrong"
        out.print(f"{said}, {len(report.wrong) - report.unhealed} healed", highlight=False)
    if report.unhealed:
        raise typer.Exit(1)


def _work_at_each(
    names: list[str] | None,
    work: Callable[["Library", BackupTarget, Told], Any],
    said: Callable[[dict[str, Any]], list[str]],
    as_json: bool,
) -> None:
    """Do and print the work at each target; one that fails does not keep the others from theirs."""
    from thatdam_pipelines.backup.choosing import no_targets
    from thatdam_pipelines.backup.targets import target_named
    from thatdam_pipelines.backup.turns import at_each
    from thatdam_pipelines.library.home import Library

    settings = get_settings()
    targets = [target_named(settings, name) for name in names] if names else settings.backup_targets
    if not targets:
        raise no_targets()
    results: list[dict[str, Any]] = []
    with Library(settings) as library, _bar() as told:
        for wanted, done in at_each(settings, targets, lambda wanted: work(library, wanted, told(wanted.name))):
            if isinstance(done, ThatdamError):
                results.append({"target": wanted.name, "error": str(done)})
            else:
                results.append(done.as_dict())
    _print_results(results, as_json, said)
    if any(one.get(bad) for one in results for bad in ("error", "missing", "wrong")):
        raise typer.Exit(1)


def _open(library: "Library", wanted: BackupTarget) -> "Target":
    from thatdam_pipelines.backup.targets import open_target

    return open_target(library.settings, wanted, library.ledger)


def _open_targets(
    settings: Settings, source: str | None, key: Path | None, library: "Library | None" = None
) -> list["Target"]:
    """The targets that can be reached now, as ``open_targets``; of the others it is told."""
    from thatdam_pipelines.backup.choosing import open_targets

    def told(problem: str) -> None:
        err.print(problem, markup=False, highlight=False, style="yellow", soft_wrap=True)

    return open_targets(settings, told, source, key, library.ledger if library else None)


def _share(text: str) -> float:
    try:
        share = float(text.removesuffix("%")) / 100
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise typer.BadParameter(f"{text!r} is no share; say it as 5%.")
    return share


@contextmanager
def _bar() -> Iterator[Callable[[str], Told]]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=err, transient=True) as bars:

        def begin(name: str) -> Told:
            task = bars.add_task(name, total=None)
            return lambda done, total, _file: bars.update(task, completed=done, total=total)

        yield begin


def _print_results(results: list[dict[str, Any]], as_json: bool, said: Callable[[dict[str, Any]], list[str]]) -> None:
    if as_json:
        print_json(results)
        return
    for one in results:
        if "error" in one:
            err.print(f"{one['target']}: {one['error']}", markup=False, highlight=False, style="red", soft_wrap=True)
        for line in [] if "error" in one else said(one):
            typer.echo(line)


def _said_snapshot(report: dict[str, Any]) -> list[str]:
    said = f"{report['target']}: {report['snapshot_id']}, {report['files']} files ({_size(report['bytes'])}): "
    said += f"{report['new_files']} new ({_size(report['new_bytes'])}), {report['known_files']} known, "
    said += f"{report['verified']} read back, {report['elapsed_s']:.1f} s"
    return [said, *(f"not in it  {shown(one['path'])}: {one['reason']}" for one in report["missing"])]


def _said_restore(report: dict[str, Any]) -> list[str]:
    done = "would be restored" if report["dry_run"] else "restored"
    said = f"{report['files']} files ({_size(report['bytes'])}) {done} to {report['to']} from {report['target']}, "
    said += f"{report['there']} there, {len(report['problems'])} failed"
    failed = [f"failed     {shown(one['path'])}: {one['reason']}" for one in report["problems"]]
    missing = [f"not in it  {shown(one['path'])}: {one['reason']}" for one in report["not_in_snapshot"]]
    return [*failed, *missing, said, *_said_estimate(report["estimate"])]


def _said_estimate(estimate: dict[str, Any] | None) -> list[str]:
    if estimate is None:
        return []
    if estimate["seconds"] is None:
        return [f"How long it would take is not known: {estimate['basis']}"]
    return [f"It would take about {timedelta(seconds=math.ceil(estimate['seconds']))}: {estimate['basis']}"]


def _said_audit(report: dict[str, Any]) -> list[str]:
    said = f"{report['target']}: {report['files']} contents ({_size(report['bytes'])}) read, "
    said += f"{len(report['wrong'])} wrong" + (f", {report['overdue']} overdue" if report["overdue"] else "")
    wrong = ((shown(one["what"]), one["reason"], one["good copy"]) for one in report["wrong"])
    return [said, *(f"wrong      {what}: {reason} (good copy: {good})" for what, reason, good in wrong)]


def _said_prune(report: dict[str, Any]) -> list[str]:
    done = "would be removed" if report["dry_run"] else "removed"
    said = f"{report['target']}: {len(report['removed'])} snapshots and {report['objects']} contents "
    said += f"({_size(report['bytes'])}) {done}, {len(report['kept'])} snapshots stay"
    said += f", {report['unfinished']} unfinished copies {done}" if report["unfinished"] else ""
    said += f", {len(report['given_up'])} lost snapshots given up" if report["given_up"] else ""
    return [said + (f", {report['kept_last']} contents stay as last copies" if report["kept_last"] else "")]


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.2f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.1f} MB"
