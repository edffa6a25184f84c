"""`thatdam up`: the whole platform on this machine, and its clean end."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import typer
from rich.console import Console

from thatdam_pipelines.errors import SettingsError, ThatdamError
from thatdam_pipelines.instance import prepare_instance
from thatdam_pipelines.library.chroma import SERVER_NOTE, owning
from thatdam_pipelines.library.files import replacing
from thatdam_pipelines.processes import Service, Services, end_left_over
from thatdam_pipelines.recorder import INSTALL, missing_packages, recorder_command, recorder_environment
from thatdam_pipelines.settings import LOOPBACK, Settings, project_file

START_LIMIT_S = 180.0
VECTORS_WAIT_S = 30.0
"""Longest wait for a command that has the vectors open."""
RECORDER = "capture"
RECORDER_PAUSE_S = 5.0
"""Least time from one start of the recorder to the next: it resumes by itself what it was recording when it died."""


def run_platform(settings: Settings, console: Console, *, sample_footage: bool, as_json: bool = False) -> None:
    """Start Dagster, the vector server, the web application and the recorder; return when asked to stop.

    A recorder that ends by itself is started again; where its packages are not installed, the rest runs without it.

    Args:
        console: Where people are told what goes on.
        as_json: Print one line of JSON for programs, instead of a welcome, when everything answers.

    Raises:
        SettingsError: A server would listen on more than loopback.
        ThatdamError: The platform already runs on this home, a port is taken, or a service ended by itself.
    """
    if settings.host not in LOOPBACK:
        raise SettingsError(
            "THATDAM_HOST",
            f"{settings.host} is not loopback and Dagster and the vectors have no login",
            "Leave it; THATDAM_WEB_HOST lets others reach the web application.",
        )
    with _only_one(settings):
        if left_over := end_left_over(settings.home):
            console.print(f"The last start on this home was killed: ended {left_over} process(es) it left running.")
        ports = {
            settings.dagster_port: "THATDAM_DAGSTER_PORT",
            settings.web_port: "THATDAM_WEB_PORT",
            settings.chroma_port: "THATDAM_CHROMA_PORT",
        }
        missing = missing_packages()
        if missing:
            console.print(f"No recorder: {', '.join(missing)} are not installed. {INSTALL}", markup=False)
        else:
            ports[settings.capture_port] = "THATDAM_CAPTURE_PORT"
        for port, setting in ports.items():
            _require_free(settings.web_address if port == settings.web_port else settings.host, port, setting)
        if settings.incoming is None:
            settings.incoming_dir.mkdir(parents=True, exist_ok=True)
        first_start = not settings.dagster_dir.exists()
        if first_start and sample_footage:
            # Before Dagster's folder is there: when this is interrupted, the next start is the first one again.
            console.print("First start: making a few minutes of sample footage ...")
            drop_sample_footage(settings)
        prepare_instance(settings)
        with _stop_on_signals() as stop, _services(settings, records=not missing) as services:
            _wait_until_ready(settings, services, stop)
            if not stop and as_json:
                typer.echo(json.dumps(_addresses(settings, services)))
            elif not stop:
                dropped = first_start and sample_footage
                _print_welcome(settings, console, sample_footage=dropped, records=_records(services))
            restart_after = 0.0
            while not stop:
                ended = services.ended()
                if ended is None or ended.name != RECORDER:
                    _require_running(services)
                elif time.monotonic() > restart_after:
                    code = ended.process.returncode
                    console.print(f"The recorder ended with exit code {code} and is started again: see {ended.log}")
                    services.forget(ended)
                    _start_recorder(settings, services)
                    restart_after = time.monotonic() + RECORDER_PAUSE_S
                time.sleep(0.5)
            console.print("Stopping ...")


def drop_sample_footage(settings: Settings) -> None:
    """Make the sample footage in a hidden folder of the incoming one, then move it out of there as a drop would."""
    from thatdam_pipelines.samples.footage import write_demo_footage

    made = settings.incoming_dir / ".sample-footage"
    shutil.rmtree(made, ignore_errors=True)
    write_demo_footage(made)
    for entry in sorted(made.iterdir()):
        entry.rename(settings.incoming_dir / entry.name)
    made.rmdir()


@contextlib.contextmanager
def _only_one(settings: Settings) -> Iterator[None]:
    settings.home.mkdir(parents=True, exist_ok=True)
    with (settings.home / "up.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ThatdamError(settings.home, "the platform already runs on this home", "Use it, or stop it first.")  # noqa: B904
        yield


def _require_free(host: str, port: int, setting: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SettingsError(f"{host}:{port}", "the port is in use", f"Free it or set {setting}.") from error


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[list[int]]:
    """Yield a list that fills with the signals that asked us to stop."""
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _environment(settings: Settings) -> dict[str, str]:
    bin_dir = Path(sys.executable).parent
    return os.environ | {
        "DAGSTER_HOME": str(settings.dagster_dir),
        "THATDAM_HOME": str(settings.home),
        "ANONYMIZED_TELEMETRY": "False",
        "PYTHONUNBUFFERED": "1",
        "PATH": f"{bin_dir}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }


def _start_recorder(settings: Settings, services: Services) -> None:
    env = _environment(settings) | recorder_environment(settings)
    log = settings.home / "logs" / f"{RECORDER}.log"
    services.start(RECORDER, recorder_command(settings), log, env, signal.SIGTERM)


@contextlib.contextmanager
def _services(settings: Settings, *, records: bool) -> Iterator[Services]:
    services = Services(settings.home)
    log_dir = settings.home / "logs"
    bin_dir = Path(sys.executable).parent
    env = _environment(settings)
    address = ["--host", settings.host, "--port"]
    commands: dict[str, list[object]] = {
        "vectors": [bin_dir / "chroma", "run", "--path", settings.vectors_dir, *address, settings.chroma_port],
        "web": [sys.executable, "-m", "thatdam_pipelines.web"],
        "dagster": [bin_dir / "dagster", "dev", "-w", project_file("workspace.yaml"), *address, settings.dagster_port],
    }
    server_note = settings.vectors_dir / SERVER_NOTE
    with owning(settings.vectors_dir, wait_s=VECTORS_WAIT_S):
        try:
            for name, command in commands.items():
                services.start(name, [str(part) for part in command], log_dir / f"{name}.log", env)
            vectors = services.running[0].process.pid
            if records:
                _start_recorder(settings, services)
            with replacing(server_note) as part:
                part.write_text(json.dumps({"host": settings.host, "port": settings.chroma_port, "pid": vectors}))
            yield services
        finally:
            services.stop()
            server_note.unlink(missing_ok=True)


def _wait_until_ready(settings: Settings, services: Services, stop: list[int]) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    waiting = {
        f"http://{settings.host}:{settings.chroma_port}/api/v2/heartbeat",
        f"http://{_reached_at(settings)}:{settings.web_port}/health",
        f"http://{settings.host}:{settings.dagster_port}/server_info",
    }
    if _records(services):
        waiting.add(f"http://{settings.host}:{settings.capture_port}/health")
    while waiting and not stop:
        _require_running(services)
        if time.monotonic() > deadline:
            raise ThatdamError(
                ", ".join(sorted(waiting)), f"no answer within {START_LIMIT_S:.0f} s", f"Read {settings.home / 'logs'}."
            )
        waiting = {url for url in waiting if not _answers(url)}
        time.sleep(0.3)


def _reached_at(settings: Settings) -> str:
    """Where this machine reaches the web application: one that listens everywhere, on loopback."""
    return settings.host if settings.web_address in ("0.0.0.0", "::") else settings.web_address


def _answers(url: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _require_running(services: Services) -> None:
    ended: Service | None = services.ended()
    if ended is not None:
        code = ended.process.returncode
        raise ThatdamError(ended.name, f"the service ended by itself with exit code {code}", f"Read {ended.log}.")


def _addresses(settings: Settings, services: Services) -> dict[str, object]:
    ports = {"dagster": settings.dagster_port, "web": settings.web_port, "vectors": settings.chroma_port}
    if _records(services):
        ports[RECORDER] = settings.capture_port
    return {
        "home": str(settings.home),
        "incoming": str(settings.incoming_dir),
        "logs": str(settings.home / "logs"),
        "addresses": {
            name: f"http://{_reached_at(settings) if name == 'web' else settings.host}:{port}"
            for name, port in ports.items()
        },
        "pids": {"up": os.getpid()} | {service.name: service.process.pid for service in services.running},
    }


def _records(services: Services) -> bool:
    return any(service.name == RECORDER for service in services.running)


def _print_welcome(settings: Settings, console: Console, *, sample_footage: bool, records: bool) -> None:
    console.print(f"[bold]thatdam is up[/bold]   home {settings.home}")
    console.print(f"  Dagster   http://{settings.host}:{settings.dagster_port}   lineage, runs, reruns, checks")
    console.print(f"  Explorer  http://{_reached_at(settings)}:{settings.web_port}   search, browse, drop files")
    if records:
        console.print(f"  Recorder  http://{settings.host}:{settings.capture_port}   cameras live, record, stop")
    console.print(f"  Drop footage into {settings.incoming_dir}")
    if sample_footage:
        console.print("  Sample footage was dropped there; give it a minute, then try:")
    else:
        console.print("  Then try:")
    console.print("    thatdam search 'red circle'")
    console.print("    thatdam sql 'SELECT name, video_codec, duration_s FROM media'")
    console.print("  Ctrl-C ends everything.")
