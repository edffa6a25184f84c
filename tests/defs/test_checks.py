"""Each asset check fails on what it is there for."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from thatdam_pipelines.defs.checks import every_file_done, index_complete, proxy_durations, vectors_sound
from thatdam_pipelines.defs.report import failed_table, plain, summary, thumbnails
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.schemas import EMBEDDINGS_L0, MEDIA, PROBES, PROXIES
from thatdam_pipelines.library.stage import StageReport
from thatdam_pipelines.library.table import Table
from thatdam_pipelines.settings import Settings

BATCH = "20260101T000000-00000001"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def library(settings: Settings) -> Iterator[Library]:
    with Library(settings) as opened:
        yield opened


def write(library: Library, table: Table, rows: list[dict[str, Any]]) -> None:
    library.tables.write(table, BATCH, table.frame(rows))


def media(library: Library, *names: str) -> None:
    row = {"batch_id": BATCH, "kind": "video", "size_bytes": 1, "blake3": "b", "xxh128": "x", "first_seen_utc": NOW}
    write(library, MEDIA, [row | {"media_id": name, "name": f"{name}.mov"} for name in names])


def probes(library: Library, **durations: float | None) -> None:
    row = {"batch_id": BATCH, "recipe": "p", "kind": "video", "container": "mov", "mime": "video/quicktime"}
    row |= {"has_audio": False, "warnings": []}
    write(library, PROBES, [row | {"media_id": name, "duration_s": length} for name, length in durations.items()])


def proxies(library: Library, **durations: float | None) -> None:
    row = {"batch_id": BATCH, "recipe": "x", "kind": "video", "proxy_path": "p", "poster_path": "j"}
    row |= {"tone_mapped": False, "deinterlaced": False, "size_bytes": 1, "elapsed_s": 1.0, "warnings": []}
    write(library, PROXIES, [row | {"media_id": name, "duration_s": length} for name, length in durations.items()])


def report(total: int = 3, *, failures: tuple[str, ...] = (), **figures: Any) -> StageReport:
    failed = [
        {"media_id": name, "path": f"/drop/{name}.mov", "reason": "it is damaged", "next_step": "Copy it again."}
        for name in failures
    ]
    known = {"computed": total, "reused": 0, "skipped": 0, "elapsed_s": 1.0} | figures
    return StageReport(stage="proxies", batch_id=BATCH, recipe="r-1-x", total=total, failures=failed, **known)


def wrong(result: Any) -> str:
    assert not result.passed
    return str(result.metadata["what is wrong"].value)


def test_proxies_as_long_as_their_clips_pass(library: Library) -> None:
    media(library, "a", "b", "still")
    probes(library, a=10.0, b=1000.0, still=None)
    proxies(library, a=10.4, b=1009.0, still=None)
    assert proxy_durations(library, BATCH, report()).passed


def test_a_proxy_that_ends_early_is_named(library: Library) -> None:
    media(library, "a", "b")
    probes(library, a=10.0, b=10.0)
    proxies(library, a=10.0, b=8.0)
    said = wrong(proxy_durations(library, BATCH, report()))
    assert "b.mov" in said and "8.00 s" in said and "a.mov" not in said


def test_a_clip_without_a_proxy_is_named_unless_it_failed(library: Library) -> None:
    media(library, "a", "b")
    probes(library, a=10.0, b=10.0)
    proxies(library)
    assert "b.mov: has no proxy" in wrong(proxy_durations(library, BATCH, report(failures=("a",)))).replace("\\", "")
    assert proxy_durations(library, BATCH, report(failures=("a", "b"))).passed


@pytest.mark.parametrize(
    ("vector", "dimensions"),
    [([0.6, 0.81], 2), ([float("nan"), 1.0], 2), ([float("inf"), 0.0], 2), ([0.0, 0.0], 2), ([0.6, 0.8], 3)],
)
def test_a_vector_that_is_not_of_unit_length_or_not_finite_or_too_short_is_named(
    library: Library, vector: list[float], dimensions: int
) -> None:
    row = {"batch_id": BATCH, "recipe": "r", "space": "s", "frames": 1}
    good = row | {"media_id": "good", "vector": [0.6, 0.8], "dimensions": 2}
    bad = row | {"media_id": "bad", "vector": vector, "dimensions": dimensions}
    write(library, EMBEDDINGS_L0, [good, bad])
    said = wrong(vectors_sound(library, BATCH, EMBEDDINGS_L0))
    assert "bad/s" in said and "good/s" not in said


def test_an_index_that_lacks_entries_is_told() -> None:
    assert index_complete(5, 5).passed
    assert "4 entries in the index, 5 in the tables" in wrong(index_complete(5, 4))


def test_the_share_of_failed_files_is_a_warning_with_the_list() -> None:
    result = every_file_done(report(4, failures=("a",)))
    assert not result.passed and result.severity.value == "WARN"
    assert result.metadata["share failed"].value == 0.25
    assert "it is damaged" in str(result.metadata["failed files"].value)


def test_a_summary_says_when_there_was_nothing_to_do() -> None:
    assert summary(report(3, computed=0, reused=3)) == "nothing to do: all 3 files already done by recipe r-1-x"
    assert "1 failed by it before" in summary(report(3, computed=0, reused=2, skipped=1))
    assert summary(report(0)).startswith("nothing to do: no file")
    assert summary(report(3, computed=2, reused=1)).startswith("2 of 3 files done")


def test_a_name_cannot_draw_its_own_markdown() -> None:
    name = "![x](http://elsewhere/)\n| b | <script>.mov"
    assert "\n" not in plain(name)
    lines = str(failed_table([{"path": name, "reason": "r", "next_step": "n"}]).value).splitlines()
    assert len(lines) == 3 and lines[2].count(" | ") == 2
    assert "\\!\\[x\\]\\(" in lines[2]


def test_posters_stay_short_enough_to_be_shown_inline() -> None:
    rows = pl.DataFrame({"media_id": [f"{number:032x}" for number in range(200)], "name": ["]" * 80] * 200})
    shown = thumbnails(rows, 8080)
    assert shown is not None and 600 < len(str(shown.value)) < 1000
    assert thumbnails(rows.clear(), 8080) is None
