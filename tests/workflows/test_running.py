"""Running workflows: each step has its result, one that fails loses nobody else's, and nothing is done twice."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from PIL import Image

from tests.workflows.conftest import Play
from thatdam_pipelines.errors import ForeignPathError
from thatdam_pipelines.instance import open_instance
from thatdam_pipelines.library.home import Library
from thatdam_pipelines.library.workflows import WORKFLOW_TAG
from thatdam_pipelines.settings import BackupTarget, Settings
from thatdam_pipelines.workflow_runs import run_workflow
from thatdam_pipelines.workflows.document import read_workflow
from thatdam_pipelines.workflows.running import ask_for, rehearse, results, run_step


def states(told: list[dict[str, Any]]) -> list[str]:
    return [step["state"] for step in told]


def test_a_library_is_filled_curated_asked_and_kept_in_one_workflow(
    play: Play, stills: Path, settings: Settings
) -> None:
    told = play(
        {"action": "ingest", "paths": ["card"]},
        {"action": "rate", "media": ["red.jpg"], "rating": 4, "pick": "pick"},
        {"action": "tag", "media": ["red.jpg", "blue.jpg"], "add": ["colour"]},
        {"action": "state", "media": ["red.jpg"], "state": "approved"},
        {"action": "album", "where": "rating = 4", "add": ["Best"]},
        {"action": "describe", "media": ["red.jpg"], "title": "Red", "rights_expire": "2030-01-31"},
        {"action": "search", "query": "red.jpg", "mime": "image/jpeg", "albums": ["Best"]},
        {"action": "search", "query": "red.jpg", "mime": "video"},
        {"action": "sql", "query": "SELECT name FROM media ORDER BY name"},
        {"action": "related", "media": "red.jpg"},
        {"action": "xmp", "media": ["red.jpg"], "to": "sidecars"},
        {"action": "backup", "backup_root": "archive"},
        {"action": "backup", "backup_root": "archive"},
        {"action": "verify"},
        {"action": "retry"},
    )
    assert states(told) == ["done"] * 15, told
    ingest, rate, tag, _, album, _, found, none, sql, related, xmp, first, second, verify, retry = (
        step["result"] for step in told
    )
    assert {row["status"] for row in ingest["media"]} == {"stored"} and len(ingest["media"]) == 2
    assert len(rate["changed"]) == 1 and len(tag["changed"]) == 2 and album["changed"] == rate["changed"]
    assert [moment["media_id"] for moment in found["moments"]] == rate["changed"] and none["moments"] == []
    assert sql == [{"name": "blue.jpg"}, {"name": "red.jpg"}] and related == []
    assert Path(xmp["written"][0]["path"]).is_relative_to(stills.parent / "sidecars")
    assert first["copied"] > 2 and first["dest"] == str(stills.parent / "archive") and second["skipped"] >= 2
    assert verify["files"] == 2 and retry["failed"] == []
    with Library(settings) as library:
        (said,) = library.ledger.curation.get_many(rate["changed"]).values()
    assert (said.rating, said.pick, said.state, said.title, said.tags) == (4, "pick", "approved", "Red", ("colour",))
    assert said.changed_by == "ada"


OF_THE_TOOLBOX = """{
  "workflow": [
    {
      "action": "sync_album",
      "root": "/media/workspace",
      "album": "Project Alpha",
      "category": "edit",
      "copy": true
    },
    { "action": "scan", "root": "/media/incoming" },
    { "action": "backup", "backup_root": "/media/archive" },
    { "action": "stats" }
  ]
}"""
"""The workflow of the toolbox's README, letter by letter."""


def test_the_workflow_of_the_toolboxs_readme_runs_as_it_stands(stills: Path, settings: Settings) -> None:
    media = stills.parent / "media"
    (media / "incoming").mkdir(parents=True)
    stills.rename(media / "workspace")
    Image.new("RGB", (64, 48), "green").save(media / "incoming/green.jpg")
    text = OF_THE_TOOLBOX.replace("/media/", f"{media}/")
    with Library(settings) as library:
        asked = ask_for(library, read_workflow(text, "t"), name="t", source="command", by="ada", base=media)
    told = results(run_workflow(settings, asked))
    assert states(told) == ["done"] * 4, told
    synced, scanned, backup, stats = (step["result"] for step in told)
    assert (synced["synced"], synced["skipped"], synced["album"], synced["category"]) == (2, 0, "Project Alpha", "edit")
    assert synced["dest"] == settings.media_url
    assert scanned == {"processed": 1, "errors": 0, "total_files": 1}
    assert backup["copied"] >= 3 and backup["skipped"] == 0 and backup["dest"] == str(media / "archive")
    assert stats["total_files"] == 3 and stats["by_mime"][0]["count"] == 3
    with Library(settings) as library:
        assert len(library.ledger.albums.media("Project Alpha")) == 2


def test_the_toolboxs_other_actions_answer_in_its_shapes(play: Play, stills: Path, tmp_path: Path) -> None:
    told = play(
        {"action": "scan", "root": "card", "workers": 1},
        {"action": "recent", "limit": 1},
        {"action": "search", "query": "blue.jpg", "mime": "image/*", "limit": 5},
        {"action": "dump"},
        {"action": "dump", "format": "csv"},
        {"action": "dump", "to": "out/library.json"},
        {"action": "paths", "cmd": "add", "path": "card", "album": "Cards"},
        {"action": "paths", "cmd": "remove", "path": "card"},
        {"action": "paths"},
        {"action": "batches"},
        {"action": "batches", "cmd": "show", "batch_name": "card"},
        {"action": "clean"},
        {"action": "batches", "cmd": "show"},
        {"action": "paths", "cmd": "add"},
    )
    assert states(told) == ["done"] * 12 + ["failed"] * 2, told
    _, recent, found, dump, csv, file, added, removed, paths, batches, shown, clean = (
        one["result"] for one in told[:12]
    )
    assert len(recent) == 1 and len(found["moments"]) == 1
    assert sorted(row["name"] for row in dump) == ["blue.jpg", "red.jpg"] and len(csv.splitlines()) == 3
    assert len(json.loads((tmp_path / "out/library.json").read_text())) == 2 and file["characters"] > 2
    assert len(added) == 2 and removed == paths and len(paths) == 1
    assert batches[0]["count"] == 2 and {Path(row["path"]).name for row in shown} == {"blue.jpg", "red.jpg"}
    assert clean == {"confirmed": False, "missing": [], "archived": 0}
    assert "Give its batch_name" in told[12]["error"] and "Give its path" in told[13]["error"]


def test_one_bad_step_does_not_lose_the_others_results(play: Play, stills: Path, settings: Settings) -> None:
    told = play(
        {"action": "ingest", "paths": ["nowhere"]},
        {"action": "ingest", "paths": ["card"]},
        {"action": "rate", "media": ["green.jpg"], "rating": 1},
        {"action": "rate", "media": ["blue.jpg"], "rating": 1},
    )
    assert states(told) == ["failed", "done", "failed", "done"]
    assert "nowhere: there is no such file or folder" in told[0]["error"] and "green.jpg" in told[2]["error"]
    assert [step["step"] for step in told] == [1, 2, 3, 4] and all(step["elapsed_s"] >= 0 for step in told)
    with open_instance(settings) as instance:
        (run,) = instance.get_runs(dg.RunsFilter(job_name="workflow"))
        assert run.status == dg.DagsterRunStatus.FAILURE
        events = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        assert [event.step_key for event in events] == ["workflow_step[001_ingest]", "workflow_step[003_rate]"]
        done = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_OUTPUT)
        (output,) = [event.dagster_event for event in done if event.step_key == "workflow_step[004_rate]"]
        assert output is not None and output.event_specific_data.metadata["state"].value == "done"  # type: ignore[union-attr]
    with Library(settings) as library:
        (row,) = library.ledger.workflows.latest(5)
        assert library.ledger.workflows.state(row.workflow_id) == "failed" and row.run_id == run.run_id
        assert row.finished_utc is not None


def test_with_on_error_stop_nothing_is_done_after_a_step_that_failed(play: Play, stills: Path) -> None:
    steps: list[dict[str, Any]] = [
        {"action": "ingest", "paths": ["nowhere"], "on_error": "continue"},
        {"action": "rate", "media": ["x"], "rating": 1},
        {"action": "ingest", "paths": ["card"]},
    ]
    told = play(*steps, on_error="stop")
    assert states(told) == ["failed", "failed", "skipped"]
    assert told[2]["result"] is None and "step 2 failed" in told[2]["error"]


def test_a_step_that_does_its_work_with_a_bad_end_fails_and_keeps_its_result(
    play: Play, stills: Path, tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    (stills / "link").symlink_to("/etc/passwd")
    (told,) = play({"action": "offload", "card": "card", "to": ["disk"]})
    assert told["state"] == "failed" and told["error"].startswith("NOT SAFE") and not told["result"]["safe_to_format"]


def test_backups_are_kept_at_the_targets_of_the_settings(settings: Settings, stills: Path, tmp_path: Path) -> None:
    nas = BackupTarget(name="nas", url=str(tmp_path / "nas"))
    away = BackupTarget(name="away", url="/proc/none")
    made = settings.model_copy(update={"backup_targets": [nas, away]})
    steps = [{"action": "ingest", "paths": [str(stills)]}]
    steps += [{"action": name, "target": ["nas"]} for name in ("backup", "audit", "drill", "prune")]  # type: ignore[dict-item]
    steps += [{"action": "backup", "dry_run": True, "target": ["nas"]}, {"action": "backup"}]  # type: ignore[dict-item]
    steps += [{"action": "verify", "heal": True}, {"action": "restore", "to": "back", "path": "*.jpg"}]  # type: ignore[dict-item]
    steps += [{"action": "restore", "to": "elsewhere", "all": True, "from": "nas", "dry_run": True}]  # type: ignore[dict-item]
    steps += [{"action": "restore", "to": "back"}, {"action": "restore", "to": "x", "all": True, "from": "/proc"}]  # type: ignore[dict-item]
    workflow = read_workflow(json.dumps({"workflow": steps}), "test")
    with Library(made) as library:
        asked = ask_for(library, workflow, name="test", source="command", by="ada", base=tmp_path)
        told = [run_step(library, asked, number) for number in range(1, len(steps) + 1)]
    assert [step.state for step in told] == ["done"] * 6 + ["failed"] + ["done"] * 3 + ["failed"] * 2, told
    assert told[2].result[0]["wrong"] == [] and told[3].result[0]["files"] > 0
    assert told[5].result["copied"] == 0 and told[5].result["skipped"] >= 2
    assert {path.name for path in (tmp_path / "back").rglob("*.jpg")} == {"red.jpg", "blue.jpg"}
    assert told[9].result["files"] > 2 and told[9].result["dry_run"]
    assert "one of path, media and all" in str(told[10].error) and "no such backup target" in str(told[11].error)
    assert told[6].result["skipped"] > 0 and "away" in str(told[6].error)


def test_a_dry_run_says_what_each_step_would_do_and_does_nothing(settings: Settings, stills: Path) -> None:
    steps = [
        {"action": "ingest", "paths": ["card"], "mode": "move"},
        {"action": "rate", "media": ["red.jpg"], "rating": 5},
        {"action": "backup", "backup_root": "archive"},
        {"action": "search", "query": "red"},
        {"action": "retry"},
        {"action": "ingest", "paths": ["nowhere"]},
        {"action": "verify"},
        {"action": "prune"},
        {"action": "scan", "root": "card"},
        {"action": "sync_album", "root": "card"},
        {"action": "clean", "confirm": True},
        {"action": "paths"},
    ]
    workflow = read_workflow(json.dumps({"workflow": steps}), "test")
    with Library(settings) as library:
        told = rehearse(library, workflow, by="ada", base=stills.parent)
        assert library.ledger.batches() == [] and library.ledger.workflows.latest(1) == []
    assert states(told) == ["planned"] * 5 + ["failed", "planned", "failed"] + ["planned"] * 4
    assert f"take 2 files (0.0 MB) from {stills} by move" == told[0]["would"]
    assert "unless by then still: red.jpg" in told[1]["would"] and "archive" in told[2]["would"]
    assert "query = 'red'" in told[3]["would"] and "nowhere" in told[5]["error"]
    assert "look at 2 files" in told[8]["would"] and "copy what is new of 2 files" in told[9]["would"]
    assert "into album card" in told[9]["would"] and "archive 0 of 0 media" in told[10]["would"]
    assert not (stills.parent / "archive").exists() and (stills / "red.jpg").exists()


def test_a_run_that_begins_again_does_not_repeat_what_ended(settings: Settings, stills: Path, tmp_path: Path) -> None:
    steps = [{"action": "ingest", "paths": ["card"]}, {"action": "rate", "media": ["red.jpg"], "rating": 2}]
    result = tmp_path / "told.json"
    with Library(settings) as library:
        workflow = read_workflow(json.dumps({"workflow": steps}), "test")
        for _ in range(2):
            asked = ask_for(
                library,
                workflow,
                name="t",
                source="command",
                by="ada",
                base=tmp_path,
                workflow_id="a" * 32,
                result_path=result,
            )
        first = run_step(library, asked, 1)
        assert not result.exists() and library.ledger.workflows.state(asked) == "running"
    for path in stills.iterdir():
        path.unlink()
    told = run_workflow(settings, asked)
    assert told[0] == first and [step.state for step in told] == ["done", "done"]
    assert [step["state"] for step in json.loads(result.read_text())] == ["done", "done"]


STRANGE: list[Callable[[Path], dict[str, Any]]] = [
    lambda folder: {"action": "ingest", "paths": [str(folder)]},
    lambda folder: {"action": "ingest", "paths": ["card"]},
    lambda folder: {"action": "ingest", "paths": ["/etc/passwd"]},
    lambda folder: {"action": "offload", "card": str(folder), "to": [str(folder)]},
    lambda folder: {"action": "backup", "backup_root": str(folder)},
    lambda folder: {"action": "xmp", "media": ["a"], "to": str(folder)},
    lambda folder: {"action": "xmp", "media": ["a"], "beside": True},
    lambda folder: {"action": "scan", "root": str(folder)},
    lambda folder: {"action": "sync_album", "root": str(folder)},
    lambda folder: {"action": "dump", "to": str(folder / "x")},
    lambda folder: {"action": "paths", "cmd": "add", "path": str(folder)},
    lambda folder: {"action": "sql", "query": "SELECT 1"},
    lambda folder: {"action": "rate", "where": "true", "rating": 1},
    lambda folder: {"action": "search", "query": "x", "where": "true"},
]


@pytest.mark.parametrize("step", STRANGE)
def test_a_stranger_reaches_watched_folders_only(
    settings: Settings, stills: Path, step: Callable[[Path], dict[str, Any]]
) -> None:
    workflow = read_workflow(json.dumps(step(stills)), "test")
    with Library(settings) as library, pytest.raises(ForeignPathError):
        ask_for(library, workflow, name="t", source="api", by="eve", base=Path("/"))


def test_a_path_that_leads_elsewhere_by_the_time_it_is_read_is_not_opened(settings: Settings, stills: Path) -> None:
    inside = settings.incoming_dir / "card"
    inside.mkdir(parents=True)
    workflow = read_workflow(json.dumps({"action": "ingest", "paths": [str(inside)]}), "test")
    with Library(settings) as library:
        asked = ask_for(library, workflow, name="t", source="api", by="eve", base=Path("/"))
        inside.rmdir()
        inside.symlink_to(stills)
        step = run_step(library, asked, 1)
        assert step.state == "failed" and "not at or below a watched folder" in str(step.error)
        assert library.ledger.batches() == []


def test_how_far_a_workflow_is_is_told_without_reading_its_results(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = read_workflow('{"workflow": [{"action": "paths"}, {"action": "paths", "cmd": "add"}]}', "t")
    with Library(settings) as library:
        asked = ask_for(library, workflow, name="t", source="command", by="ada", base=tmp_path)
        ledger = library.ledger.workflows
        told = [ledger.state(asked)]
        for number in (1, 2):
            run_step(library, asked, number)
            with monkeypatch.context() as patched:
                patched.setattr("thatdam_pipelines.library.workflows.json.loads", lambda _: pytest.fail("it read one"))
                told.append(ledger.state(asked))
    assert told == ["waiting", "running", "failed"]


def test_results_are_found_over_postgres_too(settings: Settings, postgres_url: str, tmp_path: Path) -> None:
    made = settings.model_copy(update={"database": postgres_url})
    workflow = read_workflow('{"action": "rate", "media": ["ä"], "rating": 1}', "test")
    with Library(made) as library:
        asked = ask_for(library, workflow, name="ä", source="command", by="ada", base=tmp_path)
        run_step(library, asked, 1)
        (row,) = library.ledger.workflows.latest(1)
        assert (row.workflow_id, row.name) == (asked, "ä") and row.finished_utc is not None
        library.ledger.workflows.forget(asked)
        assert library.ledger.workflows.get(asked) is None and library.ledger.workflows.steps(asked) == []


def test_the_run_of_a_workflow_carries_its_id(play: Play, settings: Settings) -> None:
    play({"action": "retry"})
    with open_instance(settings) as instance, Library(settings) as library:
        (run,) = instance.get_runs(dg.RunsFilter(job_name="workflow"))
        assert run.tags[WORKFLOW_TAG] == library.ledger.workflows.latest(1)[0].workflow_id
