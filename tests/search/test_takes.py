"""Chapters of one recording play as one clip: hits that meet at their boundary are one moment."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from thatdam_pipelines.library.catalog import publish
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.recordings import scan_recordings
from thatdam_pipelines.library.schemas import MEDIA
from thatdam_pipelines.library.text import Place, TextIndex
from thatdam_pipelines.media.capture import capture_batch
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.media.probes import probe_batch
from thatdam_pipelines.samples.recordings import START, commit, commit_take, write_segments
from thatdam_pipelines.search.moments import Evidence, Span
from thatdam_pipelines.search.search import Query, Searcher
from thatdam_pipelines.search.takes import join_chapters
from thatdam_pipelines.settings import Settings

ENDS = (2.0, 4.0, 5.0)
PLACES = {f"m{n}": Place(f"/{n}.mkv", 10.0, "take", n, 10.0 * (n - 1)) for n in range(1, 6)}


def span(media_id: str, start_s: float, end_s: float, score: float, level: str = "l2") -> Span:
    word = Evidence("scenes", media_id, start_s, end_s, score, f"of {media_id}")
    return Span(media_id, start_s, end_s, level, [word], score)


def told(spans: list[Span]) -> list[tuple[str, float, str, float]]:
    made = join_chapters(sorted(spans, key=lambda one: -one.score), PLACES)
    return [(one.span.media_id, one.span.start_s, one.last.media_id, one.last.end_s) for one in made]


def test_what_ends_one_chapter_and_begins_the_next_is_one_moment_with_the_best_score() -> None:
    spans = [span("m2", 0, 4, 0.9), span("m1", 8, 9.97, 0.5), span("m1", 0, 3, 0.7)]
    assert told(spans) == [("m1", 8, "m2", 4), ("m1", 0, "m1", 3)]
    first = join_chapters(spans, PLACES)[0].span
    assert first.score == 0.9 and first.reasons() == ["of m2"] and len(first.evidence) == 2


def test_a_moment_goes_on_over_any_number_of_chapters() -> None:
    spans = [span(f"m{n}", 0, 10, n / 10) for n in range(1, 5)]
    assert told(spans) == [("m1", 0, "m4", 10)]


def test_what_does_not_meet_stays_apart() -> None:
    assert len(told([span("m1", 0, 8, 0.5), span("m2", 0, 4, 0.4)])) == 2
    assert len(told([span("m1", 5, 10, 0.5), span("m2", 2, 4, 0.4)])) == 2
    assert len(told([span("m1", 5, 10, 0.5), span("m3", 0, 4, 0.4)])) == 2
    assert len(told([span("m1", 5, 10, 0.5), span("m2", 0, 4, 0.4, "l1")])) == 2
    assert len(told([span("m5", 5, 10, 0.5), span("unknown", 0, 4, 0.4)])) == 2


@pytest.fixture
def recorded(settings: Settings, tmp_path: Path) -> Iterator[Library]:
    """A take whose last segment came in a batch of its own, words indexed."""
    segments = write_segments(tmp_path / "segments", ENDS)
    with Library(settings) as library, TextIndex(settings.text_path) as text:
        for some in (slice(0, 2), slice(0, 3)):
            commit_take(settings.capture_dir, segments[some], ENDS[some])
            (batch,) = scan_recordings(library.ledger, settings, datetime.now(UTC)).batches
            ingest_batch(library, batch)
            capture_batch(library, batch)
            probe_batch(library, batch)
            text.index_batch(library, batch)
        publish(library)
        yield library


def test_a_recording_is_found_as_one_clip_by_its_camera(recorded: Library) -> None:
    with Searcher(recorded.settings) as searcher:
        (moment,) = searcher.search(Query(text="hero camera")).moments
        assert (moment.start_s, moment.take_start_s) == (0.0, 0.0) and moment.take_id
        assert moment.take_end_s == pytest.approx(5.0, abs=0.1) and moment.end_s == pytest.approx(2.0, abs=0.05)
        assert {"media_id", "path", "start_s", "end_s", "score", "level", "reasons"} < set(moment.as_dict())
        (last,) = searcher.search(Query(text="hero camera", where="chapter = 3")).moments
        assert last.take_id == moment.take_id and last.take_start_s == pytest.approx(4.0, abs=0.1)


def test_files_that_claim_to_be_the_same_chapter_are_of_no_take(settings: Settings) -> None:
    for number in range(2):
        start = (START + timedelta(minutes=number)).isoformat()
        end = (START + timedelta(minutes=number, seconds=2)).isoformat()
        commit(settings.capture_dir, b"media %d" % number, start_utc=start, end_utc=end)
    with Library(settings) as library, TextIndex(settings.text_path) as text:
        (batch,) = scan_recordings(library.ledger, settings, datetime.now(UTC)).batches
        ingest_batch(library, batch)
        assert capture_batch(library, batch).total == 2
        text.index_batch(library, batch)
        places = text.places(library.tables.read(MEDIA, batch)["media_id"].to_list())
    assert [place.take_id for place in places.values()] == [None, None]
