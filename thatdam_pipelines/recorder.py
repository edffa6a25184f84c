"""The recorder, seen from the platform: whether it can run here, and how `thatdam up` starts it."""

import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, requires

from packaging.requirements import Requirement

from thatdam_pipelines.settings import Settings

INSTALL = "Run: pip install 'thatdam[capture]'"


def missing_packages() -> list[str]:
    """What the extra ``capture`` asks for and this installation lacks; empty when the recorder can run."""
    return sorted(name for name in _extra("capture") if not _is_installed(name))


def recorder_command(settings: Settings) -> list[str]:
    """The command line of the recorder. It reads ``capture.yaml`` of the working folder, if there is one."""
    address = ["--host", settings.host, "--port", str(settings.capture_port)]
    return [sys.executable, "-m", "thatdam_capture", "serve", *address]


def recorder_environment(settings: Settings) -> dict[str, str]:
    """Variables that make it commit into the folder that the pipelines take recordings from."""
    return {"THATDAM_CAPTURE_STORE": str(settings.capture_dir)}


def _extra(name: str) -> Iterator[str]:
    for text in requires("thatdam") or ():
        needed = Requirement(text)
        if needed.marker and needed.marker.evaluate({"extra": name}) and not needed.marker.evaluate({"extra": ""}):
            yield needed.name


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
