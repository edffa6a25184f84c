"""The `thatdam` command on a machine where only the recorder is installed."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("missing", ["duckdb", "polars"])
def test_a_machine_that_only_records_is_told_what_to_install(missing: str) -> None:
    start = f"import sys; sys.modules[{missing!r}] = None; from thatdam_pipelines.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", start, "sql", "SELECT 1"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == f"error {missing} is not installed. Next: pip install 'thatdam[pipelines]'\n"
