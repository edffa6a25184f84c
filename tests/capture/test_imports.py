"""The recorder runs on a machine that has no pipelines installed."""

import subprocess
import sys

PROGRAM = """
import importlib, pkgutil, sys
import thatdam_capture
for module in pkgutil.walk_packages(thatdam_capture.__path__, "thatdam_capture."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
foreign = {"thatdam_pipelines", "dagster", "torch", "duckdb", "chromadb", "polars"}
print(sorted(foreign & {name.partition(".")[0] for name in sys.modules}))
"""


def test_nothing_of_the_pipelines_is_imported() -> None:
    answer = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
