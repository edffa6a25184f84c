"""Peak memory of each backup command in a library of few files and in one of many, as the system counted it.

The files are made up and tiny, and with their rows in tables and ledger as ingest leaves them. Every command runs in a
process of its own. Prune removes half of the contents: those of batches that a second snapshot has no more.

Run: python benchmarks/backup_memory.py [--few 2000] [--many 100000] [--on FOLDER]
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from _measure import machine
from blake3 import blake3
from rich.console import Console
from rich.table import Table

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.ledger import Content
from thatdam_pipelines.library.schemas import LOCATIONS, MEDIA
from thatdam_pipelines.samples.library_rows import made_up_batch
from thatdam_pipelines.settings import Settings

FILES_A_BATCH = 200
EVERY_S = 0.02
NOTHING_KEPT = {"keep_last": 1, "keep_daily": 0, "keep_weekly": 0, "keep_monthly": 0}
PRUNE = """
from thatdam_pipelines.backup.prune import prune
from thatdam_pipelines.backup.targets import open_target
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.settings import get_settings
with Library(get_settings()) as library:
    report = prune(library, open_target(library.settings, library.settings.backup_targets[0]), grace_s=0)
    assert report.objects, report
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--few", type=int, default=2_000)
    parser.add_argument("--many", type=int, default=100_000)
    parser.add_argument("--on", type=Path, help="folder for library and target; default: the temporary folder")
    options = parser.parse_args()
    peaks = []
    for files in (options.few, options.many):
        with tempfile.TemporaryDirectory(dir=options.on) as folder:
            peaks.append(peaks_of(Path(folder), files))
    print_peaks((options.few, options.many), peaks)


def print_peaks(files: Sequence[int], peaks: Sequence[Mapping[str, int]]) -> None:
    """Print a table of what each command held with few files and with many."""
    table = Table(title="peak memory", caption=machine())
    for heading in ("command", *(f"{count:,} files, MB" for count in files), "ratio"):
        table.add_column(heading, justify="left" if heading == "command" else "right")
    for command, few in peaks[0].items():
        many = peaks[1][command]
        table.add_row(command, f"{few / 1e6:.0f}", f"{many / 1e6:.0f}", f"{many / few:.2f}")
    Console(width=100).print(table)


def peaks_of(folder: Path, files: int) -> dict[str, int]:
    """Most bytes that each command held at once."""
    settings = Settings(home=folder / "home", embedder="descriptor")
    target = [{"name": "disk", "url": str(folder / "disk"), "retention": NOTHING_KEPT}]
    os.environ |= {"THATDAM_HOME": str(settings.home), "THATDAM_BACKUP_TARGETS": json.dumps(target)}
    with Library(settings) as library:
        for number in range(files // FILES_A_BATCH):
            write_batch(library, number)
    thatdam = str(Path(sys.executable).with_name("thatdam"))
    restore = [thatdam, "backup", "restore", "latest", "--all", "--to", str(folder / "new")]
    peaks = {
        "backup run, first": peak([thatdam, "backup", "run"]),
        "backup run, second": peak([thatdam, "backup", "run"]),
        "backup verify --all": peak([thatdam, "backup", "verify", "--all"]),
        "backup drill": peak([thatdam, "backup", "drill"]),
        "verify --all": peak([thatdam, "verify", "--all"]),
        "backup restore --all --dry-run": peak([*restore, "--dry-run"]),
        "backup restore --all": peak(restore),
    }
    for table in (MEDIA, LOCATIONS):
        for path in list((settings.tables_dir / table.name).glob("*.parquet"))[1::2]:
            path.unlink()
    subprocess.run([thatdam, "backup", "run"], check=True, stdout=subprocess.DEVNULL)
    return peaks | {"backup prune": peak([sys.executable, "-c", PRUNE])}


def write_batch(library: Library, number: int) -> None:
    """A batch as ingest leaves it: files, rows, and what the ledger knows."""
    batch_id, first = f"b{number:06d}", number * FILES_A_BATCH
    texts = {
        blake3(content).hexdigest(): content for content in (b"%d" % (first + one) for one in range(FILES_A_BATCH))
    }
    rows = made_up_batch(batch_id, FILES_A_BATCH, scenes=1, frames=0, dimensions=1, first=first)
    media = rows[MEDIA].with_columns(
        size_bytes=rows[MEDIA]["blake3"].replace_strict({digest: len(content) for digest, content in texts.items()})
    )
    digests = dict(media.select("media_id", "blake3").iter_rows())
    library.tables.write(MEDIA, batch_id, media)
    library.tables.write(LOCATIONS, batch_id, rows[LOCATIONS])
    contents = []
    for media_id, key in rows[LOCATIONS].select("media_id", "path").iter_rows():
        content = texts[digests[media_id]]
        path = Path(library.settings.media_url, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        contents.append(Content(media_id, batch_id, len(content), key))
    library.ledger.claim_contents(batch_id, contents)


def peak(command: list[str]) -> int:
    """Most bytes that a command held in memory at once.

    Raises:
        SystemExit: It failed.
    """
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    most = 0
    # Not what wait4 tells: that counts what this process held when it forked, too.
    while running.poll() is None:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{running.pid}/status").read_text())
        most = int(found[1]) * 1024 if found else most
        time.sleep(EVERY_S)
    if running.returncode:
        raise SystemExit(f"{command} failed: {running.returncode}")
    return most


if __name__ == "__main__":
    main()
