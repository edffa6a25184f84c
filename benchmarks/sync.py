"""How well cameras are aligned by sound: known offsets and drifts, noise up to as loud as the sound, unrelated sounds.

    python benchmarks/sync.py            both sets of seeds, about 10 minutes on 2 cores
    python benchmarks/sync.py --quick    a quarter of it

Limits were chosen on the first set only. Needs espeak-ng.
"""

import argparse
import time
from dataclasses import dataclass, field

import numpy as np

from thatdam_pipelines.media.sound_sync import RATE_HZ, align
from thatdam_pipelines.samples.cameras import EVENTS, event, recorded

SETS = {"first": 1000, "second": 7000}
SNRS_DB = (20, 10, 5, 0)
PAIRS = 6
FRAME_S = 0.04


@dataclass
class Tally:
    """What came of the pairs of one kind."""

    pairs: int = 0
    sure: int = 0
    within: int = 0
    wrong: int = 0
    errors_ms: list[float] = field(default_factory=list)
    drifts_ppm: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a quarter of it")
    options = parser.parse_args()
    spent_s = seconds = 0.0
    print("| set | sound | SNR | sure | of them within a frame | sure and wrong | median error | 95 % | drift off by |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, first_seed in SETS.items():
        for kind in EVENTS:
            for snr_db in SNRS_DB[:: 3 if options.quick else 1]:
                tally = Tally()
                for pair in range(PAIRS // 2 if options.quick else PAIRS):
                    cpu_s, length_s = _pair(tally, kind, snr_db, first_seed + 97 * pair + snr_db)
                    spent_s, seconds = spent_s + cpu_s, seconds + length_s
                _print(name, kind, f"{snr_db} dB", tally)
        strangers = Tally()
        for pair in range(8 if options.quick else 32):
            _strangers(strangers, first_seed + 31 * pair)
        _print(name, "unrelated", "", strangers)
    print(f"\n{60 * spent_s / seconds:.2f} CPU s a minute of what is aligned")


def _pair(tally: Tally, kind: str, snr_db: int, seed: int) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    scene = event(kind, 75, seed)
    drifts = rng.uniform(-100, 100, 2)
    starts, lengths = rng.uniform(0, 25, 2), rng.uniform(25, 48, 2)
    one, two = (
        recorded(
            scene,
            float(starts[at]),
            float(lengths[at]),
            drift_ppm=float(drifts[at]),
            snr_db=snr_db,
            rate_hz=(48_000, 44_100)[at],
            seed=seed + at,
        )
        for at in (0, 1)
    )
    started = time.process_time()
    found = align(one.samples, two.samples)
    cpu_s = time.process_time() - started
    truth = (two.start_s - one.start_s) / (1 + one.drift_ppm * 1e-6)
    tally.pairs += 1
    if found.sure:
        error_s = abs(found.offset_s - truth)
        tally.sure += 1
        tally.within += error_s <= FRAME_S
        tally.wrong += error_s > FRAME_S
        tally.errors_ms.append(1000 * error_s)
        tally.drifts_ppm.append(abs(found.drift_ppm - (two.drift_ppm - one.drift_ppm)))
    return cpu_s, (len(one.samples) + len(two.samples)) / RATE_HZ


def _strangers(tally: Tally, seed: int) -> None:
    """Two recordings of different events: nothing to be sure of."""
    kinds = np.random.default_rng(seed).choice(EVENTS, 2)
    one, two = (
        recorded(event(str(kind), 30, seed + at), 0, 28, drift_ppm=0, snr_db=20, rate_hz=48_000, seed=seed + at)
        for at, kind in enumerate(kinds)
    )
    tally.pairs += 1
    sure = align(one.samples, two.samples).sure
    tally.sure += sure
    tally.wrong += sure


def _print(name: str, kind: str, snr: str, tally: Tally) -> None:
    within = f"{tally.within / tally.sure:.0%}" if tally.sure else "-"
    errors = [f"{np.percentile(tally.errors_ms, share):.2f} ms" if tally.errors_ms else "-" for share in (50, 95)]
    drift = f"{np.median(tally.drifts_ppm):.1f} ppm" if tally.drifts_ppm else "-"
    sure = f"{tally.sure}/{tally.pairs}"
    print(
        f"| {name} | {kind} | {snr} | {sure} | {within} | {tally.wrong} | {' | '.join(errors)} | {drift} |", flush=True
    )


if __name__ == "__main__":
    main()
