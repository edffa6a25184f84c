"""How well camera moves and moving subjects are told, second by second, on generated clips; and what it costs.

    python benchmarks/motion.py            both sets of seeds, about 10 minutes on 2 cores
    python benchmarks/motion.py --quick    two seeds of each set

Limits were chosen on the first set only. Places out of focus, with hardly anything to follow, are told apart.
"""

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from _measure import cost_of
from proxies import make_footage

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.media.camera_path import steps_of
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ffmpeg import ffmpeg_exe
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.media.motion import motion_batch
from thatdam_pipelines.media.moves import CAMERAS, Move, seconds_of
from thatdam_pipelines.media.probes import probe_batch
from thatdam_pipelines.media.proxies import proxy_batch
from thatdam_pipelines.samples.camera_moves import IN_FOCUS, OUT_OF_FOCUS, KnownMove, known_moves
from thatdam_pipelines.settings import Settings

SETS = {"first": range(100, 106), "second": range(900, 906)}
PLACES = {"in focus": IN_FOCUS, "out of focus": OUT_OF_FOCUS}
CLIPS, CLIP_S = 2, 15.0
"""Of the 1080p footage that the cost is measured on."""

SHORTEST_S = 0.5
"""A last second that is shorter is not judged."""


@dataclass
class Told:
    """What was told of the clips of one seed: each second beside the truth."""

    seconds: list[tuple[KnownMove, Move]] = field(default_factory=list)
    cpu_s: float = 0.0
    length_s: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two seeds of each set")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="clips worked on at the same time")
    options = parser.parse_args()
    cpu_s = length_s = 0.0
    print(f"| set | places | truth | {' | '.join(CAMERAS)} | nothing | direction | subject |")
    print(f"|---|---|---|{'---|' * (len(CAMERAS) + 3)}")
    with ProcessPoolExecutor(options.jobs) as pool:
        for (name, seeds), (place, manners) in product(SETS.items(), PLACES.items()):
            chosen = seeds[:2] if options.quick else seeds
            told = list(pool.map(_measure, chosen, [manners] * len(chosen)))
            seconds = [second for one in told for second in one.seconds]
            for camera in CAMERAS:
                print(_row(name, place, camera, [pair for pair in seconds if pair[0].camera == camera]))
            print(f"{name} set, {place}: {_accuracy(seconds)}", flush=True)
            cpu_s += sum(one.cpu_s for one in told)
            length_s += sum(one.length_s for one in told)
    print(f"\n{60 * cpu_s / length_s:.2f} CPU s a minute of footage of 320 x 180")
    proxy_s, motion_s = costs()
    print(f"{motion_s:.2f} of 1080p, {motion_s / proxy_s:.3f} of the {proxy_s:.2f} of its proxy pass")


def costs() -> tuple[float, float]:
    """CPU seconds a minute of 1080p footage of the proxy pass, and of the motion stage."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder) / "home")
        (drop := Path(folder) / "drop").mkdir()
        make_footage(ffmpeg_exe(settings), drop, CLIPS, CLIP_S)
        with Library(settings) as library:
            [batch_id] = claim_paths(library, [drop], "copy")
            ingest_batch(library, batch_id)
            probe_batch(library, batch_id)
        # Worker processes count once they have ended, with the library.
        proxies = cost_of(lambda: _run(settings, batch_id, proxy_batch))
        with Library(settings) as library:
            report = motion_batch(library, batch_id)
    return 60 * proxies.cpu_s / (CLIPS * CLIP_S), report.facts["cpu_s_a_minute"]


def _run(settings: Settings, batch_id: str, stage: Callable[[Library, str], object]) -> None:
    with Library(settings) as library:
        stage(library, batch_id)


def _measure(seed: int, manners: tuple[str, ...]) -> Told:
    told = Told()
    for known in known_moves(seed, manners=manners):
        with tempfile.TemporaryDirectory() as folder:
            path = known.clip.write(Path(folder) / "clip.mp4")
            started = time.process_time()
            seconds = seconds_of(list(steps_of(path, known.clip.name)), known.clip.duration_s)
            told.cpu_s += time.process_time() - started
        told.length_s += known.clip.duration_s
        # What renders a clip cannot go to another process.
        truth = KnownMove(None, known.camera, known.direction, known.subject)
        told.seconds += [(truth, one) for one in seconds if one.length_s >= SHORTEST_S]
    return told


def _row(name: str, place: str, camera: str, seconds: list[tuple[KnownMove, Move]]) -> str:
    counted = Counter(told.camera for _, told in seconds)
    cells = [str(counted[each]) for each in (*CAMERAS, None)]
    ways = _share(known.direction == told.direction for known, told in seconds)
    subjects = _share(known.subject == told.subject_moves for known, told in seconds)
    return f"| {name} | {place} | {camera} | {' | '.join(cells)} | {ways:.1%} | {subjects:.1%} |"


def _accuracy(seconds: list[tuple[KnownMove, Move]]) -> str:
    cameras = _share(known.camera == told.camera for known, told in seconds)
    subjects = _share(known.subject == told.subject_moves for known, told in seconds)
    return f"camera {cameras:.1%}, subject {subjects:.1%} of {len(seconds)} seconds"


def _share(right: Iterable[bool]) -> float:
    told = list(right)
    return sum(told) / max(1, len(told))


if __name__ == "__main__":
    main()
