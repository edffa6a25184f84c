"""Ten browsers at work on a library while a batch is ingested, and how much slower a search is for them then.

Run: python benchmarks/web_load.py [--seconds 60] [--browsers 10] [--minutes-of-footage 1] [--idle 100]
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from _measure import machine
from rich.console import Console
from rich.table import Table

from thatdam_pipelines.library.chroma import SERVER_NOTE
from thatdam_pipelines.samples.footage import write_demo_footage
from thatdam_pipelines.samples.tiny import tiny_settings

THINK_S = 1.0
"""Mean pause of a person between two actions."""
WORDS = ("red circle", "blue square over green", "a field", "CLIP0001", "a white triangle", "night")
THATDAM = str(Path(sys.executable).with_name("thatdam"))
RANGE_BYTES = 512 * 1024
START_LIMIT_S = 180


@dataclass
class Told:
    """What the browsers met."""

    took_s: dict[str, list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    events: int = 0

    def p95_s(self, action: str) -> float:
        """Of fewer than two times, the one there is."""
        took = self.took_s.get(action, [])
        return statistics.quantiles(took, n=20)[18] if len(took) > 1 else max(took, default=float("nan"))


@dataclass
class Browser:
    """One person's browser: asks as the pages do."""

    http: httpx.AsyncClient
    told: Told
    clips: list[dict[str, Any]]

    async def ask(self, action: str, method: str, path: str, **more: Any) -> httpx.Response | None:
        began = time.perf_counter()
        try:
            answer = await self.http.request(method, path, **more)
        except httpx.HTTPError as error:
            self.told.errors.append(f"{action}: {error!r}")
            return None
        self.told.took_s.setdefault(action, []).append(time.perf_counter() - began)
        if answer.is_error:
            self.told.errors.append(f"{action}: {answer.status_code} {answer.text[:300]}")
            return None
        return answer

    async def search(self) -> None:
        query = {"q": random.choice(WORDS)} | ({"kind": "video"} if random.random() < 0.3 else {})
        answer = await self.ask("search", "GET", "/api/v1/search", params=query)
        moments = answer.json()["items"] if answer else []
        # As the pages do: no picture of what has none yet.
        shown = [one for one in moments if one["clip"] and one["clip"]["status"] in ("proxied", "ready")]
        for moment in shown[:6]:
            await self.ask("poster", "GET", moment["links"]["frame"], params={"t": moment["start_s"]})

    async def browse(self) -> None:
        await self.ask("clips", "GET", "/api/v1/media", params={"sort": "-shot"})
        await self.ask("facets", "GET", "/api/v1/facets", params={"kind": "video"})

    async def play(self) -> None:
        clip = random.choice(self.clips)
        await self.ask("clip page", "GET", clip["links"]["page"])
        await self.ask("scenes", "GET", clip["links"]["scenes"])
        await self.ask("sprite", "GET", clip["links"]["sprite"])
        for start in range(0, 4 * RANGE_BYTES, RANGE_BYTES):
            wanted = {"Range": f"bytes={start}-{start + RANGE_BYTES - 1}"}
            answer = await self.ask("proxy", "GET", clip["links"]["proxy"], headers=wanted)
            if answer is None or int(answer.headers["content-range"].rpartition("/")[2]) <= start + RANGE_BYTES:
                return

    async def curate(self) -> None:
        path = f"/api/v1/media/{random.choice(self.clips)['media_id']}"
        change = {"rating": random.randint(1, 5), "add_tags": [random.choice(["good", "night", "take two"])]}
        await self.ask("change", "PATCH", path, json=change)

    async def work(self, until: float) -> None:
        actions: list[Callable[[], Coroutine[Any, Any, None]]] = [self.search, self.browse, self.play, self.curate]
        while time.monotonic() < until:
            await random.choices(actions, [4, 2, 3, 1])[0]()
            await asyncio.sleep(random.expovariate(1 / THINK_S))

    async def listen(self) -> None:
        """As every open page does, until it is cancelled."""
        try:
            async with self.http.stream("GET", "/api/v1/events", timeout=None) as events:
                async for line in events.aiter_lines():
                    self.told.events += line.startswith("event:")
        except httpx.HTTPError as error:
            self.told.errors.append(f"events: {error!r}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--browsers", type=int, default=10)
    parser.add_argument("--minutes-of-footage", type=float, default=1.0)
    parser.add_argument("--idle", type=int, default=100, help="Searches of one person alone, to compare with.")
    parser.add_argument("--home", type=Path, help="Measure the library that is there, and ingest nothing.")
    parser.add_argument("--json", action="store_true", help="Print one line for programs.")
    options = parser.parse_args()
    random.seed(1)
    with tempfile.TemporaryDirectory() as folder:
        home = options.home or Path(folder) / "home"
        environment = _environment(home)
        later = None if options.home else _ingested(Path(folder), options.minutes_of_footage, environment)
        with _serving(home, environment) as url:
            idle, loaded = asyncio.run(_measure(url, options, later, environment))
    ratio = loaded.p95_s("search") / idle.p95_s("search")
    if options.json:
        figures = {"idle_s": idle.p95_s("search"), "loaded_s": loaded.p95_s("search"), "ratio": ratio}
        counts = {action: len(took) for action, took in loaded.took_s.items()}
        told = figures | {"counts": counts, "errors": idle.errors + loaded.errors, "events": loaded.events}
        print(json.dumps(told))
    else:
        _print(idle, loaded, ratio, options)
    if idle.errors or loaded.errors:
        sys.exit(1)


def _ingested(folder: Path, minutes: float, environment: dict[str, str]) -> list[str]:
    """Fill the library with a batch; gives the command that takes another."""
    first, later = folder / "first", folder / "later"
    write_demo_footage(first, minutes, size=(480, 270))
    write_demo_footage(later, minutes, size=(512, 288))
    command = [THATDAM, "ingest", "--wait"]
    subprocess.run([*command, str(first)], env=environment, check=True, stdout=subprocess.DEVNULL)
    return [*command, str(later)]


async def _measure(
    url: str, options: argparse.Namespace, ingest: list[str] | None, environment: dict[str, str]
) -> tuple[Told, Told]:
    """What one person alone met, and what all met while ``ingest`` ran."""
    idle, loaded = Told(), Told()
    async with _browser(url, idle) as alone:
        await alone.ask("first search", "GET", "/api/v1/search", params={"q": WORDS[0]})
        for number in range(options.idle):
            await alone.ask("search", "GET", "/api/v1/search", params={"q": WORDS[number % len(WORDS)]})
    until = time.monotonic() + options.seconds
    async with contextlib.AsyncExitStack() as opened:
        browsers = [await opened.enter_async_context(_browser(url, loaded)) for _ in range(options.browsers)]
        ingesting = asyncio.create_task(_ingest(ingest, environment, loaded)) if ingest else None
        listeners = [asyncio.create_task(browser.listen()) for browser in browsers]
        await asyncio.gather(*(browser.work(until) for browser in browsers))
        for listener in listeners:
            listener.cancel()
        if ingesting is not None:
            await ingesting
        return idle, loaded


async def _ingest(command: list[str], environment: dict[str, str], told: Told) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    _, said = await process.communicate()
    if process.returncode:
        told.errors.append(f"ingest: {said.decode(errors='replace')[-500:]}")


@contextlib.asynccontextmanager
async def _browser(url: str, told: Told) -> AsyncIterator[Browser]:
    # As a browser: a few connections to one server.
    limits = httpx.Limits(max_connections=6)
    async with httpx.AsyncClient(base_url=url, timeout=300, limits=limits, trust_env=False) as http:
        clips = (await http.get("/api/v1/media", params={"kind": "video", "limit": 50})).json()["items"]
        yield Browser(http, told, [clip for clip in clips if clip["status"] == "ready"])


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("THATDAM_", "DAGSTER_"))}
    made = tiny_settings() | {"home": home, "workers": 2, "disk_reserve_bytes": 0}
    return kept | {f"THATDAM_{name.upper()}": str(value) for name, value in made.items()}


@contextlib.contextmanager
def _serving(home: Path, environment: dict[str, str]) -> Iterator[str]:
    """The web application and the vector server, as ``thatdam up`` runs them."""
    web, vectors = _free_port(), _free_port()
    program = str(Path(sys.executable).with_name("chroma"))
    chroma = [program, "run", "--path", str(home / "vectors"), "--port", str(vectors)]
    url = f"http://127.0.0.1:{web}"
    with _running(chroma, environment, f"http://127.0.0.1:{vectors}/api/v2/heartbeat") as server:
        note = {"host": "127.0.0.1", "port": vectors, "pid": server.pid}
        (home / "vectors" / SERVER_NOTE).write_text(json.dumps(note))
        with _running([THATDAM, "serve", "--port", str(web)], environment, f"{url}/health"):
            yield url


@contextlib.contextmanager
def _running(command: list[str], environment: dict[str, str], answers_at: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + START_LIMIT_S
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if httpx.get(answers_at, timeout=5, trust_env=False).is_success:
                        break
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{command[0]} does not answer")
                time.sleep(0.1)
            yield process
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _print(idle: Told, loaded: Told, ratio: float, options: argparse.Namespace) -> None:
    console = Console(width=110)
    title = f"{options.browsers} browsers for {options.seconds:g} s, a batch ingested meanwhile"
    table = Table("action", "times", "median, ms", "p95, ms", title=title)
    for action, took in sorted(loaded.took_s.items()):
        times = (f"{seconds * 1000:.0f}" for seconds in (statistics.median(took), loaded.p95_s(action)))
        table.add_row(action, str(len(took)), *times)
    console.print(machine(), table)
    console.print(f"events heard: {loaded.events}; errors: {len(idle.errors) + len(loaded.errors)}")
    for error in [*idle.errors, *loaded.errors][:20]:
        console.print(error, markup=False)
    alone, among = idle.p95_s("search") * 1000, loaded.p95_s("search") * 1000
    console.print(f"search, p95: alone {alone:.0f} ms, loaded {among:.0f} ms, ratio {ratio:.2f} (target under 3)")


if __name__ == "__main__":
    main()
