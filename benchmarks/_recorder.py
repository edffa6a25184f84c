"""A recorder as a process of its own, with synthetic cameras."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import yaml


@contextmanager
def recorder(
    folder: Path, cameras: Sequence[str], size: str, rate: str, **settings: Any
) -> Iterator[tuple[str, psutil.Process]]:
    """Address and process of a recorder that keeps everything in ``folder``; ends with the block.

    Args:
        cameras: Ids of its cameras, each of ``size`` (``640x360``) at ``rate`` frames a second.
        settings: Further parts of its settings file.
    """
    config = folder / "capture.yaml"
    made = [{"id": name, "kind": "synthetic", "size": size, "rate": rate} for name in cameras]
    base = {"store": str(folder / "store"), "discover": False, "listen": {"port": 0}, "cameras": made}
    config.write_text(yaml.safe_dump(base | settings))
    command = [sys.executable, "-m", "thatdam_capture", "serve", "--json", "--config", str(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["url"], psutil.Process(process.pid)
        finally:
            process.terminate()
