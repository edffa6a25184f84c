"""The command line over the sample footage: output, JSON shapes, exit codes."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image

from thatdam_pipelines import terminal
from thatdam_pipelines.cli import main
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.watch import scan_folder
from thatdam_pipelines.media.claim import claim_paths
from thatdam_pipelines.media.ingest import ingest_batch
from thatdam_pipelines.samples.cards import legacy_list, put_files
from thatdam_pipelines.search.explain import STAGES
from thatdam_pipelines.settings import Settings, WatchedFolder, get_settings


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
        for console in (terminal.out, terminal.err):
            monkeypatch.setattr(console, "width", 200)
        for name in ("open_clip_config", "vocabulary"):
            if (path := getattr(settings, name)) is not None:
                monkeypatch.setenv(f"THATDAM_{name.upper()}", str(path))
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
    assert set(shape) == {"batches", "media", "failed", "not_as_listed"}
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


def test_ingest_ends_with_what_is_not_as_the_cards_own_hash_list_says(
    run: Run, settings: Settings, tmp_path: Path
) -> None:
    card = tmp_path / "A001"
    put_files(card, {"same.XML": b"same", "other.XML": b"other"})
    (card / "A001.mhl").write_bytes(legacy_list({"same.XML": b"same", "other.XML": b"first", "gone.XML": b"x"}, "md5"))
    said = run(settings, "ingest", str(card), "--json")
    assert said.code == 0, said.err
    unlike = {Path(row["path"]).name: row["reason"] for row in said.data["not_as_listed"]}
    assert unlike == {
        "other.XML": "it is not what its list says (md5)",
        "gone.XML": "it is listed and did not come",
    }
    lines = run(settings, "ingest", str(card)).out.splitlines()
    assert lines[-1].endswith("0 failed, 2 not as the card's hash lists say")
    assert sum(line.startswith("not as the card's hash list says") for line in lines) == 2
    one = run(settings, "ingest", str(card / "same.XML"), "--json").data
    assert one["not_as_listed"] == []


def test_ingest_lists_a_copy_of_what_could_not_be_read_as_failed_for_the_same_reason(
    run: Run, settings: Settings, tmp_path: Path
) -> None:
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{folder}.mp4").write_bytes(b"this is text, not video")
    [first] = run(settings, "ingest", str(tmp_path / "first"), "--json").data["failed"]
    said = run(settings, "ingest", str(tmp_path / "second"), "--json").data
    path = str(tmp_path / "second" / "second.mp4")
    assert [(row["path"], row["status"]) for row in said["media"]] == [(path, "failed")]
    assert said["failed"] == [{"path": path, "reason": first["reason"]}]


def test_ingest_tells_of_the_files_it_was_given_and_of_no_others_of_their_batch(
    run: Run, settings: Settings, tmp_path: Path
) -> None:
    card = tmp_path / "card"
    card.mkdir()
    for name in ("a.mp4", "b.mp4"):
        (card / name).write_text(f"{name} is a text")
    run(settings, "ingest", str(card))
    one = run(settings, "ingest", str(card / "a.mp4"), "--json").data
    assert [row["path"] for row in one["media"]] == [row["path"] for row in one["failed"]] == [str(card / "a.mp4")]


@pytest.mark.parametrize("name", [".hidden.mp4", "half.mp4.part", "Thumbs.db", "empty/"])
def test_ingest_says_why_it_took_nothing_of_a_path_it_was_given(
    run: Run, settings: Settings, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.mkdir() if name.endswith("/") else path.write_bytes(b"bytes")
    said = run(settings, "ingest", str(path), "--json")
    assert said.code == 0
    assert said.data["failed"][0]["path"] == str(path) and "hidden, partial" in said.data["failed"][0]["reason"]


def test_ingest_refuses_an_empty_path_instead_of_taking_the_folder_it_is_in(
    run: Run, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.mp4").write_bytes(b"mine")
    monkeypatch.chdir(tmp_path)
    said = run(settings, "ingest", "", "--mode", "move")
    assert said.code == 2 and "path is empty" in said.err
    assert (tmp_path / "mine.mp4").exists()


def test_waiting_for_a_copy_of_what_is_there_makes_what_the_first_one_lacks(
    run: Run, settings: Settings, tmp_path: Path
) -> None:
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (64, 48), "red").save(tmp_path / folder / f"{folder}.png")
    run(settings, "ingest", str(tmp_path / "first"))
    status = "SELECT status FROM media"
    assert run(settings, "sql", status, "--json").data == [{"status": "probed"}]
    said = run(settings, "ingest", str(tmp_path / "second"), "--wait", "--json").data
    assert [row["status"] for row in said["media"]] == ["duplicate"] and len(said["batches"]) == 1
    assert run(settings, "sql", status, "--json").data == [{"status": "ready"}]


@pytest.mark.parametrize("command", ["the folder", "the file", "retry"])
def test_what_was_moved_before_a_kill_is_finished_by_the_same_command_or_a_retry(
    run: Run, settings: Settings, tmp_path: Path, command: str
) -> None:
    card = tmp_path / "card"
    card.mkdir()
    Image.new("RGB", (64, 48), "red").save(card / "still.png")
    with Library(settings) as library:
        (batch,) = claim_paths(library, [card], "move")
        ingest_batch(library, batch)
        library.ledger.start_batch(batch, "a run that was killed")
    assert list(card.iterdir()) == []
    path = {"the folder": card, "the file": card / "still.png"}.get(command)
    said = run(settings, *(["ingest", str(path), "--wait"] if path else ["retry"]), "--json")
    assert said.code == 0 and said.data["batches"] == [batch] and said.data["failed"] == []
    assert run(settings, "sql", "SELECT status FROM media", "--json").data == [{"status": "ready"}]


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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WATCHED", "/mnt/card"),
        ("WATCHED", '[{"path": "/mnt", "setle_seconds": 3}]'),
        ("WEB_PORT", "99999"),
        ("HOME", "/dev/null"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_with_its_name(
    run: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"THATDAM_{name}", value)
    said = run(settings.model_copy(update={"home": Path(value)}) if name == "HOME" else settings, "models", "list")
    assert said.code == 2 and name.lower() in said.err.lower() and "docs/settings.md" in said.err


def test_search_prints_json_of_the_documented_shape(run: Run, footage: Any) -> None:
    said = run(footage.settings, "search", footage.files[0].shown[0].caption, "--json", "--limit", "3")
    assert said.code == 0
    first = said.data[0]
    of_takes = {"take_id", "take_start_s", "take_end_s"}
    assert set(first) == {"media_id", "path", "start_s", "end_s", "score", "level", "reasons"} | of_takes
    assert all(first[name] is None for name in of_takes)
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


def test_lists_are_json_in_csv_and_infinite_numbers_are_null_in_json(run: Run, footage: Any) -> None:
    query = "SELECT ['a', 'it''s'] AS names, {'x': 1} AS place, 1 / 0 AS rate, NULL::INT[] AS none"
    assert (
        run(footage.settings, "sql", query, "--csv").out.splitlines()[1] == """"[""a"", ""it's""]","{""x"": 1}",inf,"""
    )
    (row,) = run(footage.settings, "sql", query, "--json").data
    assert row == {"names": ["a", "it's"], "place": {"x": 1}, "rate": None, "none": None}


def test_every_ready_made_query_prints_csv(run: Run, footage: Any) -> None:
    for query in run(footage.settings, "sql", "--list", "--json").data["queries"]:
        assert run(footage.settings, "sql", query["name"], "--csv").code == 0, query["name"]


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
    assert [stage["state"] for stage in stages.values()] == ["done"] * len([*STAGES, "vector_index", "text_index"])
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


def test_models_plan_compare_and_rollback_answer_programs_and_people(run: Run, footage: Any) -> None:
    planned = run(footage.settings, "models", "plan", "descriptor", "--json")
    assert planned.data["space"] == "descriptor/1" and planned.data["frames"] > planned.data["files"] > 0
    assert "lacks vectors of" in run(footage.settings, "models", "plan", "descriptor").out
    assert run(footage.settings, "models", "compare").code == 2
    assert run(footage.settings, "models", "rollback").code == 2


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


def test_doctor_finds_what_ingest_would_stumble_over(
    run: Run, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "still.png")
    monkeypatch.setenv("THATDAM_MEDIA", str(tmp_path / "disk"))
    run(settings, "ingest", str(tmp_path / "still.png"))
    assert run(settings, "doctor").code == 0
    (tmp_path / "disk").rename(tmp_path / "unplugged")
    (tmp_path / "disk").mkdir()
    other = settings.model_copy(update={"embedder": "open_clip:No-Such-Model"})
    said = run(other, "doctor", "--json")
    broken = {finding["subject"]: finding["found"] for finding in said.data if not finding["ok"]}
    assert said.code == 1
    assert set(broken) == {"media store", "open_clip:No-Such-Model"} and "cannot be reached" in broken["media store"]


def test_doctor_tells_a_watched_folder_from_the_empty_one_left_where_it_was(
    run: Run, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = tmp_path / "nas"
    watched.mkdir()
    (watched / "clip.mov").write_bytes(b"footage")
    with Library(settings) as library:
        scan_folder(library.ledger, settings, WatchedFolder(path=watched), datetime.now(UTC))
    monkeypatch.setenv("THATDAM_WATCHED", json.dumps([{"path": str(watched)}]))
    assert run(settings, "doctor").code == 0
    watched.rename(tmp_path / "unplugged")
    watched.mkdir()
    said = run(settings, "doctor", "--json")
    (broken,) = [finding for finding in said.data if not finding["ok"]]
    assert said.code == 1 and str(watched) in broken["found"] and "Mount" in broken["next_step"]
