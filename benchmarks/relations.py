"""How right relations are: copies of every kind among look-alikes, on the seeds limits were chosen on and on others.

python benchmarks/relations.py            all of it, about half an hour on 2 cores
python benchmarks/relations.py --quick    half as many scenes
"""

import argparse
import tempfile
from collections import Counter
from pathlib import Path

from _measure import cost_of, machine

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.samples.copies import HELD_OUT_SEEDS, TUNING_SEEDS, write_set
from thatdam_pipelines.samples.related import Judged, fingerprints_of, judge, relate_set
from thatdam_pipelines.settings import Settings

BATCHES = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5 scenes a seed instead of 10")
    parser.add_argument("--seeds", type=int, nargs="*", help="only these")
    options = parser.parse_args()
    print(machine())
    seeds = options.seeds or [*TUNING_SEEDS, *HELD_OUT_SEEDS]
    for seed in seeds:
        _print(seed, _judged(seed, 5 if options.quick else 10))


def _judged(seed: int, scenes: int) -> Judged:
    with tempfile.TemporaryDirectory() as folder, Library(Settings(home=Path(folder) / "home")) as library:
        made = write_set(Path(folder), seed, scenes=scenes)
        fingerprints = fingerprints_of(Path(folder), made)
        found: list[Judged] = []
        cost = cost_of(
            lambda: found.append(judge(made, relate_set(library, made, fingerprints, batches=BATCHES, seed=seed)))
        )
        minutes = sum(float(one.look_times_s[-1]) for one in fingerprints.values()) / 60
        print(f"seed {seed}: {len(made)} clips, {minutes:.1f} min; relating took {cost.cpu_s:.1f} s of CPU")
        return found[0]


def _print(seed: int, judged: Judged) -> None:
    kind = "held out" if seed in HELD_OUT_SEEDS else "tuning"
    print(f"seed {seed} ({kind}): near-duplicates: precision {judged.precision:.4f}, recall {judged.recall:.4f}")
    print(f"  right source within 0.2 s: {judged.sourced} of {judged.copies}")
    for name, told in (("missed", judged.missed), ("misplaced", judged.misplaced), ("false", judged.false)):
        print(f"  {name}: {dict(Counter(told))}")


if __name__ == "__main__":
    main()
