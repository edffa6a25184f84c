"""`thatdam workflow`: output, JSON shapes and exit codes; and one real process."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from thatdam_pipelines.cli import main
from thatdam_pipelines.settings import Settings, get_settings

THATDAM = str(Path(sys.executable).parent / "thatdam")


class Said(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Said]


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `thatdam workflow ...` in this process."""
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str, given: str = "") -> Said:
        monkeypatch.setattr(sys, "argv", ["thatdam", "workflow", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(given))
        get_settings.cache_clear()
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
            raise SystemExit(0)
        said = capsys.readouterr()
        return Said(int(ended.value.code or 0), said.out, said.err)

    return run


def environment(settings: Settings) -> dict[str, str]:
    return {
        "THATDAM_HOME": str(settings.home),
        "THATDAM_EMBEDDER": "descriptor",
        "THATDAM_WORKERS": "1",
        "THATDAM_DISK_RESERVE_BYTES": "0",
        "COLUMNS": "200",
    }


def written(path: Path, *steps: dict[str, Any], **around: Any) -> str:
    path.write_text(json.dumps({"workflow": steps} | around))
    return str(path)


def test_it_runs_a_file_and_tells_each_result(run: Run, stills: Path) -> None:
    file = written(
        stills.parent / "a.json",
        {"action": "ingest", "paths": ["${folder}"]},
        {"action": "rate", "media": ["green.jpg"], "rating": 1},
        {"action": "rate", "media": ["red.jpg"], "rating": "${stars}"},
        variables={"folder": {"type": "string"}, "stars": 3},
    )
    said = run("run", file, "--set", "folder=card", "--set", "stars=5", "--json")
    told = json.loads(said.out)
    assert said.code == 1 and [step["state"] for step in told] == ["done", "failed", "done"]
    (listed,) = json.loads(run("list", "--json").out)
    assert (listed["name"], listed["source"], listed["state"]) == ("a.json", "command", "failed")
    assert json.loads(run("list", listed["workflow_id"], "--json").out) == told
    assert "a.json" in run("list").out and run("list", "0" * 32).code == 2
    lines = run("list", listed["workflow_id"]).out.splitlines()
    assert len(lines) == 3 and "rate" in lines[1] and "failed" in lines[1] and "green.jpg" in lines[1]


def test_a_workflow_from_standard_input_that_does_all_ends_with_0(run: Run) -> None:
    said = run("run", "-", "--json", given='{"action": "retry"}')
    assert said.code == 0 and [step["action"] for step in json.loads(said.out)] == ["retry"]


def test_a_dry_run_says_what_would_be_and_leaves_no_trace(run: Run, stills: Path, settings: Settings) -> None:
    file = written(stills.parent / "a.json", {"action": "ingest", "paths": ["card"]})
    said = run("run", file, "--dry-run")
    assert said.code == 0 and "take 2 files" in said.out
    assert run("list", "--json").out.strip() == "[]"
    gone = run("run", written(stills.parent / "b.json", {"action": "ingest", "paths": ["x"]}), "--dry-run", "--json")
    assert gone.code == 1 and json.loads(gone.out)[0]["state"] == "failed"


def test_a_wrong_workflow_ends_with_2_and_says_where(run: Run, tmp_path: Path) -> None:
    good = written(tmp_path / "good.json", {"action": "retry"})
    assert run("check", good).code == 0 and json.loads(run("check", good, "--json").out) == []
    bad = tmp_path / "bad.json"
    bad.write_text('{"workflow": [\n  {"action": "rate", "rating": 7}]}')
    for command in ("check", "run"):
        said = run(command, str(bad))
        assert said.code == 2 and "line 2, column 32: step 1 (rate)" in said.err and not said.out
    said = run("check", str(bad), "--json")
    assert said.code == 2 and json.loads(said.out)[0]["line"] == 2
    assert run("run", str(tmp_path / "none.json")).code == 2
    assert run("run", good, "--set", "novalue").code == 2
    assert run("run", good, "--set", "x=1").code == 2


def test_the_schema_is_printed(run: Run) -> None:
    assert json.loads(run("schema").out)["$defs"]["Search"]["properties"]["action"]["const"] == "search"


def test_the_program_itself_runs_a_workflow(settings: Settings, stills: Path) -> None:
    file = written(
        stills.parent / "a.json", {"action": "ingest", "paths": ["nowhere"]}, {"action": "ingest", "paths": ["card"]}
    )
    done = subprocess.run(
        [THATDAM, "workflow", "run", file, "--json"],
        env=os.environ | environment(settings),
        cwd=stills.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert [step["state"] for step in json.loads(done.stdout)] == ["failed", "done"]
