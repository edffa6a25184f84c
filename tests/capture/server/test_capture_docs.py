"""docs/capture.md is held to the recorder."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from typer.main import get_command

from thatdam_capture import settings
from thatdam_capture.api.app import create_app
from thatdam_capture.cli import app
from thatdam_capture.service import CaptureService
from thatdam_capture.settings import Settings

DOC = (Path(__file__).parents[3] / "docs" / "capture.md").read_text()
MODELS: dict[str, type[BaseModel]] = {
    "": Settings,
    "listen.": settings.Listen,
    "cameras[].": settings.CameraSettings,
    "cameras[].audio.": settings.AudioInput,
    "profiles.NAME.": settings.ProfileSettings,
    "limits.": settings.Limits,
    "preview.": settings.Preview,
    "peers.": settings.Peers,
    "timing.": settings.Timing,
}
FIELDS = [(prefix, name) for prefix, model in MODELS.items() for name in model.model_fields]


@pytest.mark.parametrize(("prefix", "name"), FIELDS)
def test_every_setting_is_documented_with_its_default(prefix: str, name: str) -> None:
    field = MODELS[prefix].model_fields[name]
    row = next((line for line in DOC.splitlines() if line.startswith(f"| `{prefix}{name}` |")), None)
    assert row is not None
    assert field.description is None or field.description in row
    if isinstance(field.default, int | float) and not isinstance(field.default, bool):
        assert f"| `{field.default:g}` |" in row or f"| `{field.default}` |" in row


def test_no_setting_is_documented_that_does_not_exist() -> None:
    known = {f"{prefix}{name}" for prefix, name in FIELDS}
    section = DOC.partition("## Settings")[2].partition("## Measured")[0]
    named = set(re.findall(r"^\| `([a-zA-Z_.\[\]]+)` \|", section, re.MULTILINE))
    assert named == known


def test_the_settings_of_the_walk_through_are_valid() -> None:
    block = re.search(r"```yaml\n(.*?)```", DOC, re.DOTALL)
    assert block is not None
    found = Settings.model_validate(yaml.safe_load(block[1]))
    assert [camera.id for camera in found.cameras] == ["cam1", "cam2"]


def lines() -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", DOC, re.DOTALL)
    found = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in found if line.startswith("thatdam-capture ")]


@pytest.mark.parametrize("line", lines())
def test_every_command_line_is_one_the_program_takes(line: str) -> None:
    _, name, *arguments = shlex.split(line)
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    command.make_context(name, arguments)


@pytest.mark.parametrize("name", sorted(get_command(app).commands))  # type: ignore[attr-defined]
def test_every_command_is_documented(name: str) -> None:
    assert f"thatdam-capture {name}" in DOC


def test_every_request_is_documented_and_no_other(bench: Any) -> None:
    schema = create_app(CaptureService(bench.settings())).openapi()
    real = {f"{method.upper()} {path}" for path, methods in schema["paths"].items() for method in methods}
    section = DOC.partition("## API")[2].partition("## On a network")[0]
    named = set(re.findall(r"`((?:GET|POST|DELETE) /v1/[^` ?]*)`", section))
    of_hls = {f"GET {path}" for path in re.findall(r"`(/v1/hls/[^`]*)`", section)}
    assert named | of_hls == real


def test_only_variables_that_are_read_are_named() -> None:
    source = Path(settings.__file__).read_text()
    for name in re.findall(r"THATDAM_CAPTURE_([A-Z]+)", DOC):
        assert f'"{name}"' in source
