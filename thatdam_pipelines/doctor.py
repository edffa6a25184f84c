"""`thatdam doctor`: what is there, what serves, what is broken and what to do about it."""

import importlib
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from thatdam_pipelines.errors import ThatdamError
from thatdam_pipelines.settings import Settings

FILTERS = ("zscale", "tonemap", "bwdif", "ebur128", "showwavespic", "tile")
ENCODERS = ("libx264", "aac", "mjpeg")


@dataclass(frozen=True)
class Finding:
    """One thing looked at. ``next_step`` is empty when it is fine."""

    subject: str
    ok: bool
    found: str
    next_step: str = ""

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def examine(settings: Settings) -> list[Finding]:
    """Look at everything the platform needs. Nothing is changed, and one broken thing hides no other."""
    checks: list[Callable[[Settings], Iterator[Finding]]] = [
        _packages,
        _ffmpeg,
        _embedder,
        _home,
        _folders,
        _ledger,
    ]
    findings: list[Finding] = []
    for check in checks:
        try:
            findings += check(settings)
        except ThatdamError as error:
            findings.append(Finding(error.subject, False, error.cause, error.next_step))
    return findings


def _packages(_settings: Settings) -> Iterator[Finding]:
    yield Finding("python", sys.version_info >= (3, 11), sys.version.split()[0])
    for name in ("dagster", "duckdb", "chromadb", "polars", "av", "open_clip_torch"):
        yield Finding(name, True, version(name))
    for module, distribution, remedy in (
        ("cv2", "opencv-python", "On a slim container install libgl1 and libglib2.0-0."),
        ("torch", "torch", "Install torch and torchvision from the same place."),
        ("torchvision", "torchvision", "Install torch and torchvision from the same place."),
        ("pillow_heif", "pillow-heif", "Install pillow-heif again."),
    ):
        try:
            importlib.import_module(module)
        except (ImportError, OSError, RuntimeError) as error:
            yield Finding(distribution, False, f"cannot be imported: {error}", remedy)
        else:
            yield Finding(distribution, True, version(distribution))


def _ffmpeg(settings: Settings) -> Iterator[Finding]:
    from thatdam_pipelines.media.ffmpeg import ffmpeg_exe

    exe = ffmpeg_exe(settings)
    lines = {
        option: subprocess.run([exe, "-hide_banner", option], capture_output=True, text=True, timeout=30, check=False)
        for option in ("-version", "-filters", "-encoders")
    }
    title = (lines["-version"].stdout.splitlines() or ["does not run"])[0]
    have = {word for option in ("-filters", "-encoders") for word in lines[option].stdout.split()}
    missing = [name for name in (*FILTERS, *ENCODERS) if name not in have]
    if missing:
        yield Finding("ffmpeg", False, f"{title}, without {', '.join(missing)}", "Unset THATDAM_FFMPEG: ours has them.")
    else:
        yield Finding("ffmpeg", True, title)


def _embedder(settings: Settings) -> Iterator[Finding]:
    from thatdam_pipelines.embed.spaces import open_serving

    serving = open_serving(settings)
    found = " ".join([f"{serving.embedder.name}. {serving.embedder.note}", *serving.notes])
    yield Finding("embedder", True, found)


def _home(settings: Settings) -> Iterator[Finding]:
    home = settings.home
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    ok = free > settings.disk_reserve_bytes
    remedy = "" if ok else f"Free space: ingest stops below {settings.disk_reserve_bytes / 2**30:.1f} GiB."
    yield Finding("free disk", ok, f"{free / 2**30:.1f} GiB at {existing}", remedy)
    yield Finding("home", True, f"{home}" if home.exists() else f"{home} (made on first use)")


def _folders(settings: Settings) -> Iterator[Finding]:
    for folder in settings.watched_folders:
        if folder.path.is_dir():
            yield Finding("watched folder", True, f"{folder.path} ({folder.mode})")
        elif folder.path == settings.incoming_dir:
            yield Finding("watched folder", True, f"{folder.path} ({folder.mode}), made by `thatdam up`")
        else:
            yield Finding("watched folder", False, f"{folder.path} is not there", "Mount it, or edit THATDAM_WATCHED.")


def _ledger(settings: Settings) -> Iterator[Finding]:
    url = settings.database_url
    if not url.startswith("sqlite:///"):
        yield Finding("ledger", True, url.split("@")[-1])
        return
    path = Path(url.removeprefix("sqlite:///"))
    if not path.exists():
        yield Finding("ledger", True, f"{path} (made on first use)")
        return
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        answer = connection.execute("PRAGMA quick_check").fetchone()[0]
    finally:
        connection.close()
    remedy = "" if answer == "ok" else "Restore library.db from a backup."
    yield Finding("ledger", answer == "ok", f"{path}: {answer}", remedy)
