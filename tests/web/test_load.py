"""The load of benchmarks/web_load.py, a little of it: nobody meets an error."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from thatdam_pipelines.library.catalog import publish
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.settings import Settings

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "web_load.py"
ACTIONS = {"search", "poster", "clips", "facets", "clip page", "scenes", "sprite", "proxy", "change"}


def test_a_few_browsers_at_once_meet_no_error(footage: Any, tmp_path: Path) -> None:
    shutil.copytree(footage.settings.home, tmp_path / "home")
    with Library(Settings(home=tmp_path / "home")) as library:
        publish(library)
    amount = ["--seconds", "12", "--browsers", "4", "--idle", "3", "--json"]
    command = [sys.executable, str(PROGRAM), "--home", str(tmp_path / "home"), *amount]
    said = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert said.returncode == 0, (said.stdout, said.stderr)
    told = json.loads(said.stdout.splitlines()[-1])
    assert told["errors"] == [] and told["events"] > 0
    assert set(told["counts"]) <= ACTIONS and sum(told["counts"].values()) >= 4
