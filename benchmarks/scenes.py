"""How well scenes are found: every kind of clip, ours against other methods, on clips that nothing was tuned on.

    python benchmarks/scenes.py            all of it, about 20 minutes on 2 cores
    python benchmarks/scenes.py --quick    one rate, one seed of each

The other methods get the threshold that is best for them on two tuning seeds. PySceneDetect itself is compared, with
its defaults, where it is installed; thatdam does not need it.
"""

import argparse
import importlib.util
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import polars as pl

from thatdam_pipelines.media.scenes import SHORTEST_S, detect_scenes
from thatdam_pipelines.samples.known_clips import KnownClip, Tally, measured, tally
from thatdam_pipelines.samples.transitions import HELD_OUT_SEEDS, KINDS, TUNING_SEEDS, known_clips

Scores = np.ndarray
Result = dict[tuple[str, float], Tally]

RATES = (24, 25, 30, 50, 60, "vfr")
OURS = "ours"
FLASHES_AND_PANS = ("flash", "whip pan", "fast pan")
BEYOND = ("held frames", "lamp")
"""Kinds that are outside what is promised: told, but not in the totals."""

THRESHOLDS = {
    "content": np.arange(4, 61, 4),
    "adaptive": np.arange(2, 13, 1),
    "scdet": np.arange(4, 41, 4),
}
"""Tried for each method: mean luma change of 255; change by that of the two frames on either side; ffmpeg's score."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one rate and one seed of each")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="clips worked on at the same time")
    options = parser.parse_args()
    rates = RATES[2:3] if options.quick else RATES
    tuning, held_out = (seeds[: 1 if options.quick else 2] for seeds in (TUNING_SEEDS, HELD_OUT_SEEDS))
    with ProcessPoolExecutor(options.jobs) as pool:
        run = partial(_total, pool, rates)
        tuned, told = run(tuning), run(held_out)
    best = {method: _best(method, tuned) for method in THRESHOLDS}
    _print_kinds(told)
    _print_methods(told, best)


def _total(pool: ProcessPoolExecutor, rates: Iterable[int | str], seeds: Iterable[int]) -> dict[str, Result]:
    """Tallies of each kind, by method and threshold."""
    jobs = [(seed, kind, rate) for seed in seeds for kind in KINDS for rate in rates]
    total: dict[str, Result] = {kind: {} for kind in KINDS}
    for (_, kind, _), result in zip(jobs, pool.map(_measure, jobs), strict=True):
        for method, found in result.items():
            total[kind][method] = total[kind].get(method, Tally()) + found
    return total


def _measure(job: tuple[int, str, int | str]) -> Result:
    seed, kind, rate = job
    clip = next(known_clips(seed, [kind], [rate]))
    with tempfile.TemporaryDirectory() as folder:
        path = clip.write(Path(folder) / "clip.mp4")
        measures = measured(path)
        scdet = _scdet(path)
        result = {
            (f"PySceneDetect {name}", 0.0): tally(clip, found) for name, found in _pyscenedetect(path, clip).items()
        }
    result[OURS, 0.0] = tally(clip, [scene.start_s for scene in detect_scenes(measures, clip.duration_s)[1:]])
    change = measures["diff_luma"].to_numpy() * 255
    for method, scores in (("content", change), ("adaptive", _adaptive(change)), ("scdet", scdet)):
        for threshold in THRESHOLDS[method]:
            result[method, float(threshold)] = tally(clip, _over(clip, scores, float(threshold)))
    return result


def _adaptive(change: Scores, window: int = 2, least: float = 15.0) -> Scores:
    """PySceneDetect's adaptive detector: change by the mean of its neighbours', where it is at least ``least``."""
    padded = np.pad(change, window)
    around = sum(padded[shift : shift + len(change)] for shift in range(2 * window + 1)) - change
    return np.where(change >= least, change / np.maximum(around / (2 * window), 0.05), 0)


def _over(clip: KnownClip, scores: Scores, threshold: float) -> list[float]:
    found: list[float] = []
    for time_s, score in zip(clip.times_s, scores, strict=True):
        apart = time_s - (found[-1] if found else 0.0) >= SHORTEST_S
        if score >= threshold and apart and time_s <= clip.duration_s - SHORTEST_S:
            found.append(time_s)
    return found


def _scdet(path: Path) -> Scores:
    """Score of each frame by ffmpeg's scdet filter."""
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-nostdin",
        "-i",
        f"file:{path}",
        "-fps_mode",
        "passthrough",
    ]
    command += ["-vf", "scdet,metadata=print:key=lavfi.scd.score:file=-", "-f", "null", "-"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return np.array([float(line.split("=")[1]) for line in text.splitlines() if line.startswith("lavfi.scd.score")])


def _pyscenedetect(path: Path, clip: KnownClip) -> dict[str, list[float]]:
    if importlib.util.find_spec("scenedetect") is None:
        return {}
    from scenedetect import AdaptiveDetector, ContentDetector, detect

    shortest = max(1, round(SHORTEST_S / float(np.median(np.diff(clip.times_s)))))
    detectors: dict[str, Callable[..., object]] = {"content": ContentDetector, "adaptive": AdaptiveDetector}
    return {
        name: [start.seconds for start, _ in detect(str(path), detector(min_scene_len=shortest))[1:]]
        for name, detector in detectors.items()
    }


def _sum(result: dict[str, Result], method: tuple[str, float], kinds: Iterable[str]) -> Tally:
    total = Tally()
    for kind in kinds:
        total += result[kind][method]
    return total


def _promised() -> list[str]:
    return [kind for kind in KINDS if kind not in BEYOND]


def _best(method: str, tuned: dict[str, Result]) -> float:
    return max((float(one) for one in THRESHOLDS[method]), key=lambda one: _sum(tuned, (method, one), _promised()).f1)


def _print_kinds(told: dict[str, Result]) -> None:
    rows = []
    groups = {kind: [kind] for kind in KINDS} | {
        "flashes and pans": list(FLASHES_AND_PANS),
        "all but the last two": _promised(),
    }
    for name, kinds in groups.items():
        one = _sum(told, (OURS, 0.0), kinds)
        rows.append(
            {
                "kind": name,
                "minutes": round(one.minutes, 1),
                "hard cuts": f"{one.cuts_found}/{one.cuts}" if one.cuts else "",
                "precision": f"{one.precision:.3f}" if one.cuts + one.gradual else "",
                "F1": f"{one.f1:.3f}" if one.cuts else "",
                "gradual": f"{one.gradual_found}/{one.gradual}" if one.gradual else "",
                "false": one.false,
                "false a minute": round(one.false_a_minute, 2),
            }
        )
    _print(rows, f"ours, on the held-out seeds {HELD_OUT_SEEDS}")


def _print_methods(told: dict[str, Result], best: dict[str, float]) -> None:
    rows = []
    for method in next(iter(told.values())):
        name, threshold = method
        if name in best and threshold != best[name]:
            continue
        whole = _sum(told, method, _promised())
        rows.append(
            {
                "method": name,
                "threshold": f"{threshold:g}" if name in best else "",
                "F1": round(whole.f1, 3),
                "recall": round(whole.recall, 3),
                "gradual": round(whole.gradual_recall, 2),
                "false a minute": round(whole.false_a_minute, 1),
                "on flashes and pans": round(_sum(told, method, FLASHES_AND_PANS).false_a_minute, 1),
            }
        )
    _print(sorted(rows, key=lambda row: -row["F1"]), "all methods, on the held-out seeds")


def _print(rows: list[dict[str, object]], title: str) -> None:
    print(f"\n{title}\n")
    with pl.Config(
        tbl_rows=-1,
        tbl_cols=-1,
        tbl_formatting="MARKDOWN",
        tbl_hide_column_data_types=True,
        tbl_hide_dataframe_shape=True,
        tbl_width_chars=200,
    ):
        print(pl.DataFrame(rows))


if __name__ == "__main__":
    main()
