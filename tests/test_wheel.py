"""An installed wheel is the whole platform: nothing of it needs the checkout."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LOOKS_AROUND = """
from pathlib import Path
import thatdam_pipelines
from thatdam_pipelines.definitions import defs
from thatdam_pipelines.library.catalog import list_queries, list_views
from thatdam_pipelines.samples.tiny import CHECKPOINT, CONFIG
from thatdam_pipelines.settings import project_file

assert CHECKPOINT.exists() and CONFIG.exists()
assert project_file("workspace.yaml").exists() and project_file("dagster.yaml").exists()
assert list_queries() and list_views()
assets = defs().resolve_asset_graph().get_all_asset_keys()
jobs = [defs().resolve_job_def(name).name for name in ("ingest", "understand", "publish_catalog", "maintenance")]
print(Path(thatdam_pipelines.__file__).parent.parent, len(assets), len(jobs), sep="\\n")
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a wheel of this checkout was installed into, without what it depends on."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    built = ["wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([*pip, *built], check=True)
    (wheel,) = folder.glob("*.whl")
    target = folder / "site-packages"
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", str(target), str(wheel)], check=True)
    return target


def run(installed: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": str(installed), "THATDAM_HOME": str(cwd / "home")}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False)


def test_an_installed_wheel_loads_all_definitions_from_anywhere(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, "-c", LOOKS_AROUND)
    assert done.returncode == 0, done.stderr[-3000:]
    where, assets, jobs = done.stdout.split()
    assert Path(where) == installed and int(assets) >= 10 and int(jobs) == 4


def test_an_installed_wheel_ingests(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.srt").write_text("1\n")
    command = "from thatdam_pipelines.cli import main; main()"
    done = run(installed, tmp_path, "-c", command, "ingest", "notes.srt", "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    assert '"status": "stored"' in done.stdout
