"""A folder of small stills, and a way to run a workflow over a throwaway library as the command line does."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.settings import Settings
from thatdam_pipelines.workflow_runs import run_workflow
from thatdam_pipelines.workflows.document import read_workflow
from thatdam_pipelines.workflows.running import ask_for, results

Play = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def stills(tmp_path: Path) -> Path:
    """Two stills in a folder."""
    folder = tmp_path / "card"
    folder.mkdir()
    for name in ("red", "blue"):
        Image.new("RGB", (64, 48), name).save(folder / f"{name}.jpg")
    return folder


@pytest.fixture
def play(settings: Settings, tmp_path: Path) -> Play:
    """Runs steps as a real Dagster run of the home's instance; their results."""

    def play(*steps: dict[str, Any], **around: Any) -> list[dict[str, Any]]:
        workflow = read_workflow(json.dumps({"workflow": steps} | around), "test")
        with Library(settings) as library:
            asked = ask_for(library, workflow, name="test", source="command", by="ada", base=tmp_path)
        return results(run_workflow(settings, asked))

    return play
