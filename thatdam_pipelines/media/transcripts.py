"""The transcripts stage: what is said in each clip of a batch, word by word, as subtitles and by subject."""

import dataclasses
import shutil
import time
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from thatdam_pipelines.errors import MediaError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.names import names_of
from thatdam_pipelines.library.recipes import Recipe
from thatdam_pipelines.library.schemas import (
    AUDIO,
    AUDIO_RANGES,
    PROXIES,
    TRANSCRIPT_SECTIONS,
    TRANSCRIPT_SEGMENTS,
    TRANSCRIPT_WORDS,
    TRANSCRIPTS,
)
from thatdam_pipelines.library.stage import Progress, Rows, StageReport, run_stage
from thatdam_pipelines.library.store import Store
from thatdam_pipelines.library.workers import Job
from thatdam_pipelines.media.audio import audio_recipe
from thatdam_pipelines.media.sections import sections
from thatdam_pipelines.media.speech import RATE_HZ, Cue, Samples, Word, cues, open_engine
from thatdam_pipelines.media.subtitles import FORMATS
from thatdam_pipelines.settings import Settings

AROUND_S = 0.3
"""Listened to before and after a stretch of speech: its first and last sounds are quiet."""

JOINED_S = 1.0
"""Stretches no further apart are written down together."""

LONGEST_S = 30.0
"""Sound that an engine is given at once; longer stretches are cut where it is quietest."""

FILE_STEM = "transcript"
_CUT_WITHIN_S = 10.0
_QUIET_S = 0.1


def transcripts_recipe(settings: Settings, engine: str) -> Recipe:
    """What is written down, and by which engine."""
    cut = [AROUND_S, JOINED_S, LONGEST_S]
    return Recipe("transcripts", "2", {"audio": audio_recipe(settings).id, "engine": engine, "cut": cut})


@dataclass(frozen=True)
class _Order:
    """Speech to write down: what a worker process is given. ``stretches`` are (start, end) in seconds, in order."""

    settings: Settings
    audio_path: str
    stretches: tuple[tuple[float, float], ...]
    key: str
    folder: Path
    name: str
    media_id: str


def transcribe_batch(
    library: Library, batch_id: str, *, retry: bool = False, progress: Progress | None = None
) -> StageReport:
    """Fill the tables of transcripts for every clip of the batch with sound.

    Only what the stage ``audio`` heard as speech is given to the engine: nothing is made up of silence, music or noise.
    A clip without speech has a transcript of no words. With ``THATDAM_TRANSCRIBER=none`` nothing is done.

    Facts of the report: ``engine``, ``words``, and ``cpu_s_a_minute`` of speech.

    Raises:
        SettingsError: There is no such engine.
        ModelError: Its model cannot be had.
        OfflineError: The media store cannot be reached.
        StoreError: The media store cannot be written.
    """
    settings = library.settings
    engine = open_engine(settings)
    recipe = transcripts_recipe(settings, engine.name if engine else "none")
    work = settings.work_dir / f"transcripts-{batch_id}"
    shutil.rmtree(work, ignore_errors=True)
    try:
        report = run_stage(
            library,
            "transcripts",
            batch_id,
            recipes=dict.fromkeys((TRANSCRIPTS, TRANSCRIPT_SEGMENTS, TRANSCRIPT_WORDS, TRANSCRIPT_SECTIONS), recipe),
            done_by=TRANSCRIPTS,
            jobs=list(_jobs(library, batch_id, recipe, work)) if engine else [],
            work=_write_down,
            finish=lambda job, rows: rows,
            retry=retry,
            progress=progress,
        )
    finally:
        shutil.rmtree(work, ignore_errors=True)
    made = library.tables.read(TRANSCRIPTS, batch_id)
    minutes = float(made["speech_s"].sum()) / 60
    facts = {
        "engine": engine.name if engine else None,
        "words": int(made["words"].sum()),
        "cpu_s_a_minute": float(made["cpu_s"].sum()) / minutes if minutes else None,
    }
    return dataclasses.replace(report, facts=facts)


def segment_id(media_id: str, number: int) -> str:
    """``<media_id>:t<number in the clip, 6 digits>``: two segments may begin at one time."""
    return f"{media_id}:t{number:06d}"


def _jobs(library: Library, batch_id: str, recipe: Recipe, work: Path) -> Iterator[Job]:
    settings, names = library.settings, names_of(library, batch_id)
    speech = library.tables.read(AUDIO_RANGES, batch_id).filter(pl.col("kind") == "speech").sort("start_s")
    heard = {media_id: rows.select("start_s", "end_s").rows() for (media_id,), rows in speech.group_by("media_id")}
    proxies = library.tables.read(PROXIES, batch_id).join(library.tables.read(AUDIO, batch_id), "media_id", how="semi")
    for media_id, audio_path in proxies.select("media_id", "audio_path").iter_rows():
        name, key = names.get(media_id, media_id), Store.derived_key(media_id, recipe.id)
        stretches = tuple(heard.get(media_id, ()))
        order = _Order(settings, audio_path, stretches, key, work / media_id, name, media_id)
        speech_s = sum(end_s - start_s for start_s, end_s in stretches)
        longest_s = settings.proxy_timeout_min_s + speech_s * settings.proxy_timeout_factor
        yield Job(media_id, name, order, longest_s)


def _write_down(order: _Order) -> Rows:
    """Runs in a worker."""
    started = time.process_time()
    engine = open_engine(order.settings)
    assert engine is not None
    store = Store(order.settings.media_url, order.settings)
    words: list[Word] = []
    languages: list[str] = []
    speech_s = 0.0
    with store.local(order.audio_path) as path:
        for start_s, samples in _stretches(path, order):
            said = engine.write_down(samples)
            speech_s += len(samples) / RATE_HZ
            languages += [said.language] * len(said.words)
            words += [
                dataclasses.replace(word, start_s=start_s + word.start_s, end_s=start_s + word.end_s)
                for word in said.words
            ]
    found = list(cues(words))
    if found:
        order.folder.mkdir(parents=True, exist_ok=True)
        for suffix, written in FORMATS.items():
            (order.folder / f"{FILE_STEM}.{suffix}").write_text(written(found), encoding="utf-8")
        store.publish_dir(order.folder, order.key)
    known = [word.confidence for word in words if word.confidence is not None]
    row = {
        "engine": engine.name,
        "language": max(set(languages), key=languages.count) if languages else None,
        "words": len(words),
        "confidence": float(np.mean(known)) if known else None,
        "text": " ".join(cue.text for cue in found),
        **{f"{suffix}_path": f"{order.key}/{FILE_STEM}.{suffix}" if found else None for suffix in FORMATS},
        "speech_s": speech_s,
        "cpu_s": time.process_time() - started,
    }
    return {TRANSCRIPTS.name: [row], **_rows(order.media_id, found)}


def _rows(media_id: str, found: list[Cue]) -> Rows:
    """Rows of the segments, their words, and the sections."""
    segments: list[dict[str, Any]] = []
    words: list[dict[str, Any]] = []
    for number, cue in enumerate(found):
        name = segment_id(media_id, number)
        segments.append({"segment_id": name, "start_s": cue.start_s, "end_s": cue.end_s, "text": cue.text})
        for word in cue.words:
            times = {"start_s": word.start_s, "end_s": word.end_s, "confidence": word.confidence}
            words.append({"segment_id": name, "word_index": len(words), "word": word.text} | times)
    about = [dataclasses.asdict(section) for section in sections(found)]
    return {TRANSCRIPT_SEGMENTS.name: segments, TRANSCRIPT_WORDS.name: words, TRANSCRIPT_SECTIONS.name: about}


def _stretches(path: Path, order: _Order) -> Iterator[tuple[float, Samples]]:
    """The sound to write down, at most ``LONGEST_S`` at once: where each begins, in seconds, and its samples.

    Raises:
        MediaError: The sound of the proxy cannot be read.
    """
    try:
        with wave.open(str(path), "rb") as sound:
            if (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) != (RATE_HZ, 1, 2):
                raise wave.Error("it is not 16 kHz mono of 16 bits")
            end_s = sound.getnframes() / RATE_HZ
            for first_s, last_s in _joined(order.stretches, end_s):
                at_s = first_s
                while last_s - at_s > LONGEST_S:
                    samples = _read(sound, at_s, at_s + LONGEST_S)
                    cut = _quietest(samples)
                    yield at_s, samples[:cut]
                    at_s += cut / RATE_HZ
                yield at_s, _read(sound, at_s, last_s)
    except (wave.Error, EOFError, OSError) as error:
        cause = f"the sound of its proxy cannot be read ({error})"
        raise MediaError(order.name, cause, "Run `thatdam retry`.") from error


def _joined(stretches: tuple[tuple[float, float], ...], end_s: float) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for start_s, stop_s in stretches:
        first_s, last_s = max(0.0, start_s - AROUND_S), min(end_s, stop_s + AROUND_S)
        if joined and first_s - joined[-1][1] <= JOINED_S:
            joined[-1] = (joined[-1][0], last_s)
        elif last_s > first_s:
            joined.append((first_s, last_s))
    return joined


def _read(sound: wave.Wave_read, start_s: float, end_s: float) -> Samples:
    sound.setpos(round(start_s * RATE_HZ))
    frames = sound.readframes(round(end_s * RATE_HZ) - sound.tell())
    return np.frombuffer(frames, "<i2").astype(np.float32) / np.float32(32768)


def _quietest(samples: Samples) -> int:
    """Where to cut: the middle of the quietest tenth of a second in the last ten."""
    step = round(_QUIET_S * RATE_HZ)
    count = round(_CUT_WITHIN_S / _QUIET_S)
    tail = samples[len(samples) - count * step :].reshape(count, step).astype(np.float64)
    return len(samples) - (count - int(np.argmin((tail**2).mean(axis=1)))) * step + step // 2
