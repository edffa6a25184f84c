"""How much of known speech is written down rightly, when its words are placed, and what it costs.

    python benchmarks/transcripts.py            both sets of seeds, about 6 minutes on 2 cores
    python benchmarks/transcripts.py --quick    one seed of each set
    THATDAM_TRANSCRIBER=whisper:small python benchmarks/transcripts.py

Needs espeak-ng, which speaks. Word error rate counts words that are changed, left out or made up, as a share of those
said. Time errors are of the words that were written down rightly, middle against middle, where words are spoken one by
one; and of the beginnings of sentences.
"""

import argparse
import difflib
import time
from collections.abc import Sequence

import numpy as np

from thatdam_pipelines.media.speech import RATE_HZ, SpeechEngine, Word, open_engine
from thatdam_pipelines.samples.sounds import RATE_HZ as MADE_AT_HZ
from thatdam_pipelines.samples.sounds import at_level, coloured_noise, resampled
from thatdam_pipelines.samples.speeches import SUBJECTS, Speech, plain_words, speech_about, word_errors
from thatdam_pipelines.settings import Settings

SETS = {"first": range(4), "second": range(700, 704)}
SNRS_DB = (None, 20, 10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed of each set")
    options = parser.parse_args()
    engine = open_engine(Settings())
    if engine is None:
        parser.error("THATDAM_TRANSCRIBER=none writes nothing down")
    print(f"{engine.name}\n")
    print("| set | noise | word error rate | sentence begins, median error | word placed, median error | 95 % within |")
    print("|---|---|---|---|---|---|")
    for name, seeds in SETS.items():
        for snr_db in SNRS_DB:
            _row(engine, name, seeds[:1] if options.quick else seeds, snr_db)


def _row(engine: SpeechEngine, name: str, seeds: Sequence[int], snr_db: int | None) -> None:
    wrong = said = 0
    begins: list[float] = []
    places: list[float] = []
    started, heard_s = time.process_time(), 0.0
    for seed in seeds:
        subject = [list(SUBJECTS)[seed % len(SUBJECTS)]]
        sentences, words = (speech_about(subject, seed, one_by_one=apart) for apart in (False, True))
        found, apart = (_written(engine, speech, seed, snr_db) for speech in (sentences, words))
        errors, count = word_errors(sentences.text, " ".join(word.text for word in found))
        wrong, said = wrong + errors, said + count
        begins += [_nearest(sentence.start_s, [word.start_s for word in found]) for sentence in sentences.sentences]
        places += _time_errors(words.sentences, apart)
        heard_s += (len(sentences.samples) + len(words.samples)) / MADE_AT_HZ
    noise = "none" if snr_db is None else f"{snr_db} dB below"
    begin_s, place_s, within_s = np.median(begins), np.median(places), np.quantile(places, 0.95)
    print(
        f"| {name} | {noise} | {wrong / said:.1%} | {begin_s:.2f} s | {place_s:.2f} s | {within_s:.2f} s |", flush=True
    )
    spent = (time.process_time() - started) / heard_s * 60
    print(f"<!-- {spent:.1f} CPU s a minute of speech, with making it -->", flush=True)


def _written(engine: SpeechEngine, speech: Speech, seed: int, snr_db: int | None) -> list[Word]:
    """What the engine makes of it, at most half a minute at once."""
    samples = speech.samples
    if snr_db is not None:
        noise = coloured_noise(len(samples), 0.5, np.random.default_rng(seed))
        samples = samples + at_level(noise, -24 - snr_db)
    samples = resampled(samples, RATE_HZ / MADE_AT_HZ)
    step = 25 * RATE_HZ
    found: list[Word] = []
    for start in range(0, len(samples), step):
        at_s = start / RATE_HZ
        words = engine.write_down(samples[start : start + step]).words
        found += [Word(word.text, at_s + word.start_s, at_s + word.end_s) for word in words]
    return found


def _time_errors(said: Sequence[Word], found: Sequence[Word]) -> list[float]:
    wanted = [(word, plain) for word in said for plain in plain_words(word.text)]
    got = [(word, plain) for word in found for plain in plain_words(word.text)]
    matcher = difflib.SequenceMatcher(None, [plain for _, plain in wanted], [plain for _, plain in got], autojunk=False)
    return [
        abs(_middle(wanted[block.a + at][0]) - _middle(got[block.b + at][0]))
        for block in matcher.get_matching_blocks()
        for at in range(block.size)
    ]


def _middle(word: Word) -> float:
    return (word.start_s + word.end_s) / 2


def _nearest(time_s: float, others_s: Sequence[float]) -> float:
    return min((abs(time_s - other) for other in others_s), default=float("inf"))


if __name__ == "__main__":
    main()
