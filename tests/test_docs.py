"""The documentation is held to the code."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from thatdam_pipelines.cli import app
from thatdam_pipelines.settings import Settings, WatchedFolder

ROOT = Path(__file__).parents[1]
DOCS = {path.name: path.read_text() for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]}


def commands() -> list[str]:
    def below(group: Any, path: str) -> Iterator[str]:
        for name, command in group.commands.items():
            full = f"{path} {name}".strip()
            if hasattr(command, "commands"):
                yield from below(command, full)
            else:
                yield full

    return list(below(get_command(app), ""))


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented_with_its_description(name: str) -> None:
    assert f"| `THATDAM_{name.upper()}` | " in DOCS["settings.md"]
    assert str(Settings.model_fields[name].description) in DOCS["settings.md"]


def test_every_field_of_a_watched_folder_is_documented() -> None:
    for name, field in WatchedFolder.model_fields.items():
        assert f"| `{name}` | " in DOCS["settings.md"] and str(field.description) in DOCS["settings.md"]


def test_no_document_names_a_setting_that_does_not_exist() -> None:
    known = {f"THATDAM_{name.upper()}" for name in Settings.model_fields}
    # The recorder's own, which it has where no pipelines are installed.
    known |= {f"THATDAM_CAPTURE_{name}" for name in ("STORE", "HOST", "PORT", "TOKEN")}
    named = {match for text in DOCS.values() for match in re.findall(r"THATDAM_[A-Z0-9_]*[A-Z0-9]", text)}
    assert named <= known | {"THATDAM_"}, named - known


@pytest.mark.parametrize("command", commands())
def test_every_command_is_documented_and_its_help_has_an_example(command: str) -> None:
    assert any(f"thatdam {command}" in text for text in DOCS.values())
    found = get_command(app)
    for part in command.split():
        found = found.commands[part]  # type: ignore[attr-defined]
    assert "Example: `thatdam" in str(found.help)


def test_every_link_between_documents_leads_somewhere() -> None:
    for name, text in DOCS.items():
        folder = ROOT if name == "README.md" else ROOT / "docs"
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (folder / target).exists(), f"{name} links to {target}"


def documented_command_lines() -> list[str]:
    blocks = [block for text in DOCS.values() for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL)]
    lines = [line.removeprefix("$ ").strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return sorted({line.partition("  #")[0] for line in lines if line.startswith("thatdam ")})


@pytest.mark.parametrize("line", documented_command_lines())
def test_every_documented_command_line_is_one_the_program_takes(line: str) -> None:
    command, arguments = get_command(app), shlex.split(line)[1:]
    while hasattr(command, "commands") and not arguments[0].startswith("-"):
        command, arguments = command.commands[arguments[0]], arguments[1:]
    command.make_context(command.name, arguments)
