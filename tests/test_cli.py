"""The command line over the sample footage: output, JSON shapes, exit codes."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from thatdam_pipelines.cli import main
from thatdam_pipelines.settings import Settings, get_settings


class Said(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Said]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line as the `thatdam` program does, against the home of the given settings."""

    def run(settings: Settings, *arguments: str) -> Said:
        monkeypatch.setenv("THATDAM_HOME", str(settings.home))
        monkeypatch.setenv("THATDAM_EMBEDDER", settings.embedder)
        monkeypatch.setenv("THATDAM_DISK_RESERVE_BYTES", "0")
        monkeypatch.setenv("COLUMNS", "200")
        if settings.open_clip_config is not None:
            monkeypatch.setenv("THATDAM_OPEN_CLIP_CONFIG", str(settings.open_clip_config))
        monkeypatch.setattr(sys, "argv", ["thatdam", *arguments])
        get_settings.cache_clear()
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
            raise SystemExit(0)
        said = capsys.readouterr()
        code = ended.value.code
        return Said(code if isinstance(code, int) else 0, said.out, said.err)

    return run


def test_ingest_gives_batches_media_and_failed_in_the_documented_shape(footage: Any) -> None:
    shape = footage.result.as_dict()
    assert set(shape) == {"batches", "media", "failed"}
    assert all(set(row) == {"media_id", "path", "status"} for row in shape["media"])
    broken = next(file.path for file in footage.files if file.broken)
    assert [row["path"] for row in shape["failed"]] == [str(broken)]
    assert {row["status"] for row in shape["media"]} == {"stored", "failed"}


def test_ingest_ends_with_0_when_files_failed_and_lists_them(run: Run, settings: Settings, tmp_path: Path) -> None:
    bad = tmp_path / "card" / "-bad \n'name\".mp4"
    bad.parent.mkdir()
    bad.write_bytes(b"this is text, not video")
    said = run(settings, "ingest", str(bad.parent), "--json")
    assert said.code == 0, said.err
    assert [row["path"] for row in said.data["failed"]] == [str(bad)]
    again = run(settings, "ingest", str(bad.parent))
    assert again.code == 0 and "\n'name" not in again.out


def test_ingest_of_a_path_that_is_not_there_ends_with_2_and_names_it(run: Run, settings: Settings) -> None:
    said = run(settings, "ingest", "/no/such/card")
    assert said.code == 2
    assert "/no/such/card: there is no such file or folder" in said.err.replace("\n", " ")


def test_wrong_options_and_settings_end_with_2(
    run: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert run(settings, "ingest", str(tmp_path), "--mode", "steal").code == 2
    monkeypatch.setenv("THATDAM_WORKERS", "-1")
    said = run(settings, "doctor")
    assert said.code == 2 and "THATDAM_WORKERS" in said.err


def test_search_prints_json_of_the_documented_shape(run: Run, footage: Any) -> None:
    said = run(footage.settings, "search", footage.files[0].shown[0].caption, "--json", "--limit", "3")
    assert said.code == 0
    first = said.data[0]
    assert set(first) == {"media_id", "path", "start_s", "end_s", "score", "level", "reasons"}
    assert "Embedder: open_clip:thatdam-tiny" in said.err


def test_search_that_finds_nothing_says_so(run: Run, footage: Any) -> None:
    said = run(footage.settings, "search", "quarterly tax declaration form")
    assert said.code == 0 and "Nothing found." in said.out


def test_sql_prints_tables_json_and_csv(run: Run, footage: Any) -> None:
    query = "SELECT name, duration_s FROM media WHERE kind = 'video' AND duration_s IS NOT NULL ORDER BY name LIMIT 2"
    rows = run(footage.settings, "sql", query, "--json").data
    assert [row["name"] for row in rows] == ["CLIP0001.MOV", "CLIP0002.MOV"]
    csv = run(footage.settings, "sql", query, "--csv").out.splitlines()
    assert csv[0] == "name,duration_s" and csv[1].startswith("CLIP0001.MOV,")
    assert "CLIP0001.MOV" in run(footage.settings, "sql", query).out


def test_square_brackets_in_a_value_are_shown_as_they_are(run: Run, footage: Any) -> None:
    assert "a [blue] clip" in run(footage.settings, "sql", "SELECT 'a [blue] clip' AS name").out


@pytest.mark.parametrize("statement", ["DROP VIEW media", "CREATE TABLE t AS SELECT 1", "COPY media TO 'x.csv'"])
def test_sql_refuses_a_write_with_a_clear_error(run: Run, footage: Any, statement: str) -> None:
    said = run(footage.settings, "sql", statement)
    assert said.code == 2
    assert "error" in said.err and "Traceback" not in said.err


def test_sql_lists_views_and_runs_ready_made_queries_by_name(run: Run, footage: Any) -> None:
    listed = run(footage.settings, "sql", "--list", "--json").data
    views = {view["name"] for view in listed["views"]}
    assert views >= {
        "media", "locations", "batches", "probes", "streams", "proxies", "frames", "scenes", "embeddings", "tags",
        "failures",
    }  # fmt: skip
    assert len(listed["queries"]) >= 10
    for query in listed["queries"]:
        said = run(footage.settings, "sql", query["name"], "--json")
        assert said.code == 0, f"{query['name']}: {said.err}"


def test_explain_names_every_stage_its_recipe_and_its_run(run: Run, footage: Any) -> None:
    told = run(footage.settings, "explain", "CLIP0001.MOV", "--json").data
    stages = {stage["stage"]: stage for stage in told["stages"]}
    assert [stage["state"] for stage in stages.values()] == ["done"] * 9
    assert stages["proxies"]["recipe"].startswith("proxy-")
    assert all(stage["run_url"].startswith("http://127.0.0.1:3000/runs/") for stage in stages.values())
    by_id = run(footage.settings, "explain", told["media_id"], "--json").data
    assert by_id["paths"] == told["paths"]


def test_explain_says_why_a_broken_file_cannot_be_found(run: Run, footage: Any) -> None:
    broken = next(file.path for file in footage.files if file.broken)
    said = run(footage.settings, "explain", str(broken))
    assert said.code == 0
    assert "the index (moov) is missing" in said.out and "probes failed" in said.out


def test_explain_of_sound_says_what_is_not_needed(run: Run, footage: Any) -> None:
    memo = next(file.path for file in footage.files if file.path.suffix == ".m4a")
    stages = run(footage.settings, "explain", memo.name, "--json").data["stages"]
    states = {stage["stage"]: stage["state"] for stage in stages}
    assert states["proxies"] == "done" and states["embeddings_l1"] == "not needed"


def test_explain_of_an_unknown_name_ends_with_2_and_says_what_is_watched(run: Run, footage: Any) -> None:
    said = run(footage.settings, "explain", "never-seen.mov")
    assert said.code == 2 and "ever seen" in said.err


def test_index_rebuild_all_answers_as_before(run: Run, footage: Any) -> None:
    query = ["search", footage.files[1].shown[1].caption, "--json"]
    before = run(footage.settings, *query).data
    said = run(footage.settings, "index", "rebuild", "all", "--json")
    assert said.code == 0 and set(said.data) == {"vector", "text", "catalog"}
    assert run(footage.settings, *query).data == before


def test_retry_tries_failed_files_again_and_tells_what_still_fails(run: Run, footage: Any) -> None:
    said = run(footage.settings, "retry", "--json")
    assert said.code == 0
    assert said.data["batches"] == footage.result.batches and len(said.data["failed"]) == 1
    assert run(footage.settings, "retry", "--batch", "no-such-batch").code == 2


def test_models_list_prints_each_space_with_what_it_covers(run: Run, footage: Any) -> None:
    said = run(footage.settings, "models", "list", "--json")
    assert said.code == 0
    (space,) = said.data["spaces"]
    assert set(space) == {"space", "vectors", "media", "share", "serves", "computed"}
    assert space["serves"] and space["computed"] and set(space["vectors"]) == {"l0", "l1", "l2"}
    assert "answers searches, the settings compute it" in run(footage.settings, "models", "list").out


def test_models_promote_ends_with_1_when_refused_and_2_on_wrong_arguments(run: Run, footage: Any) -> None:
    assert run(footage.settings, "models", "promote").code == 0
    other = footage.settings.model_copy(update={"embedder": "descriptor", "open_clip_config": None})
    refused = run(other, "models", "promote", "--json")
    assert refused.code == 1 and not refused.data["promoted"] and "models fill" in refused.data["problems"][0]
    assert run(other, "models", "promote", "no/such/space").code == 2
    assert run(other, "models", "promote", "--golden", "/no/such.json").code == 2


def test_doctor_finds_a_good_installation_good_and_a_missing_folder_broken(
    run: Run, footage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = run(footage.settings, "doctor", "--json")
    assert said.code == 0, said.out
    assert {"ffmpeg", "embedder", "free disk", "watched folder"} <= {finding["subject"] for finding in said.data}
    monkeypatch.setenv("THATDAM_WATCHED", '[{"path": "/no/such/mount"}]')
    missing = run(footage.settings, "doctor", "--json")
    assert missing.code == 1
    assert [finding["subject"] for finding in missing.data if not finding["ok"]] == ["watched folder"]
