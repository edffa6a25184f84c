"""The probes stage: a batch's files probed in worker processes, once, the bad ones listed with reasons."""

import os
import signal
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from thatdam_pipelines.errors import OfflineError
from thatdam_pipelines.library.checksum import digest_file
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import LOCATIONS, MEDIA, PROBES, PROBES_FAILURES, STREAMS
from thatdam_pipelines.library.store import Store
from thatdam_pipelines.media import probes
from thatdam_pipelines.media.kinds import HEAD_BYTES, kind_of
from thatdam_pipelines.media.probes import PROBE_RECIPE, probe_batch
from thatdam_pipelines.samples.good_files import GoodFiles, good_files
from thatdam_pipelines.settings import Settings

NOW = datetime(2024, 5, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def good() -> GoodFiles:
    return good_files()


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """One home, and so one set of worker processes, for all tests; each has a batch of its own."""
    home = tmp_path_factory.mktemp("home")
    with Library(Settings(home=home, embedder="descriptor", workers=2, disk_reserve_bytes=0)) as opened:
        yield opened


@pytest.fixture
def batch(request: pytest.FixtureRequest) -> str:
    return f"20240506-070809-{zlib.crc32(request.node.name.encode()):08x}"


@pytest.fixture
def hold(library: Library, batch: str, tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Put files into the library as raw_media does, by name and content; gives the media_id of each name."""

    def put(files: dict[str, bytes], *, in_store: bool = True) -> dict[str, str]:
        media: list[dict[str, Any]] = []
        locations: list[dict[str, Any]] = []
        for name, data in files.items():
            source = tmp_path / "source" / name
            source.parent.mkdir(exist_ok=True)
            source.write_bytes(data)
            digest = digest_file(source)
            key = Store.raw_key(batch, name)
            if in_store:
                library.store.put(source, key)
            common = {"media_id": digest.media_id, "batch_id": batch, "name": name, "size_bytes": digest.size_bytes}
            kind = kind_of(name, data[:HEAD_BYTES])
            hashes = {"blake3": digest.blake3, "xxh128": digest.xxh128}
            media.append(common | hashes | {"kind": kind, "first_seen_utc": NOW})
            place = {"path": key if in_store else str(source), "in_store": in_store, "source_path": str(source)}
            place |= {"folder": "", "mode": "copy" if in_store else "reference", "duplicate": False}
            locations.append(common | place | {"modified_utc": NOW, "verified_utc": NOW})
        library.tables.write(MEDIA, batch, MEDIA.frame(media))
        library.tables.write(LOCATIONS, batch, LOCATIONS.frame(locations))
        return {row["name"]: row["media_id"] for row in media}

    return put


Hold = Callable[..., dict[str, str]]


def test_a_batch_is_probed_by_kind_and_its_bad_files_are_listed(
    library: Library, batch: str, hold: Hold, good: GoodFiles
) -> None:
    files = {"clip.mp4": good.mp4, "still.jpg": good.jpg, "sound.wav": good.wav, "empty.mov": b"", "clip.xml": b"<x/>"}
    ids = hold(files)
    report = probe_batch(library, batch)
    probed = {row["media_id"]: row for row in library.tables.read(PROBES, batch).to_dicts()}
    assert {name: probed[ids[name]]["kind"] for name in ("clip.mp4", "still.jpg", "sound.wav")} == {
        "clip.mp4": "video",
        "still.jpg": "image",
        "sound.wav": "audio",
    }
    assert {row["recipe"] for row in probed.values()} == {PROBE_RECIPE.id}
    failures = library.tables.read(PROBES_FAILURES, batch).to_dicts()
    assert [(row["media_id"], row["reason"]) for row in failures] == [(ids["empty.mov"], "is empty (0 bytes)")]
    assert failures[0]["path"].endswith("/source/empty.mov")
    assert ids["clip.xml"] not in probed
    assert (report.total, report.computed, len(report.failures)) == (4, 4, 1)
    assert report.facts["kinds"] == {"audio": 1, "image": 1, "video": 1}
    assert report.facts["hours"] == pytest.approx(4 / 3600, rel=0.05)


def test_streams_are_listed_for_each_file(library: Library, batch: str, hold: Hold, good: GoodFiles) -> None:
    hold({"clip.mp4": good.mp4, "still.jpg": good.jpg})
    probe_batch(library, batch)
    streams = library.tables.read(STREAMS, batch)
    assert sorted(streams["type"]) == ["audio", "video", "video"]


def test_a_rerun_probes_nothing_and_changes_nothing(library: Library, batch: str, hold: Hold, good: GoodFiles) -> None:
    hold({"clip.mp4": good.mp4, "still.jpg": good.jpg, "empty.mov": b""})
    probe_batch(library, batch)
    before = {table: library.tables.read(table, batch) for table in (PROBES, STREAMS, PROBES_FAILURES)}
    report = probe_batch(library, batch)
    assert (report.computed, report.reused, report.skipped) == (0, 2, 1)
    for table, rows in before.items():
        assert library.tables.read(table, batch).equals(rows)


def test_retry_tries_the_failed_ones_again(library: Library, batch: str, hold: Hold, good: GoodFiles) -> None:
    hold({"clip.mp4": good.mp4, "empty.mov": b""})
    probe_batch(library, batch)
    report = probe_batch(library, batch, retry=True)
    assert (report.computed, report.reused, len(report.failures)) == (1, 1, 1)


def test_progress_is_told_file_by_file(library: Library, batch: str, hold: Hold, good: GoodFiles) -> None:
    hold({"a.jpg": good.jpg, "b.mp4": good.mp4})
    told: list[tuple[int, int]] = []
    probe_batch(library, batch, progress=lambda done, total, name: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]


def test_originals_kept_by_reference_are_read_where_they_are(
    library: Library, batch: str, hold: Hold, good: GoodFiles
) -> None:
    hold({"clip.mp4": good.mp4}, in_store=False)
    assert probe_batch(library, batch).failures == []


def test_an_original_that_is_away_costs_only_itself_until_it_is_back(
    library: Library, batch: str, hold: Hold, good: GoodFiles, tmp_path: Path
) -> None:
    # No other test has this content, else it would be read from there.
    ids = hold({"away.jpg": good.jpg + b"away", "still.jpg": good.jpg, "empty.mov": b""}, in_store=False)
    away = tmp_path / "source" / "away.jpg"
    away.rename(tmp_path / "unplugged")
    report = probe_batch(library, batch)
    reasons = {failure["media_id"]: failure["reason"] for failure in report.failures}
    assert set(reasons) == {ids["away.jpg"], ids["empty.mov"]}
    assert reasons[ids["away.jpg"]] == "it cannot be reached (No such file or directory)"
    assert library.tables.read(PROBES, batch)["media_id"].to_list() == [ids["still.jpg"]]
    assert len(probe_batch(library, batch).failures) == 2

    (tmp_path / "unplugged").rename(away)
    report = probe_batch(library, batch)
    assert (report.computed, report.reused, report.skipped) == (1, 1, 1)
    assert [failure["media_id"] for failure in report.failures] == [ids["empty.mov"]]


def test_a_media_store_that_is_away_fails_the_run_and_blames_no_file(
    library: Library, batch: str, hold: Hold, good: GoodFiles
) -> None:
    hold({"still.jpg": good.jpg + b"offline"})
    media = Path(library.settings.media_url)
    media.rename(media.with_name("unplugged"))
    with pytest.raises(OfflineError):
        probe_batch(library, batch)
    assert library.tables.read(PROBES_FAILURES, batch).is_empty()
    media.with_name("unplugged").rename(media)
    assert probe_batch(library, batch).failures == []


def test_an_original_missing_from_the_store_costs_only_itself(
    library: Library, batch: str, hold: Hold, good: GoodFiles
) -> None:
    ids = hold({"lost.jpg": good.jpg + b"lost", "still.jpg": good.jpg})
    Path(library.store.url(Store.raw_key(batch, "lost.jpg"))).unlink()
    report = probe_batch(library, batch)
    assert [failure["media_id"] for failure in report.failures] == [ids["lost.jpg"]]
    assert library.tables.read(PROBES, batch)["media_id"].to_list() == [ids["still.jpg"]]


def _crash(order: Any) -> Any:
    if order.found.name.startswith("crash"):
        os.kill(os.getpid(), signal.SIGSEGV)
    return _probe(order)


_probe = probes._probe


def test_a_crash_of_the_decoder_costs_only_its_file(
    library: Library, batch: str, hold: Hold, good: GoodFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"clip-{n}.jpg": good.jpg + bytes([n]) for n in range(12)}
    hold(files | {"crash.jpg": good.jpg + b"crash"})
    monkeypatch.setattr(probes, "_probe", _crash)
    report = probe_batch(library, batch)
    assert [(Path(failure["path"]).name, failure["reason"][:19]) for failure in report.failures] == [
        ("crash.jpg", "the decoder crashed")
    ]
    assert library.tables.read(PROBES, batch).height == 12
