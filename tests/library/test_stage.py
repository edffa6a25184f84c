"""One stage of a batch: done once, failed once, kept when the world goes away in the middle."""

from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest

from thatdam_pipelines.errors import MediaError, ModelError, OfflineError
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.recipes import Recipe
from thatdam_pipelines.library.schemas import EMBEDDINGS_L0, FRAMES, PROBES, PROBES_FAILURES, STREAMS
from thatdam_pipelines.library.stage import Rows, StageReport, run_stage
from thatdam_pipelines.library.table import Table
from thatdam_pipelines.library.workers import Job, Workers
from thatdam_pipelines.settings import Settings

RECIPE = Recipe("probe", "1")
PROBE = {"kind": "video", "container": "mov", "mime": "video/mp4", "has_audio": False, "warnings": []}


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    """Processes that start once: what is tested is what is made of their results."""
    workers = Workers(2, 2**31)
    yield workers
    workers.close()


@pytest.fixture
def library(settings: Settings, workers: Workers) -> Library:
    library = Library(settings)
    library.workers = workers
    return library


def work(payload: str) -> str:
    if payload == "bad":
        raise MediaError("file", "it is broken", "Copy it again.")
    if payload == "crash":
        import os

        os._exit(11)
    if payload == "offline":
        raise OfflineError("/disk", "it is not mounted", "Mount it.")
    if payload == "model":
        raise ModelError("whisper/small", "its package is not installed", "Install it.")
    if payload == "surprise":
        raise RuntimeError("what is this")
    return payload


def probed(job: Job, result: str) -> Rows:
    stream = {"stream_index": 0, "type": "video"}
    return {"probes": [PROBE | {"video_codec": result}], "streams": [stream]}


def run(library: Library, payloads: dict[str, str], recipe: Recipe = RECIPE, **options: Any) -> StageReport:
    jobs = [Job(media_id, f"{media_id}.mp4", payload, 20.0) for media_id, payload in payloads.items()]
    options = {"recipes": {PROBES: recipe, STREAMS: recipe}, "done_by": PROBES, "finish": probed} | options
    return run_stage(library, "probes", "b1", jobs=jobs, work=work, **options)


def codecs(library: Library) -> dict[str, str]:
    return dict(library.tables.read(PROBES, "b1").select("media_id", "video_codec").iter_rows())


def test_a_second_run_with_nothing_changed_does_no_work(library: Library) -> None:
    first = run(library, {"a": "h264", "b": "bad"})
    stamps = library.tables.stamps(PROBES), library.tables.stamps(PROBES_FAILURES)
    again = run(library, {"a": "hevc", "b": "h264"})
    assert (first.computed, first.reused, first.skipped) == (2, 0, 0)
    assert (again.computed, again.reused, again.skipped) == (0, 1, 1)
    assert codecs(library) == {"a": "h264"}
    assert [row["reason"] for row in again.failures] == ["it is broken"]
    assert (library.tables.stamps(PROBES), library.tables.stamps(PROBES_FAILURES)) == stamps


def test_a_bad_a_crashing_and_an_unexpected_file_each_cost_only_themselves(library: Library) -> None:
    report = run(library, {"a": "h264", "b": "bad", "c": "crash", "d": "surprise", "e": "hevc"})
    assert codecs(library) == {"a": "h264", "e": "hevc"}
    reasons = {row["media_id"]: row["reason"] for row in report.failures}
    assert set(reasons) == {"b", "c", "d"}
    assert "crashed" in reasons["c"] and "RuntimeError: what is this" in reasons["d"]
    assert all(row["next_step"] and row["path"] == f"{row['media_id']}.mp4" for row in report.failures)


def test_retry_tries_failed_files_again_and_forgets_a_failure_that_is_mended(library: Library) -> None:
    run(library, {"a": "h264", "b": "bad", "c": "bad"})
    report = run(library, {"a": "h264", "b": "hevc", "c": "bad"}, retry=True)
    assert (report.computed, report.reused) == (2, 1)
    assert codecs(library) == {"a": "h264", "b": "hevc"}
    assert [row["media_id"] for row in report.failures] == ["c"]


def test_another_recipe_does_everything_again_and_replaces_the_rows(library: Library) -> None:
    run(library, {"a": "h264", "b": "bad"})
    report = run(library, {"a": "hevc", "b": "av1"}, Recipe("probe", "2"))
    assert report.computed == 2 and not report.failures
    assert codecs(library) == {"a": "hevc", "b": "av1"}
    assert set(library.tables.read(PROBES, "b1")["recipe"]) == {Recipe("probe", "2").id}


def test_a_file_is_done_only_when_every_named_table_has_it(library: Library) -> None:
    run(library, {"a": "h264"})
    library.tables.write(STREAMS, "b1", library.tables.read(STREAMS, "b1").clear())
    assert run(library, {"a": "hevc"}, done_by=(PROBES, STREAMS)).computed == 1
    assert library.tables.read(STREAMS, "b1").height == 1


def test_killed_between_two_tables_it_makes_both_again(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    real = library.tables.write
    written: list[str] = []

    def once(table: Table, batch_id: str, frame: pl.DataFrame) -> bool:
        if written:
            raise KeyboardInterrupt
        written.append(table.name)
        return real(table, batch_id, frame)

    monkeypatch.setattr(library.tables, "write", once)
    with pytest.raises(KeyboardInterrupt):
        run(library, {"a": "h264"})
    monkeypatch.undo()
    assert run(library, {"a": "h264"}).computed == 1
    assert codecs(library) == {"a": "h264"} and library.tables.read(STREAMS, "b1").height == 1


def test_a_model_that_cannot_be_had_is_told_and_no_file_is_blamed(library: Library) -> None:
    with pytest.raises(ModelError, match="not installed"):
        run(library, {"a": "h264", "b": "model"})
    assert library.tables.read(PROBES_FAILURES, "b1").is_empty()


def test_a_table_that_a_file_leaves_out_keeps_its_rows(library: Library) -> None:
    run(library, {"a": "h264"})
    library.tables.write(PROBES, "b1", library.tables.read(PROBES, "b1").clear())

    def only_probe(job: Job, result: str) -> Rows:
        return {"probes": probed(job, result)["probes"]}

    run(library, {"a": "hevc"}, done_by=(PROBES, STREAMS), finish=only_probe)
    assert codecs(library) == {"a": "hevc"} and library.tables.read(STREAMS, "b1").height == 1


def test_a_file_no_longer_in_the_batch_loses_its_rows(library: Library) -> None:
    run(library, {"a": "h264", "b": "hevc", "c": "bad"})
    report = run(library, {"a": "h264"})
    assert codecs(library) == {"a": "h264"} and report.failures == []


def test_a_file_of_several_jobs_fails_as_a_whole(library: Library) -> None:
    jobs = [Job("a", "a.mp4", payload, 20.0) for payload in ("h264", "bad")] + [Job("b", "b.mp4", "hevc", 20.0)]
    report = run_stage(
        library, "probes", "b1", recipes={PROBES: RECIPE, STREAMS: RECIPE}, done_by=PROBES, jobs=jobs, work=work,
        finish=probed,
    )  # fmt: skip
    assert codecs(library) == {"b": "hevc"} and len(report.failures) == 1
    assert (report.total, report.computed) == (2, 2)


def test_vectors_of_other_spaces_stay_when_one_space_is_computed(library: Library) -> None:
    def embedded(space: str) -> Any:
        def finish(job: Job, result: str) -> Rows:
            return {"embeddings_l0": [{"space": space, "frames": 1, "vector": [1.0], "dimensions": 1}]}

        return finish

    for space, expected in (("one", 1), ("two", 1), ("one", 0)):
        report = run_stage(
            library, "embeddings_l0", "b1", recipes={EMBEDDINGS_L0: Recipe("embed", space)}, done_by=EMBEDDINGS_L0,
            jobs=[Job("a", "a.mp4", "x", 20.0)], work=work, finish=embedded(space), space=space,
        )  # fmt: skip
        assert report.computed == expected
    assert sorted(library.tables.read(EMBEDDINGS_L0, "b1")["space"]) == ["one", "two"]


def test_results_are_prepared_together_and_a_bad_one_costs_only_itself(library: Library) -> None:
    seen: list[list[str]] = []

    def prepare(results: list[str]) -> list[Any]:
        seen.append(results)
        return [MediaError("file", "the model refuses it", "Look.") if one == "av1" else one.upper() for one in results]

    report = run(library, {"a": "h264", "b": "bad", "c": "av1", "d": "hevc"}, prepare=prepare, together=3)
    assert seen == [["h264", "av1"], ["hevc"]]
    assert codecs(library) == {"a": "H264", "d": "HEVC"}
    assert {row["media_id"] for row in report.failures} == {"b", "c"}


def test_what_was_done_before_a_disk_went_away_is_kept_and_the_rest_is_done_when_it_is_back(library: Library) -> None:
    run(library, {"r": "bad", "s": "bad"})
    payloads = {"a": "h264", "r": "hevc", "b": "offline", "s": "h264", "c": "h264"}
    with pytest.raises(OfflineError, match="not mounted"):
        run(library, payloads, retry=True)
    assert codecs(library) == {"a": "h264", "r": "hevc"}
    assert library.tables.read(PROBES_FAILURES, "b1")["media_id"].to_list() == ["s"]
    report = run(library, dict.fromkeys(payloads, "av1"), retry=True)
    assert (report.computed, report.reused, report.failures) == (3, 2, [])
    assert codecs(library) == {"a": "h264", "r": "hevc", "b": "av1", "s": "av1", "c": "av1"}


def test_a_new_recipe_whose_disk_is_away_keeps_what_the_old_one_made(library: Library) -> None:
    run(library, {"a": "h264", "b": "h264"})
    new = Recipe("probe", "next")
    with pytest.raises(OfflineError):
        run(library, {"a": "hevc", "b": "offline"}, new)
    assert codecs(library) == {"a": "hevc", "b": "h264"}
    run(library, {"a": "av1", "b": "av1"}, new)
    assert codecs(library) == {"a": "hevc", "b": "av1"}


def test_a_file_half_done_when_a_disk_went_away_is_not_taken_for_done(library: Library) -> None:
    def finish(job: Job, result: str) -> Rows:
        return {"frames": [{"frame_id": result, "time_s": 0.0, "sharpness": 1.0, "brightness": 0.5, "contrast": 0.1,
                            "saturation": 0.1, "dominant_colors": []}]}  # fmt: skip

    def both(*payloads: str) -> StageReport:
        return run_stage(
            library, "embeddings_l1", "b1", recipes={FRAMES: RECIPE}, done_by=FRAMES, work=work, finish=finish,
            jobs=[Job("a", "a.mp4", payload, 20.0) for payload in payloads],
        )  # fmt: skip

    with pytest.raises(OfflineError):
        both("f1", "offline")
    assert library.tables.read(FRAMES, "b1").height == 0
    both("f1", "f2")
    assert library.tables.read(FRAMES, "b1")["frame_id"].to_list() == ["f1", "f2"]


def test_progress_is_told_for_every_file(library: Library) -> None:
    told: list[tuple[int, int, str]] = []
    run(library, {"a": "h264", "b": "bad"}, progress=lambda *step: told.append(step))
    assert told == [(1, 2, "a.mp4"), (2, 2, "b.mp4")]
