"""Delay of live pictures in a real Chromium, and what viewers cost the recorder.

Needs Chromium and playwright (extra dev): python benchmarks/capture_preview.py

The synthetic camera burns the UTC clock into each frame as it makes it; the page reads it off the drawn picture and
compares it with its own clock, so a delay spans scaling, encoding, the network, decoding and drawing. The clock ticks
every 3.9 ms. CPU is that of the recorder's process alone, without its ffmpeg, over the seconds measured.
"""

import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
from _measure import machine
from _recorder import recorder
from rich.console import Console
from rich.table import Table

from thatdam_capture.synthetic import BOX, CLOCK_BITS, CLOCK_WRAP_S, TICKS

SECONDS = 12
SIZE = (1280, 720)
HEIGHT = 360
CHROMIUM = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-background-networking"]
TARGETS_MS = {"mjpeg": 120, "frames": 120, "whep": 80}

PAGE = """async ([kind, seconds, box, bits, ticks, wrap]) => {
  const { Api } = await import("/viewer/api.js");
  const { FramesSource, WhepSource } = await import("/viewer/sources.js");
  const canvas = new OffscreenCanvas(bits * box + box, box * 2).getContext("2d", { willReadFrequently: true });
  const delays = [];
  let unreadable = 0, last = -1;
  const see = (drawable) => {
    canvas.drawImage(drawable, 0, 0);
    const now = Date.now() / 1000;
    const { data, width } = canvas.getImageData(0, 0, canvas.canvas.width, canvas.canvas.height);
    let gray = 0, value = 0;
    for (let bit = 0; bit < bits; bit++) {
      const at = (Math.floor(box * 1.5) * width + Math.floor(bit * box + box / 2)) * 4;
      if (data[at] > 127) gray += 2 ** bit;
    }
    for (let rest = gray; rest; rest >>>= 1) value ^= rest;
    if (value === last) return;
    last = value;
    const delay = (((now - value / ticks) % wrap) + wrap) % wrap;
    if (delay < 10) delays.push(delay * 1000);
    else unreadable++;
  };
  let source, image;
  const api = new Api();
  if (kind === "frames") source = new FramesSource(api, "cam1", see);
  else if (kind === "whep") source = new WhepSource(api, "cam1", see, () => unreadable = -1);
  else {
    image = new Image();
    image.src = "/v1/devices/cam1/stream";
    document.body.append(image);
    const look = () => { if (image.naturalWidth) see(image); if (image.isConnected) requestAnimationFrame(look); };
    look();
  }
  await new Promise((later) => setTimeout(later, 3000));
  delays.length = unreadable = 0;
  await new Promise((later) => setTimeout(later, seconds * 1000));
  source?.close();
  if (image) { image.src = ""; image.remove(); }
  return { delays, unreadable };
}"""

MANY = """async ([kind, count]) => {
  const { Api } = await import("/viewer/api.js");
  const { FramesSource, WhepSource } = await import("/viewer/sources.js");
  window.seen = 0;
  const see = () => window.seen++;
  window.sources = Array.from({ length: count }, () => kind === "whep"
    ? new WhepSource(new Api(), "cam1", see, () => {}) : new FramesSource(new Api(), "cam1", see));
}"""


def cpu_of(process: psutil.Process, seconds: float) -> float:
    """Share of a core that the process takes over some seconds."""
    before, started = process.cpu_times(), time.monotonic()
    time.sleep(seconds)
    after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) / (time.monotonic() - started)


def measure_delays(browser: Any, url: str, console: Console) -> None:
    scale = HEIGHT / SIZE[1]
    table = Table("view", "while", "pictures", "unreadable", "p50 ms", "p95 ms", "target p50", box=None)
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as http:
        for doing in ("idle", "recording"):
            if doing == "recording":
                http.post("/v1/record", json={"camera_ids": ["cam1"], "group": "bench"}).raise_for_status()
            for kind in ("mjpeg", "frames", "whep"):
                page = browser.new_page()
                # The viewer page itself would look at the camera too.
                page.goto(f"{url}/health")
                seen = page.evaluate(PAGE, [kind, SECONDS, BOX * scale, CLOCK_BITS, TICKS, CLOCK_WRAP_S])
                page.close()
                delays = sorted(seen["delays"])
                p95 = delays[int(len(delays) * 0.95)]
                counts = (str(len(delays)), str(seen["unreadable"]))
                figures = (f"{statistics.median(delays):.0f}", f"{p95:.0f}", f"{TARGETS_MS[kind]}")
                table.add_row(kind, doing, *counts, *figures)
        http.post("/v1/record/bench/stop").raise_for_status()
    console.print(table)


def measure_cost(browser: Any, url: str, process: psutil.Process, console: Console) -> None:
    table = Table("viewers", "CPU of a core", "a viewer", "pictures a second and viewer", box=None)
    base = cpu_of(process, SECONDS / 2)
    table.add_row("none", f"{base:.1%}", "-", "-")
    for kind, counts in {"frames": (1, 10, 30), "whep": (1, 4)}.items():
        for count in counts:
            page = browser.new_page()
            page.goto(f"{url}/health")
            page.evaluate(MANY, [kind, count])
            time.sleep(3)
            before, started = page.evaluate("window.seen"), time.monotonic()
            share = cpu_of(process, SECONDS)
            rate = (page.evaluate("window.seen") - before) / (time.monotonic() - started) / count
            page.close()
            table.add_row(f"{count} {kind}", f"{share:.1%}", f"{(share - base) / count:.2%}", f"{rate:.1f}")
            time.sleep(3)
    console.print(table)


def main() -> None:
    from playwright.sync_api import sync_playwright

    console = Console()
    console.print(machine())
    size = f"{SIZE[0]}x{SIZE[1]}"
    console.print(f"{size} at 30, preview {HEIGHT} lines at 15, {SECONDS} s each")
    with (
        tempfile.TemporaryDirectory() as folder,
        recorder(Path(folder), ["cam1"], size, "30", preview={"height": HEIGHT, "fps": 15}) as (url, process),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
        measure_delays(browser, url, console)
        measure_cost(browser, url, process, console)
        browser.close()


if __name__ == "__main__":
    main()
