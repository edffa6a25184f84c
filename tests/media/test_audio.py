"""What is heard in clips whose sound is known."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import AUDIO, AUDIO_RANGES, PROXIES
from thatdam_pipelines.media.audio import audio_batch, faults
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.media.loudness import read_levels
from thatdam_pipelines.media.probes import probe_batch
from thatdam_pipelines.media.proxies import proxy_batch
from thatdam_pipelines.media.sound import Sound, listen
from thatdam_pipelines.samples.sounds import ambience, at_level, music, speech, tone, write_wav

SECONDS = 8.0


@pytest.fixture(scope="module")
def voices() -> np.ndarray:
    """Stereo of somebody who speaks in a room."""
    said, room = speech(SECONDS, 1), ambience(SECONDS, 2)
    return np.stack([said + room / 5, 0.8 * said - room / 5])


def proxied_batch(library: Library, folder: Path) -> str:
    [batch_id] = claim_paths(library, [folder], "copy")
    ingest_batch(library, batch_id)
    assert probe_batch(library, batch_id).failures == proxy_batch(library, batch_id).failures == []
    return batch_id


@pytest.fixture
def heard(proxied, ffmpeg, tmp_path: Path) -> Callable[..., tuple[Sound, list[str]]]:
    """What is heard in these channels, and the faults found, by way of a real proxy."""

    def hear(channels: np.ndarray, suffix: str = ".wav") -> tuple[Sound, list[str]]:
        path = write_wav(tmp_path / f"sound{len(list(tmp_path.iterdir()))}.wav", channels)
        if suffix != ".wav":
            ffmpeg("-i", path, "-c:a", "aac", "-b:a", "160k", path.with_suffix(suffix))
        result = proxied(path.with_suffix(suffix))
        sound = listen(result.proxy, "sound")
        return sound, faults(result.made.row(), sound, len(np.atleast_2d(channels)))

    return hear


def test_a_sine_of_23_lufs_measures_so_with_its_true_peak(proxied, tmp_path: Path) -> None:
    """EBU Tech 3341, cases 1 and 15: -23 dBFS in both channels; a peak between two samples."""
    times = np.arange(48_000 * 10) / 48_000
    sine = np.stack([np.sin(2 * np.pi * 1000 * times)] * 2) * 10 ** (-23 / 20)
    levels = proxied(write_wav(tmp_path / "sine.wav", sine)).made.levels
    assert levels.loudness_lufs == pytest.approx(-23, abs=0.1) and levels.true_peak_dbtp == pytest.approx(-23, abs=0.3)
    assert levels.channel_rms_dbfs == pytest.approx([-26.01, -26.01], abs=0.1)
    faded = np.minimum(1, np.minimum(times, 10 - times))
    between = np.stack([0.5 * faded * np.sin(2 * np.pi * 12_000 * times + np.pi / 4)] * 2)
    levels = proxied(write_wav(tmp_path / "between.wav", between)).made.levels
    assert levels.true_peak_dbtp == pytest.approx(-6, abs=0.4)
    assert levels.channel_peak_dbfs == pytest.approx([-9.03, -9.03], abs=0.1)


def test_digital_silence_has_no_loudness_and_no_peak(proxied, tmp_path: Path) -> None:
    levels = proxied(write_wav(tmp_path / "nothing.wav", np.zeros((2, 48_000)))).made.levels
    assert (levels.loudness_lufs, levels.true_peak_dbtp, levels.channel_rms_dbfs) == (None, None, [-120, -120])


def test_the_last_graph_of_a_run_counts_where_it_was_set_up_twice() -> None:
    lines = ["Channel: 1", "DC offset: 0.5", "Channel: 2", "DC offset: 0.25", "Channel: 1", "DC offset: 0.125"]
    assert read_levels(lines).channel_dc == [0.125]


def test_speech_music_and_silence_are_found_where_they_are(heard) -> None:
    clip = np.concatenate([speech(7.2, 3), np.zeros(48_000 * 3, np.float32), music(9.6, 5)])
    sound, _ = heard(clip)
    found = {one.kind: (one.start_s, one.end_s) for one in sound.ranges if one.end_s - one.start_s > 1}
    assert found["speech"] == (pytest.approx(0, abs=0.1), pytest.approx(7.2, abs=2.5))
    assert found["silence"] == (pytest.approx(7.2, abs=0.6), pytest.approx(10.2, abs=0.2))
    assert found["music"] == (pytest.approx(10.2, abs=2.5), pytest.approx(sound.duration_s, abs=2.5))


@pytest.mark.parametrize("made", [ambience, tone])
@pytest.mark.parametrize("seed", [0, 1])
def test_noise_hum_and_line_up_tone_are_neither_speech_nor_music(heard, made, seed: int) -> None:
    assert heard(made(SECONDS, seed))[0].ranges == []


def test_sound_opposed_in_phase_is_heard_and_told(heard, voices: np.ndarray) -> None:
    sound, found = heard(np.stack([voices[0], -voices[0]]))
    assert found == ["inverted phase"]
    assert sound.correlation == pytest.approx(-1, abs=0.01) and sound.seconds_of("speech") > 4


def test_ordinary_stereo_and_mono_have_no_fault(heard, voices: np.ndarray) -> None:
    assert heard(voices)[1] == []
    assert heard(voices[0])[1] == []
    assert heard(voices * 0.98 / np.abs(voices).max(), ".m4a")[1] == []


@pytest.mark.parametrize("suffix", [".wav", ".m4a"])
def test_clipping_is_told_in_pcm_and_through_aac(heard, voices: np.ndarray, suffix: str) -> None:
    assert "clipped" in heard(6 * voices, suffix)[1]


def test_each_fault_of_a_pair_is_told_by_its_name(heard, voices: np.ndarray) -> None:
    assert heard(np.stack([voices[0], voices[0]]))[1] == ["mono in stereo"]
    assert heard(np.stack([voices[0], 0 * voices[0]]))[1] == ["dead channel"]
    assert heard(voices + 0.05)[1] == ["DC offset"]


def test_a_batch_gets_its_rows_and_waveforms_once(library: Library, tmp_path: Path, clip) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    write_wav(drop / "memo.wav", at_level(ambience(3, 4), -20))
    for name in ("sound.mp4", "plain.mp4"):
        (drop / name).write_bytes(clip(name).read_bytes())
    batch = proxied_batch(library, drop)
    report = audio_batch(library, batch)
    assert (report.total, report.computed, report.failures) == (2, 2, [])
    assert report.facts["cpu_s_a_minute"] > 0
    rows = library.tables.read(AUDIO, batch)
    assert sorted(rows["duration_s"]) == [pytest.approx(2, abs=0.1), pytest.approx(3, abs=0.1)]
    for path, seconds in rows.select("waveform_path", "duration_s").iter_rows():
        waveform = json.loads(library.store.read_bytes(path))
        assert waveform["length"] / (16_000 / waveform["samples_per_pixel"]) == pytest.approx(seconds, abs=0.05)
        assert len(waveform["data"]) == 4 * waveform["length"] and max(waveform["data"]) > 5
    again = audio_batch(library, batch)
    assert (again.computed, again.reused) == (0, 2)


def test_a_broken_proxy_costs_only_its_clip(library: Library, tmp_path: Path, clip) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    write_wav(drop / "memo.wav", ambience(2, 4))
    (drop / "sound.mp4").write_bytes(clip("sound.mp4").read_bytes())
    batch = proxied_batch(library, drop)
    proxies = library.tables.read(PROXIES, batch)
    broken = proxies.filter(kind="video").row(0, named=True)
    with library.store.local(broken["proxy_path"]) as path:
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:500])
    report = audio_batch(library, batch)
    assert [row["media_id"] for row in report.failures] == [broken["media_id"]]
    assert library.tables.read(AUDIO, batch).height == 1
    assert broken["media_id"] not in set(library.tables.read(AUDIO_RANGES, batch)["media_id"])
