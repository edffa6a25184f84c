"""Measuring two or more ways of doing a thing against each other: interleaved, by CPU time, medians, ratios."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Cost:
    """What one run took: CPU of this process and of the children that ended in it, and wall time, in seconds."""

    cpu_s: float
    wall_s: float


def machine() -> str:
    """The machine in one line, for the reader of a figure."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return f"{os.cpu_count()} x {model}, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def cost_of(run: Callable[[], object]) -> Cost:
    """Run once. Children count once they have ended: close pools and wait for processes inside ``run``."""
    before, started = os.times(), time.perf_counter()
    run()
    after, ended = os.times(), time.perf_counter()
    return Cost(sum(after[:4]) - sum(before[:4]), ended - started)


def compare(name: str, ways: Mapping[str, Callable[[], object]], repeats: int = 5) -> dict[str, Cost]:
    """Run all ways in turn, ``repeats`` times, and print a table of medians with ratios to the first way.

    Interleaving lets what else the machine does hit all ways alike.

    Returns:
        Median CPU and wall time of each way.
    """
    runs: dict[str, list[Cost]] = {label: [] for label in ways}
    for _ in range(repeats):
        for label, run in ways.items():
            runs[label].append(cost_of(run))
    return print_medians(name, runs)


def print_medians(name: str, runs: Mapping[str, Sequence[Cost]]) -> dict[str, Cost]:
    """Print a table of the median cost of each way with ratios to the first way, and give the medians."""
    medians = {
        label: Cost(statistics.median(cost.cpu_s for cost in costs), statistics.median(cost.wall_s for cost in costs))
        for label, costs in runs.items()
    }
    first = next(iter(medians.values()))
    repeats = len(next(iter(runs.values())))
    table = Table(
        title=name, caption=f"{machine()}; medians of {repeats}", title_justify="left", caption_justify="left"
    )
    for heading in ("way", "CPU s", "ratio", "wall s", "ratio"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for label, cost in medians.items():
        table.add_row(
            label,
            f"{cost.cpu_s:.3f}",
            f"{cost.cpu_s / first.cpu_s:.2f}" if first.cpu_s else "-",
            f"{cost.wall_s:.3f}",
            f"{cost.wall_s / first.wall_s:.2f}",
        )
    Console(width=120).print(table)
    return medians
