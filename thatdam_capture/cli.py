"""The `thatdam-capture` command.

Exit codes: 0 done, 1 it failed or the recorder has problems, 2 wrong arguments or settings, 3 no recorder answers,
4 the recorder refused, 5 no space, 6 recorded but frames are missing, or all of a camera.
"""

import asyncio
import json
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from thatdam_capture.client import RecorderClient, RefusedByRecorder, Unreachable
from thatdam_capture.errors import CaptureError, SettingsError
from thatdam_capture.record_command import Takes, record_and_wait
from thatdam_capture.settings import Settings

FRAMES_MISSING = 6
WIDEST = 1000

app = typer.Typer(
    name="thatdam-capture",
    help="Record cameras into the watched store. Without a command: serve.",
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
out = Console()
err = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Url = Annotated[str | None, typer.Option(help="Address of the recorder. Default: where the settings say it listens.")]
Config = Annotated[Path | None, typer.Option(help="Settings file. Default: capture.yaml here, if there is one.")]


def main() -> None:
    """Run the command line; errors people can act on end as one line and an exit code."""
    try:
        app()
    except CaptureError as error:
        err.print(f"[red]error[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(exit_code(error))


def exit_code(error: CaptureError) -> int:
    if isinstance(error, SettingsError):
        return 2
    if isinstance(error, Unreachable):
        return 3
    if isinstance(error, RefusedByRecorder):
        return {507: 5}.get(error.status, 4 if error.status < 500 else 1)
    return 1


@app.callback(invoke_without_command=True)
def default(context: typer.Context, config: Config = None) -> None:
    """Record cameras into the watched store. Without a command: serve."""
    if context.invoked_subcommand is None:
        serve(config=config)


@app.command()
def serve(
    config: Config = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run the recorder until Ctrl-C or SIGTERM; what is recording then is committed first.

    Example: `thatdam-capture serve --config capture.yaml`
    """
    from thatdam_capture.server import serve as run

    settings = Settings.load(config)
    given = {name: value for name, value in {"host": host, "port": port}.items() if value is not None}
    if given:
        settings = settings.listening(**given)

    def started(url: str) -> None:
        if as_json:
            print(json.dumps({"url": url, "store": str(settings.store)}), flush=True)  # noqa: T201
        else:
            out.print(f"[bold]thatdam capture[/bold]   {url}   recordings go to {escape(str(settings.store))}")
            out.print("  Ctrl-C stops; recordings are committed first.")

    asyncio.run(run(settings, started))


@app.command()
def devices(url: Url = None, config: Config = None, as_json: AsJson = False) -> None:
    """List the cameras and what they do.

    Example: `thatdam-capture devices`
    """
    cameras = client_of(url, config).get("/v1/devices")
    if as_json:
        print_json(cameras)
        return
    table = Table("camera", "name", "kind", "state", "where", "modes", box=None)
    for camera in cameras:
        modes = [f"{mode['width']}x{mode['height']} {mode['pixel_format']}" for mode in camera["modes"]]
        more = f" and {len(modes) - 3} more" if len(modes) > 3 else ""
        state = camera["state"] if camera["online"] else "unplugged"
        table.add_row(
            *map(Text, (camera["id"], camera["name"], camera["kind"], state, camera["path"] or "-")),
            Text(", ".join(modes[:3]) + more),
        )
    out.print(table)


@app.command()
def record(
    cameras: Annotated[list[str] | None, typer.Argument(help="Cameras, as `devices` names them.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every camera that is plugged in.")] = False,
    seconds: Annotated[
        str | None, typer.Option("--for", help="Stop by itself and wait for it: 30s, 5m, 1h30m.", metavar="TIME")
    ] = None,
    group: Annotated[str | None, typer.Option(help="Name of the take that the cameras share.")] = None,
    role: Annotated[list[str] | None, typer.Option(help="hero=cam1; may be given several times.")] = None,
    profile: Annotated[str | None, typer.Option(help="copy, h264, prores, ffv1 or one of the settings.")] = None,
    segment: Annotated[float | None, typer.Option(help="Length of segments in seconds.")] = None,
    url: Url = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Record cameras together as one take. With --for: wait, and list what was committed.

    Example: `thatdam-capture record cam1 cam2 --for 30s --group take-12 --role hero=cam1`
    """
    client = client_of(url, config)
    roles = dict(role_of(one) for one in role or [])
    chosen = list(dict.fromkeys([*(cameras or []), *roles.values()]))
    if every:
        chosen = [one["id"] for one in client.get("/v1/devices") if one["online"]]
    if not chosen:
        raise typer.BadParameter("name a camera, or give --all", param_hint="CAMERA")
    request = {"camera_ids": chosen, "group": group, "roles": roles, "profile": profile, "segment_s": segment}
    request["max_s"] = parse_time(seconds) if seconds is not None else None
    if seconds is None:
        started = client.post("/v1/record", request)
        if as_json:
            print_json(started)
        else:
            out.print(f"Recording {escape(', '.join(chosen))} as take {escape(started['group_id'])}")
            out.print(f"Stop with: thatdam-capture stop {escape(started['group_id'])}")
        return
    finish(record_and_wait(client, request, Console(stderr=True, quiet=as_json)), as_json=as_json)


@app.command()
def stop(
    sessions: Annotated[list[str] | None, typer.Argument(help="Takes or sessions. Default: everything.")] = None,
    url: Url = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Stop recordings, and list what they committed.

    Example: `thatdam-capture stop take-12`
    """
    client = client_of(url, config)
    recording = client.get("/v1/sessions")
    running = list(dict.fromkeys(sessions or [one["group_id"] for one in recording]))
    cameras = [one["camera_id"] for one in recording if {one["id"], one["group_id"], one["session_id"]} & {*running}]
    with err.status("Committing ..."):
        manifests = [manifest for one in running for manifest in client.post(f"/v1/record/{one}/stop")["manifests"]]
    finish(Takes(manifests, cameras), as_json=as_json)


@app.command()
def status(url: Url = None, config: Config = None, as_json: AsJson = False) -> None:
    """Say what records, how the disk stands and what is wrong. Exit code 1 if something is.

    Example: `thatdam-capture status`
    """
    answer = client_of(url, config).get("/v1/status")
    if as_json:
        print_json(answer)
    else:
        show_status(answer)
    if not answer["ok"]:
        raise typer.Exit(1)


@app.command()
def recordings(
    camera: Annotated[str | None, typer.Option(help="Only this camera's.")] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, max=1000, help="At most so many segments.")] = 20,
    before: Annotated[datetime | None, typer.Option(help="Only what began before this time (UTC).")] = None,
    url: Url = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List committed segments, newest first.

    Example: `thatdam-capture recordings --camera cam1 -n 5`
    """
    when = before.isoformat() + "Z" if before is not None else None
    found = client_of(url, config).get("/v1/recordings", limit=limit, camera=camera, before=when)
    if as_json:
        print_json(found)
    else:
        print_segments(found)


@app.command("hw_list")
def hw_list(url: Url = None, config: Config = None, as_json: AsJson = False) -> None:
    """List the cameras and what they do: `devices`, as the toolbox calls it.

    Example: `thatdam-capture hw_list`
    """
    devices(url, config, as_json)


@app.command("hw_record")
def hw_record(
    device: Annotated[str, typer.Option(help="Camera, by its id or its path.")] = "/dev/video0",
    duration: Annotated[float | None, typer.Option(help="Seconds. Default: until `stop`.")] = None,
    url: Url = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Record one camera into the store: `record`, as the toolbox calls it.

    Example: `thatdam-capture hw_record --device /dev/video0 --duration 30`
    """
    camera = camera_of(client_of(url, config), device)
    record([camera], seconds=time_text(duration), url=url, config=config, as_json=as_json)


@app.command("witness_record")
def witness_record(
    main_camera: Annotated[str, typer.Option("--main", help="The hero, by id or path.")] = "/dev/video0",
    witness: Annotated[str, typer.Option(help="The witness, by id or path.")] = "/dev/video1",
    duration: Annotated[float | None, typer.Option(help="Seconds. Default: 60.")] = 60.0,
    url: Url = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Record two cameras as one take, with the roles hero and witness; the library aligns them afterwards.

    Example: `thatdam-capture witness_record --main cam1 --witness cam2 --duration 60`
    """
    client = client_of(url, config)
    roles = [f"hero={camera_of(client, main_camera)}", f"witness={camera_of(client, witness)}"]
    record(role=roles, seconds=time_text(duration), url=url, config=config, as_json=as_json)


def camera_of(client: RecorderClient, device: str) -> str:
    """The id of the camera at a path; anything else is an id."""
    return next((one["id"] for one in client.get("/v1/devices") if one["path"] == device), device)


def time_text(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds}s"


def client_of(url: str | None, config: Path | None) -> RecorderClient:
    from thatdam_capture.addresses import address

    settings = Settings.load(config)
    token = settings.token.get_secret_value() if settings.token else None
    return RecorderClient(url or address(settings.listen.host, settings.listen.port), token)


def role_of(text: str) -> tuple[str, str]:
    name, _, camera = text.partition("=")
    if not name or not camera:
        raise typer.BadParameter(f"{text!r}: write hero=cam1", param_hint="--role")
    return name, camera


def parse_time(text: str) -> float:
    """Seconds of ``30``, ``30s``, ``5m`` or ``1h30m``."""
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?", text)
    if not text or match is None:
        raise typer.BadParameter(f"{text!r} is no time: write 30s, 5m or 1h30m", param_hint="--for")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    total = hours * 3600 + minutes * 60 + seconds
    if total <= 0:
        raise typer.BadParameter("record for more than no time", param_hint="--for")
    return total


def finish(takes: Takes, *, as_json: bool) -> None:
    """Print what was committed; exit code 6 if frames are missing from it."""
    if as_json:
        print_json(takes.manifests)
    else:
        print_segments(takes.manifests)
        for fault in takes.faults:
            err.print(f"[yellow]missing[/yellow] {escape(fault)}", highlight=False)
    if takes.faults:
        raise typer.Exit(FRAMES_MISSING)


def show_status(answer: dict[str, Any]) -> None:
    disk = answer["disk"]
    left = f", {disk['seconds_left'] / 3600:.1f} h at this rate" if disk["seconds_left"] is not None else ""
    out.print(f"[bold]{escape(answer['host'])}[/bold]   {disk['free_bytes'] / 1e9:.1f} GB free{left}")
    table = Table("camera", "state", "take", "elapsed", "frames", "dropped", "fps", "breaks", box=None)
    for camera in answer["cameras"]:
        stats, session = camera["stats"], camera["session"] or {}
        table.add_row(
            Text(camera["id"]),
            Text(camera["state"], style="red bold" if camera["state"] == "recording" else ""),
            Text(session.get("group_id", "-")),
            f"{stats['elapsed_s']:.1f} s",
            str(stats["frames"]),
            Text(str(stats["dropped"]), style="yellow" if stats["dropped"] else ""),
            f"{stats['fps']:.2f}",
            str(stats["restarts"]),
        )
    out.print(table)
    for peer in answer["peers"]:
        out.print(f"peer {escape(peer['name'])} {escape(peer['url'])} ({peer['mode']})", highlight=False)
    for problem in answer["problems"]:
        err.print(f"[red]problem[/red] {escape(problem)}", highlight=False)


def print_segments(manifests: list[dict[str, Any]]) -> None:
    """As a table; a narrow terminal wraps its lines, so that no name is cut."""
    table = Table(box=None)
    for name in ("camera", "take", "begins (UTC)", "length", "frames", "dropped", "size", "file"):
        table.add_column(name, no_wrap=True)
    for one in manifests:
        table.add_row(
            Text(one["camera"]["id"] + (f" ({one['role']})" if one["role"] else "")),
            Text(one["group_id"][:16]),
            one["start_utc"][:19].replace("T", " "),
            f"{one['duration_s']:.2f} s",
            str(one["frames"]),
            Text(str(one["dropped"]), style="yellow" if one["dropped"] else ""),
            f"{one['bytes'] / 1e6:.1f} MB",
            Text(one["file"] + ("" if one["complete"] else " (cut off)")),
        )
    wide = Measurement.get(out, out.options.update(width=WIDEST), table).maximum
    Console(width=max(out.width, wide)).print(table)


def print_json(data: Any) -> None:
    print(json.dumps(data, indent=2, ensure_ascii=False))  # noqa: T201
