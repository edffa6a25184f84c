"""`thatdam doctor`: what is there, what serves, what is broken and what to do about it."""

import contextlib
import importlib
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from thatdam_pipelines.errors import OfflineError, ThatdamError
from thatdam_pipelines.recorder import INSTALL, missing_packages
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
        _media,
        _folders,
        _recorder,
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
    from thatdam_pipelines.embed.embedder import open_embedder
    from thatdam_pipelines.embed.spaces import open_serving

    serving = open_serving(settings)
    found = " ".join([f"{serving.embedder.name}. {serving.embedder.note}", *serving.notes])
    yield Finding("embedder", True, found)
    # Another may answer searches, but what arrives is embedded by that of the settings.
    open_embedder(settings)


def _home(settings: Settings) -> Iterator[Finding]:
    home = settings.home
    yield _free_disk(home, settings)
    yield Finding("home", True, f"{home}" if home.exists() else f"{home} (made on first use)")


def _free_disk(folder: Path, settings: Settings) -> Finding:
    existing = _existing(folder)
    free = shutil.disk_usage(existing).free
    ok = free > settings.disk_reserve_bytes
    remedy = "" if ok else f"Free space: ingest stops below {settings.disk_reserve_bytes / 2**30:.1f} GiB."
    return Finding("free disk", ok, f"{free / 2**30:.1f} GiB at {existing}", remedy)


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.parents) if place.exists())


def _media(settings: Settings) -> Iterator[Finding]:
    from thatdam_pipelines.library.store import Store

    url = settings.media_url
    store = Store(url, settings)
    if store.is_new():
        yield Finding("media store", True, f"{url} (made on first use)")
    elif store.is_online():
        yield Finding("media store", True, url)
    else:
        remedy = "Check THATDAM_S3_ENDPOINT, the keys and the bucket." if "://" in url else "Mount its disk."
        yield Finding("media store", False, f"{url} cannot be reached", remedy)
    if "://" not in url and _existing(Path(url)).stat().st_dev != _existing(settings.home).stat().st_dev:
        yield _free_disk(Path(url), settings)


def _folders(settings: Settings) -> Iterator[Finding]:
    from thatdam_pipelines.library.home import Library

    with Library(settings) as library:
        folders = library.watched_folders if library.has_begun else settings.watched_folders
    for folder in folders:
        if offline := _offline(settings, folder.path):
            yield Finding("watched folder", False, f"{folder.path}: {offline.cause}", offline.next_step)
        elif folder.path.is_dir():
            yield Finding("watched folder", True, f"{folder.path} ({folder.mode})")
        elif folder.path == settings.incoming_dir:
            yield Finding("watched folder", True, f"{folder.path} ({folder.mode}), made by `thatdam up`")
        else:
            yield Finding("watched folder", False, f"{folder.path} is not there", "Mount it, or watch it no more.")


def _offline(settings: Settings, folder: Path) -> OfflineError | None:
    """Why a folder that was watched before is not what it was; None when it is, or nothing is known of it."""
    from thatdam_pipelines.library.ledger import Ledger
    from thatdam_pipelines.library.watch import folder_identity, plain_path

    url, root = settings.database_url, plain_path(folder)
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        return None
    with contextlib.closing(Ledger(url)) as ledger:
        try:
            known = ledger.folder(root)
        except OfflineError:
            return None
        try:
            if known is not None:
                folder_identity(ledger, root)
        except OfflineError as error:
            return error
    return None


def _recorder(settings: Settings) -> Iterator[Finding]:
    missing = missing_packages()
    if missing:
        yield Finding("recorder", True, f"not installed: {', '.join(missing)} missing", INSTALL)
    else:
        yield Finding("recorder", True, f"installed; recordings are taken from {settings.capture_dir}")


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
