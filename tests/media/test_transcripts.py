"""What is said in clips whose words are known."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from thatdam_pipelines.errors import ModelError, QueryError, SettingsError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import (
    AUDIO,
    PROXIES,
    TRANSCRIPT_SECTIONS,
    TRANSCRIPT_SEGMENTS,
    TRANSCRIPT_WORDS,
    TRANSCRIPTS,
)
from thatdam_pipelines.library.text import TextIndex
from thatdam_pipelines.media.audio import audio_batch
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.media.probes import probe_batch
from thatdam_pipelines.media.proxies import proxy_batch
from thatdam_pipelines.media.sections import sections
from thatdam_pipelines.media.speech import Cue, Word, cues, open_engine, spread_words
from thatdam_pipelines.media.subtitles import as_srt, as_text, as_vtt
from thatdam_pipelines.media.transcripts import transcribe_batch
from thatdam_pipelines.media.whisper import whole_words
from thatdam_pipelines.samples.sounds import music, write_wav
from thatdam_pipelines.samples.speeches import Speech, speech_about, word_errors
from thatdam_pipelines.search.search import Query, Searcher
from thatdam_pipelines.search.transcripts import transcript_of
from thatdam_pipelines.settings import Settings

SUBJECTS = ("garden", "train", "camera")


@pytest.fixture(scope="module")
def spoken() -> Speech:
    return speech_about(SUBJECTS, seed=2)


@pytest.fixture(scope="module")
def library(spoken: Speech, tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """A batch of an interview, a song, nothing but silence, and a broken proxy, written down."""
    folder = tmp_path_factory.mktemp("transcripts")
    drop = folder / "drop"
    drop.mkdir()
    write_wav(drop / "interview.wav", np.stack([spoken.samples] * 2))
    write_wav(drop / "song.wav", np.stack([music(12, 5)] * 2))
    write_wav(drop / "nothing.wav", np.zeros((2, 48_000 * 4)))
    write_wav(drop / "broken.wav", np.stack([spoken.samples[: 48_000 * 5] * 0.9] * 2))
    settings = Settings(
        home=folder / "home",
        embedder="descriptor",
        transcriber="moonshine",
        workers=2,
        settle_seconds=0,
        disk_reserve_bytes=0,
    )
    with Library(settings) as library:
        [batch_id] = claim_paths(library, [drop], "copy")
        ingest_batch(library, batch_id)
        for stage in (probe_batch, proxy_batch, audio_batch):
            assert stage(library, batch_id).failures == []
        broken = by_name(library, batch_id, PROXIES)["broken.wav"]
        with library.store.local(broken["audio_path"]) as path:
            path.chmod(0o644)
            path.write_bytes(b"RIFF")
        report = transcribe_batch(library, batch_id)
        assert [failure["reason"][:34] for failure in report.failures] == ["the sound of its proxy cannot be r"]
        yield library


def by_name(library: Library, batch_id: str, table: object) -> dict[str, dict]:
    from thatdam_pipelines.library.schemas import MEDIA

    names = library.tables.read(MEDIA, batch_id).select("media_id", "name")
    rows = library.tables.read(table, batch_id).join(names, on="media_id")  # type: ignore[arg-type]
    return {row["name"]: row for row in rows.to_dicts()}


def batch_of(library: Library) -> str:
    return library.tables.batches(TRANSCRIPTS)[0]


def test_most_words_are_written_down_and_placed_where_they_are_said(library: Library, spoken: Speech) -> None:
    found = transcript_of(library, "interview.wav")
    errors, count = word_errors(spoken.text, as_text(found.cues))
    assert found.language == "en" and found.engine.startswith("moonshine/")
    assert errors / count < 0.35
    begins = [word.start_s for cue in found.cues for word in cue.words]
    assert begins == sorted(begins)
    # Sentences are half a second apart: one that is placed a sentence away is seconds off.
    near = [min(abs(sentence.start_s - begin) for begin in begins) < 0.6 for sentence in spoken.sentences]
    assert np.mean(near) > 0.9


def test_music_and_silence_are_not_taken_for_words(library: Library) -> None:
    rows = by_name(library, batch_of(library), TRANSCRIPTS)
    assert set(rows) == {"interview.wav", "song.wav", "nothing.wav"}
    for name in ("song.wav", "nothing.wav"):
        assert (rows[name]["words"], rows[name]["text"], rows[name]["vtt_path"]) == (0, "", None)
        assert transcript_of(library, name).cues == []


def test_subtitles_are_kept_as_files_that_players_read(library: Library) -> None:
    row = by_name(library, batch_of(library), TRANSCRIPTS)["interview.wav"]
    found = transcript_of(library, "interview.wav")
    kept = {name: library.store.read_bytes(row[f"{name}_path"]).decode() for name in ("srt", "vtt")}
    assert kept == {"srt": as_srt(found.cues), "vtt": as_vtt(found.cues)}
    assert all(cue.end_s - cue.start_s <= 7.5 and len(cue.text) <= 90 for cue in found.cues)


def test_a_word_is_found_at_the_second_it_is_said(library: Library, tmp_path: Path) -> None:
    batch_id = batch_of(library)
    words = library.tables.read(TRANSCRIPT_WORDS, batch_id)
    said = words.filter(pl.col("word").str.to_lowercase().str.contains("platform|mountains|actors|wall"))
    assert said.height
    word, at_s = said["word"][0], said["start_s"][0]
    with TextIndex(library.settings.text_path) as index:
        index.index_batch(library, batch_id)
    with Searcher(library.settings) as searcher:
        moments = searcher.search(Query(text=word.strip(".,").lower())).moments
    assert (moments[0].level, moments[0].start_s) == ("said", at_s)
    assert moments[0].path.endswith("interview.wav") and "[" in moments[0].reasons[0]


def test_what_was_written_down_is_not_written_down_again(library: Library) -> None:
    report = transcribe_batch(library, batch_of(library))
    assert (report.computed, report.reused, report.skipped) == (0, 3, 1)
    assert report.facts["words"] > 50 and report.facts["cpu_s_a_minute"] > 0


def test_a_setting_makes_no_transcripts(library: Library, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(library.settings.home, home, symlinks=True)
    settings = library.settings.model_copy(update={"home": home, "transcriber": "none"})
    with Library(settings) as other:
        report = transcribe_batch(other, batch_of(other))
        assert report.total == 0 and report.facts["engine"] is None
        with pytest.raises(QueryError, match="no transcript"):
            transcript_of(other, "broken.wav")


def test_sections_begin_where_the_subject_changes_and_are_named_by_it(library: Library) -> None:
    about = library.tables.read(TRANSCRIPT_SECTIONS, batch_of(library)).sort("start_s")
    heard = by_name(library, batch_of(library), AUDIO)["interview.wav"]["duration_s"]
    assert about.height >= 1 and about["end_s"].max() <= heard
    made = [
        Cue((Word(text, at * 8.0, at * 8.0 + 6),))
        for at, text in enumerate(
            ["the garden has flowers", "flowers grow in the garden", "the garden flowers need water"] * 2
            + ["a train leaves the station", "the station has trains and one train", "train tickets at the station"] * 2
        )
    ]
    found = sections(made)
    assert [section.start_s for section in found] == [0.0, 48.0]
    assert "garden" in found[0].title and "station" in found[1].title
    assert sections([]) == []


def test_segments_hold_every_word_once(library: Library) -> None:
    batch_id = batch_of(library)
    segments, words = (library.tables.read(table, batch_id) for table in (TRANSCRIPT_SEGMENTS, TRANSCRIPT_WORDS))
    for row in segments.iter_rows(named=True):
        own = words.filter(pl.col("segment_id") == row["segment_id"]).sort("word_index")
        assert " ".join(own["word"]) == row["text"]
    assert set(words["segment_id"]) == set(segments["segment_id"])


def test_cues_end_with_sentences_at_pauses_and_before_they_are_too_long() -> None:
    words = [Word("One", 0, 0.4), Word("two.", 0.5, 1), Word("Three", 1.1, 1.5), Word("four", 3, 3.4)]
    assert [cue.text for cue in cues(words)] == ["One two.", "Three", "four"]
    long = [Word("word", at * 0.2, at * 0.2 + 0.2) for at in range(100)]
    assert all(len(cue.text) <= 84 and cue.end_s - cue.start_s <= 7 for cue in cues(long))


def test_no_cue_but_the_last_is_too_short_to_be_seen() -> None:
    found = list(cues([Word("Yes.", 3.0, 3.0), Word("No.", 3.0, 3.4), Word("Why?", 3.5, 4.0)]))
    assert [cue.text for cue in found] == ["Yes. No.", "Why?"]


def test_pieces_of_a_word_are_one_word_and_no_word_holds_a_space() -> None:
    pieces = [(" twenty", 0.9), ("-one", 0.8), (" - Hello.", 0.9), (" noise", 0.1), (" 3", 0.9), (".5", 0.7)]
    timed = [(text, Word("", at, at + 1.0, sure)) for at, (text, sure) in enumerate(pieces)]
    found = whole_words(timed)
    assert [word.text for word in found] == ["twenty-one", "-Hello.", "3.5"]
    assert (found[0].start_s, found[0].end_s, found[0].confidence) == (0, 2, 0.8)


def test_words_are_spread_over_what_is_voiced_and_not_over_pauses() -> None:
    tone = np.sin(np.arange(16_000) * 0.3).astype(np.float32)
    samples = np.concatenate([tone, np.zeros(32_000, np.float32), tone])
    first, second = spread_words(["left", "here"], samples, 0.0, 4.0)
    assert first.start_s == 0 and second.end_s == pytest.approx(4, abs=0.02)
    assert 0.9 < first.end_s < 3.1 and second.start_s == first.end_s
    middle = spread_words(["a", "b", "c", "d"], samples, 0.0, 4.0)[1]
    assert middle.start_s == pytest.approx(0.5, abs=0.05)


def test_subtitles_are_written_by_their_standards() -> None:
    one = Cue((Word("<b>", 3661.5, 3662.0), Word("&", 3662.0, 3662.25)))
    assert as_srt([one]) == "1\n01:01:01,500 --> 01:01:02,250\n<b> &\n"
    assert as_vtt([one]) == "WEBVTT\n\n01:01:01.500 --> 01:01:02.250\n&lt;b&gt; &amp;\n"
    long = Cue((Word("several words that together do not fit into one line of letters", 0, 1),))
    assert max(map(len, as_srt([long]).splitlines()[2:])) <= 42


def test_an_engine_that_there_is_not_is_a_wrong_setting(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="THATDAM_TRANSCRIBER=loud"):
        open_engine(settings.model_copy(update={"transcriber": "loud"}))
    missing = open_engine(settings.model_copy(update={"transcriber": "whisper:/no/such/folder"}))
    assert missing is not None
    with pytest.raises(ModelError, match="weights cannot be had"):
        missing.write_down(np.zeros(16_000, np.float32))
