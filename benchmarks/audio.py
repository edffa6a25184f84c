"""How well speech and music are told from each other and from noise, on sounds that are known; and what it costs.

    python benchmarks/audio.py            both sets of seeds, about 6 minutes on 2 cores
    python benchmarks/audio.py --quick    two seeds of each set

Needs espeak-ng, which speaks the speech. Limits were chosen on the first set only.
"""

import argparse
import time
from collections.abc import Iterable

import numpy as np

from thatdam_pipelines.media.listening import RATE_HZ, STRETCH, Listener
from thatdam_pipelines.samples.sounds import KINDS, at_level, coloured_noise, resampled
from thatdam_pipelines.samples.sounds import RATE_HZ as MADE_AT_HZ

SECONDS = 24.0
TUNING, HELD_OUT = range(10), range(500, 510)
SNRS_DB = (None, 10)
"""Clean, and with pink noise this much below."""

TRUTH = {"speech": (True, False), "music": (False, True), "ambience": (False, False), "tone": (False, False)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two seeds of each set")
    options = parser.parse_args()
    print("| set | sound | noise | speech told right | music told right |")
    print("|---|---|---|---|---|")
    spent_s = heard_s = 0.0
    for name, seeds in (("first", TUNING), ("second", HELD_OUT)):
        for kind in KINDS:
            for snr_db in SNRS_DB:
                started = time.process_time()
                speech, music, seconds = _told(kind, seeds[:2] if options.quick else seeds, snr_db)
                spent_s, heard_s = spent_s + time.process_time() - started, heard_s + seconds
                noise = "none" if snr_db is None else f"{snr_db} dB below"
                print(f"| {name} | {kind} | {noise} | {speech:.1%} | {music:.1%} |")
    print(f"\n{60 * spent_s / heard_s:.2f} CPU s a minute of sound, with making it")


def _told(kind: str, seeds: Iterable[int], snr_db: int | None) -> tuple[float, float, float]:
    """Shares of stretches whose speech and whose music are told right, and the seconds there were."""
    right: list[tuple[bool, bool]] = []
    seconds = 0.0
    for seed in seeds:
        samples = KINDS[kind](SECONDS, seed)
        if snr_db is not None:
            noise = coloured_noise(len(samples), 0.5, np.random.default_rng(seed))
            samples = samples + at_level(noise, -24 - snr_db)
        samples = resampled(samples, RATE_HZ / MADE_AT_HZ)
        listener = Listener()
        for start in range(0, len(samples) - STRETCH + 1, STRETCH):
            heard = listener.hear(samples[start : start + STRETCH])
            right.append((heard.is_speech == TRUTH[kind][0], heard.is_music == TRUTH[kind][1]))
            seconds += STRETCH / RATE_HZ
    speech, music = np.mean(right, axis=0)
    return float(speech), float(music), seconds


if __name__ == "__main__":
    main()
