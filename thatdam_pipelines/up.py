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

from rich.console import Console

from thatdam_pipelines.errors import SettingsError, ThatdamError
from thatdam_pipelines.instance import prepare_instance
from thatdam_pipelines.library.chroma import SERVER_NOTE, owning
from thatdam_pipelines.library.files import replacing
from thatdam_pipelines.processes import Service, Services
from thatdam_pipelines.settings import Settings, project_file

LOOPBACK = {"127.0.0.1", "::1", "localhost"}
START_LIMIT_S = 180.0
VECTORS_WAIT_S = 30.0
"""Longest wait for a command that has the vectors open."""


def run_platform(settings: Settings, console: Console, *, sample_footage: bool) -> None:
    """Start Dagster, the vector server and the poster server; return when asked to stop.

    Raises:
        SettingsError: A server would listen on more than loopback.
        ThatdamError: The platform already runs on this home, a port is taken, or a service ended by itself.
    """
    if settings.host not in LOOPBACK:
        raise SettingsError(
            "THATDAM_HOST", f"{settings.host} is not loopback and the servers have no login", "Use 127.0.0.1."
        )
    with _only_one(settings):
        for port, setting in (
            (settings.dagster_port, "THATDAM_DAGSTER_PORT"),
            (settings.web_port, "THATDAM_WEB_PORT"),
            (settings.chroma_port, "THATDAM_CHROMA_PORT"),
        ):
            _require_free(settings.host, port, setting)
        if settings.incoming is None:
            settings.incoming_dir.mkdir(parents=True, exist_ok=True)
        first_start = not settings.dagster_dir.exists()
        if first_start and sample_footage:
            # Before Dagster's folder is there: when this is interrupted, the next start is the first one again.
            console.print("First start: making a few minutes of sample footage ...")
            drop_sample_footage(settings)
        prepare_instance(settings)
        with _stop_on_signals() as stop, _services(settings) as services:
            _wait_until_ready(settings, services, stop)
            if not stop:
                _print_welcome(settings, console, sample_footage=first_start and sample_footage)
            while not stop:
                _require_running(services)
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


@contextlib.contextmanager
def _services(settings: Settings) -> Iterator[Services]:
    services = Services()
    log_dir = settings.home / "logs"
    bin_dir = Path(sys.executable).parent
    env = os.environ | {
        "DAGSTER_HOME": str(settings.dagster_dir),
        "THATDAM_HOME": str(settings.home),
        "ANONYMIZED_TELEMETRY": "False",
        "PYTHONUNBUFFERED": "1",
        "PATH": f"{bin_dir}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }
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
        f"http://{settings.host}:{settings.web_port}/health",
        f"http://{settings.host}:{settings.dagster_port}/server_info",
    }
    while waiting and not stop:
        _require_running(services)
        if time.monotonic() > deadline:
            raise ThatdamError(
                ", ".join(sorted(waiting)), f"no answer within {START_LIMIT_S:.0f} s", f"Read {settings.home / 'logs'}."
            )
        waiting = {url for url in waiting if not _answers(url)}
        time.sleep(0.3)


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


def _print_welcome(settings: Settings, console: Console, *, sample_footage: bool) -> None:
    console.print(f"[bold]thatdam is up[/bold]   home {settings.home}")
    console.print(f"  Dagster   http://{settings.host}:{settings.dagster_port}   lineage, runs, reruns, checks")
    console.print(f"  Posters   http://{settings.host}:{settings.web_port}/health")
    console.print(f"  Drop footage into {settings.incoming_dir}")
    if sample_footage:
        console.print("  Sample footage was dropped there; give it a minute, then try:")
    else:
        console.print("  Then try:")
    console.print("    thatdam search 'red circle'")
    console.print("    thatdam sql 'SELECT name, video_codec, duration_s FROM media'")
    console.print("  Ctrl-C ends everything.")
